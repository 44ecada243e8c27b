"""Advisory locks on files and folders. The system lifts them when their holder ends, however it ends."""

from __future__ import annotations

import os
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
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of a file or folder inside a ``with`` block; gives whether it could be had.

    After waiting, the name may stand for something else than what was locked: then it counts as not had.
    """
    if sys.platform == "win32":
        yield True
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield lock(descriptor, wait) and path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())
    finally:
        os.close(descriptor)


def is_dead(path: Path) -> bool:
    """Whether something that its maker locks while it lives is left over from one that was killed."""
    if sys.platform == "win32" or path.is_symlink():
        return False
    try:
        with locked(path) as had:
            return had
    except OSError:
        return False
