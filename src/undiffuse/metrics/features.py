"""Distances between two sets of points in the space of a classifier's features."""

from __future__ import annotations

import numpy as np

from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require


def frechet_distance(x: Floats, y: Floats) -> float:
    r"""Frechet (2-Wasserstein) distance, squared, between the Gaussians fitted to two sets of points.

    ``|m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^{1/2})`` (Dowson & Landau 1982). On features of the Inception network
    it is known as FID (Heusel et al. 2017); on any other it has other units and is not to be compared with it.
    """
    require(len(x) > 1 and len(y) > 1, "a covariance needs at least two points")
    means = x.mean(axis=0), y.mean(axis=0)
    covariances = [np.atleast_2d(np.cov(points, rowvar=False)) for points in (x, y)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ covariances[1] @ root)
    traces = np.trace(covariances[0]) + np.trace(covariances[1])
    return float(np.sum((means[0] - means[1]) ** 2) + traces - 2 * np.sqrt(np.maximum(cross, 0)).sum())


def prdc(samples: Floats, data: Floats, k: int = 5) -> dict[str, float]:
    """Precision, recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

    A point's ball reaches to its k-th nearest neighbour in its own set. ``precision`` is the share of samples in some
    ball of the data, ``recall`` the share of data in some ball of the samples, ``density`` the mean number of data
    balls around a sample over k, ``coverage`` the share of data whose ball holds a sample.

    Raises
    ------
    UserError
        If a set has no more than ``k`` points.
    """
    from scipy.spatial.distance import cdist

    require(
        min(len(samples), len(data)) > k, f"sets of {len(samples)} and {len(data)} points, wanted more than k = {k}"
    )

    def radii(points: Floats) -> Floats:
        return np.partition(cdist(points, points), k, axis=1)[:, k]  # the 0-th is the point itself

    of_data, of_samples = radii(data), radii(samples)
    between = cdist(samples, data)
    inside = between < of_data
    return {
        "precision": float(inside.any(axis=1).mean()),
        "recall": float((between < of_samples[:, None]).any(axis=0).mean()),
        "density": float(inside.sum(axis=1).mean() / k),
        "coverage": float(inside.any(axis=0).mean()),
    }


def memorised_share(samples: Floats, training: Floats, ratio: float = 1 / 3) -> float:
    """Share of samples whose nearest training point is closer than ``ratio`` times the second nearest.

    The criterion of Yoon et al. 2023; distances are those of the images themselves.
    """
    require(len(training) >= 2, "memorisation is judged by the two nearest training points")
    # Squares by one matrix product: with images, ten times faster than distances one by one.
    squares = np.sum(samples**2, axis=1)[:, None] - 2 * samples @ training.T + np.sum(training**2, axis=1)
    nearest = np.sqrt(np.maximum(np.partition(squares, 1, axis=1)[:, :2], 0))
    return float(np.mean(nearest[:, 0] < ratio * nearest[:, 1]))
