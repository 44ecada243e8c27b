"""How far samples are from data, each measure beside its two-sample floor."""

from undiffuse.metrics.comparison import Comparison
from undiffuse.metrics.distances import energy_distance, sliced_wasserstein2, wasserstein2
from undiffuse.metrics.evaluate import Evaluation, evaluate, measure_names, memory_needed
from undiffuse.metrics.features import frechet_distance, memorised_share, prdc

__all__ = [
    "Comparison",
    "Evaluation",
    "energy_distance",
    "evaluate",
    "frechet_distance",
    "measure_names",
    "memorised_share",
    "memory_needed",
    "prdc",
    "sliced_wasserstein2",
    "wasserstein2",
]
