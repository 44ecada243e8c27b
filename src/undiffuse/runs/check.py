"""Look at every file of a run folder, and say which are damaged and how each is made again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from undiffuse.runs.guard import PROGRESS, SCRATCH, foreign, inside, is_held, siblings
from undiffuse.runs.manifest import RESULTS, BlockEntry, Manifest, read_manifest
from undiffuse.support.errors import UserError, require
from undiffuse.support.files import UNFINISHED, read_sealed, sha256_of

State = Literal["whole", "damaged", "missing", "unfinished", "left over", "foreign", "not checked"]
_RESUMED = "`undiffuse train PRESET --out RUN --resume`"
_BY = {"uturn.json": "`undiffuse uturn RUN`"} | {
    name: "the next command that needs it" for name in RESULTS if name.startswith("classifier")
}
_FOR_PEOPLE = ("metrics.jsonl", "report.html", "figures", "analysis")


@dataclass(frozen=True)
class Finding:
    """One file of a run folder.

    Attributes
    ----------
    name : str
    state : str
        ``whole``, ``damaged``, ``missing``; ``unfinished`` for a block in training; ``left over`` from a killed
        process; ``foreign``; ``not checked`` for what is written for people and never read again.
    remedy : str
        What makes it whole; empty where nothing has to be done.
    """

    name: str
    state: State
    remedy: str = ""


def check(path: str | Path) -> list[Finding]:
    """Compare every file of a run with its checksum. Only the manifest has to be readable.

    Raises
    ------
    UserError
        If the folder is missing or its manifest is damaged, which nothing can make again.
    """
    path = Path(path)
    require(path.is_dir(), f"there is no run folder {str(path)!r}")
    manifest = read_manifest(inside(path / "manifest.json"))
    return [
        _compared(path, "config.toml", manifest.config_sha256, f"{_RESUMED}, from the same settings"),
        _compared(path, "reference.safetensors", manifest.reference_sha256, f"{_RESUMED}, from the same data"),
        *(finding for entry in manifest.blocks for finding in _of_block(path, manifest, entry)),
        *_of_results(path, manifest),
        *(Finding(name, "not checked") for name in _FOR_PEOPLE if (path / name).exists()),
        *_left_over(path),
        *_of_no_block(path, manifest),
        *(Finding(name, "foreign", "no command put it there: move it away") for name in foreign(path)),
    ]


def _compared(path: Path, name: str, expected: str | None, remedy: str) -> Finding:
    file = path / name
    if file.is_symlink():
        return Finding(name, "damaged", f"it is a link: delete it, then {remedy}")
    if not file.is_file():
        return Finding(name, "missing", remedy)
    return Finding(name, "whole") if sha256_of(file) == expected else Finding(name, "damaged", remedy)


def _of_block(path: Path, manifest: Manifest, entry: BlockEntry) -> Iterator[Finding]:
    stem = f"weights/{entry.stem}"
    if entry.state == "done":
        yield _compared(path, f"{stem}.safetensors", entry.sha256, f"{_RESUMED} trains it again")
    else:
        yield Finding(f"{stem}.safetensors", "unfinished", _RESUMED)
    for ending, found in (("partial", "its block from the start"), ("state", "the blocks before it")):
        name = f"{stem}.{ending}"
        if (path / name).exists():
            try:
                read_sealed(inside(path / name), manifest.identity)
                yield Finding(name, "whole")
            except UserError:
                yield Finding(name, "damaged", f"{_RESUMED} trains {found}")


def _of_results(path: Path, manifest: Manifest) -> Iterator[Finding]:
    for name in RESULTS:
        by = _BY.get(name, "`undiffuse evaluate RUN`")
        if name in manifest.results:
            yield _compared(path, name, manifest.results[name], f"{by} makes it again")
        elif (path / name).exists():
            yield Finding(name, "left over", f"not in the manifest, so not used; {by} makes it again")


def _of_no_block(path: Path, manifest: Manifest) -> Iterator[Finding]:
    stems = {entry.stem for entry in manifest.blocks}
    for each in sorted((path / "weights").glob("block-*")):
        if each.stem not in stems:
            yield Finding(f"weights/{each.name}", "foreign", "it belongs to no block of this run: move it away")


def _left_over(path: Path) -> Iterator[Finding]:
    remedy = "the next training or evaluation removes it"
    of_training = () if is_held(path) else (SCRATCH, PROGRESS)
    for pattern in (f".*{UNFINISHED}", f"weights/.*{UNFINISHED}", *of_training):
        for each in sorted(path.glob(pattern)):
            yield Finding(str(each.relative_to(path)), "left over", remedy)
    for ending in ("new", "old"):
        for each in siblings(path, ending):
            yield Finding(f"../{each.name}", "left over", remedy)
