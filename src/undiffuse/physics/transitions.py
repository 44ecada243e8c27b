r"""When a diffusion model decides: critical times of data, each by a named criterion, in Ornstein-Uhlenbeck time.

covariance
    ``tau = log(Lambda/s^2)/2`` with Lambda the largest eigenvalue of the data's covariance (Biroli et al. 2024). It
    concerns two classes only if its eigenvector points from one to the other; the overlap is reported with it.
potential
    The mean reverse force along the line of class means turns from restoring to repelling half way between them. A
    plain Gaussian of variance above ``2 s^2`` does that as well, so by itself it is no evidence of two classes.
cloning
    Two copies that go back from one ``x_tau`` end in the same class with probability 0.775, the value of two Gaussians
    where their mixture turns bimodal.
uturn
    The same for data and one copy of it: forward to tau, back, same class.
collapse
    The excess entropy ``f`` of separate Gaussians on the training points over the diffused data changes sign: below,
    the empirical denoiser leads back to one training point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.classes import Classes
from undiffuse.physics.curie_weiss import cloning_probability
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.stats import PrincipalAxes, mean_and_stderr, stderr
from undiffuse.support.streams import Purpose, stream

LOW_OVERLAP = 0.7  # |cosine| below which the covariance criterion does not apply to the classes


@dataclass(frozen=True)
class Time:
    """A critical time; NaN where there is none.

    Attributes
    ----------
    tau, stderr : float
        In OU time, with its standard error.
    t : float
        In steps.
    """

    tau: float
    stderr: float
    t: float

    def as_dict(self) -> dict[str, float | None]:
        """Return the numbers by name, None for those that are NaN."""
        return {name: None if np.isnan(value) else value for name, value in asdict(self).items()}


NEVER = Time(float("nan"), float("nan"), float("nan"))


def cloned_level(classes: Classes) -> float:
    """Cloning probability at the critical time: that of two Gaussians with the classes' weights at ``r = Gamma``.

    It is 0.775 for two classes of equal size; more than two are treated as two.
    """
    _, counts = np.unique(classes.labels, return_counts=True)
    share = counts[0] / counts.sum() if len(counts) == 2 else 0.5
    return cloning_probability(1.0, share, 1 - share)


@dataclass(frozen=True)
class Covariance:
    """Criterion ``covariance``.

    Attributes
    ----------
    time : Time
        ``log(Lambda/s^2)/2``.
    eigenvalue, eigenvalue_stderr : float
        Lambda, in squared units of the data.
    overlap : float
        |cosine| between its eigenvector and the line of class means.
    """

    time: Time
    eigenvalue: float
    eigenvalue_stderr: float
    overlap: float

    @property
    def applies(self) -> bool:
        """Whether there is such a time and the eigenvector points from class to class."""
        return self.overlap >= LOW_OVERLAP and not np.isnan(self.time.tau)


def covariance_criterion(forward: ForwardProcess, classes: Classes) -> Covariance:
    """Speciation time from the largest eigenvalue of the covariance, and its overlap with the class means.

    There is no such time where the noise is larger than the data, ``s^2 >= Lambda``.
    """
    mean, values, axes = PrincipalAxes.of(classes.x)
    largest, top = float(values[0]), axes[:, 0]
    error = stderr(((classes.x - mean) @ top) ** 2)
    inverse = largest / forward.noise_scale**2
    time = NEVER if inverse <= 1 else _time(0.5 * np.log(inverse), error / (2 * largest), forward)
    return Covariance(time, largest, error, float(abs(top @ classes.direction[0])))


@dataclass(frozen=True)
class Curve:
    """A quantity against time with its standard error.

    Attributes
    ----------
    t : tuple of int
    tau : tuple of float
        OU times.
    value, stderr : tuple of float
    """

    t: tuple[int, ...]
    tau: tuple[float, ...]
    value: tuple[float, ...]
    stderr: tuple[float, ...]

    @staticmethod
    def of(forward: ForwardProcess, times: Sequence[int], points: Sequence[tuple[float, float]]) -> Curve:
        """Collect values and errors at ``times``."""
        taus = tuple(float(forward.schedule.ou_time(t)) for t in times)
        value, stderr = zip(*points, strict=True)
        return Curve(tuple(times), taus, tuple(map(float, value)), tuple(map(float, stderr)))

    def crossing(self, level: float, forward: ForwardProcess) -> Time:
        """Find the last time at which the curve, a monotone cubic through its points, crosses ``level``.

        The error is that of the curve's height there, from the two points beside it, over its slope.
        """
        tau, height, stderr = (np.array(a) for a in (self.tau, self.value, self.stderr))
        above = height > level
        changes = np.flatnonzero(above[1:] != above[:-1])
        if not changes.size:
            return NEVER
        i = int(changes[-1])
        curve = PchipInterpolator(tau, height - level)
        at = float(brentq(curve, tau[i], tau[i + 1]))
        share = (at - tau[i]) / (tau[i + 1] - tau[i])
        # Neighbouring points use the same samples, so their errors may be fully correlated.
        error = (1 - share) * stderr[i] + share * stderr[i + 1]
        return _time(at, float(error / abs(curve.derivative()(at))), forward)


def class_curves(
    forward: ForwardProcess, points: Classes, starts: Classes, times: Sequence[int], seed: int = 0
) -> tuple[Curve, Curve]:
    """Cloning and U-turn curves of the exact empirical score of ``points``, each of ``starts`` diffused to each time.

    Under that score a trajectory from ``x_t`` ends at each point with the point's posterior probability given ``x_t``,
    so no trajectory is simulated; the average is over the noise of ``x_t`` alone.

    Parameters
    ----------
    forward : ForwardProcess
    points : Classes
        Data of the empirical score.
    starts : Classes
        Samples that are diffused.
    times : sequence of int
    seed : int
    """
    exact = EmpiricalDenoiser(forward, points.x)
    kinds = np.unique(points.labels)
    member = (points.labels[:, None] == kinds).astype(float)
    x0, own = starts.x, (starts.labels[:, None] == kinds).astype(float)
    cloning, uturn = [], []
    for t in times:
        x_t = forward.jump(x0, t, stream(seed, Purpose.CLASS_CURVE, t).standard_normal(x0.shape))
        share = np.concatenate([weights @ member for _, weights in exact.weights(x_t, t)])
        cloning.append(mean_and_stderr(np.sum(share**2, axis=1)))
        uturn.append(mean_and_stderr(np.sum(share * own, axis=1)))
    return Curve.of(forward, times, cloning), Curve.of(forward, times, uturn)


def potential_curve(
    denoiser: Denoiser, classes: Classes, times: Sequence[int], *, n: int = 200, seed: int = 0
) -> Curve:
    """Curvature of the reverse potential along the line of class means, midway between them.

    Minus the slope of ``e . (x + 2 s^2 score)`` along e, averaged over diffused samples whose coordinate along e is
    moved to that of the middle; positive for one well, negative for two.

    Parameters
    ----------
    denoiser : Denoiser
    classes : Classes
        Their means, and the samples that are diffused.
    times : sequence of int
    n : int
        Samples.
    seed : int
    """
    forward = denoiser.forward
    e, middle = classes.direction
    x0 = classes.x[:n]
    points = []
    for t in times:
        x_t = forward.jump(x0, t, stream(seed, Purpose.POTENTIAL_CURVE, t).standard_normal(x0.shape))
        x_t += np.outer(forward.signal(t) * (middle @ e) - x_t @ e, e)
        step = 0.05 * forward.noise(t) * e
        rise = (denoiser.score(x_t + step, t) - denoiser.score(x_t - step, t)) @ e / (0.1 * forward.noise(t))
        points.append(mean_and_stderr(-1 - 2 * forward.noise_scale**2 * rise))
    return Curve.of(forward, times, points)


def entropy_curves(
    forward: ForwardProcess, training: Floats, held_out: Floats, times: Sequence[int], *, n: int = 500, seed: int = 0
) -> tuple[Curve, Curve]:
    r"""Excess entropy f and entropy of the empirical posterior, per dimension in nats, on held-out samples.

    ``f = s_sep - s`` (Biroli et al. 2024) with ``s_sep = log(m)/N + log(2 pi e s^2 Delta)/2`` the entropy of m separate
    Gaussians on the training points and ``s`` that of the diffused data, estimated by
    ``-log P_empirical(x_t)/N`` at held-out ``x_t``. At training points f would be the posterior's entropy itself,
    ``H(a|x_t)/N``.

    Parameters
    ----------
    forward : ForwardProcess
    training, held_out : (n, dim)
    times : sequence of int
    n : int
        Held-out samples.
    seed : int
    """
    exact = EmpiricalDenoiser(forward, training)
    N, x0 = exact.dim, held_out[:n]
    excess, entropy = [], []
    for t in times:
        xi = stream(seed, Purpose.ENTROPY_CURVE, t).standard_normal(x0.shape)
        x_t = forward.jump(x0, t, xi)
        # |xi|^2/2 of the noise drawn instead of its mean, N/2: the same on average, with far less scatter.
        separate = np.log(len(training)) + N / 2 * np.log(2 * np.pi * forward.noise(t) ** 2) + np.sum(xi**2, axis=1) / 2
        excess.append(mean_and_stderr((separate + exact.log_density(x_t, t)) / N))
        spread = [-np.sum(w * np.log(np.maximum(w, 1e-300)), axis=1) for _, w in exact.weights(x_t, t)]
        entropy.append(mean_and_stderr(np.concatenate(spread) / N))
    return Curve.of(forward, times, excess), Curve.of(forward, times, entropy)


@dataclass(frozen=True)
class CriticalTimes:
    """Critical times of data under one forward process, and the curves that they are taken from.

    Attributes
    ----------
    covariance : Covariance
    times : dict
        ``potential``, ``cloning``, ``uturn`` and ``collapse``; ``gaussian potential`` is that of a Gaussian with the
        data's mean and covariance.
    curves : dict
        By the same names, ``excess entropy`` and ``posterior entropy`` for ``collapse``.
    """

    covariance: Covariance
    times: dict[str, Time]
    curves: dict[str, Curve]

    def agreement(self) -> dict[str, tuple[float, float]]:
        """Relative difference in tau of each transition between classes from the covariance criterion, with error."""
        base = self.covariance.time
        out = {}
        for name in ("potential", "cloning", "uturn"):
            time = self.times[name]
            if np.isnan(time.tau) or np.isnan(base.tau):
                continue
            ratio = time.tau / base.tau
            out[name] = (ratio - 1, abs(ratio) * float(np.hypot(time.stderr / time.tau, base.stderr / base.tau)))
        return out

    def as_dict(self) -> dict[str, object]:
        """Return everything by name."""
        return {
            "covariance": asdict(self.covariance)
            | {"time": self.covariance.time.as_dict(), "applies": self.covariance.applies},
            "times": {name: time.as_dict() for name, time in self.times.items()},
            "agreement": {name: {"relative": a, "stderr": b} for name, (a, b) in self.agreement().items()},
            "curves": {name: asdict(curve) for name, curve in self.curves.items()},
        }


@dataclass(frozen=True)
class CurveOptions:
    """How finely critical times are measured.

    Attributes
    ----------
    points : int
        Number of times at which curves are measured, evenly spaced along :func:`stretched` OU time; at least 8.
    n : int
        Samples of each point, at least 50: training samples for cloning and U-turns; held-out ones, at most 500 for
        entropies and 200 for potentials.
    seed : int
    """

    points: int = 40
    n: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.points >= 8, f"points = {self.points}: wanted at least 8 times on a curve")
        require(self.n >= 50, f"n = {self.n}: wanted at least 50 samples behind each point")


def critical_times(
    gaussian: Denoiser,
    training: Classes,
    held_out: Classes,
    options: CurveOptions | None = None,
    *,
    on_step: Callable[[], None] = lambda: None,
) -> CriticalTimes:
    """Every critical time of data, from exact denoisers alone.

    Parameters
    ----------
    gaussian : Denoiser
        That of the data's mean and covariance; its forward process is the one used.
    training, held_out : Classes
    options : CurveOptions, optional
    on_step : callable
        Called after each of the four groups of curves.
    """
    options = options or CurveOptions()
    forward, n, seed = gaussian.forward, options.n, options.seed
    level = cloned_level(training)
    times = spread_times(forward, options.points)
    covariance = covariance_criterion(forward, training)
    on_step()
    some = stream(seed, Purpose.CLASS_SAMPLES).permutation(len(training.x))[:n]
    cloning, uturn = class_curves(forward, training, Classes(training.x[some], training.labels[some]), times, seed)
    on_step()
    # Held-out samples are diffused, since the empirical score leads a diffused training point back to itself.
    exact = EmpiricalDenoiser(forward, training.x)
    potential = potential_curve(exact, held_out, times, n=min(n, 200), seed=seed)
    plain = potential_curve(gaussian, held_out, times, n=min(n, 200), seed=seed)
    on_step()
    excess, entropy = entropy_curves(forward, training.x, held_out.x, times, n=min(n, 500), seed=seed)
    on_step()
    return CriticalTimes(
        covariance,
        {
            "potential": potential.crossing(0.0, forward),
            "gaussian potential": plain.crossing(0.0, forward),
            "cloning": cloning.crossing(level, forward),
            "uturn": uturn.crossing(level, forward),
            "collapse": excess.crossing(0.0, forward),
        },
        {
            "cloning": cloning,
            "uturn": uturn,
            "potential": potential,
            "gaussian potential": plain,
            "excess entropy": excess,
            "posterior entropy": entropy,
        },
    )


def stretched(tau: Floats) -> Floats:
    """OU time above 0.3, its logarithm (scaled to join smoothly) below."""
    return np.where(tau < 0.3, 0.3 * (1 + np.log(tau / 0.3)), tau)


def spread_times(forward: ForwardProcess, points: int) -> list[int]:
    """Times evenly spaced along :func:`stretched` OU time."""
    schedule = forward.schedule
    height = stretched(schedule.ou_time(schedule.times))
    wanted = np.linspace(height[0], height[-1], points)
    return sorted({int(np.argmin(np.abs(height - h))) + 1 for h in wanted})


def _time(tau: float, stderr: float, forward: ForwardProcess) -> Time:
    schedule = forward.schedule
    taus = np.concatenate([[0.0], schedule.ou_time(schedule.times)])
    t = float(np.interp(tau, taus, np.arange(schedule.T + 1), right=float("nan")))
    return Time(float(tau), float(stderr), t)
