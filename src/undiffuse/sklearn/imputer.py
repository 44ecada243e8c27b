"""``DiffusionImputer``: missing entries filled in by inpainting, with the interface of scikit-learn's imputers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from undiffuse.diffusion.inpainting import Inpainting
from undiffuse.sklearn import keep
from undiffuse.sklearn.density import DiffusionDensity
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import one_of, require
from undiffuse.support.memory import check_memory

_STRATEGIES = ("mean", "draw")
_METHODS = ("repaint", "smc")
_NESTED = "density__"  # before the names of the density's parameters
_JUMP = 2  # steps of RePaint's jumps back up; long ones leave what is filled in too near the mean


class DiffusionImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fill in missing entries (NaN) of rows with what a bank expects, or draws, given the entries that are known.

    It is fitted on the complete rows alone, and refuses where there are fewer than two. A row of which nothing is
    known is drawn from the density.

    Parameters
    ----------
    density : DiffusionDensity, optional
        Settings of the training; its columns are never whitened here, since an entry that is missing is one column's.
    strategy : {"mean", "draw"}
        Mean of ``n_draws`` fillings, best for the mean square error; or one of them, which keeps the spread.
    n_draws : int
        Fillings of each row, for ``mean``.
    repeats : int
        How often each stretch of 2 steps is made (RePaint, Lugmayr et al. 2022), so that what is filled in agrees with
        what is known; 1 is the thesis's way, faster and less consistent. Of ``smc``, the number of particles.
    method : {"repaint", "smc"}
        Jumps back up, or a particle filter whose fillings tend to the exact conditional law of the reverse process:
        see :mod:`undiffuse.diffusion.particles`. Each filling has ``repeats`` particles, of which one is kept.
    random_state : int, RandomState or None
        Of the training and of the fillings. With an integer, every call fills in the same.

    Attributes
    ----------
    density_ : DiffusionDensity
        Fitted on the complete rows.
    n_complete_ : int
        Their number.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from undiffuse.sklearn import DiffusionDensity, DiffusionImputer
    >>> x = load_iris().data
    >>> quick = DiffusionDensity(T=10, hidden=16, folds=2)
    >>> imputer = DiffusionImputer(quick, n_draws=2, random_state=0).fit(x)
    >>> bool(np.isfinite(imputer.transform([[5.1, np.nan, 1.4, 0.2]])).all())
    True
    >>> imputer.multiple([[5.1, np.nan, 1.4, np.nan]], n=3).shape
    (3, 1, 4)

    See Also
    --------
    DiffusionDensity : the density it fills in with.
    undiffuse.inpaint : the same of any denoiser.
    """

    def __init__(
        self,
        density: DiffusionDensity | None = None,
        strategy: Literal["mean", "draw"] = "mean",
        n_draws: int = 20,
        repeats: int = 10,
        method: Literal["repaint", "smc"] = "repaint",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.density = density
        self.strategy = strategy
        self.n_draws = n_draws
        self.repeats = repeats
        self.method = method
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        """Say that NaN is what this takes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Train on the complete rows of ``X``, shape ``(n, dim)``; ``y`` is not used.

        Raises
        ------
        UserError
            If fewer than two rows are complete, or a parameter is out of range.
        """
        one_of("strategy", self.strategy, _STRATEGIES)
        one_of("method", self.method, _METHODS)
        require(self.n_draws >= 1, f"n_draws = {self.n_draws}: wanted at least 1")
        require(self.repeats >= 1, f"repeats = {self.repeats}: wanted at least 1")
        x = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2)
        complete = x[~np.isnan(x).any(axis=1)]
        require(
            len(complete) >= 2,
            f"{len(complete)} of {len(x)} rows are complete: wanted at least 2, which alone are learned from",
        )
        self.n_complete_ = len(complete)
        density = DiffusionDensity() if self.density is None else clone(self.density)
        self.density_ = density.set_params(whiten=False, random_state=self.random_state).fit(complete)
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """Return the rows with every NaN filled in; known entries come back as they are."""
        fillings = self.multiple(X, self.n_draws if self.strategy == "mean" else 1)
        return np.asarray(fillings.mean(axis=0)) if len(fillings) > 1 else fillings[0]

    def multiple(self, X: ArrayLike, n: int = 5) -> Floats:
        """Fill in each row ``n`` times, independently, for multiple imputation (Rubin 1987); shape ``(n, rows, dim)``.

        Raises
        ------
        UserError
            If ``n`` is below 1, or so many rows do not fit into the memory.
        """
        check_is_fitted(self)
        require(n >= 1, f"n = {n}: wanted at least 1")
        x = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        check_memory(6 * 8 * n * x.size, f"{n} fillings of {len(x)} rows")
        missing = np.isnan(x)
        out = np.repeat(x[None], n, axis=0)
        rng = check_random_state(self.random_state)
        partly, wholly = missing.any(axis=1) & ~missing.all(axis=1), missing.all(axis=1)
        if partly.any():
            filled = self._filled(np.tile(x[partly], (n, 1)), int(rng.randint(2**31)))
            out[:, partly] = filled.reshape(n, -1, x.shape[1])
        if wholly.any():
            drawn = self.density_.sample(n * int(wholly.sum()), rng)
            out[:, wholly] = drawn.reshape(n, -1, x.shape[1])
        return out

    def _filled(self, rows: Floats, seed: int) -> Floats:
        """Fill in rows of which something is known and something is not."""
        scaling, model, mask = self.density_.scaling_, self.density_.model_, np.isnan(rows)
        start = scaling.enter(np.where(mask, scaling.mean, rows))
        jump = min(_JUMP, model.forward.T)
        how = Inpainting("thesis") if self.repeats == 1 else Inpainting("repaint", jump, self.repeats)
        if self.method == "smc":
            how = Inpainting("smc", particles=self.repeats)
        return np.where(mask, scaling.leave(model.inpaint(start, mask, how=how, seed=seed)), rows)

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the fitted imputer into a folder, as ``estimator.json`` and ``arrays.safetensors``.

        Raises
        ------
        UserError
            If there is an estimator already and ``overwrite`` is false, or the folder cannot be written to.
        """
        check_is_fitted(self)
        density = {f"{_NESTED}{key}": value for key, value in self.density_.get_params().items()}
        own = {key: value for key, value in self.get_params(deep=False).items() if key != "density"}
        kept = keep.Kept.of(
            self, {**own, **density, "n_complete": self.n_complete_}, (self.density_.model_, self.density_.scaling_)
        )
        return kept.write(folder, overwrite)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what :meth:`save` wrote; nothing is unpickled.

        Raises
        ------
        UserError
            If there is no such estimator there, or a file is damaged.
        """
        kept = keep.Kept.read(folder, cls.__name__)
        settings: dict[str, Any] = {}
        of_density: dict[str, Any] = {}
        for key, value in kept.parameters.items():
            nested = key.startswith(_NESTED)
            (of_density if nested else settings)[key.removeprefix(_NESTED)] = value
        complete = settings.pop("n_complete", 0)
        density = keep.made(DiffusionDensity, of_density)
        out = keep.made(cls, {"density": clone(density), **settings})
        density.model_, density.scaling_ = kept.model, kept.scaling
        out.density_, out.n_complete_ = density, complete
        for estimator in (out, density):
            kept.name_columns(estimator)
        return out
