"""Views of data side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undiffuse.datasets.views import View
from undiffuse.figures.images import Pixels, draw_sheet, image_grid
from undiffuse.figures.style import DATA, MODEL, panels, plain, styled

_BINS = 60
_COLUMNS = 10  # of a sheet of images


def side_by_side(views: Sequence[View]) -> Figure:
    """Views of one kind: the first in the data's colour, the others in the model's."""
    if (shape := views[0].shape) is not None:
        ((low, high),) = views[0].limits
        return image_grid([(view.title, view.x[:100]) for view in views], Pixels(shape, low, high))
    return _axes(views)


@styled
def _axes(views: Sequence[View]) -> Figure:
    wide = views[0].kind == "curves"
    figure, axes = panels(1, len(views), (6.4 if wide else 3.4) * len(views), 3.6)
    for axis, view, colour in zip(axes[0], views, [DATA, *[MODEL] * len(views)], strict=False):
        draw_view(axis, view, colour)
    return figure


def draw_view(axis: Axes, view: View, colour: str) -> None:
    """Draw one view with its title; of images, the first hundred."""
    axis.set(title=plain(view.title))
    if view.shape is not None:
        ((low, high),) = view.limits
        draw_sheet(axis, view.x[: _COLUMNS**2], Pixels(view.shape, low, high), _COLUMNS, _COLUMNS)
        return
    axis.set(xlabel=plain(view.names[0]), xlim=view.limits[0])
    axis.locator_params(axis="x", nbins=5)
    if view.kind == "histogram":
        axis.hist(view.x, bins=np.linspace(*view.limits[0], _BINS + 1).tolist(), density=True, color=colour, alpha=0.75)
        axis.set(yticks=[])
    elif view.kind == "points":
        axis.scatter(view.x[:, 0], view.x[:, 1], s=2.0, c=colour, alpha=0.55, linewidths=0, rasterized=True)
        axis.set(ylim=view.limits[1], ylabel=plain(view.names[1]))
    else:
        for values, name in zip(view.x.T[1:], view.names[1:], strict=True):
            axis.plot(view.x[:, 0], values, lw=0.8, label=name)
        axis.set(yscale="log")
        axis.legend(fontsize=8)
