"""Handwritten digits: 0, 1 and 3 come with the package, all ten from a folder of IDX files or a download."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, TypeGuard

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from undiffuse.datasets import idx
from undiffuse.datasets.base import DataSection, Dataset, register
from undiffuse.physics.classes import Classes
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, one_of, require
from undiffuse.support.files import make_folder, sha256_of, write_file
from undiffuse.support.files import sha256 as digest_of
from undiffuse.support.optional import optional
from undiffuse.support.settings import Count

EMBEDDED = (0, 1, 3)
Pixels = Literal["unit", "symmetric"]
RANGES: dict[Pixels, tuple[float, float]] = {"unit": (0.0, 1.0), "symmetric": (-1.0, 1.0)}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# sha256 of the unpacked files, in the order of idx.names().
SHA256 = (
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)


@dataclass(frozen=True)
class Images:
    """Grey images as vectors, with their labels.

    Attributes
    ----------
    x : (n, rows*columns)
        Pixels, row after row, between ``low`` and ``high``.
    labels : (n,)
    shape : (rows, columns)
    low, high : float
        Values of the bytes 0 and 255, or ends of the range of other pixels.
    eight_bits : bool
        Whether pixels are bytes; only then have images a probability, and not just a density.

    Examples
    --------
    >>> import undiffuse as ud
    >>> images = ud.datasets.mnist((0, 1), "test")
    >>> images.x.shape, images.shape, images.first(3).labels.tolist()
    ((2115, 784), (28, 28), [1, 0, 1])

    See Also
    --------
    undiffuse.datasets.mnist : MNIST and other IDX files.
    """

    x: Floats
    labels: NDArray[np.int64]
    shape: tuple[int, int]
    low: float = 0.0
    high: float = 1.0
    eight_bits: bool = True

    def first(self, n: int | None) -> Images:
        """Return the first ``n`` images, or all of them for None.

        Raises
        ------
        UserError
            If there are not as many.
        """
        require(n is None or n <= len(self.x), f"{n} images wanted, there are {len(self.x)}")
        return replace(self, x=self.x[:n], labels=self.labels[:n])


def mnist(
    digits: Sequence[int] = (0, 1),
    split: str = "train",
    folder: str | Path | None = None,
    pixels: Pixels = "unit",
) -> Images:
    """Images of some digits, in the order of the files.

    Parameters
    ----------
    digits : sequence of int
        Labels to keep. 0, 1 and 3 need nothing else.
    split : {"train", "test"}
        The official one.
    folder : path, optional
        Folder of four IDX files (plain, .gz or .xz), of MNIST or anything like it. By default the digits in the
        package, or what :func:`fetch` has downloaded.
    pixels : {"unit", "symmetric"}
        Scale of the bytes 0..255: [0, 1] (thesis) or [-1, 1].

    Raises
    ------
    UserError
        If a digit is not there, or a file is missing, damaged or no IDX file.
    """
    one_of("split", split, idx.SPLITS)
    one_of("pixels", pixels, RANGES)
    low, high = RANGES[pixels]
    require(len(digits) > 0 and len(set(digits)) == len(digits), f"digits {list(digits)}: wanted different labels")
    images, labels = idx.read_split(_source(digits, folder), split)
    missing = sorted(set(digits) - set(labels.tolist()))
    require(not missing, f"label {missing[:1]} is not in the {split} set; it has {np.unique(labels).tolist()}")
    kept = np.isin(labels, digits)
    x: Floats = low + (high - low) * images[kept].reshape(kept.sum(), -1).astype(np.float64) / 255.0
    return Images(x, labels[kept].astype(np.int64), images.shape[1:], low, high)


def _source(digits: Sequence[int], folder: str | Path | None) -> idx.Folder:
    if folder is not None:
        path = Path(folder)
        require(path.is_dir(), f"there is no folder {str(path)!r}")
        return path
    if set(digits) <= set(EMBEDDED):
        return resources.files("undiffuse.datasets") / "mnist_013"
    if idx.is_folder(default_folder()):
        return default_folder()
    raise UserError(
        f"digits {list(digits)} are not all in the package, which has {list(EMBEDDED)}: `undiffuse data fetch mnist` "
        "downloads all ten, or name a folder of IDX files"
    )


# -- as a data set ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ImageDataset(Dataset):
    """Labelled images, whose classes are their labels.

    Attributes
    ----------
    train, held_out, fresh
        See :class:`~undiffuse.datasets.Dataset`.
    images : (Images, Images)
        Training and held-out samples with labels, shape and pixel range.
    """

    images: tuple[Images, Images]

    @staticmethod
    def of(train: Images, held_out: Images) -> ImageDataset:
        """Make it from training and held-out images."""
        return ImageDataset(train.x, held_out.x, images=(train, held_out))

    @property
    def kind_of_classes(self) -> str:
        """What the classes are, in words."""
        return "labels"

    @property
    def labels(self) -> list[int]:
        """Labels of the training images, each once, in increasing order; with several, images can be classified."""
        found: list[int] = np.unique(self.images[0].labels).tolist()
        return found

    def classes(self) -> tuple[Classes, Classes]:
        """Training and held-out images with their labels."""
        train, held_out = self.images
        return Classes(train.x, train.labels), Classes(held_out.x, held_out.labels)


def can_be_classified(data: Dataset) -> TypeGuard[ImageDataset]:
    """Whether data are images of several labels, which classifiers can be trained on."""
    return isinstance(data, ImageDataset) and len(data.labels) > 1


@register
class ImageData(DataSection):
    """Digits of MNIST, or of IDX files in ``folder``; see :func:`undiffuse.datasets.mnist`.

    Attributes
    ----------
    digits : tuple of int
        Labels to keep.
    n, held_out : int, optional
        The first ``n`` training and ``held_out`` test images in the files' order; all of them by default.
    pixels : {"unit", "symmetric"}
        Scale of the bytes 0..255: [0, 1] (thesis) or [-1, 1].
    folder : str, optional
        Folder of four IDX files; by default the digits in the package, or those downloaded.
    """

    name: Literal["mnist"] = "mnist"
    digits: Annotated[tuple[Annotated[int, Field(ge=0, le=255)], ...], Field(min_length=1, strict=False)] = (0, 1)
    n: Count | None = None
    held_out: Count | None = None
    pixels: Pixels = "unit"
    folder: str | None = None

    def make(self, seed: int, samples: object = None) -> Dataset:
        """Read the images; see :class:`~undiffuse.datasets.base.DataSection`."""
        train = mnist(self.digits, "train", self.folder, self.pixels).first(self.n)
        return ImageDataset.of(train, mnist(self.digits, "test", self.folder, self.pixels).first(self.held_out))


@register
class FashionData(ImageData):
    """Grey pictures of clothes (Fashion-MNIST; Xiao, Rasul & Vollgraf 2017), from a folder of its four IDX files.

    They have the names and the shapes of MNIST's, so nothing stands in for a folder that is not given.

    Attributes
    ----------
    digits : tuple of int
        Labels to keep, 0 (T-shirt) to 9 (ankle boot).
    n, held_out, pixels, folder
        As for :class:`ImageData`.
    """

    name: Literal["fashion-mnist"] = "fashion-mnist"  # type: ignore[assignment]
    digits: Annotated[tuple[Annotated[int, Field(ge=0, le=255)], ...], Field(min_length=1, strict=False)] = (
        *range(10),
    )

    def make(self, seed: int, samples: object = None) -> Dataset:
        """Read the images; see :class:`~undiffuse.datasets.base.DataSection`."""
        require(
            self.folder is not None,
            "Fashion-MNIST comes from a folder of its four IDX files: --data DIR. They are to be had at "
            "https://github.com/zalandoresearch/fashion-mnist",
        )
        return super().make(seed, samples)


# -- download ---------------------------------------------------------------------------------------------------------


def default_folder() -> Path:
    """Return the folder downloads go to: the user's cache."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("undiffuse")) / "mnist"


