"""Files that are always whole: written under another name, synced, renamed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError

Arrays = dict[str, NDArray[np.generic]]


def write_file(path: Path, content: bytes) -> Path:
    """Write a file so that its name always holds all of the old content or all of the new.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(f"cannot write {path}: {error.strerror}") from None
        raise
    return path


def read_npy(path: str | Path) -> NDArray[np.generic]:
    """Read a ``.npy`` file.

    Raises
    ------
    UserError
        If it is missing or holds no array.
    """
    if not Path(path).is_file():
        raise UserError(f"there is no file {str(path)!r}")
    try:
        array: NDArray[np.generic] = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{str(path)!r} is not a .npy array: {error}") from None
    return array


def write_arrays(path: Path, arrays: Arrays) -> Path:
    """Write named arrays as a safetensors file, whole or not at all."""
    from safetensors.numpy import save

    return write_file(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_arrays(path: Path) -> Arrays:
    """Read a safetensors file.

    Raises
    ------
    UserError
        If it is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: Arrays = load(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except SafetensorError as error:
        raise UserError(f"{path} is damaged: {error}") from None
    return arrays


def make_folder(path: Path) -> Path:
    """Make a folder and those above it, unless they are there.

    Raises
    ------
    UserError
        If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror}") from None
    return path


def sha256(content: bytes) -> str:
    """sha256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
