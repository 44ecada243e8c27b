"""A trained diffusion model: schedule, forward process and bank, behind the denoiser's interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from undiffuse import datasets
from undiffuse.datasets import ArrayData, Units
from undiffuse.datasets.sources import given_rows
from undiffuse.datasets.views import look
from undiffuse.diffusion import reverse
from undiffuse.diffusion.denoiser import AxisDenoiser, Denoiser, March
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.diffusion.inpainting import Inpainting, as_mask, inpaint
from undiffuse.diffusion.likelihood import Bound, bound
from undiffuse.diffusion.samplers import Sampler, Variance
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.networks.bank import Bank
from undiffuse.recipes import Budget, Wishes, choose
from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config
from undiffuse.runs.folder import RunFolder
from undiffuse.support import html
from undiffuse.support.arrays import Array, Floats, as_samples
from undiffuse.support.errors import require
from undiffuse.support.stats import PrincipalAxes
from undiffuse.support.streams import Streams
from undiffuse.training import Execution, run_errors, train_bank
from undiffuse.training.doubts import doubt_data, doubt_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from undiffuse.diffusion.for_diffusers import DiffusersModel

_HELD_OUT = 0.1  # share of the samples
_MANY, _FEW = 1_000, 100  # samples that are drawn; variables above which these are few


class Diffusion(Denoiser):
    """A trained model.

    Attributes
    ----------
    config : Config
    forward : ForwardProcess
    bank : Bank
        ``bank[t]`` is the autoencoder of time t.
    errors : (T, 3) array
        Rows ``(t, training error, held-out error)``, mean squares in xi per dimension after the last pass.
    units : Units or None
        The user's units, of a model whose settings were chosen from its data; None where they are the model's. Whole
        rows of data are in the user's units: what :meth:`sample` gives, what :meth:`inpaint` takes and gives. Whatever
        has to do with states ``x_t``, and :meth:`bound`, is in the model's; ``units.to_model`` and ``to_user`` convert.

    Examples
    --------
    ``undiffuse train spiral-2pi --out runs/spiral`` makes a run, which ``ud.Diffusion.load("runs/spiral")`` opens. A
    small model, in memory:

    >>> import undiffuse as ud
    >>> small = ["diffusion.T=10", "diffusion.schedule=cosine", "network.hidden=16", "training.epochs=20"]
    >>> model = ud.fit(ud.datasets.spiral(400), "spiral-2pi", small, execution=ud.Execution(workers=1))
    >>> model.bank[5].W.shape, model.errors.shape
    ((16, 2), (10, 3))
    >>> model.sample(3, seed=1).shape
    (3, 2)

    See Also
    --------
    undiffuse.fit : train in memory.
    undiffuse.studies.open_run.OpenRun : a run with its data and exact denoisers beside the model.
    """

    def __init__(self, config: Config, bank: Bank, errors: Floats) -> None:
        self.config = config
        super().__init__(bank.forward, bank.dim)
        self.bank = bank
        self.errors = errors
        self.units: Units | None = datasets.units_of(config.data)

    def __repr__(self) -> str:
        return f"Diffusion({self.config.name}, dim={self.dim}, {self.forward!r})"

    def _repr_html_(self) -> str:
        names = ("schedule", "T", "noise scale s", "alpha_bar(T)", "OU time at T")
        schedule, end = self.schedule, self.schedule.end()
        values = (schedule.name, schedule.T, self.forward.noise_scale, end["alpha_bar_T"], end["ou_time_T"])
        facts = {"variables": self.dim, **dict(zip(names, values, strict=True))}
        held_out = self.errors[:, 2]
        losses = html.curve(np.log(np.maximum(held_out, 1e-300)).tolist(), "log of the held-out error in xi against t")
        facts["held-out error in xi, mean over t"] = float(np.mean(held_out))
        return html.card(f"Diffusion: {self.config.name}", facts, losses, self.bank._repr_html_())

    def plot(
        self, x: ArrayLike | None = None, *, n: int | None = None, sampler: Sampler | None = None, seed: int = 0
    ) -> Figure:
        """Draw the error of every time's network, and samples beside data.

        Parameters
        ----------
        x : array_like, shape (n, columns), optional
            Data in the user's units. By default those that the configuration names; a model of an array that was given
            in Python shows its samples alone.
        n : int, optional
            Number of samples: 1000 by default, 100 of more than 100 variables.
        sampler, seed
            See :func:`undiffuse.sample`.

        Raises
        ------
        UserError
            If ``x`` has other columns than the model's samples.
        """
        from undiffuse.figures.portraits import model as draw

        data = self._data(x)
        samples = self.sample(n or (_FEW if self.dim > _FEW else _MANY), sampler=sampler, seed=seed)
        sets = {"samples": samples} if data is None else {"data": data, "samples": samples}
        names = () if self.units is None or self.units.alike else tuple(self.units.columns(self.dim))
        views = look(sets, None, names).views
        reference = self.bank.reference
        gaussian = None if reference is None else np.array([reference.error(int(t)) for t in self.errors[:, 0]])
        return draw(self.errors, gaussian, views)

    def _data(self, x: ArrayLike | None) -> Floats | None:
        """Data to draw, in the user's units: those given, or those that the configuration names."""
        if x is not None:
            given = as_samples(x)
            columns = self.dim if self.units is None else self.units.count(self.dim)
            require(given.shape[1] == columns, f"x has {given.shape[1]} columns, wanted {columns}")
            return given
        if isinstance(self.config.data, ArrayData):
            return None
        found = datasets.load(self.config).train
        return found if self.units is None else self.units.to_user(found)

    @classmethod
    def load(cls, run: str | Path | RunFolder) -> Diffusion:
        """Open a finished run; its weights are read one time at a time, as they are used.

        Raises
        ------
        UserError
            If the folder is missing, unfinished, altered or damaged.
        """
        folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
        return cls(folder.config, folder.bank(), run_errors(folder))

    @property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule."""
        return self.forward.schedule

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Noise estimated by the bank, shape ``(n, dim)``."""
        return self.bank.xi_hat(x_t, t)

    def xi_trace(self, x_t: Array, t: int) -> Floats:
        """Trace of the Jacobian of :meth:`xi_hat` at each point; see :meth:`undiffuse.Bank.xi_trace`."""
        return self.bank.xi_trace(x_t, t)

    def x0_jacobian(self, x_t: Array, t: int) -> Floats:
        """Mean Jacobian of ``x0_hat``, the sensitivity map; see :meth:`undiffuse.Bank.x0_jacobian`."""
        return self.bank.x0_jacobian(x_t, t)

    def potential(self, x_t: Array, t: int, origin: Array) -> Floats:
        """Potential along the line from ``origin`` to each ``x_t``; see :meth:`undiffuse.Bank.potential`."""
        return self.bank.potential(x_t, t, origin)

    def linear_theory(self) -> PrincipalAxes | None:
        """Mean and principal axes of the training data; see :meth:`undiffuse.Bank.linear_theory`."""
        return self.bank.linear_theory()

    def march(self, times: Sequence[int], coefficients: Floats) -> March | None:
        """Return what takes samples through consecutive steps at once; see :meth:`undiffuse.Bank.march`."""
        return self.bank.march(times, coefficients)

    def along_axes(self) -> tuple[AxisDenoiser, Floats] | None:
        """Return the bank in principal coordinates, if all its networks work in them."""
        return self.bank.along_axes()

    def sample(self, n: int, *, sampler: Sampler | None = None, seed: int | Streams = 0) -> Floats:
        """Generate ``n`` samples in the user's units; see :func:`undiffuse.sample`, which gives them in the model's."""
        x = reverse.sample(self, n, sampler=sampler, seed=seed)
        return x if self.units is None else self.units.to_user(x)

    def reconstruct(self, x_t: ArrayLike, t: int, *, sampler: Sampler | None = None, seed: int | Streams = 0) -> Floats:
        """Take diffused samples back from time ``t``.

        Parameters
        ----------
        x_t, t, sampler, seed
            See :func:`undiffuse.reconstruct`.
        """
        return reverse.reconstruct(self, x_t, t, sampler=sampler, seed=seed)

    def inpaint(
        self,
        x0: ArrayLike,
        destroyed: ArrayLike,
        *,
        how: Inpainting | None = None,
        sampler: Sampler | None = None,
        seed: int = 0,
    ) -> Floats:
        """Fill in what is destroyed (True in the mask), in the user's units; what is known comes back as it was.

        Parameters
        ----------
        x0, destroyed, how, sampler, seed
            See :func:`undiffuse.inpaint`.

        Raises
        ------
        UserError
            As there.
        """
        if self.units is None:
            return inpaint(self, x0, destroyed, how=how, sampler=sampler, seed=seed)
        columns = self.units.count(self.dim)
        given = np.asarray(x0, np.float64)
        require(given.ndim == 2 and given.shape[1] == columns, f"x0 has shape {given.shape}, wanted (n, {columns})")
        mask = as_mask(destroyed, *given.shape)
        whole = np.where(mask, 0.0, given)  # what is destroyed may be anything, even NaN
        known = self.units.known_to_model(mask)
        filled = inpaint(self, self.units.to_model(whole), known, how=how, sampler=sampler, seed=seed)
        return np.where(mask, self.units.to_user(filled), given)

    def bound(
        self,
        x0: ArrayLike,
        *,
        variance: Variance = "beta",
        levels: tuple[float, float] | None = None,
        seed: int = 0,
    ) -> Bound:
        """Bound on ``-log p(x_0)``, the negative ELBO, every term.

        Parameters
        ----------
        x0, variance, levels, seed
            See :func:`undiffuse.bound`.
        """
        return bound(self, x0, variance=variance, levels=levels, seed=seed)

    def to_diffusers(self, shape: Sequence[int] | None = None) -> DiffusersModel:
        """Return what diffusers' schedulers and pipelines call; see :func:`undiffuse.to_diffusers`."""
        from undiffuse.diffusion.for_diffusers import to_diffusers  # torch is slow to load

        return to_diffusers(self, shape)


