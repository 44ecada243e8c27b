"""How far samples are from data, each figure beside its two-sample floor."""

from undiffuse.metrics.comparison import Comparison
from undiffuse.metrics.distances import energy_distance, sliced_wasserstein2, wasserstein2
from undiffuse.metrics.evaluate import evaluate
from undiffuse.metrics.features import frechet_distance, memorised_share, prdc
from undiffuse.metrics.spiral import coverage_gap, distance_to_curve

__all__ = [
    "Comparison",
    "coverage_gap",
    "distance_to_curve",
    "energy_distance",
    "evaluate",
    "frechet_distance",
    "memorised_share",
    "prdc",
    "sliced_wasserstein2",
    "wasserstein2",
]
