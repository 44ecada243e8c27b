"""Temporary folders that do not outlive their use: what a killed process left is removed by the next to make one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from undiffuse.support.files import trouble
from undiffuse.support.locks import lock, remove_dead

_PREFIX = ".undiffuse-"


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Make a folder in ``parent`` that is removed at the end of a ``with`` block, and remove those of killed processes.

    Raises
    ------
    UserError
        If it cannot be made there.
    FailedJobError
        If the disk is full or broken.
    """
    clear_scratch(parent)
    path, descriptor = _make(parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def clear_scratch(parent: Path) -> None:
    """Remove the scratch folders in ``parent`` whose processes are gone."""
    for path in parent.glob(f"{_PREFIX}*"):
        if path.is_dir():
            remove_dead(path)


def _make(parent: Path) -> tuple[Path, int | None]:
    while True:
        try:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        except OSError as error:
            raise trouble(f"cannot make a folder in {parent}", error) from None
        if os.name != "posix":
            return path, None
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue  # another process took it for dead before it was locked
        lock(descriptor, wait=True)
        if path.is_dir():
            return path, descriptor
        os.close(descriptor)
