"""Distances between two sets of points, in the units of the data."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import require
from undiffuse.support.streams import Purpose, stream


def wasserstein2(x: ArrayLike, y: ArrayLike) -> float:
    """Exact 2-Wasserstein distance between two sets of equally many points.

    ``W2^2 = min over permutations p of mean_i |x_i - y_p(i)|^2``, an assignment problem: about a second for 2,000
    points each.

    Raises
    ------
    UserError
        If the sets differ in size or dimension, or are not finite.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    x, y = _pair(x, y)
    require(len(x) == len(y), f"exact W2 wants sets of equal size, got {len(x)} and {len(y)}")
    cost = cdist(x, y, "sqeuclidean")
    rows, columns = linear_sum_assignment(cost)
    return float(np.sqrt(cost[rows, columns].mean()))


def sliced_wasserstein2(x: ArrayLike, y: ArrayLike, directions: int = 128, seed: int = 0) -> float:
    """Root mean over random directions of the squared 1-D Wasserstein distance of the projections.

    Parameters
    ----------
    x, y : array_like, shape (n, dim)
        Sets of equally many points.
    directions : int
    seed : int
        Of the directions.

    Raises
    ------
    UserError
        If the sets differ in size or dimension, or are not finite.
    """
    x, y = _pair(x, y)
    require(len(x) == len(y), f"sliced W2 wants sets of equal size, got {len(x)} and {len(y)}")
    axes = stream(seed, Purpose.SLICES).standard_normal((x.shape[1], directions))
    axes /= np.linalg.norm(axes, axis=0)
    gaps = np.sort(x @ axes, axis=0) - np.sort(y @ axes, axis=0)
    return float(np.sqrt(np.mean(gaps**2)))


def energy_distance(x: ArrayLike, y: ArrayLike) -> float:
    """``sqrt(2 E|x - y| - E|x - x'| - E|y - y'|)`` (Szekely & Rizzo 2013), means over all pairs, equal ones included.

    Never negative, and for two samples of one law small but not zero: compare it with its floor.
    """
    from scipy.spatial.distance import cdist, pdist

    x, y = _pair(x, y)
    between = cdist(x, y).mean()
    within = (2 * pdist(z).sum() / len(z) ** 2 for z in (x, y))
    return float(np.sqrt(max(0.0, 2 * between - sum(within))))


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    first = as_samples(x, what="x")
    return first, as_samples(y, first.shape[1], "y")
