"""Data sets, each as ``(n, dim)`` float64 arrays in the units of the model."""

from undiffuse.datasets.sources import Dataset, fingerprint, load
from undiffuse.datasets.spiral import Spiral, spiral

__all__ = ["Dataset", "Spiral", "fingerprint", "load", "spiral"]
