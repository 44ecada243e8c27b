"""Judge samples against fresh data, several times over, with floors and error bars."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.datasets import Dataset
from undiffuse.errors import require
from undiffuse.metrics.distances import energy_distance, sliced_wasserstein2, wasserstein2
from undiffuse.metrics.spiral import coverage_gap, distance_to_curve
from undiffuse.streams import Purpose, stream

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A distance beside its floor: what two fresh samples of the data are apart.

    Attributes
    ----------
    value, value_stderr : float
        Mean over replicates, samples against fresh data, and its standard error.
    floor, floor_stderr : float
        The same for fresh data against the same fresh data.
    ratio, ratio_stderr : float
        ``value/floor``; 1 means that samples cannot be told from data by this distance. Standard error by jackknife
        over replicates, which share their reference sets.
    """

    value: float
    value_stderr: float
    floor: float
    floor_stderr: float
    ratio: float
    ratio_stderr: float

    @staticmethod
    def of(values: Floats, floors: Floats) -> Comparison:
        """Summarise one distance over replicates."""
        n = len(values)
        kept = (values.sum() - values) / (floors.sum() - floors)
        spread = float(np.sqrt((n - 1) / n * np.sum((kept - kept.mean()) ** 2)))
        return Comparison(
            value=float(values.mean()),
            value_stderr=float(values.std(ddof=1) / np.sqrt(n)),
            floor=float(floors.mean()),
            floor_stderr=float(floors.std(ddof=1) / np.sqrt(n)),
            ratio=float(values.mean() / floors.mean()),
            ratio_stderr=spread,
        )

    def as_dict(self) -> dict[str, float]:
        """Return the six numbers by name."""
        return asdict(self)


def evaluate(samples: Floats, data: Dataset, replicates: int, seed: int = 0, threads: int = 2) -> dict[str, Comparison]:
    """Compare samples with data by every distance that applies.

    Parameters
    ----------
    samples : (n, dim)
        Cut into ``replicates`` sets of equal size.
    data : Dataset
        Where its law is known, each replicate meets fresh data; otherwise held-out samples, with training samples
        for the floor, so that a floor is still between two sets the model has not produced.
    replicates : int
        At least 2.
    seed : int
        Of the fresh data.

    Returns
    -------
    dict
        ``w2``, ``sliced_w2``, ``energy_distance``, and on a spiral ``distance_to_curve`` and ``coverage_gap``.
    """
    size = len(samples) // replicates
    require(replicates >= 2, f"replicates = {replicates}: wanted at least 2")
    if data.fresh is None:
        size = min(size, len(data.held_out), len(data.train))
    require(size >= 2, f"{len(samples)} samples do not make {replicates} sets")
    between: dict[str, Callable[[Floats, Floats], float]] = {
        "w2": wasserstein2,
        "sliced_w2": sliced_wasserstein2,
        "energy_distance": energy_distance,
    }
    spiral = data.spiral
    if spiral is not None:
        between["distance_to_curve"] = lambda x, _: distance_to_curve(x, spiral)
        between["coverage_gap"] = lambda x, _: coverage_gap(x, spiral)

    def judge(i: int) -> list[tuple[float, float]]:
        reference, other = _two_sets(data, size, stream(seed, Purpose.FRESH_DATA, i))
        mine = samples[i * size : (i + 1) * size]
        return [(distance(mine, reference), distance(other, reference)) for distance in between.values()]

    with ThreadPoolExecutor(threads) as pool:
        results = np.array(list(pool.map(judge, range(replicates))))
    return {name: Comparison.of(results[:, k, 0], results[:, k, 1]) for k, name in enumerate(between)}


def _two_sets(data: Dataset, size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    if data.fresh is not None:
        return data.fresh(size, rng), data.fresh(size, rng)
    return rng.choice(data.held_out, size, replace=False), rng.choice(data.train, size, replace=False)
