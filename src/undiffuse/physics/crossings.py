"""Curves against diffusion time, and when they cross a level, with every source of error told apart.

A coarse :class:`Curve` finds the crossing roughly. :func:`locate` then measures at a few times close by, fits a
parabola there and refines until the choice of the interpolant no longer matters. Errors come from resampled values at
the same times, through the same fit: the diffused samples, the training set, and both at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require

FINE = 9  # times at which a curve is measured again around its crossing
_ROUNDS = 3  # refinements at most
_BEND = 0.3  # OU time below which curves are followed in its logarithm
_REACH = 1.5  # half widths of a window within which a crossing of the fit counts
_CLEAR = 4.0  # half the least width of a window, in sampling errors
_NOISE = 2.0  # standard errors by which a curve has to be on both sides of a level to have crossed it
_NONE = float("nan")
MOST_POINTS = 100_000  # on a curve: as many as a configuration can have times


@dataclass(frozen=True)
class Time:
    """A critical time; NaN where there is none.

    Attributes
    ----------
    tau, stderr : float
        In OU time, with its standard error from everything below.
    t : float
        In steps.
    stderr_starts, stderr_training : float
        Of the diffused samples alone, and of the training set behind the score alone; NaN where not told apart. The
        two need not add up in squares to the whole, since diffused training samples are points of the score as well.
    stderr_interpolation : float
        Of the interpolation between times.
    """

    tau: float
    stderr: float
    t: float
    stderr_starts: float = _NONE
    stderr_training: float = _NONE
    stderr_interpolation: float = _NONE

    @staticmethod
    def at(tau: float, stderr: float, forward: ForwardProcess, **parts: float) -> Time:
        """Critical time ``tau``, with the step it belongs to."""
        schedule = forward.schedule
        taus = np.concatenate([[0.0], schedule.ou_time(schedule.times)])
        t = float(np.interp(tau, taus, np.arange(schedule.T + 1), right=_NONE))
        return Time(float(tau), float(stderr), t, **parts)

    def as_dict(self) -> dict[str, float | None]:
        """Return the numbers by name, None for those that are NaN."""
        return {name: None if np.isnan(value) else value for name, value in asdict(self).items()}


NEVER = Time(_NONE, _NONE, _NONE)


@dataclass(frozen=True)
class Curve:
    """A quantity against time with its standard error.

    Attributes
    ----------
    t : tuple of int
    tau : tuple of float
        OU times.
    value, stderr : tuple of float
        The error is that of the diffused samples alone.
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

        A curve that only its noise takes to the other side has not crossed.

        The error is that of the curve's height there, from the two points beside it, over its slope: diffused samples
        only. :func:`locate` goes on from here.
        """
        tau, height, stderr = (np.array(a) for a in (self.tau, self.value, self.stderr))
        i = self._last_change(level)
        if i is None:
            return NEVER
        curve = PchipInterpolator(tau, height - level)
        at = float(brentq(curve, tau[i], tau[i + 1]))
        share = (at - tau[i]) / (tau[i + 1] - tau[i])
        # Neighbouring points use the same samples, so their errors may be fully correlated.
        error = (1 - share) * stderr[i] + share * stderr[i + 1]
        return Time.at(at, float(error / abs(curve.derivative()(at))), forward)

    def bracket(self, level: float) -> float:
        """Width in :func:`stretched` OU time of the interval that holds the last crossing; NaN if there is none."""
        i = self._last_change(level)
        return _NONE if i is None else float(np.diff(stretched(np.array(self.tau[i : i + 2])))[0])

    def _last_change(self, level: float) -> int | None:
        """Interval of the last change from one side to the other, each of them clear of the level's noise somewhere."""
        height, stderr = np.array(self.value) - level, np.array(self.stderr)
        clear = np.flatnonzero(np.abs(height) > _NOISE * stderr)
        turns = np.flatnonzero(np.diff(np.sign(height[clear])))
        if not turns.size:
            return None
        first, last = clear[turns[-1]], clear[turns[-1] + 1]
        above = height[first : last + 1] > 0
        return int(first + np.flatnonzero(above[1:] != above[:-1])[-1])