def fit(
    x: ArrayLike,
    preset: str | Path | Config | Budget | None = None,
    changes: Sequence[str] = (),
    *,
    held_out: float | None = None,
    seed: int | None = None,
    execution: Execution | None = None,
) -> Diffusion:
    """Train a bank on samples, in memory.

    Without a preset every setting is chosen from the samples, as ``undiffuse run FILE`` does: they may be in any units,
    which samples come back in (see ``units`` of :class:`Diffusion`). With a preset the samples are taken as they are.

    Parameters
    ----------
    x : array_like, shape (n, dim)
        Samples. Without a preset also of shape ``(n,)`` or, as images, ``(n, rows, columns)``.
    preset : str, path, Config or Budget, optional
        Everything but the data: a preset's name, a TOML file, or a configuration. By default it is chosen from the data
        for a minute of training, or for ``ud.Budget(minutes=5)``.
    changes : sequence of str
        ``section.key=value`` settings that replace the preset's or the chosen ones, such as ``"training.epochs=5"``.
    held_out : float, optional
        Share of the samples kept apart for the held-out error, 0.1 by default: at the end, or drawn where settings are
        chosen.
    seed : int, optional
        Of every random stream; the preset's by default, or 0.
    execution : Execution, optional
        Device, number of worker processes, and what is told of the progress: in a notebook a bar, unless
        ``ud.Execution(notebook_bar=False)``.

    Raises
    ------
    UserError
        If the samples are not finite real numbers of such a shape, are too few, or a setting is wrong.

    Examples
    --------
    >>> import undiffuse as ud
    >>> x = ud.datasets.spiral(400, seed=0)
    >>> small = ["diffusion.T=10", "diffusion.schedule=cosine", "network.hidden=16", "training.epochs=20"]
    >>> model = ud.fit(x, "spiral-2pi", small, execution=ud.Execution(workers=1))
    >>> model.sample(5, seed=1).shape
    (5, 2)

    See Also
    --------
    undiffuse.Diffusion, undiffuse.presets, undiffuse.recipes.choose
    """
    require(held_out is None or 0 < held_out < 1, f"held_out = {held_out}: wanted a share between 0 and 1")
    if preset is None or isinstance(preset, Budget):
        wishes = Wishes(changes, preset or Budget(), held_out, seed or 0)
        recipe = choose(given_rows(x), ArrayData(held_out=1), wishes, execution or Execution())
        chosen, data = recipe.config, recipe.data
    else:
        samples = as_samples(x)
        section = ArrayData(held_out=max(1, round((held_out or _HELD_OUT) * len(samples))))
        if isinstance(preset, Config):
            require(not changes, "changes go with a preset's name or file, not with a configuration")
            chosen = preset if seed is None else preset.model_copy(update={"seed": seed})
        else:
            chosen = configuration.load(preset, list(changes), seed)
        chosen = chosen.model_copy(update={"data": section})
        data = datasets.load(chosen, samples)
    reference = GaussianDenoiser.from_data(chosen.forward(), data.train)
    doubt_data(reference, data.train)
    with (execution or Execution()).shown("training") as shown:
        bank, errors = train_bank(chosen, data, shown)
    doubt_errors(errors, reference)
    return Diffusion(chosen, bank, errors)
