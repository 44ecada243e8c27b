"""Data sets, each as ``(n, dim)`` float64 arrays in the units of the model.

A new kind is one module with a section and, where it needs one, a :class:`Dataset` of its own; see
:func:`~undiffuse.datasets.base.register`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from pydantic import ValidationError

from undiffuse.datasets.arrays import ArrayData, FileData, LabelledDataset, Missing, RowData, without_missing
from undiffuse.datasets.base import DATASETS, DataSection, Dataset, register
from undiffuse.datasets.curie_weiss import CurieWeissData
from undiffuse.datasets.mnist import FashionData, ImageData, ImageDataset, Images, can_be_classified, fetch, mnist
from undiffuse.datasets.sources import Rows, Source
from undiffuse.datasets.spiral import Spiral, SpiralData, spiral
from undiffuse.datasets.units import Units, whole_columns
from undiffuse.support.errors import UserError, one_of
from undiffuse.support.settings import first_mistake

__all__ = [
    "DATASETS",
    "ArrayData",
    "CurieWeissData",
    "DataSection",
    "Dataset",
    "FashionData",
    "FileData",
    "ImageData",
    "ImageDataset",
    "Images",
    "LabelledDataset",
    "Missing",
    "RowData",
    "Rows",
    "Source",
    "Spiral",
    "SpiralData",
    "Units",
    "can_be_classified",
    "fetch",
    "fingerprint",
    "load",
    "mnist",
    "register",
    "section_of",
    "spiral",
    "units_of",
    "whole_columns",
    "without_missing",
]


class Configured(Protocol):
    """The part of a configuration that :func:`load` uses."""

    @property
    def data(self) -> DataSection:
        """Section that names the data."""
        ...

    @property
    def seed(self) -> int:
        """Seed of every random stream."""
        ...

    def largest_batch(self) -> int:
        """Size of the largest minibatch of training."""
        ...


def load(config: Configured, samples: ArrayLike | Rows | None = None) -> Dataset:
    """Make or read the data a configuration names; ``samples`` are those of an ``array`` section,
    or the rows of a file that is read already.

    Raises
    ------
    UserError
        If a file is missing or is not a finite ``(n, dim)`` array, or there are too few samples for a minibatch.
    """
    data = config.data.make(config.seed, samples)
    largest = config.largest_batch()
    if len(data.train) < largest:
        raise UserError(f"{len(data.train)} training samples do not fill one minibatch of {largest}")
    return data


def section_of(settings: Mapping[str, object]) -> DataSection:
    """Make the section that settings describe, of the kind their ``name`` says (a spiral without one).

    Raises
    ------
    UserError
        If there is no such kind, or a setting is unknown or wrong.
    """
    kind = DATASETS[one_of("data.name", str(settings.get("name", "spiral")), DATASETS)]
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise UserError(first_mistake(error, {"": kind, "data": kind}, "data")) from None


def units_of(section: DataSection) -> Units | None:
    """Units of the user's data, where they are not the model's."""
    return section.units if isinstance(section, RowData) else None


def fingerprint(data: Dataset) -> str:
    """Return the sha256 of the training and held-out samples, shapes included."""
    digest = hashlib.sha256()
    for part in (data.train, data.held_out):
        digest.update(repr(part.shape).encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
