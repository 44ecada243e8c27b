"""Advisory locks on files and folders. The system lifts them when their holder ends, however it ends."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":  # Windows has no such locks: nothing is held there, and nothing is taken for dead
    import fcntl


def lock(descriptor: int, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed; return whether that could be done."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


@contextmanager
def locked(path: Path, wait: bool = False, make: bool = False) -> Iterator[int | None]:
    """Hold the lock of a file or folder inside a ``with`` block.

    Gives its descriptor, or None if another process has the lock. After waiting, the name may stand for something else
    than what was locked: then it counts as not had.

    Parameters
    ----------
    path : path
    wait : bool
        Wait for the lock.
    make : bool
        Make the file if it is not there, and open it to be written to.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT if make else os.O_RDONLY, 0o666)
    try:
        had = lock(descriptor, wait) and path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())
        yield descriptor if had else None
    finally:
        os.close(descriptor)


def is_dead(path: Path) -> bool:
    """Whether something that its maker locks while it lives is left over from one that was killed."""
    if sys.platform == "win32" or path.is_symlink():
        return False
    try:
        with locked(path) as descriptor:
            return descriptor is not None
    except OSError:
        return False


def remove_dead(path: Path, mark: Path | None = None) -> None:
    """Remove a file or folder that its maker locks while it lives, unless it lives.

    The lock is held while it is removed: its maker, who may just have made it and not locked it yet, waits for that and
    finds it gone. ``mark`` is what is locked, if not the file or folder itself.
    """
    if sys.platform == "win32" or path.is_symlink():
        return
    try:
        with locked(mark or path) as descriptor:
            if descriptor is None:
                return
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    except OSError:
        return
