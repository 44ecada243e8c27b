"""Handwritten digits: 0, 1 and 3 come with the package, all ten from a folder of IDX files or a download."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiffuse.datasets import idx
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, one_of, require
from undiffuse.support.files import make_folder, sha256_of, write_file
from undiffuse.support.files import sha256 as digest_of

EMBEDDED = (0, 1, 3)
RANGES = {"unit": (0.0, 1.0), "symmetric": (-1.0, 1.0)}
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
        What the bytes 0 and 255 became.
    """

    x: Floats
    labels: NDArray[np.int64]
    shape: tuple[int, int]
    low: float = 0.0
    high: float = 1.0

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
    pixels: str = "unit",
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
        If a digit is not to be had, or a file is missing, damaged or foreign.
    """
    one_of("split", split, idx.SPLITS)
    low, high = RANGES[one_of("pixels", pixels, RANGES)]
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
        return resources.files("undiffuse") / "datasets" / "mnist_013"
    if idx.is_folder(default_folder()):
        return default_folder()
    raise UserError(
        f"digits {list(digits)} are not all in the package, which has {list(EMBEDDED)}: `undiffuse data fetch mnist` "
        "downloads all ten, or name a folder of IDX files"
    )


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

    A file that is there and has its sha256 is not downloaded again, so a download that was cut goes on; each is tried
    from every mirror in turn and checked unpacked, since mirrors pack differently.

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

    try:
        import pooch
    except ImportError:
        raise UserError("downloading needs pooch: pip install 'undiffuse[data]'") from None
    pooch.get_logger().setLevel("ERROR")
    troubles = []
    with tempfile.TemporaryDirectory(prefix="undiffuse-") as scratch:
        for mirror in mirrors:
            try:
                packed = pooch.retrieve(f"{mirror}{name}.gz", known_hash=None, fname=f"{name}.gz", path=scratch)
                content = gzip.decompress(Path(packed).read_bytes())
            except Exception as error:  # any failure of one mirror: the next may do
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
