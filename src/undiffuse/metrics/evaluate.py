"""Measure samples against fresh data in several replicates, with floors and standard errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from undiffuse.datasets import Dataset, can_be_classified
from undiffuse.metrics.comparison import Comparison
from undiffuse.metrics.distances import energy_distance, sliced_wasserstein2, wasserstein2
from undiffuse.metrics.features import frechet_distance, memorised_share, prdc
from undiffuse.support.arrays import Floats
from undiffuse.support.costs import seconds_of
from undiffuse.support.errors import require
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.streams import Purpose, stream
from undiffuse.support.threads import cores, one_thread

if TYPE_CHECKING:  # it loads torch, which only images need
    from undiffuse.metrics.classifiers import Classifiers

Numbers = dict[str, float]
_THREADS = 2  # replicates measured at once


def evaluate(
    samples: Floats,
    data: Dataset,
    replicates: int,
    *,
    seed: int = 0,
    classifiers: Classifiers | None = None,
    baselines: Mapping[str, Floats] | None = None,
) -> dict[str, Comparison]:
    """Compare samples with data by every measure that applies.

    Parameters
    ----------
    samples : (n, dim)
        Cut into ``replicates`` sets of equal size.
    data : Dataset
        Where its law is known, each replicate is compared with fresh data; otherwise with held-out samples, and the
        floor is that of training samples, so that it is still between two sets the model has not produced.
    replicates : int
        At least 2.
    seed : int
        Of the fresh data.
    classifiers : Classifiers, optional
        Needed for images.
    baselines : dict of (n, dim) arrays, optional
        Samples of simpler generators, as many as of the model, measured in the same way.

    Returns
    -------
    dict
        ``w2``, ``sliced_w2``, ``energy_distance``; on a spiral ``distance_to_curve`` and ``coverage_gap``; on images
        ``frechet_distance``, ``precision``, ``recall``, ``density``, ``coverage`` on the plain classifier's features,
        ``confident`` and ``share_of_LABEL`` by the strict one, ``confident_plain``, and ``memorised``.
    """
    return Evaluation(data, replicates, seed, classifiers, baselines or {}).of(samples)


@dataclass(frozen=True)
class Evaluation:
    """What samples are measured against, and how; see :func:`evaluate`.

    Attributes
    ----------
    data, replicates, seed, classifiers, baselines
        As there.
    on_progress : callable
        Told how many replicates are measured, and how many there are.
    """

    data: Dataset
    replicates: int
    seed: int = 0
    classifiers: Classifiers | None = None
    baselines: Mapping[str, Floats] = field(default_factory=dict)
    on_progress: OnProgress = silent

    def of(self, samples: Floats) -> dict[str, Comparison]:
        """Compare samples of shape ``(n, dim)`` with the data; see :func:`evaluate`."""
        data, replicates, baselines = self.data, self.replicates, self.baselines
        size = len(samples) // replicates
        require(replicates >= 2, f"replicates = {replicates}: wanted at least 2")
        if (largest := data.largest_set()) is not None:
            size = min(size, largest)
        require(size >= 2, f"{len(samples)} samples do not make {replicates} sets")
        measured = _measures(data, self.classifiers)

        def compare(i: int) -> list[Numbers]:
            reference, other = data.two_sets(size, stream(self.seed, Purpose.FRESH_DATA, i))
            sets = (x[i * size : (i + 1) * size] for x in (samples, *baselines.values()))
            found = [measured(x, reference) for x in (*sets, other)]
            if "memorised" in found[-1]:
                found[-1]["memorised"] = memorised_share(reference, data.train)  # the other set is of training data
            return found

        with one_thread(), ThreadPoolExecutor(_THREADS) as pool:
            results = []
            for found in pool.map(compare, range(replicates)):
                results.append(found)
                self.on_progress(len(results), replicates)

        def over_replicates(which: int, name: str) -> Floats:
            return np.array([found[which][name] for found in results])

        return {
            name: Comparison.of(
                over_replicates(0, name),
                over_replicates(-1, name),
                {b: float(over_replicates(k, name).mean()) for k, b in enumerate(baselines, start=1)},
            )
            for name in results[0][0]
        }

    def seconds(self, size: int) -> float:
        """Seconds that measuring samples will take, from one set of ``size`` real ones."""
        reference, other = self.data.two_sets(size, stream(self.seed, Purpose.FRESH_DATA, 0))
        one = seconds_of(lambda: _measures(self.data, self.classifiers)(other, reference))
        return one * self.replicates * (2 + len(self.baselines)) / min(_THREADS, cores())


def measure_names(data: Dataset) -> list[str]:
    """Names of the measures that :func:`evaluate` gives for samples of these data."""
    names = ["w2", "sliced_w2", "energy_distance", *data.measures()]
    if can_be_classified(data):
        names += ["frechet_distance", "precision", "recall", "density", "coverage", "confident", "confident_plain"]
        names += [*(f"share_of_{label}" for label in data.labels), "memorised"]
    return names


def memory_needed(size: int) -> int:
    """Bytes that the distances of all pairs take, of sets of ``size`` samples: two matrices for each set measured."""
    return _THREADS * 2 * 8 * size**2


def _measures(data: Dataset, classifiers: Classifiers | None) -> Callable[[Floats, Floats], Numbers]:
    """All measures of one set of samples against one reference set, by name."""

    def measured(x: Floats, reference: Floats) -> Numbers:
        out = {
            "w2": wasserstein2(x, reference),
            "sliced_w2": sliced_wasserstein2(x, reference),
            "energy_distance": energy_distance(x, reference),
        }
        out |= {name: measure(x) for name, measure in data.measures().items()}
        if classifiers is not None:
            mine, theirs = classifiers.plain.features(x), classifiers.plain.features(reference)
            out["frechet_distance"] = frechet_distance(mine, theirs)
            out |= prdc(mine, theirs)
            out |= classifiers.shares(x)
            out["memorised"] = memorised_share(x, data.train)
        return out

    return measured
