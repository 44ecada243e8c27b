"""What may be read, written and deleted of a run folder, and by whom."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from undiffuse.runs.manifest import RESULTS
from undiffuse.support.errors import UserError, require
from undiffuse.support.files import LARGEST_TEXT, UNFINISHED, clear_unfinished, read_limited, sha256, trouble
from undiffuse.support.locks import is_dead, locked, remove_dead

# What commands put into a run folder. Deleting a run deletes these and refuses where there is anything else.
PROGRESS = "progress.json"  # how far a training is, while it runs
_NAMES = ("config.toml", "manifest.json", "reference.safetensors", "metrics.jsonl", "report.html", PROGRESS, *RESULTS)
_FILES = "|".join(map(re.escape, _NAMES))
_BLOCKS = r"block-\d+-\d+\.(?:safetensors|partial|state)"
SCRATCH = ".scratch"  # a copy of the data for workers, while they train
_LOCK = "lock"
_HALF = rf"\.\w+(?:{re.escape(UNFINISHED)})?"  # what a kill left half written
_OWN = re.compile(rf"{_FILES}|\.(?:{_FILES}){_HALF}|weights|figures|analysis|{_LOCK}|{re.escape(SCRATCH)}")
_OWN_WEIGHTS = re.compile(rf"{_BLOCKS}|\.(?:{_BLOCKS}){_HALF}")
_LEAVES_ALONE = "so --overwrite leaves it alone; choose another --out"


def inside(path: Path) -> Path:
    """Return the path of something in a run folder, unless it is a link, which may lead anywhere."""
    if path.is_symlink():
        raise UserError(f"{path} is a link: a run folder holds its files themselves")
    return path


def foreign(path: Path) -> list[str]:
    """Names in a run folder that no command put there; links are foreign as well."""
    found = [entry.name for entry in path.iterdir() if not _OWN.fullmatch(entry.name) or entry.is_symlink()]
    if (path / "weights").is_dir():
        entries = (path / "weights").iterdir()
        found += [f"weights/{e.name}" for e in entries if not _OWN_WEIGHTS.fullmatch(e.name) or e.is_symlink()]
    return sorted(found)


def require_only_a_run(path: Path) -> None:
    """Raise a :class:`UserError` unless a folder is a run, of any format, and holds nothing that is not a run's."""
    require(not path.is_symlink() and path.is_dir(), f"{path} is not a run folder, {_LEAVES_ALONE}")
    try:
        manifest = json.loads(read_limited(path / "manifest.json", LARGEST_TEXT).decode("utf-8"))
        text = read_limited(path / "config.toml", LARGEST_TEXT)
    except (OSError, ValueError, RecursionError):
        raise UserError(f"{path} is not a run folder, {_LEAVES_ALONE}") from None
    # Manifests of both formats hold the checksum of the configuration beside them; other programs' do not.
    if not isinstance(manifest, dict) or manifest.get("config_sha256") != sha256(text):
        raise UserError(f"{path} is not a run folder, {_LEAVES_ALONE}")
    if others := foreign(path):
        named = ", ".join(others[:3])
        raise UserError(f"{path} holds {named}, which no command put there: move it away, or choose another --out")


@contextmanager
def held(path: Path, wait: bool = False) -> Iterator[str]:
    """Hold a run folder against other trainings, and remove what killed ones left behind.

    A file of the folder is locked, since network file systems cannot lock folders. While it is, it holds the token that
    this gives, which nobody else knows.

    Raises
    ------
    UserError
        If another process holds it or has put another run in its place, or the folder cannot be written to.
    FailedJobError
        If the disk is full or broken.
    """
    token = secrets.token_hex(16).encode()
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(locked(inside(path / _LOCK), wait, make=True))
        except OSError as error:
            raise trouble(f"cannot lock {path}", error) from None
        if descriptor is None:
            raise UserError(f"another process {'has replaced' if wait else 'is training in'} {path}")
        clear_leftovers(path)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, token)
        os.fsync(descriptor)
        try:
            yield token.decode()
        finally:
            os.ftruncate(descriptor, 0)


def is_held(path: Path) -> bool:
    """Whether a process holds a run folder now, as far as the file system can tell."""
    return (path / _LOCK).exists() and not is_dead(path / _LOCK)


def holder(path: Path) -> str:
    """Token of the process that holds a run folder; empty if none does."""
    try:
        return read_limited(inside(path / _LOCK), 1_000).decode("ascii", "replace")
    except (OSError, UserError):
        return ""


def clear_leftovers(path: Path) -> None:
    """Remove what killed processes left in a run folder and beside it, where nobody can want it any more.

    Half-written files, the data that workers shared, a new run that never got its name, and an old one that was
    being deleted when its successor was in place.
    """
    for folder in (path, *(path / name for name in ("weights", "figures", "analysis"))):
        if not folder.is_symlink():
            clear_unfinished(folder)
    shutil.rmtree(inside(path / SCRATCH), ignore_errors=True)
    inside(path / PROGRESS).unlink(missing_ok=True)
    for ending in ("new", "old"):
        for left in siblings(path, ending):
            if left.is_dir() and not foreign(left):
                remove_dead(left, left / _LOCK if (left / _LOCK).exists() else left)


def siblings(path: Path, ending: str) -> list[Path]:
    """Folders beside a run that its making (``new``) or its replacement (``old``) was killed in."""
    name, folder = re.compile(rf"\.{re.escape(path.name)}\.\d+\.{ending}"), path.absolute().parent
    return sorted(each for each in folder.iterdir() if name.fullmatch(each.name)) if folder.is_dir() else []


@contextmanager
def new_run(path: Path) -> Iterator[Path]:
    """Give a folder to make a run in, beside its final place, that is gone at the end unless it was moved there."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        new.mkdir(parents=True)
        with locked(new) if os.name == "posix" else nullcontext():  # elsewhere folders cannot be opened
            yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def replace_run(path: Path, new: Path) -> None:
    """Put a new run in the place of an old one: the old one steps aside whole and is deleted last."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.old")
    with held(path):
        require_only_a_run(path)
        path.rename(aside)
        try:
            new.rename(path)
        except OSError:
            aside.rename(path)
            raise
        shutil.rmtree(aside)
