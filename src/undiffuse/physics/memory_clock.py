r"""The clock of memorisation: when a denoiser in training has generalised, and when it begins to know its data.

Bonnaire, Urfin, Biroli & Mezard 2025 (arXiv 2505.17638) tell two times of training apart: ``tau_gen``, at which the
error on new data is as small as it will be, and ``tau_mem``, from which on the error on the training data is smaller
than that. For networks of many parameters they find that ``tau_mem`` grows as the number n of training points while
``tau_gen`` stays where it is, and that above some n no network of that size memorises. Both are counted in steps of the
optimiser here; they have nothing to do with the Ornstein-Uhlenbeck time, for which this package keeps the letter tau.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.stats import stderr, straight_line

LEAST_SIZES = 3  # numbers of points for an exponent
_SMALLEST = 1e-300  # errors below this are told apart from nothing


def memorisation_step(steps: Floats, held_out: Floats, training: Floats, threshold: float = 1.5) -> float:
    """First step at which held-out error over training error exceeds a threshold; NaN if it never does.

    Errors are joined by straight lines in their logarithms against the logarithm of the step. Where the first record is
    beyond the threshold already, that is the answer.

    Parameters
    ----------
    steps : (records,)
        Rising, from 1 or more.
    held_out, training : (records,)
        Mean square errors, in any unit.
    threshold : float
        Above 1.

    Raises
    ------
    UserError
        If the threshold is not above 1.

    Examples
    --------
    >>> import numpy as np
    >>> from undiffuse.physics.memory_clock import memorisation_step
    >>> steps = np.array([1.0, 10, 100, 1000])
    >>> round(memorisation_step(steps, np.ones(4), 1 / steps, threshold=10**1.5), 1)
    31.6
    """
    require(1 < threshold < np.inf, f"threshold = {threshold:g}: wanted a ratio above 1")
    over = np.log(np.maximum(held_out, _SMALLEST) / np.maximum(training, _SMALLEST)) - np.log(threshold)
    return _first_rise(np.log(steps), over)


def generalisation_step(steps: Floats, held_out: Floats, within: float = 0.1) -> float:
    """First step at which the held-out error is at most ``1 + within`` times its minimum over the training.

    NaN where that is later than half of the steps: then the last doubling of the training still brought the error down
    by more than ``within``, and a longer training would give another answer.

    Parameters
    ----------
    steps : (records,)
        Rising, from 1 or more.
    held_out : (records,)
        Mean square error, in any unit.
    within : float
        Above 0.

    Raises
    ------
    UserError
        If ``within`` is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from undiffuse.physics.memory_clock import generalisation_step
    >>> steps = np.array([1.0, 2, 4, 8, 16, 32])
    >>> round(generalisation_step(steps, np.array([8.0, 4, 2, 1, 1, 1.5]), within=1.0), 3)
    4.0
    >>> generalisation_step(steps, 1 / steps)
    nan
    """
    require(0 < within < np.inf, f"within = {within:g}: wanted a fraction above 0")
    error = np.log(np.maximum(held_out, _SMALLEST))
    found = _first_rise(np.log(steps), error.min() + np.log1p(within) - error)
    return found if found <= steps[-1] / 2 else float("nan")


@dataclass(frozen=True)
class Power(results.Result):
    """How steps grow with the number of training points, ``steps ~ n^exponent``: weighted fit of the logarithms.

    Attributes
    ----------
    exponent, stderr : float
        The error is larger than the points' own where they scatter more about the line than these allow.
    sizes : tuple of int
        Numbers of points that were fitted: those at which every training got there.
    """

    exponent: float
    stderr: float
    sizes: tuple[int, ...]


def power(n: ArrayLike, steps: Floats, resolution: float = 1.0) -> Power | None:
    """Fit the power of n that steps go as; None where fewer than three sizes are known.

    A size at which one training or more did not get there is left out as a whole: the mean over those that did would be
    too small.

    Parameters
    ----------
    n : (sizes,)
        Numbers of training points.
    steps : (sizes, seeds)
        NaN where a training did not get there; two seeds or more.
    resolution : float
        Factor from one record to the next, which the error of a step does not fall below.
    """
    whole = np.asarray(n)
    known = np.isfinite(steps).all(axis=1)
    if known.sum() < LEAST_SIZES:
        return None
    logs = np.log(steps[known])
    seeds = logs.shape[1]
    least = max(np.log(resolution), 1e-9) / np.sqrt(12 * seeds)  # of a step that is uniform between two records
    errors = np.maximum(logs.std(axis=1, ddof=1) / np.sqrt(seeds), least)
    exponent, error = straight_line(np.log(whole[known]), logs.mean(axis=1), errors)
    return Power(exponent, error, tuple(int(size) for size in whole[known]))


@dataclass(frozen=True)
class Reached(results.Result):
    """When several trainings got somewhere.

    Attributes
    ----------
    steps, stderr : float or None
        Geometric mean over the trainings and its standard error; None where one or more did not get there.
    trainings : int
        How many got there.
    """

    steps: float | None
    stderr: float | None
    trainings: int

    @staticmethod
    def of(steps: Floats) -> Reached:
        """Sum up the steps of each training, NaN for those that did not get there; two trainings or more."""
        known = int(np.isfinite(steps).sum())
        if known < len(steps):
            return Reached(None, None, known)
        logs = np.log(steps)
        mean = float(np.exp(logs.mean()))
        return Reached(mean, mean * stderr(logs), known)


@dataclass(frozen=True, kw_only=True)
class Reading(results.Result):
    """Both clocks of the networks of one time, means over trainings.

    Attributes
    ----------
    n, hidden, t : int
        Training points, hidden units, diffusion time.
    ou_time : float
        OU time of t.
    generalised : Reached
        Steps until the held-out error is near its minimum, :func:`generalisation_step`.
    memorised : Reached
        Steps until held-out over training error exceeds the threshold, :func:`memorisation_step`.
    held_out, held_out_stderr : float
        Smallest held-out xi-error, mean square per dimension.
    ratio, ratio_stderr : float
        Held-out over training error after the last step.
    empirical_training, empirical_held_out : float
        xi-errors of the empirical denoiser of the same points: memory.
    gaussian_training, gaussian_held_out : float
        xi-errors of the Gaussian denoiser of the same points: linear theory.
    """

    n: int
    hidden: int
    t: int
    ou_time: float
    generalised: Reached
    memorised: Reached
    held_out: float
    held_out_stderr: float
    ratio: float
    ratio_stderr: float
    empirical_training: float
    empirical_held_out: float
    gaussian_training: float
    gaussian_held_out: float


@dataclass(frozen=True, kw_only=True)
class Growth(results.Result):
    """Powers of n that the steps of one time go as.

    Attributes
    ----------
    hidden, t : int
    ou_time : float
    generalised, memorised : Power or None
        None where fewer than three sizes got there in every training.
    """

    hidden: int
    t: int
    ou_time: float
    generalised: Power | None
    memorised: Power | None


def _first_rise(x: Floats, y: Floats) -> float:
    """``e^x`` where y first reaches 0, on straight lines between the points; NaN if it never does."""
    reached = np.flatnonzero(y >= 0)
    if len(reached) == 0:
        return float("nan")
    i = int(reached[0])
    if i == 0:
        return float(np.exp(x[0]))
    return float(np.exp(x[i - 1] + (x[i] - x[i - 1]) * y[i - 1] / (y[i - 1] - y[i])))
