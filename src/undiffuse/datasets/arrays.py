"""Data that are rows of numbers: anyone's files, or an array given in Python."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from undiffuse.datasets.base import DataSection, Dataset, register
from undiffuse.datasets.mnist import ImageDataset, Images
from undiffuse.datasets.sources import Format, Rows, Source
from undiffuse.datasets.tables import listed
from undiffuse.datasets.units import Units, made_up, whole_columns
from undiffuse.physics.classes import Classes, Rule
from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import UserError, require
from undiffuse.support.settings import Count
from undiffuse.support.streams import Purpose, stream

Missing = Literal["refuse", "drop", "mean"]
"""What is done about rows with missing values: refuse them, leave them out, or put in the column's mean."""
_NEIGHBOURS = 5  # whose vote is the class of a sample without a label


@dataclass(frozen=True, kw_only=True)
class LabelledDataset(Dataset):
    """Rows with labels, which are their classes.

    Attributes
    ----------
    train, held_out, fresh
        See :class:`~undiffuse.datasets.Dataset`.
    labels : (array of int, array of int)
        Of the training and of the held-out rows.
    names : tuple of str
        Names of the labels 0, 1, ...
    """

    labels: tuple[NDArray[np.int64], NDArray[np.int64]]
    names: tuple[str, ...]

    @property
    def kind_of_classes(self) -> str:
        """What the classes are, in words."""
        return "labels"

    def class_rule(self) -> Rule:
        """Rule by the labels of the nearest training rows."""
        from sklearn.neighbors import KNeighborsClassifier

        nearest = KNeighborsClassifier(min(_NEIGHBOURS, len(self.train))).fit(self.train, self.labels[0])
        return lambda x: np.asarray(nearest.predict(x))

    def classes(self) -> tuple[Classes, Classes]:
        """Training and held-out rows with their labels."""
        train, held_out = self.labels
        return Classes(self.train, train, self.names), Classes(self.held_out, held_out, self.names)


class RowData(DataSection):
    """What files and arrays have in common: which rows are held out, and the units.

    Attributes
    ----------
    held_out : int
        Number of rows that are not trained on: the last ones, after shuffling if they are shuffled.
    shuffled : bool
        Whether the rows are put in an order drawn from the seed.
    units : Units, optional
        The user's units, and how they become the model's; the same without them.
    """

    held_out: Count
    shuffled: bool = False
    units: Units | None = None

    def of_rows(self, rows: Rows, seed: int, what: str) -> Dataset:
        """Make the data set of rows in the user's units.

        Parameters
        ----------
        rows : Rows
        seed : int
            Of their order.
        what : str
            What they are, for messages.

        Raises
        ------
        UserError
            If they are not finite, there are too few, or their columns are not those of the units.
        """
        x = as_samples(rows.x, what=what) if self.units is None else self.units.to_model(rows.x)
        require(len(x) > self.held_out, f"{len(x)} samples leave none to train on after {self.held_out} held out")
        order = stream(seed, Purpose.DATA).permutation(len(x)) if self.shuffled else np.arange(len(x))
        parts = order[: -self.held_out], order[-self.held_out :]
        train, held_out = (x[part] for part in parts)
        if rows.shape is not None:
            return ImageDataset.of(*(_images(x[part], rows.only(part), self.units) for part in parts))
        if rows.labels is None:
            return Dataset(train, held_out)
        labels = rows.labels[parts[0]], rows.labels[parts[1]]
        return LabelledDataset(train, held_out, labels=labels, names=rows.classes)


def _images(x: Floats, rows: Rows, units: Units | None) -> Images:
    """Images in the model's units, of the range that their units have."""
    labels = np.zeros(len(x), np.int64) if rows.labels is None else rows.labels
    assert rows.shape is not None  # noqa: S101
    low, high = (0.0, 1.0) if units is not None and units.alike else (float(x.min()), float(x.max()))
    return Images(x, labels, rows.shape, low, high, eight_bits=rows.bytes)


