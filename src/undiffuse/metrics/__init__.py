"""How far samples are from data, each distance beside its two-sample floor."""

from undiffuse.metrics.distances import energy_distance, sliced_wasserstein2, wasserstein2
from undiffuse.metrics.evaluate import Comparison, evaluate
from undiffuse.metrics.spiral import coverage_gap, distance_to_curve

__all__ = [
    "Comparison",
    "coverage_gap",
    "distance_to_curve",
    "energy_distance",
    "evaluate",
    "sliced_wasserstein2",
    "wasserstein2",
]
