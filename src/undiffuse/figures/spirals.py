"""Figures of the two-dimensional experiments: the thesis's 1a, 2a and 5, and reverse trajectories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from undiffuse.figures.style import DATA, GREY, MODEL, cloud, panels, plain, styled
from undiffuse.support.arrays import Floats
from undiffuse.support.stats import normal_density


@styled
def process(states: Sequence[tuple[int, Floats]], forward: bool = True) -> Figure:
    """One cloud for each ``(t, x_t)``, left to right: Figure 1a, or a reverse trajectory with ``forward=False``."""
    figure, axes = panels(1, len(states), 1.75 * len(states), 2.35)
    limit = 1.08 * max(float(np.quantile(np.abs(x), 0.999)) for _, x in states)
    for axis, (t, x) in zip(axes[0], states, strict=True):
        cloud(axis, x, DATA if forward else MODEL)
        axis.set(xlim=(-limit, limit), ylim=(-limit, limit), title=f"$t = {t}$", xlabel="$x_1$")
        axis.label_outer()
    axes[0, 0].set_ylabel("$x_2$")
    return figure


@styled
def histograms(before: Floats, after: Floats, noise_scale: float, T: int) -> Figure:
    """Histograms of each coordinate at t = 0 and t = T, beside ``N(0, s^2)``: Figure 2a.

    Parameters
    ----------
    before, after : (n, 2)
        Points at t = 0 and at t = T.
    noise_scale : float
        ``s``, in units of the data.
    T : int
    """
    figure, axes = panels(2, 2, 6.4, 4.2)
    for row, (x, t, colour) in enumerate([(before, 0, DATA), (after, T, MODEL)]):
        for column in range(2):
            axis = axes[row, column]
            axis.hist(x[:, column], bins=60, density=True, color=colour, alpha=0.75)
            title = f"$t = {t}$"
            if row == 1:
                grid = np.linspace(-4 * noise_scale, 4 * noise_scale, 200)
                law = normal_density(grid, 0.0, noise_scale**2)
                axis.plot(grid, law, color="black")
                title += f", beside $\\mathcal{{N}}(0, {noise_scale:g}^2)$"
            axis.set(xlabel=f"$x_{column + 1}$", ylabel="density" if column == 0 else "", title=title)
    return figure


@styled
def generated(rows: Sequence[tuple[str, Floats, Floats]]) -> Figure:
    """Data beside samples, one row for each ``(title, data, samples)``: Figure 5."""
    figure, axes = panels(len(rows), 3, 8.4, 3.2 * len(rows))
    for (title, data, samples), (left, middle, right) in zip(rows, axes, strict=True):
        cloud(left, data, DATA)
        cloud(middle, samples, MODEL)
        cloud(right, data, GREY)
        cloud(right, samples, MODEL)
        limit = 1.08 * float(np.abs(data).max())
        names = (f"{plain(title)}: data", f"{len(samples)} samples", "samples over data (grey)")
        for axis, name in zip((left, middle, right), names, strict=True):
            axis.set(xlim=(-limit, limit), ylim=(-limit, limit), title=name, xlabel="$x_1$")
            axis.label_outer()
        left.set_ylabel("$x_2$")
    return figure
