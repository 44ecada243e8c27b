"""Write a result and its figures into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from undiffuse.support.errors import require
from undiffuse.support.files import check_folder, make_folder, write_json
from undiffuse.support.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Kept(Result):
    """A result whose figures may have been written into a folder.

    Attributes
    ----------
    figures : tuple of str, optional
        Paths of the figures made; none without ``out``.
    """

    figures: tuple[str, ...] | None = None


Found = TypeVar("Found", bound=Kept)


def prepare(out: Path | None) -> None:
    """Make sure that :func:`keep` can write into a folder, before the work is done; UserError if it cannot."""
    if out is not None:
        check_folder(out)
        require(not (out / "manifest.json").exists(), f"{out} is a run folder: choose another --out")


def keep(out: Path, result: Found, drawn: Mapping[str, Figure]) -> Found:
    """Write figures and ``summary.json`` into a folder, and name the figures in the result."""
    make_folder(out)
    kept = replace(result, figures=tuple(str(path) for path in save_all(out, drawn)))
    write_json(out / "summary.json", kept.as_dict(), overwrite=True)
    return kept


def save_all(out: Path, drawn: Mapping[str, Figure], dpi: int = 150) -> list[Path]:
    """Write figures as PNG files named after their keys."""
    from undiffuse.figures import save

    return [save(figure, out / f"{name}.png", dpi=dpi) for name, figure in drawn.items()]
