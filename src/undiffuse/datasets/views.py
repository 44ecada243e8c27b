"""How rows of data are looked at: a histogram of one column, points of two, images, or the first principal axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.memory import check_memory
from undiffuse.support.stats import PrincipalAxes

Kind = Literal["histogram", "points", "images", "curves"]
Range = tuple[float, float]
_SMALLEST_SIDE = 4  # pixels of what is taken for an image because its number of columns is a square
_IMAGES = 400  # at most, of a view
_LARGEST = 1e150
_ROWS = 20_000  # that principal axes are found from
_TAIL = 0.002  # share of the rows that may lie outside a view on either side


@dataclass(frozen=True)
class View:
    """One panel of a picture.

    Attributes
    ----------
    title : str
    kind : {"histogram", "points", "images", "curves"}
    x : array
        A histogram's values ``(n,)``; points ``(n, 2)``; images ``(n, pixels)``; curves ``(times, 1 + curves)``, times
        first.
    names : tuple of str
        Of the axes; of curves, that of the times and then those of the curves.
    limits : tuple of (float, float)
        Range shown along each axis; of images, the range of grey.
    shape : (rows, columns), optional
        Of images.
    """

    title: str
    kind: Kind
    x: Floats
    names: tuple[str, ...]
    limits: tuple[Range, ...]
    shape: tuple[int, int] | None = None


@dataclass(frozen=True)
class Look:
    """What sets of rows look like, side by side, and in words how they are shown."""

    views: tuple[View, ...]
    words: str


def look(
    sets: Mapping[str, Floats],
    shape: tuple[int, int] | None = None,
    names: Sequence[str] = (),
    square: bool = True,
) -> Look:
    """Choose how to show sets of rows of the same columns, all of them in the same ranges and axes.

    Parameters
    ----------
    sets : dict of (n, columns) arrays
        By their titles; the first says what the axes and ranges are. Rows with missing values are left out.
    shape : (rows, columns), optional
        Of images.
    names : sequence of str
        Of the columns.
    square : bool
        Whether a square number of columns is taken for an image.

    Raises
    ------
    UserError
        If there is no row without missing values, numbers are too large to be squared, or sets have different columns.
    """
    whole = {title: x[~np.isnan(x).any(axis=1)] for title, x in sets.items()}
    first = next(iter(whole.values()))
    dim = first.shape[1]
    for title, x in whole.items():
        require(x.size > 0, f"{title}: every row has a missing value")
        largest = float(np.abs(x).max())
        require(
            largest < _LARGEST, f"{title} holds numbers up to {largest:.3g}, whose squares are infinite: divide them"
        )
        require(x.shape[1] == dim, f"{title} has {x.shape[1]} columns, wanted {dim}")
    side = math.isqrt(dim)
    if shape is None and square and not names and side >= _SMALLEST_SIDE and side * side == dim:
        shape = (side, side)
    if shape is not None:
        grey = (float(first.min()), float(first.max()))
        views = [View(title, "images", x[:_IMAGES], (), (grey,), shape) for title, x in whole.items()]
        return Look(tuple(views), f"images of {shape[0]} x {shape[1]} pixels")
    if dim == 1:
        name = names[0] if names else "x1"
        range_ = _range([x[:, 0] for x in whole.values()])
        return Look(
            tuple(View(title, "histogram", x[:, 0], (name,), (range_,)) for title, x in whole.items()),
            "a histogram of one column",
        )
    words, axes = "points of two columns", tuple(names) or ("x1", "x2")
    if dim > 2:
        whole, words = _in_principal_axes(whole)
        axes = ("axis 1", "axis 2")
    limits = tuple(_range([x[:, k] for x in whole.values()]) for k in (0, 1))
    if dim == 2 and not names:
        limits = _of_one_scale(limits)
    return Look(tuple(View(title, "points", x, axes, limits) for title, x in whole.items()), words)


def _in_principal_axes(sets: Mapping[str, Floats]) -> tuple[dict[str, Floats], str]:
    """Sets along the two first principal axes of the first one, whose columns are given variance 1 before."""
    first = next(iter(sets.values()))[:_ROWS]
    dim = first.shape[1]
    check_memory(4 * 8 * dim * dim, f"principal axes of {dim} columns")
    centre, scale = first.mean(axis=0), first.std(axis=0)
    scale[scale == 0] = 1.0
    _, variances, axes = PrincipalAxes.of((first - centre) / scale)
    share = variances[:2].sum() / max(float(variances.sum()), 1e-300)
    turned = {title: ((x - centre) / scale) @ axes[:, :2] for title, x in sets.items()}
    return turned, f"the two first principal axes of {dim} standardised columns, {100 * share:.0f} % of their variance"


def _of_one_scale(limits: tuple[Range, ...]) -> tuple[Range, ...]:
    """Ranges of the same length, each about the middle it has: a circle is shown as one."""
    half = max(high - low for low, high in limits) / 2
    return tuple(((low + high) / 2 - half, (low + high) / 2 + half) for low, high in limits)


def _range(columns: Sequence[Floats]) -> Range:
    """Range of nearly all the values of the first, and of the others as far as they go beyond it by a fifth."""
    first, *others = [tuple(np.quantile(x, (_TAIL, 1 - _TAIL)).tolist()) for x in columns]
    low, high = first
    room = 0.2 * (high - low)
    for other in others:
        low, high = min(low, max(other[0], first[0] - room)), max(high, min(other[1], first[1] + room))
    margin = 0.03 * (high - low) or 0.5 * max(1.0, abs(low))
    return low - margin, high + margin
