"""Data sets, each as ``(n, dim)`` float64 arrays in the units of the model."""

from undiffuse.datasets.mnist import Images, fetch, mnist
from undiffuse.datasets.sources import Dataset, fingerprint, load
from undiffuse.datasets.spiral import Spiral, spiral

__all__ = ["Dataset", "Images", "Spiral", "fetch", "fingerprint", "load", "mnist", "spiral"]
