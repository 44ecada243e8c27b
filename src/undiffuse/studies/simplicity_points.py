"""What banks of one value of a setting measure, and the smallest value whose quality is within errors of the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from undiffuse.support.results import Result
from undiffuse.support.stats import mean_and_stderr

_WITHIN = 2.0  # standard errors of a difference from the best that a knee may have


class Found(NamedTuple):
    """What one training gave: errors of bank, Gaussian and exact denoiser; distances of samples over their floor."""

    xi_error: float
    gaussian: float
    exact: float
    distance: float
    gaussian_distance: float


@dataclass(frozen=True)
class Point(Result):
    """One value of one setting: means over seeds, and standard errors.

    Attributes
    ----------
    value : float
        Hidden units, T, passes at each time (mean over times), or training points.
    xi_error, xi_error_stderr : float
        Mean over times of the held-out mean square error in xi per dimension.
    gaussian, gaussian_stderr : float
        The same of the Gaussian denoiser of the training points, the best linear one.
    exact, exact_stderr : float
        The same of the denoiser named in :attr:`undiffuse.studies.simplicity.Result.exact`, on the same noised points.
    distance, distance_stderr : float
        Measure of samples over its floor, that of real data.
    gaussian_distance, gaussian_distance_stderr : float
        The same measure of what the Gaussian denoiser generates by as many steps.
    xi_errors, distances : tuple of float
        Of each seed.
    """

    value: float
    xi_error: float
    xi_error_stderr: float
    gaussian: float
    gaussian_stderr: float
    exact: float
    exact_stderr: float
    distance: float
    distance_stderr: float
    gaussian_distance: float
    gaussian_distance_stderr: float
    xi_errors: tuple[float, ...]
    distances: tuple[float, ...]

    @staticmethod
    def of(value: float, found: Sequence[Found]) -> Point:
        """Means and errors over trainings, two or more."""
        means: dict[str, float] = {}
        for name in Found._fields:
            means[name], means[f"{name}_stderr"] = mean_and_stderr([getattr(one, name) for one in found])
        each = tuple(one.xi_error for one in found), tuple(one.distance for one in found)
        return Point(value, **means, xi_errors=each[0], distances=each[1])


@dataclass(frozen=True)
class Knee(Result):
    """Smallest value whose quality is within errors of the best.

    Attributes
    ----------
    xi_error, distance : float
        By each measure: the mean difference from the best value's, seed by seed, is at most two standard errors.
    xi_error_at_end, distance_at_end : bool
        Whether that is the largest value tried, so that a larger one might be better still.
    """

    xi_error: float
    distance: float
    xi_error_at_end: bool
    distance_at_end: bool


def knee(points: Sequence[Point]) -> Knee:
    """Smallest value within errors of the best, by each measure; ``points`` in increasing order of their values."""
    found = {name: _smallest([getattr(point, name) for point in points]) for name in ("xi_errors", "distances")}
    xi, distance, last = found["xi_errors"], found["distances"], len(points) - 1
    return Knee(points[xi].value, points[distance].value, xi == last, distance == last)


def _smallest(rows: Sequence[Sequence[float]]) -> int:
    """Index of the first row whose mean difference from the row of least mean is within errors; columns are seeds."""
    values = np.array(rows)
    best = values[np.argmin(values.mean(axis=1))]
    for k, row in enumerate(values):
        gap, error = mean_and_stderr(row - best)
        if gap <= _WITHIN * error:  # of the best itself both are zero
            return k
    return len(values) - 1
