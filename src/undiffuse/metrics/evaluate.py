"""Judge samples against fresh data, several times over, with floors and error bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from undiffuse.datasets import Dataset
from undiffuse.metrics.comparison import Comparison
from undiffuse.metrics.distances import energy_distance, sliced_wasserstein2, wasserstein2
from undiffuse.metrics.features import frechet_distance, memorised_share, prdc
from undiffuse.metrics.spiral import coverage_gap, distance_to_curve
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.streams import Purpose, stream

if TYPE_CHECKING:  # it needs torch, which spirals do without
    from undiffuse.metrics.readers import Readers

Figures = dict[str, float]


def evaluate(
    samples: Floats,
    data: Dataset,
    replicates: int,
    seed: int = 0,
    threads: int = 2,
    readers: Readers | None = None,
    baselines: Mapping[str, Floats] | None = None,
) -> dict[str, Comparison]:
    """Compare samples with data by every figure of merit that applies.

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
    threads : int
        Replicates judged at once.
    readers : Readers, optional
        Classifiers of the images' classes; needed for images.
    baselines : dict of (n, dim) arrays, optional
        Samples of simpler generators, as many as of the model, judged in the same way.

    Returns
    -------
    dict
        ``w2``, ``sliced_w2``, ``energy_distance``; on a spiral ``distance_to_curve`` and ``coverage_gap``; on images
        ``frechet_distance``, ``precision``, ``recall``, ``density``, ``coverage`` on the plain classifier's features,
        ``confident`` and ``share_of_LABEL`` by the strict one, ``confident_plain``, and ``memorised``.
    """
    size = len(samples) // replicates
    require(replicates >= 2, f"replicates = {replicates}: wanted at least 2")
    if data.fresh is None:
        size = min(size, len(data.held_out), len(data.train))
    require(size >= 2, f"{len(samples)} samples do not make {replicates} sets")
    between = _figures(data, readers)

    def judge(i: int) -> list[Figures]:
        reference, other = _two_sets(data, size, stream(seed, Purpose.FRESH_DATA, i))
        sets = (x[i * size : (i + 1) * size] for x in (samples, *(baselines or {}).values()))
        found = [between(x, reference) for x in (*sets, other)]
        if "memorised" in found[-1]:
            found[-1]["memorised"] = memorised_share(reference, data.train)  # the other set is of training data
        return found

    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(judge, range(replicates)))

    def over_replicates(which: int, name: str) -> Floats:
        return np.array([figures[which][name] for figures in results])

    return {
        name: Comparison.of(
            over_replicates(0, name),
            over_replicates(-1, name),
            {b: float(over_replicates(k, name).mean()) for k, b in enumerate(baselines or {}, start=1)},
        )
        for name in results[0][0]
    }


def _figures(data: Dataset, readers: Readers | None) -> Callable[[Floats, Floats], Figures]:
    """All figures of one set of samples against one reference set, by name."""

    def between(x: Floats, reference: Floats) -> Figures:
        out = {
            "w2": wasserstein2(x, reference),
            "sliced_w2": sliced_wasserstein2(x, reference),
            "energy_distance": energy_distance(x, reference),
        }
        if data.spiral is not None:
            out["distance_to_curve"] = distance_to_curve(x, data.spiral)
            out["coverage_gap"] = coverage_gap(x, data.spiral)
        if readers is not None:
            mine, theirs = readers.plain.features(x), readers.plain.features(reference)
            out["frechet_distance"] = frechet_distance(mine, theirs)
            out |= prdc(mine, theirs)
            out |= readers.shares(x)
            out["memorised"] = memorised_share(x, data.train)
        return out

    return between


def _two_sets(data: Dataset, size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    if data.fresh is not None:
        return data.fresh(size, rng), data.fresh(size, rng)
    return rng.choice(data.held_out, size, replace=False), rng.choice(data.train, size, replace=False)
