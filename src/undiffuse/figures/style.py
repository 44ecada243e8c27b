"""One style for all figures."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from undiffuse.support.files import write_file

DATA, MODEL, GAUSSIAN, EMPIRICAL, GREY = "#4a4a4a", "#c1272d", "#0072b2", "#009e73", "#9a9a9a"
_ON_A_PAGE = 100  # dots per inch
P = ParamSpec("P")
_SETTINGS: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "mathtext.fontset": "cm",
}


class Drawing(Figure):
    """A figure that a notebook shows by itself, whether or not pyplot has been loaded there."""

    def _repr_png_(self) -> bytes:
        return _png(self, _ON_A_PAGE)


def styled(make: Callable[P, Figure]) -> Callable[P, Figure]:
    """Give a figure function the common style while it draws."""

    @wraps(make)
    def draw(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_SETTINGS):
            return make(*args, **kwargs)

    return draw


def canvas(width: float, height: float) -> Figure:
    """Make an empty figure of a size in inches."""
    figure = Drawing(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.07, h_pad=0.07)  # type: ignore[union-attr,call-arg]
    return figure


def panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, NDArray[Any]]:
    """Make a figure of ``rows x columns`` axes; they come as a 2-D array.

    Parameters
    ----------
    rows, columns : int
    width, height : float
        Of the figure, in inches.
    """
    figure = canvas(width, height)
    return figure, np.asarray(figure.subplots(rows, columns, squeeze=False))


def ticks_at_round_numbers(axis: Axis) -> None:
    """Put the ticks of a logarithmic axis at 1, 2 and 5 times powers of ten, written out."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")


def cloud(axes: Axes, x: NDArray[np.floating], colour: str) -> None:
    """Scatter of points in the plane."""
    axes.scatter(x[:, 0], x[:, 1], s=2.0, c=colour, alpha=0.55, linewidths=0, rasterized=True)
    axes.set_aspect("equal")


def save(figure: Figure, path: Path, dpi: int = 150) -> Path:
    """Write a figure as PNG, atomically."""
    return write_file(path, _png(figure, dpi))


def _png(figure: Figure, dpi: int) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context(_SETTINGS):
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def plain(name: str) -> str:
    """Return a name of the user's as one that is no formula, with bytes that are not UTF-8 as such."""
    return name.encode("utf-8", "backslashreplace").decode().replace("$", r"\$")
