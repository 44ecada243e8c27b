"""The recipes that a choice starts from: for a few variables, for some tens, and for many or for images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.kernels import LARGEST_DIM
from undiffuse.recipes.choice import Draft
from undiffuse.support.arrays import Floats
from undiffuse.support.stats import PrincipalAxes

_TENS = 50  # variables; above, networks work along principal axes
_STEPS = 12_000  # of the optimiser that a small network is worth, from fresh weights
_HEARD = 2.0  # passes for each row and variable, past which few rows are learned by heart
_AUDIBLE = 0.01  # variance of a component, over that of the noise, below which a network need not see it
_BLOCK, _SWEEP_BLOCK = 50, 20
# Ranges of times of mnist-01-quick, as shares of T, with the components that a network there can have at most.
_RANGES = ((0.0, 0.08, 250), (0.08, 0.2, 120), (0.2, 0.44, 100), (0.44, 0.6, 50), (0.6, 1.0, 25))


@dataclass(frozen=True)
class Shape:
    """What settings depend on.

    Attributes
    ----------
    rows : int
        To train on.
    dim : int
        Variables of the model.
    pixels : bool
        Whether these are pixels, between 0 and 1.
    """

    rows: int
    dim: int
    pixels: bool

    @property
    def batch(self) -> int:
        """Size of a minibatch."""
        return 100 if self.rows >= 1_000 else 50 if self.rows >= 150 else max(1, self.rows // 4)

    def worth(self, steps: int) -> int:
        """Passes that make so many steps of the optimiser, fewer where rows are few."""
        return max(1, min(round(steps * self.batch / self.rows), max(20, round(_HEARD * self.rows / self.dim))))


def fill(draft: Draft, shape: Shape, x: Floats) -> None:
    """Choose the settings of diffusion, network, training and evaluation.

    Parameters
    ----------
    draft : Draft
    shape : Shape
    x : (n, dim)
        Data in the model's units.
    """
    draft.choose(
        "diffusion.noise_scale", 1.0, "pixels are of order 1" if shape.pixels else "the variance of each column is 1"
    )
    if shape.pixels or shape.dim > _TENS:
        _many(draft, shape, x)
    else:
        _few(draft, shape)
    many = shape.dim > _TENS
    draft.add("evaluation", samples=1_000 if many else 2_000, replicates=4 if many else 16)


def _few(draft: Draft, shape: Shape) -> None:
    small = shape.dim <= LARGEST_DIM
    T = draft.choose("diffusion.T", 300 if small else 200, "fewer times than 1000 leave more passes for each")
    _schedule(draft, T)
    hidden = 200 if shape.rows >= 1_000 else 100
    draft.choose("network.hidden", hidden, f"for {shape.rows} rows; passes are worth more than units")
    draft.choose("network.prediction", "xi", "the noise, as in the thesis")
    draft.choose("network.skip", "gaussian", "mean and covariance in closed form; the network learns the rest")
    draft.add("network", start="data")
    draft.choose("training.batch", shape.batch, f"for {shape.rows} rows")
    draft.choose("training.learning_rate", 0.002, "best for continued networks (spiral-2pi-best)")
    order = draft.choose("training.order", "continuation", "each network starts from the one of the time above")
    draft.add("training", decay="cosine", block=_BLOCK, epochs=shape.worth(_STEPS if small else _STEPS // 2))
    if order == "sweep":
        _sweep(draft, T)
    if order != "independent":
        draft.add("training", warm_epochs=max(1, shape.worth(_STEPS if small else _STEPS // 2) // 4))


def _many(draft: Draft, shape: Shape, x: Floats) -> None:
    T = draft.choose("diffusion.T", 250, "as mnist-01-quick")
    _schedule(draft, T)
    hidden = 1024 if shape.rows >= 8_000 else 512 if shape.rows >= 1_000 else 300
    draft.choose("network.hidden", hidden, f"for {shape.rows} rows of {shape.dim} variables")
    draft.choose("network.prediction", "x0", "the clean data, as mnist-01-quick")
    skip = draft.choose("network.skip", "gaussian", "mean and covariance in closed form; the network learns the rest")
    draft.add("network", decoder_scale=0.1)
    draft.choose("training.batch", shape.batch, f"for {shape.rows} rows")
    draft.choose("training.learning_rate", 0.004, "of the first network; the others go on at a quarter of it")
    order = draft.choose("training.order", "sweep", "one optimiser goes on from time to time, never restarted")
    draft.add("training", decay="trapezoid", block=_SWEEP_BLOCK, epochs=shape.worth(4_000))
    if order == "sweep":
        _sweep(draft, T)
    if order != "independent":
        draft.add("training", warm_epochs=max(1, shape.worth(700)))
    given = draft.given.get("network", {})
    if skip == "gaussian" and "components" not in given and isinstance(T, int) and T >= 50:
        _components(draft, T, x)


def _schedule(draft: Draft, T: Any) -> None:
    """The thesis's linear schedule, its steps as much longer as they are fewer."""
    if isinstance(T, int) and T >= 50:
        longer = 1_000 / T
        draft.add("diffusion", schedule="linear", beta_1=1e-4 * longer, beta_T=min(0.5, 0.02 * longer))
    else:
        draft.add("diffusion", schedule="cosine")


def _sweep(draft: Draft, T: Any) -> None:
    start = max(1, round(0.2 * T)) if isinstance(T, int) else T
    draft.add("training", sweep_from=start, warm_learning_rate=0.001, average=0.999)


def _components(draft: Draft, T: int, x: Floats) -> None:
    """Give each range of times the principal axes whose variance the noise there leaves audible."""
    d = draft.settings["diffusion"]
    schedule = NoiseSchedule.named(d["schedule"], T, d.get("beta_1", 1e-4), d.get("beta_T", 0.02))
    variances, s = PrincipalAxes.of(x).variances, float(d["noise_scale"])
    found = []
    for low, high, most in _RANGES:
        first, last = round(low * T) + 1, round(high * T)
        abar = float(schedule.alpha_bar(first))
        audible = int((variances * abar > _AUDIBLE * s**2 * (1 - abar)).sum())
        found.append((first, last, max(1, min(most, audible, x.shape[1]))))
    draft.settings["network"]["components"] = found[1][2]
    draft.settings["times"] = [{"first": a, "last": b, "components": k} for a, b, k in found]
    told = ", ".join(f"{k} to t = {b}" for _, b, k in found)
    reason = f"of {x.shape[1]} variables, principal axes that the noise does not drown: {told}"
    draft.choose("network.components", found[1][2], reason)
