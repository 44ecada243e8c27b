"""What may be read, written and deleted of a run folder, and by whom."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from undiffuse.runs.manifest import RESULTS
from undiffuse.support.errors import UserError, require
from undiffuse.support.files import UNFINISHED, clear_unfinished, read_limited, sha256
from undiffuse.support.locks import is_dead, locked
from undiffuse.support.scratch import clear_scratch

LARGEST_TEXT = 16 << 20  # bytes of a configuration or a JSON file of results
# What commands put into a run folder. Deleting a run deletes these and refuses where there is anything else.
_FILES = "|".join(
    map(re.escape, ("config.toml", "manifest.json", "reference.safetensors", "metrics.jsonl", "report.html", *RESULTS))
)
_BLOCKS = r"block-\d+-\d+\.(?:safetensors|partial|state)"
_HALF = rf"\.\w+(?:{re.escape(UNFINISHED)})?"  # what a kill left half written
_OWN = re.compile(rf"{_FILES}|\.(?:{_FILES}){_HALF}|weights|figures|analysis|\.undiffuse-\w+")
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
def held(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold a run folder against other trainings, and remove what killed ones left behind.

    Raises
    ------
    UserError
        If another process holds it, or has put another run in its place.
    """
    with locked(path, wait) as had:
        if not had:
            raise UserError(
                f"another process has replaced {path}" if wait else f"another process is training in {path}"
            )
        clear_leftovers(path)
        yield


def clear_leftovers(path: Path) -> None:
    """Remove what killed processes left in a run folder and beside it, where nobody can want it any more.

    Half-written files, the data that workers shared, a new run that never got its name, and an old one that was
    being deleted when its successor was in place.
    """
    for folder in (path, *(path / name for name in ("weights", "figures", "analysis"))):
        if not folder.is_symlink():
            clear_unfinished(folder)
    clear_scratch(path)
    for ending in ("new", "old"):
        for left in siblings(path, ending):
            if left.is_dir() and is_dead(left) and not foreign(left):
                shutil.rmtree(left, ignore_errors=True)


def siblings(path: Path, ending: str) -> list[Path]:
    """Folders beside a run that its making (``new``) or its replacement (``old``) was killed in."""
    name = re.compile(rf"\.{re.escape(path.name)}\.\d+\.{ending}")
    return sorted(each for each in path.absolute().parent.iterdir() if name.fullmatch(each.name))


@contextmanager
def new_run(path: Path) -> Iterator[Path]:
    """Give a folder to make a run in, beside its final place, that is gone at the end unless it was moved there."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        new.mkdir(parents=True)
        with locked(new):
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
