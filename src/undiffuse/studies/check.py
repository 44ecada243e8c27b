"""``undiffuse check``: every file of a run folder against its checksum."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from undiffuse.runs.check import Finding, check
from undiffuse.support import results
from undiffuse.support.progress import OnProgress, silent


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What to check.

    Attributes
    ----------
    run : path
        Run folder.
    """

    run: Path


@dataclass(frozen=True)
class Result(results.Result):
    """State of every file of a run folder.

    Attributes
    ----------
    run : path
    whole : bool
        Whether nothing is damaged or missing.
    counts : dict of int
        Number of files in each state.
    files : list of Finding
        Name, state, and what makes it whole.
    """

    run: str
    whole: bool
    counts: dict[str, int]
    files: tuple[Finding, ...]


def run(settings: Settings, on_progress: OnProgress = silent) -> Result:
    """Check a run folder.

    Raises
    ------
    UserError
        If it is missing, or its manifest is damaged.
    """
    found = check(settings.run)
    counts = Counter(each.state for each in found)
    return Result(
        run=str(settings.run),
        whole=not counts["damaged"] + counts["missing"],
        counts={str(state): count for state, count in counts.items()},
        files=tuple(found),
    )
