"""Figures of tables: every column, and every pair of columns, of data and of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from undiffuse.figures.style import DATA, MODEL, panels, styled
from undiffuse.support.arrays import Floats

_BINS = 40
_COLOURS = 10  # classes that are told apart by colour
_LONGEST = 18  # characters of a column's name


@dataclass(frozen=True)
class Cloud:
    """Rows to be drawn, each perhaps of a class.

    Attributes
    ----------
    title : str
    x : (n, columns)
    classes : (n,) array of int, optional
    """

    title: str
    x: Floats
    classes: NDArray[np.integer] | None = None


@styled
def columns_and_pairs(data: Cloud, samples: Cloud, names: Sequence[str], classes: Sequence[str] = ()) -> Figure:
    """Histograms of each column on the diagonal; pairs of the data below it, and the same pairs of samples above.

    Parameters
    ----------
    data, samples : Cloud
        Of the same columns.
    names : sequence of str
        Of the columns.
    classes : sequence of str
        Names of the classes 0, 1, ..., where the rows have any.
    """
    count = len(names)
    side = max(4.6 if count == 1 else 2.6, 2.1 - 0.1 * count) * count if count < 3 else 1.75 * count
    figure, axes = panels(count, count, side, max(3.0, 0.92 * side))
    limits = [_range(data.x[:, i], samples.x[:, i]) for i in range(count)]
    for i in range(count):
        for j in range(count):
            axis = axes[i, j]
            axis.tick_params(labelsize=7, labelbottom=i == count - 1, labelleft=i > j == 0)
            if i == j:
                _histograms(axis, data, samples, i, limits[i])
            else:
                # Pairs of samples stand the same way round as those of the data, though across the diagonal.
                x, y = min(i, j), max(i, j)
                _scatter(axis, data if i > j else samples, (x, y), DATA if i > j else MODEL)
                axis.set(xlim=limits[x], ylim=limits[y])
            if i < j:
                axis.set(xticks=[], yticks=[])
            if i == count - 1:
                axis.set_xlabel(_short(names[j]))
            if i > j == 0:
                axis.set_ylabel(_short(names[i]))
    _legend(figure, axes[0, 0], (data, samples), classes)
    return figure


def _histograms(axis: Axes, data: Cloud, samples: Cloud, column: int, limits: tuple[float, float]) -> None:
    bins = np.linspace(*limits, _bins(data.x[:, column], limits)).tolist()
    axis.hist(data.x[:, column], bins=bins, density=True, color=DATA, alpha=0.45, label=data.title)
    axis.hist(samples.x[:, column], bins=bins, density=True, color=MODEL, histtype="step", lw=1.2, label=samples.title)
    axis.set(xlim=limits, yticks=[])


def _bins(values: Floats, limits: tuple[float, float]) -> int:
    """Number of edges: one bin for each whole number where there are few of them."""
    if (values == np.rint(values)).all() and limits[1] - limits[0] <= 2 * _BINS:
        return round(limits[1] - limits[0]) + 1
    return _BINS + 1


def _range(one: Floats, other: Floats) -> tuple[float, float]:
    """Range of the data, and of all but the outermost samples, with a margin."""
    low = min(float(one.min()), float(np.quantile(other, 0.005)))
    high = max(float(one.max()), float(np.quantile(other, 0.995)))
    if (one == np.rint(one)).all() and (other == np.rint(other)).all():
        return np.floor(low) - 0.5, np.ceil(high) + 0.5
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _scatter(axis: Axes, cloud: Cloud, columns: tuple[int, int], colour: str) -> None:
    x, y = (cloud.x[:, column] for column in columns)
    colours = colour if cloud.classes is None else colormaps["tab10"](cloud.classes % _COLOURS)
    axis.scatter(x, y, s=3.0, c=colours, alpha=0.5, linewidths=0, rasterized=True)


def _legend(figure: Figure, first: Axes, clouds: Sequence[Cloud], classes: Sequence[str]) -> None:
    handles, titles = first.get_legend_handles_labels()
    if any(cloud.classes is not None for cloud in clouds):
        for k, name in enumerate(classes[:_COLOURS]):
            handles.append(first.scatter([], [], s=12, color=colormaps["tab10"](k)))
            titles.append(_short(name))
    figure.legend(handles, titles, loc="outside upper center", ncols=min(len(titles), 6), fontsize=8)


def _short(name: str) -> str:
    text = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    return text.replace("$", r"\$")
