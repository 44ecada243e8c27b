"""``undiffuse data fetch``: download a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from cyclopts import Parameter

from undiffuse import datasets
from undiffuse.support import results
from undiffuse.support.errors import one_of
from undiffuse.support.progress import OnProgress, silent


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What to download, and where to.

    Attributes
    ----------
    name : str
        The only one is mnist.
    out : path, optional
        Folder to put it in; the user's cache by default, where presets look for it.
    """

    name: str = "mnist"
    _: KW_ONLY
    out: Path | None = None


@dataclass(frozen=True)
class Result(results.Result):
    """Where the data are, and where each file came from."""

    folder: str
    files: Mapping[str, str]


def run(settings: Settings, on_progress: OnProgress = silent) -> Result:
    """Download MNIST, all ten digits, about 11 MB.

    Raises
    ------
    UserError
        If there is no such data set, pooch is not installed, or no mirror gives the right file.
    """
    one_of("data set", settings.name, ["mnist"])
    came_from: dict[str, str] = {}
    folder = datasets.fetch(settings.out, on_file=came_from.__setitem__)
    return Result(str(folder), came_from)