@register
class FileData(RowData):
    """Rows of a file: ``.npy``, ``.npz``, ``.csv``, ``.tsv``, ``.h5``, IDX, or a folder of PNG images.

    Attributes
    ----------
    path : str
    held_out, shuffled, units
        See :class:`RowData`.
    format : str, optional
        By the ending of the name, or what the folder holds.
    key : str, optional
        Array of an ``.npz`` file, or data set of an HDF5 file.
    without : tuple of str
        Columns to leave out, by name or by number from 1.
    labels : str, optional
        Column, array or data set of labels, or a file of them.
    classes : tuple of str, optional
        Labels whose rows are kept; all by default.
    missing : {"refuse", "drop", "mean"}
        What is done about missing values: nothing is read, their rows are left out, or the column's mean is filled in.
    """

    name: Literal["file"] = "file"
    path: str
    format: Format | None = None
    key: str | None = None
    without: Annotated[tuple[str, ...], Field(strict=False)] = ()
    labels: str | None = None
    classes: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    missing: Missing = "refuse"

    def read(self) -> Rows:
        """Read the rows, in the user's units.

        Raises
        ------
        UserError
            If they cannot be read, or values are missing and are to be refused.
        """
        rows = Source(Path(self.path), self.format, self.key, self.without, self.labels).read()
        if self.classes is not None:
            rows = _of_classes(rows, self.classes, repr(self.path))
        return without_missing(rows, self.missing, repr(self.path))

    def make(self, seed: int, samples: object = None) -> Dataset:
        """Read the file, unless its rows are given; see :class:`~undiffuse.datasets.base.DataSection`."""
        rows = samples if isinstance(samples, Rows) else self.read()
        return self.of_rows(rows, seed, repr(self.path))


@register
class ArrayData(RowData):
    """Samples given in Python; a run folder keeps their fingerprint, not the samples."""

    name: Literal["array"] = "array"

    def make(self, seed: int, samples: object = None) -> Dataset:
        """Take the samples; see :class:`~undiffuse.datasets.base.DataSection`."""
        if samples is None:
            raise UserError("this run was trained on an array given in Python, which it does not keep")
        return self.of_rows(samples if isinstance(samples, Rows) else Rows(as_samples(samples)), seed, "data")


def without_missing(rows: Rows, missing: Missing, what: str) -> Rows:
    """Do about missing values what is asked for.

    Parameters
    ----------
    rows : Rows
    missing : {"refuse", "drop", "mean"}
    what : str
        What they are, for messages.

    Raises
    ------
    UserError
        If there are any and they are to be refused, or a column or every row has nothing else.
    """
    gone = np.isnan(rows.x)
    if not gone.any():
        return rows
    names = list(rows.names) or made_up(rows.x.shape[1])
    empty = [names[i] for i in np.flatnonzero(gone.all(axis=0))]
    require(not empty, f"{what}: every value of {listed(empty)} is missing: leave it out with --without")
    whole: NDArray[np.bool_] = np.logical_not(gone.any(axis=1))
    if missing == "refuse":
        counts = [f"{names[i]} ({gone[:, i].sum()})" for i in np.flatnonzero(gone.any(axis=0))]
        raise UserError(
            f"{what}: {gone.sum()} values are missing, in {(~whole).sum()} of {len(whole)} rows, in columns "
            f"{', '.join(counts[:6])}{' and others' if len(counts) > 6 else ''}: --missing drop leaves these rows "
            "out, --missing mean fills in the mean of the column (rounded where all values are whole)"
        )
    if missing == "drop":
        require(whole.any(), f"{what}: every row has a missing value, so --missing drop leaves none")
        return rows.only(whole)
    means = np.nanmean(rows.x, axis=0)
    # A mean that is not whole would be the only such value of a column of whole numbers.
    filling = np.where(whole_columns(np.where(gone, 0.0, rows.x)), np.rint(means), means)
    return replace(rows, x=np.where(gone, filling, rows.x))


def _of_classes(rows: Rows, wanted: tuple[str, ...], what: str) -> Rows:
    if rows.labels is None:
        raise UserError(f"classes {listed(wanted)} of {what}: there are no labels; name them with --labels")
    unknown = [name for name in wanted if name not in rows.classes]
    require(not unknown, f"{what} has no label {listed(unknown)}; it has {listed(rows.classes)}")
    kept = rows.only(np.isin(rows.labels, [rows.classes.index(name) for name in wanted]))
    assert kept.labels is not None  # noqa: S101
    return kept.with_labels([rows.classes[label] for label in kept.labels])
