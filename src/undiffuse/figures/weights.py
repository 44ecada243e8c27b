"""Figures of a bank's weights and potentials along diffusion time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from undiffuse.figures.style import DATA, EMPIRICAL, GAUSSIAN, GREY, MODEL, panels, styled
from undiffuse.support.arrays import Floats

if TYPE_CHECKING:
    from undiffuse.physics.transitions import Curve
    from undiffuse.physics.weights import Row, Spectrum

_SHOWN = (
    ("Frobenius norms", (("norm_W", "W", MODEL), ("norm_A", "A", GAUSSIAN), ("norm_AW", "AW", DATA)), True),
    ("effective ranks", (("rank_W", "W", MODEL), ("rank_A", "A", GAUSSIAN), ("rank_AW", "AW", DATA)), False),
    ("encoder against decoder", (("cosine", "mean cosine", MODEL), ("cosine_spread", "its spread", GREY)), False),
    ("hidden units", (("active", "share active", MODEL), ("dead", "never active", GREY)), False),
    (
        "Jacobian of $\\hat\\xi$, times the noise",
        (("lowest", "lowest eigenvalue", MODEL), ("lowest_between", "between the classes", EMPIRICAL)),
        False,
    ),
    ("no gradient", (("asymmetry", "$|J-J^T|/|J+J^T|$", MODEL), ("circulation", "circulation", GREY)), False),
    ("subspace of $AW$", (("overlap_next", "overlap with $t+1$", MODEL),), False),
    ("subspace of $AW$", (("overlap_data", "overlap with leading components", EMPIRICAL),), False),
)


@styled
def weights_along_time(rows: Sequence[Row], speciation: float) -> Figure:
    """Eight panels of the networks in numbers against OU time; lines mark speciation and changes of architecture."""
    figure, axes = panels(2, 4, 12.0, 5.4)
    tau = np.array([row.tau for row in rows])
    seams = [float((a.tau + b.tau) / 2) for a, b in pairwise(rows) if a.seam]
    for axis, (title, curves, logarithmic) in zip(axes.flat, _SHOWN, strict=True):
        for name, label, colour in curves:
            axis.plot(tau, [getattr(row, name) for row in rows], color=colour, marker=".", ms=3, lw=1, label=label)
        for seam in seams:
            axis.axvline(seam, color=GREY, lw=0.6, alpha=0.6)
        if not np.isnan(speciation):
            axis.axvline(speciation, color=DATA, lw=1, ls=":")
        axis.set(title=title, xlabel="OU time $\\tau$", xscale="log")
        if logarithmic:
            axis.set(yscale="log")
        axis.margins(y=0.2)  # room for the legend
        axis.legend(fontsize=7, frameon=True, framealpha=0.8, edgecolor="none")
    return figure


@styled
def spectra(found: Sequence[Spectrum], taus: Sequence[float], shown: int = 10) -> Figure:
    """Leading singular values of W, A and A W against OU time."""
    figure, axes = panels(1, 3, 9.6, 3.0)
    for axis, name in zip(axes[0], ("W", "A", "AW"), strict=True):
        count = min(shown, min(len(getattr(s, name)) for s in found))
        values = np.array([getattr(s, name)[:count] for s in found])
        for k in range(count):
            axis.plot(taus, values[:, k], color=MODEL, lw=1, alpha=1 - 0.8 * k / count)
        axis.set(title=f"${name}$, {count} leading", xlabel="OU time $\\tau$", xscale="log", yscale="log")
    axes[0, 0].set(ylabel="singular value")
    return figure


@styled
def score_differences(curves: Mapping[str, Curve]) -> Figure:
    """Root mean square difference of the bank's score to the exact one, along and across the line of class means."""
    figure, axes = panels(1, 1, 5.6, 3.2)
    axis = axes[0, 0]
    for (name, curve), colour in zip(curves.items(), (MODEL, GREY), strict=True):
        tau, value, band = (np.array(a) for a in (curve.tau, curve.value, curve.stderr))
        axis.plot(tau, value, color=colour, marker=".", label=f"{name} the line of class means")
        axis.fill_between(tau, value - 2 * band, value + 2 * band, color=colour, alpha=0.2, lw=0)
    axis.set(xlabel="OU time $\\tau$", ylabel="rms difference of $\\hat\\xi$ per dimension", xscale="log", yscale="log")
    axis.legend(fontsize=8)
    return figure


@styled
def line_potentials(position: Floats, found: Sequence[tuple[float, Mapping[str, Floats]]]) -> Figure:
    """Potentials along the line of class means at several times; ``position`` is -1 and 1 at the means."""
    figure, axes = panels(1, len(found), 2.4 * len(found), 2.9)
    for axis, (tau, curves) in zip(axes[0], found, strict=True):
        for (name, V), (colour, style) in zip(curves.items(), ((MODEL, "-"), (EMPIRICAL, "--")), strict=True):
            axis.plot(position, V - V.min(), color=colour, ls=style, label=name)
        axis.set(title=f"$\\tau = {tau:.2f}$", xlabel="along the class means")
        axis.set_ylim(bottom=0)
    axes[0, 0].set(ylabel="potential (nats)")
    axes[0, 0].legend(fontsize=7)
    return figure


@styled
def plane_potentials(position: Floats, found: Sequence[tuple[float, Mapping[str, Floats]]]) -> Figure:
    """Potentials in a plane at several times, a row for each denoiser; ``position`` in standard deviations of x_t."""
    names = list(found[0][1])
    figure, axes = panels(len(names), len(found), 2.5 * len(found), 2.5 * len(names))
    levels = np.arange(0, 10.5, 1.0)
    for column, (tau, potentials) in enumerate(found):
        for row, name in enumerate(names):
            axis, V = axes[row, column], potentials[name]
            axis.contourf(position, position, V - V.min(), levels, cmap="viridis", extend="max")
            axis.contour(position, position, V - V.min(), levels, colors="white", linewidths=0.4)
            axis.set_aspect("equal")
            if row == 0:
                axis.set(title=f"$\\tau = {tau:.2f}$")
            if row == len(names) - 1:
                axis.set(xlabel="first component (sd)")
    for row, name in enumerate(names):
        axes[row, 0].set(ylabel=f"{name}\nsecond (sd)")
    return figure