def fetch(
    folder: str | Path | None = None,
    mirrors: Sequence[str] = MIRRORS,
    sha256: Sequence[str] = SHA256,
    on_file: Callable[[str, str], None] = lambda name, source: None,
) -> Path:
    """Download MNIST (LeCun & Cortes), about 11 MB, and return the folder it is in.

    A file that is there with the right sha256 is not downloaded again, so an interrupted download can be repeated. Each
    file is tried from every mirror in turn and checked after unpacking, since mirrors pack differently.

    Parameters
    ----------
    folder : path, optional
        Where to put the four files; by default where :func:`mnist` looks for them.
    mirrors : sequence of str
        Base addresses.
    sha256 : sequence of str
        Of each unpacked file.
    on_file : callable
        Called with each file's name and where it came from.

    Raises
    ------
    UserError
        If pooch is not installed, or no mirror gives the right file.
    """
    path = default_folder() if folder is None else Path(folder)
    make_folder(path)
    for name, digest in zip(idx.names(), sha256, strict=True):
        file = path / name
        if file.is_file() and sha256_of(file) == digest:
            on_file(name, "there already")
            continue
        source, content = _download(name, mirrors, digest)
        write_file(file, content)
        on_file(name, source)
    return path


def _download(name: str, mirrors: Sequence[str], digest: str) -> tuple[str, bytes]:
    import gzip
    import tempfile

    pooch = optional("pooch", "data", "downloading needs pooch")
    pooch.get_logger().setLevel("ERROR")
    troubles = []
    with tempfile.TemporaryDirectory(prefix="undiffuse-") as scratch:
        for mirror in mirrors:
            try:
                packed = pooch.retrieve(f"{mirror}{name}.gz", known_hash=None, fname=f"{name}.gz", path=scratch)
                content = gzip.decompress(Path(packed).read_bytes())
            except Exception as error:  # whatever fails at one mirror may work at the next
                troubles.append(f"{mirror} ({type(error).__name__})")
                continue
            if digest_of(content) == digest:
                return mirror, content
            Path(packed).unlink()
            troubles.append(f"{mirror} (another file under that name)")
    raise UserError(
        f"{name} could not be downloaded from {' or '.join(troubles)}: is the network there? "
        "Digits 0, 1 and 3 need no download"
    )
