"""Files that are always whole: written under another name, synced, renamed; and read within limits."""

from __future__ import annotations

import errno
import glob
import hashlib
import io
import json
import math
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.support.arrays import Arrays
from undiffuse.support.errors import FailedJobError, UserError, require, shown
from undiffuse.support.locks import lock, remove_dead
from undiffuse.support.memory import check_memory

Sha256 = str  # in hexadecimal
UNFINISHED = ".unfinished"  # ending of a file that is being written
LARGEST_TEXT = 16 << 20  # bytes of a configuration or a JSON file of results

# What the system says of a path that the user chose wrongly; everything else (a full disk, a broken one) is a failure.
_USERS = {
    getattr(errno, name)
    for name in ["EACCES", "EEXIST", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOTDIR", "EPERM", "EROFS"]
    if hasattr(errno, name)
}


_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")


def trouble(what: str, error: OSError) -> UserError | FailedJobError:
    """Build the error for what the system refused: the user's where the path is at fault, else a failed job's."""
    kind = UserError if error.errno in _USERS else FailedJobError
    why = error.strerror or str(error)
    if _SHORT_WRITE.fullmatch(why):  # numpy counts what it could write, and does not say why
        why = f"No space left on device, or it is broken ({why})"
    return kind(f"{what}: {why}")


# -- writing ----------------------------------------------------------------------------------------------------------


def write_file(path: Path, content: bytes) -> Path:
    """Write a file so that its name always holds all of the old content or all of the new.

    Raises
    ------
    UserError
        If it cannot be written there.
    FailedJobError
        If the disk is full or broken.
    """
    try:
        clear_unfinished(path.parent, path.name)
        handle, temporary = _unfinished(path)
    except OSError as error:
        raise trouble(f"cannot write {path}", error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            if os.name == "posix":
                os.replace(temporary, path)  # while it is locked: nobody may take it for dead
        if os.name != "posix":  # open files cannot be renamed there
            os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise trouble(f"cannot write {path}", error) from None
        raise
    return path


def _unfinished(path: Path) -> tuple[int, str]:
    """Make and lock the file that ``path`` is first written as."""
    while True:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED)
        lock(handle, wait=True)
        if os.path.exists(temporary):
            return handle, temporary
        os.close(handle)  # another process took it for dead before it was locked


def clear_unfinished(folder: Path, name: str | None = None) -> None:
    """Remove what a killed process left half written in a folder, of files of one name or of all."""
    for path in folder.glob(f".{'*' if name is None else glob.escape(name)}.????????{UNFINISHED}"):
        if path.is_file():
            remove_dead(path)


def _sync_folder(folder: Path) -> None:
    """Have a new name in a folder survive a loss of power, where the system can be asked to."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_output(path: str | Path, overwrite: bool, ending: str | None = None) -> Path:
    """Make sure a file may be written to ``path``, before any work is done for it.

    Raises
    ------
    UserError
        If its name does not end in ``ending`` (such as ``".npy"``), where one is wanted, it is a folder, exists and
        ``overwrite`` is false or it stands in a run folder, or its folder is missing or may not be written in.
    """
    path = Path(path)
    there = _is_there(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the name of a file")
    require(ending in (None, path.suffix), f"{path}: wanted a name that ends in {ending}, such as {path.stem}{ending}")
    if there and not overwrite:
        raise UserError(f"{path} exists already: choose another name or give --overwrite")
    folder = path.absolute().parent
    if there and all((folder / name).is_file() for name in ("manifest.json", "config.toml")):
        raise UserError(f"{path} is in a run folder, whose files are not overwritten: choose another name")
    require(folder.is_dir(), f"there is no folder {str(path.parent)!r} to write {path.name} in")
    _require_writable(folder, f"cannot write {path}")
    return path


def check_folder(path: str | Path) -> Path:
    """Make sure a folder is there or can be made, and may be written in, before any work is done for it.

    Raises
    ------
    UserError
        If it, or a folder above it, is a file or may not be written in.
    """
    path = Path(path)
    whole = path.absolute()
    nearest = next(above for above in (whole, *whole.parents) if _is_there(above))
    require(nearest.is_dir(), f"cannot make the folder {path}: {nearest} is no folder")
    _require_writable(nearest, f"cannot write into the folder {path}")
    return path


def _is_there(path: Path) -> bool:
    """Say whether there is anything of that name, a broken link included.

    Raises
    ------
    UserError
        If the system cannot tell: the name is too long, or a folder above may not be looked into.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise trouble(f"cannot write {shown(str(path))}", error) from None
    except ValueError as error:
        raise UserError(f"cannot write {shown(str(path))}: {error}") from None
    return True


def _require_writable(folder: Path, otherwise: str) -> None:
    """Raise an error unless something can be written in a folder; asking for the rights would not tell everything."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise trouble(otherwise, error) from None


def write_npz(path: str | Path, arrays: dict[str, NDArray[Any]], overwrite: bool) -> Path:
    """Write a ``.npz`` file atomically; refuse one that exists unless ``overwrite``."""
    path = check_output(path, overwrite, ".npz")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return write_file(path, buffer.getvalue())


def write_array(path: str | Path, array: NDArray[Any], overwrite: bool) -> Path:
    """Write a ``.npy`` file atomically; refuse one that exists unless ``overwrite``."""
    return write_file(check_output(path, overwrite, ".npy"), npy_bytes(array))


def npy_bytes(array: NDArray[Any]) -> bytes:
    """Content of the ``.npy`` file of an array."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def write_json(path: str | Path, content: Any, overwrite: bool) -> Path:
    """Write a JSON file atomically; refuse one that exists unless ``overwrite``."""
    return write_file(check_output(path, overwrite, ".json"), json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """Content of a JSON file."""
    return (json.dumps(content, indent=1) + "\n").encode()


def to_bytes(arrays: Arrays) -> bytes:
    """Content of the safetensors file of named arrays."""
    from safetensors.numpy import save

    content: bytes = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    return content


def write_arrays(path: Path, arrays: Arrays) -> Path:
    """Write named arrays as a safetensors file, whole or not at all."""
    return write_file(path, to_bytes(arrays))


def write_sealed(path: Path, arrays: Arrays, key: str) -> Path:
    """Write named arrays with a checksum of them and of ``key``, which says whose they are."""
    content = to_bytes(arrays)
    return write_file(path, _seal(content, key) + content)


def _seal(content: bytes, key: str) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()


def make_folder(path: Path) -> Path:
    """Make a folder and those above it, unless they are there.

    Raises
    ------
    UserError
        If it cannot be made there.
    FailedJobError
        If the disk is full or broken.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise trouble(f"cannot make the folder {path}", error) from None
    return path


# -- reading ----------------------------------------------------------------------------------------------------------


def read_limited(path: Path, largest: int) -> bytes:
    """Read a file that should be small.

    Raises
    ------
    UserError
        If it holds more than ``largest`` bytes.
    FileNotFoundError
        If it is not there.
    """
    with path.open("rb") as file:
        content = file.read(largest + 1)
    require(len(content) <= largest, f"{path} is larger than the {largest / 1e6:.0f} MB such a file can have")
    return content


def read_file(path: Path, largest: int) -> bytes:
    """Read a file that the user named; see :func:`read_limited`.

    Raises
    ------
    UserError
        If it is missing, is a folder, may not be read, or holds more than ``largest`` bytes.
    FailedJobError
        If the disk is broken.
    """
    try:
        return read_limited(path, largest)
    except OSError as error:
        raise trouble(f"cannot read {path}", error) from None


def read_npy(path: str | Path) -> NDArray[np.generic]:
    """Read a ``.npy`` file; its size is checked against its header before anything is allocated.

    Raises
    ------
    UserError
        If it is missing, holds no array or not the array that its header promises, or the memory cannot hold it.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {str(path)!r}")
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            require(version in {(1, 0), (2, 0), (3, 0)}, f"{str(path)!r} is a .npy file of unknown version {version}")
            # Versions 2 and 3 have the same layout; numpy's reader of version 2 takes Latin-1 names as well.
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(file)
            require(not dtype.hasobject, f"{str(path)!r} holds Python objects, wanted numbers")
            promised, held = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
        require(
            promised == held,
            f"{str(path)!r} is damaged: its header promises shape {shape}, {promised} bytes; it holds {held}",
        )
        check_memory(promised, str(path))
        array: NDArray[np.generic] = np.load(path, allow_pickle=False)
    except UserError:
        raise
    except OSError as error:
        raise trouble(f"cannot read {str(path)!r}", error) from None
    except Exception as error:  # a header is an expression, and numpy's reader passes on whatever is wrong with it
        first = str(error).splitlines()[:1] or [type(error).__name__]
        raise UserError(f"{str(path)!r} is not a .npy array: {first[0]}") from None
    return array


def read_arrays(path: Path) -> Arrays:
    """Read a safetensors file.

    Raises
    ------
    UserError
        If it is missing or damaged.
    """
    return from_bytes(_content(path), str(path))


def read_sealed(path: Path, key: str) -> Arrays:
    """Read what :func:`write_sealed` wrote with the same key.

    Raises
    ------
    UserError
        If it is missing, damaged, or was written with another key.
    """
    content = _content(path)
    size = hashlib.sha256().digest_size
    seal, arrays = content[:size], content[size:]
    require(seal == _seal(arrays, key), f"{path} is damaged, or belongs to another run")
    return from_bytes(arrays, str(path))


def from_bytes(content: bytes, where: str) -> Arrays:
    """Named arrays from the content of a safetensors file; UserError names it if it is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: Arrays = load(content)
    except SafetensorError as error:
        raise UserError(f"{where} is damaged: {error}") from None
    return arrays


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None


def sha256(content: bytes) -> Sha256:
    """sha256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> Sha256:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
