"""The figure of simplicity against quality: a column for each setting, errors above, distances of samples below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from undiffuse.figures.style import DATA, EMPIRICAL, GAUSSIAN, GREY, MODEL, panels, styled, ticks_at_round_numbers

_LABELS = {
    "hidden": "hidden units $M$",
    "T": "diffusion times $T$",
    "passes": "passes over the data at each time",
    "n": "training points $n$",
}
_EXACT = {
    "law": ("law of the data, exact: the floor", DATA),
    "empirical": ("training points, exact: no floor", EMPIRICAL),
}


class Measured(Protocol):
    """One value of a setting, with what was measured there; errors are standard errors."""

    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def xi_error(self) -> float: ...  # noqa: D102
    @property
    def xi_error_stderr(self) -> float: ...  # noqa: D102
    @property
    def gaussian(self) -> float: ...  # noqa: D102
    @property
    def exact(self) -> float: ...  # noqa: D102
    @property
    def distance(self) -> float: ...  # noqa: D102
    @property
    def distance_stderr(self) -> float: ...  # noqa: D102
    @property
    def gaussian_distance(self) -> float: ...  # noqa: D102


@styled
def simplicity(columns: Mapping[str, Sequence[Measured]], exact: str, metric: str) -> Figure:
    """Held-out xi-error with the errors of exact denoisers, and distance of samples over its floor, for each setting.

    Parameters
    ----------
    columns : dict of sequences of points
        By setting (``hidden``, ``T``, ``passes``, ``n``), in increasing order.
    exact : {"law", "empirical"}
        Whose errors the points' ``exact`` are.
    metric : str
        Name of the distance.
    """
    figure, axes = panels(2, len(columns), 2.75 * len(columns) + 0.4, 5.2)
    name, colour = _EXACT[exact]
    for k, (setting, points) in enumerate(columns.items()):
        above, below = axes[:, k]
        x = [point.value for point in points]
        above.plot(x, [point.gaussian for point in points], color=GAUSSIAN, ls="--", label="Gaussian, exact")
        above.plot(x, [point.exact for point in points], color=colour, ls=":", label=name)
        _points(above, x, [p.xi_error for p in points], [p.xi_error_stderr for p in points])
        below.axhline(1, color=GREY, lw=0.8)
        below.plot(x, [point.gaussian_distance for point in points], color=GAUSSIAN, ls="--")
        _points(below, x, [p.distance for p in points], [p.distance_stderr for p in points])
        for axis in (above, below):
            axis.set(xscale="log")
            axis.set_xticks(x, [f"{value:.3g}" if value < 1000 else f"{value:.0f}" for value in x])
            axis.minorticks_off()
        # Memory errs several times as much on held-out points as the others do.
        for axis in (above, below) if exact == "empirical" else (below,):
            axis.set_yscale("log")
            ticks_at_round_numbers(axis.yaxis)
            axis.yaxis.set_minor_formatter(NullFormatter())
        below.set_xlabel(_LABELS[setting])
    for row, words in enumerate(("held-out $\\xi$-error,\nmean over times", f"{metric}\nof samples over its floor")):
        axes[row, 0].set_ylabel(words)
        lows, highs = zip(*(axis.get_ylim() for axis in axes[row]), strict=True)
        for axis in axes[row]:
            axis.set_ylim(min(lows), max(highs))
    lines, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside upper center", ncols=1 if len(columns) == 1 else 3, fontsize=8)
    return figure


def _points(axis: Axes, x: Sequence[float], values: Sequence[float], errors: Sequence[float]) -> None:
    axis.errorbar(x, values, errors, color=MODEL, fmt="o-", ms=4, lw=1, capsize=2, label="bank")
