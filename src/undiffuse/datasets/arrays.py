"""Data that are rows of numbers: a ``.npy`` file, or an array given in Python."""

from __future__ import annotations

from typing import Literal

from undiffuse.datasets.base import DataSection, Dataset, register, split
from undiffuse.support.arrays import as_samples
from undiffuse.support.errors import UserError
from undiffuse.support.files import read_npy
from undiffuse.support.settings import Count


@register
class FileData(DataSection):
    """Rows of a ``.npy`` array of shape ``(n, dim)``.

    Attributes
    ----------
    path : str
    held_out : int
        Number of rows at the end that are not trained on.
    """

    name: Literal["file"] = "file"
    path: str
    held_out: Count

    def make(self, seed: int, samples: object = None) -> Dataset:
        """Read the file; see :class:`~undiffuse.datasets.base.DataSection`."""
        return split(as_samples(read_npy(self.path), what=repr(self.path)), self.held_out)


@register
class ArrayData(DataSection):
    """Samples given in Python; a run folder keeps their fingerprint, not the samples."""

    name: Literal["array"] = "array"
    held_out: Count

    def make(self, seed: int, samples: object = None) -> Dataset:
        """Take the samples; see :class:`~undiffuse.datasets.base.DataSection`."""
        if samples is None:
            raise UserError("this run was trained on an array given in Python, which it does not keep")
        return split(as_samples(samples), self.held_out)
