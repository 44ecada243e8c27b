"""Single frames of moving pictures: each function draws one moment, on axes that are the same at all moments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from undiffuse.figures.style import DATA, EMPIRICAL, GREY, MODEL, panels, styled
from undiffuse.support.arrays import Floats

_SIDE = 4.0  # inches of a frame
_BINS = 60


def rendered(figure: Figure, width: int) -> NDArray[np.uint8]:
    """Colours of a figure's pixels, ``(height, width, 3)``, with even numbers of both."""
    figure.set_dpi(width / figure.get_figwidth())
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]  # type: ignore[no-untyped-call]
    height, width = (size - size % 2 for size in pixels.shape[:2])
    return np.ascontiguousarray(pixels[:height, :width])


@styled
def plane_frame(
    title: str,
    x: Floats,
    limit: float,
    still: Floats | None = None,
    arrows: tuple[Floats, Floats] | None = None,
    names: tuple[str, str] = ("$x_1$", "$x_2$"),
) -> Figure:
    """Points in the plane.

    Parameters
    ----------
    title : str
    x : (n, 2)
        Points that move.
    limit : float
        Half the side of the square that is shown.
    still : (m, 2), optional
        Points beneath that do not move.
    arrows : ((k, 2), (k, 2)), optional
        Where arrows begin, and the arrows, in the same units.
    names : (str, str)
        Of the axes.
    """
    figure, axes = panels(1, 1, _SIDE, _SIDE)
    axis = axes[0, 0]
    if still is not None:
        axis.scatter(still[:, 0], still[:, 1], s=1.5, c=GREY, alpha=0.35, linewidths=0)
    axis.scatter(x[:, 0], x[:, 1], s=3, c=DATA if arrows else MODEL, alpha=0.55, linewidths=0)
    if arrows is not None:
        at, arrow = arrows
        axis.quiver(*at.T, *arrow.T, color=MODEL, angles="xy", scale_units="xy", scale=1, width=0.004)
    axis.set(xlim=(-limit, limit), ylim=(-limit, limit), title=title, aspect="equal", xlabel=names[0], ylabel=names[1])
    return figure


@styled
def line_frame(title: str, x: Floats, edges: Floats, top: float, name: str, data: Floats) -> Figure:
    """Histogram of one variable, and an outline of that of the data.

    Parameters
    ----------
    title : str
    x : (n,)
        What lies beyond the edges is not seen, and is missing in the area of the rest.
    edges : (bins + 1,)
    top : float
        Largest density shown.
    name : str
        Of the variable.
    data : (m,)
    """
    figure, axes = panels(1, 1, _SIDE, 0.75 * _SIDE)
    axes[0, 0].stairs(_density(x, edges), edges, fill=True, color=MODEL, alpha=0.75)
    axes[0, 0].stairs(_density(data, edges), edges, color=DATA, lw=0.9, label="data")
    axes[0, 0].legend(loc="upper right")
    axes[0, 0].set(xlim=(edges[0], edges[-1]), ylim=(0, top), xlabel=name, ylabel="density", title=title)
    return figure


@styled
def sheet_frame(title: str, x: Floats, shape: tuple[int, int], grey: tuple[float, float]) -> Figure:
    """Images on one sheet, as near to a square as they fill.

    Parameters
    ----------
    title : str
    x : (n, dim)
    shape : (rows, columns) of each
    grey : (white, black)
        Values of the pixels.
    """
    side = int(np.ceil(np.sqrt(len(x))))
    rows = -(-len(x) // side)
    sheet = np.full((rows * side, *shape), grey[0])
    sheet[: len(x)] = x.reshape(-1, *shape)
    mosaic = sheet.reshape(rows, side, *shape).swapaxes(1, 2).reshape(rows * shape[0], side * shape[1])
    figure, axes = panels(1, 1, _SIDE, _SIDE * rows / side + 0.3)
    axes[0, 0].imshow(mosaic, cmap="gray_r", vmin=grey[0], vmax=grey[1], interpolation="nearest")
    axes[0, 0].set(title=title, xticks=[], yticks=[])
    axes[0, 0].spines[:].set_visible(False)
    return figure


@styled
def potential_frame(title: str, position: Floats, curves: Mapping[str, Floats], top: float) -> Figure:
    """Potentials along a line.

    Parameters
    ----------
    title : str
    position : (k,)
        In units of half the distance of the class means.
    curves : mapping
        The potential of each denoiser, ``(k,)``, in nats; the bank's first.
    top : float
        Largest value shown.
    """
    figure, axes = panels(1, 1, _SIDE, 0.75 * _SIDE)
    for (name, curve), colour, style in zip(curves.items(), (MODEL, EMPIRICAL), ("-", "--"), strict=True):
        axes[0, 0].plot(position, curve, style, color=colour, label=name)
    axes[0, 0].set(xlabel="along the class means", ylabel="potential above its least, nats", title=title)
    axes[0, 0].set(xlim=(position[0], position[-1]), ylim=(-0.03 * top, top))
    axes[0, 0].legend(loc="upper center")
    return figure


@styled
def spectrum_frame(title: str, values: Floats, limits: tuple[float, float], most: int) -> Figure:
    """Singular values in order.

    Parameters
    ----------
    title : str
    values : (k,)
    limits : (low, high)
        Of the axis.
    most : int
        Number of places on the axis.
    """
    figure, axes = panels(1, 1, _SIDE, 0.75 * _SIDE)
    axes[0, 0].plot(np.arange(1, len(values) + 1), values, ".-", color=MODEL, ms=4, lw=0.8)
    axes[0, 0].set(xlabel="number", ylabel="singular value of $A W$", title=title, yscale="log")
    axes[0, 0].set(xlim=(0, most + 1), ylim=limits)
    return figure


def _density(x: Floats, edges: Floats) -> Floats:
    counts, _ = np.histogram(x, edges)
    return np.asarray(counts / (len(x) * np.diff(edges)))


def bins(limit: float, step: float = 0.0, first: float = 0.0) -> Floats:
    """Edges of the bins of a histogram over ``-limit..limit``.

    Values that lie ``step`` apart, the edge below one of which is ``first``, are as many in each bin.
    """
    if not step:
        return np.linspace(-limit, limit, _BINS + 1)
    width = step * max(1, round(2 * limit / _BINS / step))
    low, high = np.floor((-limit - first) / width), np.ceil((limit - first) / width)
    return np.asarray(first + width * np.arange(low, high + 1))
