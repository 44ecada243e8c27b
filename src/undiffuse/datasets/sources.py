"""Files of anyone's data: ``.npy``, ``.npz``, CSV, TSV, HDF5, IDX and folders of PNG images, as rows of numbers."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from undiffuse.datasets import idx
from undiffuse.datasets.tables import listed, place_of, read_table
from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import UserError, require, shown, unknown
from undiffuse.support.files import read_npy, trouble
from undiffuse.support.memory import check_memory
from undiffuse.support.optional import optional

Format = Literal["npy", "npz", "csv", "hdf5", "idx", "png"]
ENDINGS: dict[str, Format] = {
    ".npy": "npy",
    ".npz": "npz",
    ".csv": "csv",
    ".tsv": "csv",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
}
_IDX_ENDINGS = ("-ubyte", "-ubyte.gz", "-ubyte.xz", ".idx")
_SAMPLES, _LABELS = ("samples", "x", "X", "data"), ("labels", "y", "target")  # names looked for, in this order


@dataclass(frozen=True)
class Rows:
    """Data in the user's units.

    Attributes
    ----------
    x : (n, columns)
        NaN where a value is missing.
    names : tuple of str
        Of the columns; empty where they have none.
    labels : (n,) array of int, optional
        Index of each row's label in ``classes``.
    classes : tuple of str
        Names of the labels.
    shape : (rows, columns), optional
        Of images.
    bytes : bool
        Whether they are images of 8 bits.
    """

    x: Floats
    names: tuple[str, ...] = ()
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    shape: tuple[int, int] | None = None
    bytes: bool = False

    def only(self, kept: NDArray[Any]) -> Rows:
        """Return the rows of a mask, or of indices."""
        return replace(self, x=self.x[kept], labels=None if self.labels is None else self.labels[kept])

    def without(self, columns: Sequence[str], what: str) -> Rows:
        """Leave columns out, by number from 1 where they have no names."""
        require(self.shape is None, f"{what} holds images, whose pixels are not left out one by one")
        out = {place_of(name, self.names, self.x.shape[1], what) for name in columns}
        kept = [i for i in range(self.x.shape[1]) if i not in out]
        require(kept, f"{what} has no column beside those left out")
        return replace(self, x=self.x[:, kept], names=tuple(self.names[i] for i in kept) if self.names else ())

    def with_labels(self, found: Sequence[Any] | NDArray[Any]) -> Rows:
        """Give each row its label: a number or a word."""
        require(len(found) == len(self.x), f"{len(found)} labels for {len(self.x)} rows: wanted one for each row")
        words = [_word(value) for value in found]
        # In the order of numbers where they are numbers: 10 comes after 9.
        classes = sorted(set(words), key=lambda word: (0, float(word), "") if _is_number(word) else (1, 0.0, word))
        index = {word: i for i, word in enumerate(classes)}
        return replace(self, labels=np.array([index[word] for word in words], np.int64), classes=tuple(classes))


def _word(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


@dataclass(frozen=True)
class Source:
    """Where data are, and what of them is wanted.

    Attributes
    ----------
    path : Path
    format : Format, optional
        By the ending of the name, or what the folder holds.
    key : str, optional
        Array of an ``.npz`` file, or data set of an HDF5 file.
    without : tuple of str
        Columns to leave out, by name or by number from 1.
    labels : str, optional
        Column, array or data set of labels, or a file of them.
    """

    path: Path
    format: Format | None = None
    key: str | None = None
    without: tuple[str, ...] = ()
    labels: str | None = None

    @property
    def kind(self) -> Format:
        """Its format."""
        return self.format or format_of(self.path)

    def read(self) -> Rows:
        """Read the data, with their labels if any are asked for.

        Raises
        ------
        UserError
            If there is nothing to be read, or something is wrong with it; the message names it.
        FailedJobError
            If the disk is broken.
        """
        require(
            self.key is None or self.kind in ("npz", "hdf5"),
            f"key {self.key!r}: it names an array of an .npz or HDF5 file, and {str(self.path)!r} is {self.kind}",
        )
        outside = self.labels is not None and _is_file_of_labels(self.labels)
        inside = replace(self, labels=None) if outside else self
        try:
            rows = _READERS[self.kind](inside)
        except OSError as error:
            raise trouble(f"cannot read {str(self.path)!r}", error) from None
        if self.without and self.kind != "csv":
            rows = rows.without(self.without, repr(str(self.path)))
        rows = rows.with_labels(_labels_of_file(Path(str(self.labels)), len(rows.x))) if outside else rows
        what = repr(str(self.path))
        require(rows.labels is not None or self.labels is None, f"{what} has no labels {shown(self.labels)}")
        require(rows.x.size > 0, f"{what} holds no numbers: its shape is {rows.x.shape}")
        infinite = np.isinf(rows.x).any(axis=1)
        require(not infinite.any(), f"{what} holds infinity, first in row {int(np.argmax(infinite)) + 1}")
        return rows


def format_of(path: Path) -> Format:
    """Format of a file by its name, or of a folder by what is in it.

    Raises
    ------
    UserError
        If it is missing, or of no format that is known.
    """
    if path.is_dir():
        if idx.is_folder(path):
            return "idx"
        if _pictures(path):
            return "png"
        raise UserError(f"folder {str(path)!r} holds neither .png images nor IDX files such as train-images-idx3-ubyte")
    require(path.is_file(), f"there is no file or folder {str(path)!r}")
    name = path.name.lower()
    if name.endswith(_IDX_ENDINGS):
        return "idx"
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise unknown(f"ending of {str(path)!r},", ending, [*ENDINGS, *_IDX_ENDINGS])
    return ENDINGS[ending]


def is_data(text: str) -> bool:
    """Whether a word on the command line names data rather than a preset or a configuration."""
    name = text.lower()
    return not name.endswith(".toml") and (name.endswith((*ENDINGS, *_IDX_ENDINGS)) or os.path.exists(text))


# -- arrays -----------------------------------------------------------------------------------------------------------


def rows_of(array: NDArray[Any], what: str) -> Rows:
    """Rows of an array of shape ``(n,)``, ``(n, columns)`` or, as images, ``(n, rows, columns)``.

    Raises
    ------
    UserError
        If it has another shape, or does not hold real numbers.
    """
    if array.dtype.names is not None:
        raise UserError(f"{what} is an array of records ({listed(array.dtype.names)}), wanted numbers alone")
    require(array.dtype.kind in "biuf", f"{what} holds {array.dtype} values, wanted real numbers")
    require(
        1 <= array.ndim <= 3,
        f"{what} has shape {array.shape}, wanted (n,), (n, columns) or, for images, (n, rows, columns)",
    )
    x = array.reshape(len(array), math.prod(array.shape[1:])).astype(np.float64)
    if array.ndim == 3:
        return Rows(x, shape=(array.shape[1], array.shape[2]), bytes=array.dtype == np.uint8)
    return Rows(x)


def given_rows(x: ArrayLike) -> Rows:
    """Rows of samples given in Python; see :func:`rows_of`.

    Raises
    ------
    UserError
        If they are not finite real numbers of such a shape.
    """
    try:
        array = np.asarray(x)
    except ValueError:  # ragged, which as_samples says
        array = np.empty(0, object)
    if array.ndim in (1, 3) and array.dtype.kind in "biuf":
        rows = rows_of(array, "data")
        return replace(rows, x=as_samples(rows.x))
    return Rows(as_samples(x))


def _npy(source: Source) -> Rows:
    return rows_of(read_npy(source.path), repr(str(source.path)))


def _npz(source: Source) -> Rows:
    what = repr(str(source.path))
    try:
        with np.load(source.path, allow_pickle=False) as archive:
            check_memory(3 * _unpacked(source.path), what)
            arrays = _Named(what, list(archive.files), archive.__getitem__)
            return arrays.rows(source)
    except (ValueError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{what} is not a .npz file of numbers: {str(error).splitlines()[0]}") from None


def _unpacked(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return max((entry.file_size for entry in archive.infolist()), default=0)


def _hdf5(source: Source) -> Rows:
    h5py = optional("h5py", "hdf5", f"reading {str(source.path)!r} needs h5py")
    what = repr(str(source.path))
    require(h5py.is_hdf5(source.path), f"{what} is not an HDF5 file")
    with h5py.File(source.path, "r") as file:
        found: dict[str, Any] = {}
        file.visititems(lambda name, item: found.update({name: item} if isinstance(item, h5py.Dataset) else {}))

        def load(name: str) -> NDArray[Any]:
            check_memory(3 * 8 * found[name].size, f"{name!r} of {what}")
            return np.asarray(found[name][()])

        return _Named(what, list(found), load).rows(source)


@dataclass(frozen=True)
class _Named:
    """Arrays by name, in a ``.npz`` or an HDF5 file."""

    what: str
    names: list[str]
    load: Callable[[str], NDArray[Any]]

    def rows(self, source: Source) -> Rows:
        rows = rows_of(self.load(key := self._samples(source.key)), f"{key!r} of {self.what}")
        labels = self._labels(source.labels, key)
        if labels is None:
            return rows
        found = self.load(labels)
        require(found.ndim == 1, f"{labels!r} of {self.what} has shape {found.shape}, wanted one label for each row")
        return rows.with_labels(found)

    def _samples(self, key: str | None) -> str:
        if key is not None:
            if key not in self.names:
                raise unknown(f"array of {self.what}", key, self.names)
            return key
        usual = [name for name in _SAMPLES if name in self.names]
        others = [name for name in self.names if name not in _LABELS]
        if usual or len(others) == 1:
            return (usual or others)[0]
        raise UserError(
            f"{self.what} holds {listed(self.names) or 'nothing'}, none of them called {' or '.join(_SAMPLES[:2])}: "
            "name the samples with --set data.key=NAME (for show: --key NAME)"
        )

    def _labels(self, wanted: str | None, samples: str) -> str | None:
        if wanted is not None:
            if wanted not in self.names:
                raise unknown(f"array of labels in {self.what}", wanted, [n for n in self.names if n != samples])
            return wanted
        return next((name for name in _LABELS if name in self.names), None)


# -- tables -----------------------------------------------------------------------------------------------------------


def _csv(source: Source) -> Rows:
    table = read_table(source.path, source.without, source.labels)
    rows = Rows(table.values, table.names)
    return rows if table.labels is None else rows.with_labels(table.labels)


def _is_file_of_labels(labels: str) -> bool:
    return os.path.isfile(labels) and (labels.lower().endswith((*ENDINGS, *_IDX_ENDINGS)))


def _labels_of_file(path: Path, wanted: int) -> Sequence[Any] | NDArray[Any]:
    """One label for each of so many rows, from a file of one column."""
    kind, what = format_of(path), repr(str(path))
    if kind == "csv":
        table = read_table(path, labels="1", alone=True)
        found = table.labels or []
        # A first word that could be a header is a label where there would be one too few.
        return [*table.names, *found] if len(found) == wanted - 1 else found
    array = _idx_array(path) if kind == "idx" else _READERS[kind](Source(path)).x
    require(array.ndim == 1 or array.shape[1] == 1, f"{what} has shape {array.shape}, wanted one label for each row")
    return array.ravel()


# -- images -----------------------------------------------------------------------------------------------------------


def _idx_array(path: Path) -> NDArray[np.uint8]:
    return idx.read(path.parent, path.name.removesuffix(".gz").removesuffix(".xz"))


def _idx(source: Source) -> Rows:
    """One file of images or, of a folder, its training images with their labels."""
    if source.path.is_dir():
        images, labels = idx.read_split(source.path, "train")
        return rows_of(images, repr(str(source.path))).with_labels(labels)
    return rows_of(_idx_array(source.path), repr(str(source.path)))


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".png")


def _png(source: Source) -> Rows:
    """Grey images of one size, in the order of their names; colours become grey."""
    from PIL import Image, UnidentifiedImageError

    files = _pictures(source.path)
    images: NDArray[np.uint8] | None = None
    for i, file in enumerate(files):
        try:
            with Image.open(file) as picture:
                if images is None:
                    check_memory(3 * 8 * len(files) * picture.width * picture.height, f"{source.path}: so many pixels")
                    images = np.empty((len(files), picture.height, picture.width), np.uint8)
                _, height, width = images.shape
                require(
                    picture.size == (width, height),
                    f"{file} has {picture.width} x {picture.height} pixels, {files[0].name} has {width} x {height}: "
                    "wanted images of one size",
                )
                images[i] = np.asarray(picture.convert("L"))
        except UserError:
            raise
        except (UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise UserError(f"{file} is not a PNG image: {str(error).splitlines()[0]}") from None
    require(images is not None, f"folder {str(source.path)!r} holds no .png images")
    assert images is not None  # noqa: S101
    return rows_of(images, str(source.path))


_READERS: dict[Format, Callable[[Source], Rows]] = {
    "npy": _npy,
    "npz": _npz,
    "csv": _csv,
    "hdf5": _hdf5,
    "idx": _idx,
    "png": _png,
}
