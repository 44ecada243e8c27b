r"""When a diffusion model decides: critical times of data, each by a named criterion, in Ornstein-Uhlenbeck time.

The keys of results, and the field's names for what they are:

covariance
    Speciation by covariance: ``tau = log(Lambda/s^2)/2`` with Lambda the largest eigenvalue of the data's covariance
    (Biroli et al. 2024). It concerns two classes only if its eigenvector points from one to the other; the overlap is
    reported with it.
potential
    Fixed-point instability (Raya & Ambrogioni 2023): the mean reverse force along the line of class means turns from
    restoring to repelling half way between them. A plain Gaussian of variance above ``2 s^2`` does that as well
    (``gaussian potential``), so by itself it is no evidence of two classes.
cloning
    Two copies that go back from one ``x_tau`` end in the same class with a probability that crosses a level: 0.775 for
    two classes of one size, the value of two Gaussians of one covariance where their mixture turns bimodal. Classes of
    other shapes cross the level elsewhere, which :mod:`undiffuse.physics.predictions` works out.
uturn
    The same for data and one copy of it: forward to tau, back, same class.
free entropy
    Speciation by free entropy (Achilli, Benedetti, Biroli & Mezard 2026): the mean difference of the free entropies of
    a sample's own class and of the others, ``log P(own|x_tau)/P(other|x_tau)`` less the same of the classes' shares,
    equals its standard deviation. It needs no means that differ; for two Gaussians of one covariance it is
    ``r = Gamma``.
collapse
    Collapse, ``f = 0``: the excess entropy ``f`` of separate Gaussians on the training points over the diffused data
    changes sign (Biroli et al. 2024): below, the empirical denoiser leads back to one training point.
own-point weight
    Collapse as the time at which the posterior weight of the training point that ``x_tau`` came from is 1/2 on average.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache

import numpy as np

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.physics.class_moments import ResampledGaussians
from undiffuse.physics.classes import Classes
from undiffuse.physics.covariance import Covariance, covariance_criterion
from undiffuse.physics.crossings import (
    Curve,
    Time,
    check_points,
    locate,
    scatter,
    spread_times,
    stretched,
)
from undiffuse.physics.curie_weiss import cloning_probability
from undiffuse.physics.curves import potential_curve
from undiffuse.physics.empirical import EmpiricalCurves, over_spread_and_stderr
from undiffuse.physics.predictions import Prediction, gaussian_curves, mixture_instability, predictions
from undiffuse.physics.resampling import Resampling
from undiffuse.physics.trees import SpeciationTree, grown
from undiffuse.support import html
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.stats import PrincipalAxes, mean_and_stderr
from undiffuse.support.streams import Purpose, stream

__all__ = [
    "Covariance",
    "CriticalTimes",
    "Curve",
    "CurveOptions",
    "Time",
    "covariance_criterion",
    "critical_times",
    "potential_curve",
    "spread_times",
    "stretched",
]

_LEADING = 20  # principal axes within which the largest variance of resampled data is sought
_ALIKE = (
    "the classes do not part: Gaussians with their means and covariances are told apart at no time, and what is "
    "measured is memory of the points"
)
_COARSE, _MOST = 200, 500  # samples of the coarse curve of the potential, and of the others, at most
NAMES = {
    "covariance": "speciation by covariance (Biroli et al. 2024)",
    "potential": "fixed-point instability (Raya & Ambrogioni 2023)",
    "gaussian potential": "fixed-point instability of one Gaussian of the data's covariance",
    "cloning": "cloning: two copies in one class (Biroli et al. 2024)",
    "uturn": "U-turn: data and its copy in one class (Sclocchi et al. 2024)",
    "free entropy": "speciation by free entropy (Achilli et al. 2026)",
    "collapse": "collapse, f = 0 (Biroli et al. 2024)",
    "own-point weight": "collapse, own-point weight 1/2",
    "bank uturn": "U-turn through the bank",
    "bank potential": "fixed-point instability of the bank",
}


def cloned_level(classes: Classes) -> float:
    """Cloning probability at the critical time: that of two Gaussians with the classes' weights at ``r = Gamma``.

    It is 0.775 for two classes of equal size; more than two are treated as two.
    """
    _, counts = np.unique(classes.labels, return_counts=True)
    share = counts[0] / counts.sum() if len(counts) == 2 else 0.5
    return cloning_probability(1.0, share, 1 - share)


def level_assumes(classes: Classes) -> str:
    """Say what :func:`cloned_level` assumes of the classes, in words."""
    _, counts = np.unique(classes.labels, return_counts=True)
    if len(counts) > 2:
        return f"{len(counts)} classes taken as two equal Gaussians of one covariance, at r = Gamma"
    low, high = sorted(100 * counts / counts.sum())
    return f"two Gaussians of one covariance with shares of {high:.1f} and {low:.1f} %, at r = Gamma"


@dataclass(frozen=True)
class CriticalTimes:
    """Critical times of data under one forward process, and the curves that they are taken from.

    Attributes
    ----------
    covariance : Covariance
    times : dict
        ``potential``, ``cloning``, ``uturn``, ``free entropy``, ``collapse`` and ``own-point weight``;
        ``gaussian potential`` is that of a Gaussian with the data's mean and covariance.
    curves : dict
        By the same names, ``excess entropy`` and ``posterior entropy`` for ``collapse``; ``free entropy`` is mean over
        standard deviation, and ``class information`` the mutual information of class and ``x_t``, over the classes'
        entropy. ``class Gaussians`` and, for two classes, ``free entropy of class Gaussians`` are those of Gaussians
        with the classes' means and covariances.
    level : float
        Cloning probability at which ``cloning`` and ``uturn`` are read.
    level_assumes : str
        What that level assumes of the classes.
    predictions : dict
        What theories say, from the classes' means and covariances.
    replicas : dict of (B,) arrays
        OU times of ``covariance`` and of ``times`` for resampled data, the same data in all.
    tree : SpeciationTree or None
        Successive times of three or more classes; None for two.
    notes : tuple of str
        What to know of classes with few points, or that are alike.
    """

    covariance: Covariance
    times: dict[str, Time]
    curves: dict[str, Curve]
    level: float
    level_assumes: str
    predictions: dict[str, Prediction]
    replicas: dict[str, Floats]
    tree: SpeciationTree | None = None
    notes: tuple[str, ...] = ()

    def agreement(self) -> dict[str, tuple[float, float]]:
        """Relative difference in tau of each transition between classes from the covariance criterion, with error.

        Both come from one training set, so the error is that of their ratio over resampled data, and the
        interpolation's.
        """
        base = self.covariance.time
        out = {}
        for name in ("potential", "cloning", "uturn", "free entropy"):
            time = self.times[name]
            if np.isnan(time.tau) or np.isnan(base.tau):
                continue
            ratio = scatter(self.replicas[name] / self.replicas["covariance"])
            out[name] = (time.tau / base.tau - 1, float(np.hypot(ratio, time.stderr_interpolation / base.tau)))
        return out

    def against_theory(self) -> dict[str, tuple[float, float]]:
        """Relative difference in tau of what is measured from each prediction for it, with the error of their ratio."""
        out = {}
        for name, theory in self.predictions.items():
            time, their = self.times[theory.of], theory.time
            if np.isnan(time.tau) or np.isnan(their.tau):
                continue
            ratio = scatter(self.replicas[theory.of][: len(theory.replicas)] / theory.replicas)
            apart = np.nansum(np.array([time.stderr_interpolation, their.stderr_starts]) ** 2)
            out[name] = (time.tau / their.tau - 1, float(np.sqrt(ratio**2 + apart / their.tau**2)))
        return out

    def _repr_html_(self) -> str:
        return html.described(self)

    def as_dict(self) -> dict[str, object]:
        """Return everything by name."""
        differences = self.against_theory()
        theory: dict[str, dict[str, float | None]] = {}
        for name in self.predictions:
            relative, error = differences.get(name, (None, None))
            theory[name] = {"relative": relative, "relative_stderr": error}
        return {
            "covariance": self.covariance.as_dict(),
            "times": {name: time.as_dict() for name, time in self.times.items()},
            "names": {name: NAMES[name] for name in ("covariance", *self.times)},
            "agreement": {name: {"relative": a, "stderr": b} for name, (a, b) in self.agreement().items()},
            "level": self.level,
            "level_assumes": self.level_assumes,
            "predictions": {name: {**found.as_dict(), **theory[name]} for name, found in self.predictions.items()},
            "curves": {name: asdict(curve) for name, curve in self.curves.items()},
            "tree": None if self.tree is None else self.tree.as_dict(),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class CurveOptions:
    """How finely critical times are measured.

    Attributes
    ----------
    points : int
        Number of times at which curves are measured, evenly spaced along :func:`stretched` OU time; at least 8. Around
        each crossing there are nine more.
    n : int
        Samples of each point, at least 50: training samples for cloning and U-turns, at most 500 of them for own-point
        weights; held-out ones, at most 500, for entropies and potentials.
    seed : int
    """

    points: int = 40
    n: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_points(self.points, least=8)
        require(self.n >= 50, f"n = {self.n}: wanted at least 50 samples behind each point")


def critical_times(
    gaussian: GaussianDenoiser,
    training: Classes,
    held_out: Classes,
    options: CurveOptions | None = None,
    *,
    on_step: Callable[[], None] = lambda: None,
) -> CriticalTimes:
    """Every critical time of data, from exact denoisers alone.

    Errors are those of a Bayesian bootstrap over the training set, wherever it enters, and the held-out samples.

    Parameters
    ----------
    gaussian : GaussianDenoiser
        That of the training set's mean and covariance; its forward process is the one used.
    training, held_out : Classes
    options : CurveOptions, optional
    on_step : callable
        Called after each of the four groups of curves.
    """
    options = options or CurveOptions()
    forward, n, seed = gaussian.forward, options.n, options.seed
    times = spread_times(forward, options.points)
    level, kinds = cloned_level(training), len(np.unique(training.labels))
    resampling = Resampling.of(len(training.x), len(held_out.x), kinds, seed)
    starts = stream(seed, Purpose.CLASS_SAMPLES).permutation(len(training.x))[:n]
    exact = EmpiricalCurves(forward, training, starts, held_out, resampling, seed)
    gaussians = ResampledGaussians.of(training, resampling.points)
    covariance, speciation = _resampled_covariance(exact)
    theories = predictions(forward, training, gaussians, level, resampling.points, seed)
    theories |= {"instability of class Gaussians": mixture_instability(exact, gaussians)}
    on_step()
    classes = [exact.class_values(t) for t in times]
    curves = {
        name: Curve.of(forward, times, [mean_and_stderr(getattr(at, field)) for at in classes])
        for name, field in (("cloning", "cloning"), ("uturn", "uturn"), ("own-point weight", "own"))
    }
    curves |= {
        "free entropy": Curve.of(forward, times, [over_spread_and_stderr(at.log_odds) for at in classes]),
        "class information": Curve.of(forward, times, [mean_and_stderr(at.information) for at in classes]),
    }
    curves |= gaussian_curves(forward, gaussians, times, seed)
    tree = grown(forward, gaussians, exact.own, times, classes) if kinds > 2 else None
    measured = cache(exact.classes)
    found = {
        "cloning": locate(lambda t: measured(t)[0], curves["cloning"], level, forward),
        "uturn": locate(lambda t: measured(t)[1], curves["uturn"], level, forward),
        "free entropy": locate(lambda t: measured(t)[2], curves["free entropy"], 1.0, forward),
        "own-point weight": locate(lambda t: exact.own_weight(t, _MOST), curves["own-point weight"], 0.5, forward),
    }
    on_step()
    # Held-out samples are diffused, since the empirical score leads a diffused training point back to itself.
    few, some = min(n, _COARSE), min(n, _MOST)
    curves |= {
        "potential": Curve.of(forward, times, [mean_and_stderr(exact.curvatures(t, few)) for t in times]),
        "gaussian potential": Curve.of(
            forward, times, [(exact.gaussian_potential(gaussian, t).value, 0.0) for t in times]
        ),
    }
    found |= {
        "potential": locate(lambda t: exact.potential(t, some), curves["potential"], 0.0, forward),
        "gaussian potential": locate(
            lambda t: exact.gaussian_potential(gaussian, t), curves["gaussian potential"], 0.0, forward
        ),
    }
    on_step()
    both = [exact.entropies(t, some) for t in times]
    for k, name in enumerate(("excess entropy", "posterior entropy")):
        curves[name] = Curve.of(forward, times, [mean_and_stderr(values[k]) for values in both])
    found["collapse"] = locate(lambda t: exact.excess_entropy(t, some), curves["excess entropy"], 0.0, forward)
    on_step()
    order = ("potential", "gaussian potential", "cloning", "uturn", "free entropy", "collapse", "own-point weight")
    return CriticalTimes(
        covariance,
        {name: found[name].time for name in order},
        curves,
        level,
        level_assumes(training),
        theories,
        {"covariance": speciation} | {name: found[name].replicas for name in order},
        tree,
        (*gaussians.notes, *(() if _part(theories) else (_ALIKE,))),
    )


def _part(theories: dict[str, Prediction]) -> bool:
    """Whether classes part at some time as Gaussians with their means and covariances do."""
    return any(
        not np.isnan(theories[name].time.tau)
        for name in ("class Gaussians", "free entropy of class Gaussians")
        if name in theories
    )


def _resampled_covariance(exact: EmpiricalCurves) -> tuple[Covariance, Floats]:
    """The covariance criterion with its error over resampled training sets, and its replicas in OU time."""
    plain = covariance_criterion(exact.forward, exact.points)
    _, _, axes = PrincipalAxes.of(exact.points.x)
    values = exact.largest_variances(axes[:, :_LEADING])
    taus = 0.5 * np.log(np.maximum(values / exact.forward.noise_scale**2, 1e-300))
    if np.isnan(plain.time.tau):
        return plain, taus
    error = scatter(taus)
    time = replace(plain.time, stderr=error, stderr_training=error)
    return replace(plain, time=time, eigenvalue_stderr=scatter(values)), taus