@dataclass(frozen=True)
class Measured:
    """A quantity at one time, and what it would have been for resampled data.

    Attributes
    ----------
    value : float
    replicas : dict of (B,) arrays
        ``joint``: everything resampled; ``starts`` and ``training``: the diffused samples or the training set alone.
    """

    value: float
    replicas: dict[str, Floats]


@dataclass(frozen=True)
class Crossing:
    """A critical time and the same for resampled data.

    Attributes
    ----------
    time : Time
    replicas : (B,) array
        OU times with everything resampled; empty where there is no crossing.
    """

    time: Time
    replicas: Floats


def locate(measure: Callable[[int], Measured], coarse: Curve, level: float, forward: ForwardProcess) -> Crossing:
    """Find where a curve last crosses ``level``, on a grid refined around the crossing, with its errors.

    A parabola is fitted by least squares to nine times in a window, at first as wide as the interval of the coarse
    curve; its noise is that of nine measurements, not of two. The interpolation's error is the distance to the crossing
    of a cubic through the same times. The window is moved and halved until the crossing lies well inside and that
    distance is below a third of the sampling error, three times at most or until all times inside it are in use. It
    never gets narrower than four sampling errors to each side, where the slope would be lost in the noise.

    Parameters
    ----------
    measure : callable
        Measures the curve at one time.
    coarse : Curve
    level : float
    forward : ForwardProcess
    """
    rough = coarse.crossing(level, forward)
    if np.isnan(rough.tau):
        return Crossing(NEVER, np.empty(0))
    centre = float(stretched(np.array(rough.tau)))
    scale = max(1.0, _BEND / rough.tau)  # of stretched to plain OU time
    width = max(coarse.bracket(level) / 2, _CLEAR * rough.stderr * scale)
    known: dict[int, Measured] = {}
    for _ in range(_ROUNDS):
        times = fine_times(forward, centre, width)
        known.update({t: measure(t) for t in times if t not in known})
        fit = _Fit.of(forward, times, [known[t] for t in times], level)
        inside = abs(fit.height - centre) < width / 2
        narrower = max(width / 2, _CLEAR * scatter(fit.replicas["joint"])) if inside else width
        if (inside and (fit.settled or narrower > 0.8 * width)) or len(times) < FINE - 1:
            break
        centre, width = fit.height, narrower
    return fit.crossing(forward) if fit.crosses else Crossing(NEVER, np.empty(0))


def fine_times(forward: ForwardProcess, centre: float, width: float) -> list[int]:
    """Times of about ``FINE`` evenly spaced steps within ``width`` of ``centre`` in :func:`stretched` OU time.

    They are multiples of their spacing, so that curves that cross close to each other share them; the nearest five
    where there are fewer inside.
    """
    schedule = forward.schedule
    height = stretched(schedule.ou_time(schedule.times))
    inside = schedule.times[np.abs(height - centre) <= width]
    stride = max(1, round(len(inside) / FINE))
    chosen = inside[inside % stride == 0]
    if len(chosen) < 5:
        chosen = np.sort(schedule.times[np.argsort(np.abs(height - centre), kind="stable")[:5]])
    return [int(t) for t in chosen]


