"""The register of figures that a run may have: a name, a caption, and a function of an open run for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiffuse.studies.open_run import OpenRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class RunFigure:
    """A figure that a run may have.

    Attributes
    ----------
    name : str
        Of the file, without its ending.
    caption : str
        On the report.
    applies : callable
        Tells for an open run whether it has this figure.
    draw : callable
        Makes the figure of an open run.
    """

    name: str
    caption: str
    applies: Callable[[OpenRun], bool]
    draw: Callable[[OpenRun], Figure]


FIGURES: dict[str, RunFigure] = {}


def figure(
    name: str, caption: str, applies: Callable[[OpenRun], bool]
) -> Callable[[Callable[[OpenRun], Figure]], Callable[[OpenRun], Figure]]:
    """Register a function as a figure of runs; used as a decorator.

    Parameters
    ----------
    name : str
        Of the file, without its ending.
    caption : str
        On the report.
    applies : callable
        Tells for an open run whether it has this figure.
    """

    def enter(draw: Callable[[OpenRun], Figure]) -> Callable[[OpenRun], Figure]:
        FIGURES[name] = RunFigure(name, caption, applies, draw)
        return draw

    return enter
