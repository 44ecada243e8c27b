"""What only a spiral allows: how far points are from the curve, and whether they cover it."""

from __future__ import annotations

import numpy as np

from undiffuse.datasets import Spiral
from undiffuse.support.arrays import Floats


def distance_to_curve(x: Floats, spiral: Spiral) -> float:
    """Root mean square distance of the points to the curve; that of data is near the spiral's own noise."""
    return float(np.sqrt(np.mean(spiral.project(x)[0] ** 2)))


def coverage_gap(x: Floats, spiral: Spiral, arcs: int = 40) -> float:
    """Total variation distance between the points' shares of ``arcs`` stretches of the curve and the data's.

    The stretches are equally likely under the data's law, which is uniform in the angle. 0 is perfect coverage; a
    share of 1/arcs missing from one stretch and sitting in others gives 1/arcs. Points are projected to the curve, so
    noise moves some across the borders, from fresh data as well: hence the floor.
    """
    shares = np.histogram(spiral.project(x)[1], bins=arcs, range=(0, 1))[0] / len(x)
    return float(0.5 * np.abs(shares - 1 / arcs).sum())