@dataclass(frozen=True)
class _Fit:
    """Crossing of the parabola through one set of times: stretched OU times of it, and of its replicas.

    ``other`` is that of the cubic. Without a crossing near these times ``crosses`` is false.
    """

    height: float
    other: float
    replicas: dict[str, Floats]
    crosses: bool

    @staticmethod
    def of(forward: ForwardProcess, times: Sequence[int], found: Sequence[Measured], level: float) -> _Fit:
        heights = stretched(forward.schedule.ou_time(np.array(times)))
        centre, scale = float(heights.mean()), float(np.ptp(heights) / 2) or 1.0
        x = (heights - centre) / scale
        degree = min(2, len(times) - 1)
        values = np.array([m.value for m in found])[:, None] - level
        root, other = (float(_roots(x, values, d)[0]) for d in (degree, min(degree + 1, len(times) - 1)))
        replicas = {
            name: centre + scale * _roots(x, np.stack([m.replicas[name] for m in found]) - level, degree)
            for name in found[0].replicas
        }
        return _Fit(centre + scale * root, centre + scale * other, replicas, abs(root) < _REACH)

    @property
    def settled(self) -> bool:
        return abs(self.other - self.height) <= scatter(self.replicas["joint"]) / 3

    def crossing(self, forward: ForwardProcess) -> Crossing:
        taus = {name: unstretched(heights) for name, heights in self.replicas.items()}
        tau, other = (float(unstretched(np.array(h))) for h in (self.height, self.other))
        parts = {f"stderr_{name}": scatter(values) for name, values in taus.items() if name != "joint"}
        between = abs(other - tau)
        stderr = float(np.hypot(scatter(taus["joint"]), between))
        return Crossing(Time.at(tau, stderr, forward, stderr_interpolation=between, **parts), taus["joint"])


def closed_form(tau: float, replicas: Floats, forward: ForwardProcess) -> Time:
    """Time of a formula, with its scatter over resampled training sets as the error; none before the data."""
    error = scatter(replicas)
    return NEVER if tau <= 0 else Time.at(tau, error, forward, stderr_training=error)


def scatter(replicas: Floats) -> float:
    """Half the width of the central 68.3 % of replicas: a standard deviation that a few wild ones do not move."""
    low, high = np.quantile(replicas, [0.1587, 0.8413])
    return float(high - low) / 2


def _roots(x: Floats, values: Floats, degree: int) -> Floats:
    """Roots within ``_REACH`` of 0 of polynomials fitted to the columns of ``values`` at ``x``.

    Of several, the nearest to the root of the straight line through the same points; that one where there is none.
    """
    slope, height = np.linalg.pinv(np.vander(x, 2)) @ values
    straight = np.clip(-height / np.where(slope == 0, 1e-300, slope), -_REACH, _REACH)
    if degree < 2:
        return np.asarray(straight)
    grid = np.linspace(-_REACH, _REACH, 301)
    curves = np.vander(grid, degree + 1) @ (np.linalg.pinv(np.vander(x, degree + 1)) @ values)
    low, high = curves[:-1], curves[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        roots = np.where(low * high <= 0, grid[:-1, None] + (grid[1] - grid[0]) * low / (low - high), np.inf)
    nearest = np.argmin(np.abs(roots - straight), axis=0)
    found = roots[nearest, np.arange(values.shape[1])]
    return np.where(np.isfinite(found), found, straight)


def stretched(tau: Floats) -> Floats:
    """OU time above 0.3, its logarithm (scaled to join smoothly) below."""
    return np.where(tau < _BEND, _BEND * (1 + np.log(tau / _BEND)), tau)


def unstretched(height: Floats) -> Floats:
    """OU time of a :func:`stretched` one."""
    return np.where(height < _BEND, _BEND * np.exp(height / _BEND - 1), height)


def spread_times(forward: ForwardProcess, points: int) -> list[int]:
    """Times evenly spaced along :func:`stretched` OU time."""
    schedule = forward.schedule
    height = stretched(schedule.ou_time(schedule.times))
    wanted = np.linspace(height[0], height[-1], points)
    return sorted({int(np.argmin(np.abs(height - h))) + 1 for h in wanted})


def check_points(points: int, least: int) -> None:
    """Raise a :class:`UserError` unless a curve can have so many points."""
    most = f"and at most {MOST_POINTS}"
    require(least <= points <= MOST_POINTS, f"points = {points}: wanted at least {least} times on a curve, {most}")
