"""IDX files, the format of MNIST and its relatives: bytes with a small header, plain, gzipped or xz-packed."""

from __future__ import annotations

import gzip
import io
import lzma
import math
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from undiffuse.support.errors import UserError, require
from undiffuse.support.memory import check_memory

Bytes = NDArray[np.uint8]
_PIECE = 1 << 24
SPLITS = {"train": "train", "test": "t10k"}
_UNPACK: dict[str, Callable[[BinaryIO], Any]] = {"": io.BufferedReader, ".gz": gzip.open, ".xz": lzma.open}


class Folder(Protocol):
    """The methods of a folder that are used here: a path on disk, or a folder inside the package."""

    def joinpath(self, name: str, /) -> Folder:
        """Return the entry of that name."""
        ...

    def is_file(self) -> bool:
        """Say whether it is a file."""
        ...

    def read_bytes(self) -> bytes:
        """Return the content."""
        ...


def decode(content: bytes, what: str) -> Bytes:
    """Turn the content of an IDX file of unsigned bytes into an array; see :func:`decode_stream`."""
    return decode_stream(io.BytesIO(content), what)


def decode_stream(stream: IO[bytes], what: str) -> Bytes:
    """Read an IDX file of unsigned bytes: first its header, then no more than the header says.

    A packed file that would unpack to more is therefore never unpacked whole.

    Raises
    ------
    UserError
        If the header is not that of unsigned bytes, says more than the memory holds, or the file is shorter or longer
        than its header says.
    """
    header = f"{what} is not an IDX file of unsigned bytes"
    start = stream.read(4)
    require(len(start) == 4 and start[:3] == b"\x00\x00\x08", f"{header}: it starts with {start.hex(' ')}")
    axes = start[3]
    require(1 <= axes <= 3, f"{header}: its header has {axes} axes")
    sizes = stream.read(4 * axes)
    require(len(sizes) == 4 * axes, f"{header}: its header is cut")
    shape = tuple(np.frombuffer(sizes, ">u4").tolist())
    size = math.prod(shape)
    check_memory(size, what)
    # A piece at a time, so that memory is allocated only for bytes that are there.
    pieces, left = [], size + 1
    while left and (piece := stream.read(min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    held = size + 1 - left
    more = "more" if held > size else str(held)
    require(
        held == size, f"{what} is damaged: its header promises {' x '.join(map(str, shape))} bytes, it holds {more}"
    )
    return np.frombuffer(b"".join(pieces), np.uint8).reshape(shape)


def encode(array: Bytes) -> bytes:
    """Content of the IDX file of an array; undone by :func:`decode`."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + np.ascontiguousarray(array, np.uint8).tobytes()


def read(folder: Folder, name: str) -> Bytes:
    """Read ``name`` from a folder, whether it lies there as it is, as ``.gz`` or as ``.xz``.

    The spelling ``train-images.idx3-ubyte`` is found as well.

    Raises
    ------
    UserError
        If it is not there, or is damaged or no IDX file; the message names the file.
    """
    for spelling in (name, name.replace("-idx", ".idx")):
        for suffix, unpack in _UNPACK.items():
            entry = folder.joinpath(spelling + suffix)
            if not entry.is_file():
                continue
            try:
                with unpack(io.BytesIO(entry.read_bytes())) as stream:
                    return decode_stream(stream, str(entry))
            except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
                if isinstance(error, UserError):
                    raise
                raise UserError(f"{entry} is damaged: it does not unpack ({error})") from None
    raise UserError(f"{folder} has no {name}, neither as it is nor as .gz or .xz")


def read_split(folder: Folder, split: str) -> tuple[Bytes, Bytes]:
    """Images ``(n, rows, columns)`` and labels ``(n,)`` of the split ``"train"`` or ``"test"``.

    Raises
    ------
    UserError
        If a file is missing, damaged or no IDX file, or there are not as many labels as images.
    """
    stem = SPLITS[split]
    images, labels = read(folder, f"{stem}-images-idx3-ubyte"), read(folder, f"{stem}-labels-idx1-ubyte")
    require(
        images.ndim == 3 and labels.ndim == 1 and len(images) == len(labels),
        f"{folder}: {split} images of shape {images.shape} and labels of shape {labels.shape} do not belong together",
    )
    return images, labels


def names() -> list[str]:
    """Names of the four files of a data set, unpacked."""
    return [f"{stem}-{kind}-ubyte" for stem in SPLITS.values() for kind in ("images-idx3", "labels-idx1")]


def is_folder(path: Path) -> bool:
    """Say whether a folder holds anything like an IDX data set."""
    return any(path.glob("train-images*"))
