"""Figures of the physics: potentials, symmetry breaking, Langevin dynamics, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from undiffuse.figures.style import DATA, GAUSSIAN, GREY, MODEL, panels, styled
from undiffuse.support.arrays import Floats

if TYPE_CHECKING:
    from undiffuse.physics.breaking import Breaking
    from undiffuse.physics.scaling import Scaling

_SHADES = mpl.colormaps["viridis"]


@styled
def potentials(
    mu: Floats,
    general: Mapping[float, Floats],
    at_large_time: Mapping[float, Floats],
    limits: Mapping[str, tuple[float, Floats]],
) -> Figure:
    """Figure 11: the reverse potential of mu at several OU times with (28) dashed, and its two limits.

    Parameters
    ----------
    mu : (k,)
        Values of the collective coordinate.
    general, at_large_time : dict of (k,) arrays
        Potential at each OU time, and (28) at the same times.
    limits : dict of (float, (k,) array)
        OU time and potential of each limit, by name.
    """
    figure, axes = panels(1, 2, 8.6, 3.4)
    left, right = axes[0]
    for colour, (tau, V) in zip(_SHADES(np.linspace(0, 0.85, len(general))), general.items(), strict=True):
        left.plot(mu, V - V.min(), color=colour, label=f"$\\tau = {tau:.2f}$")
        left.plot(mu, at_large_time[tau] - at_large_time[tau].min(), color=colour, lw=1, ls=":")
    left.set(
        title="reverse potential; dotted: its limit (28)",
        xlabel="$\\mu = \\sum_i x_i/\\sqrt{N}$",
        ylabel="$V - \\min V$",
    )
    left.set_ylim(0, 1.6 * (next(iter(general.values()))[len(mu) // 2] - next(iter(general.values())).min()))
    left.legend(fontsize=8, loc="upper center", ncols=2)
    for colour, (name, (tau, V)) in zip((MODEL, GAUSSIAN), limits.items(), strict=True):
        right.plot(mu, V - V.min(), color=colour, label=f"{name}, $\\tau = {tau:.2f}$")
    right.set(title="the two limits (thesis, Figure 11)", xlabel="$\\mu$", ylabel="$V - \\min V$")
    right.legend(fontsize=8)
    return figure


@styled
def breaking(results: Sequence[Breaking], theory: Sequence[Mapping[str, Floats]]) -> Figure:
    """Binder cumulant and cloning probability against tau and against the scaling variable, theory under points.

    ``theory[i]`` holds ``tau``, ``scaling``, ``binder`` and ``cloning`` of the infinite system for ``results[i]``.
    """
    figure, axes = panels(2, 2, 8.6, 6.2)
    colours = _SHADES(np.linspace(0.05, 0.8, len(results)))
    for colour, result, smooth in zip(colours, results, theory, strict=True):
        for column, x in enumerate(("tau", "scaling")):
            at = getattr(result, x)
            for row, name in enumerate(("binder", "cloning")):
                axis, curve = axes[row, column], getattr(result, name)
                axis.plot(smooth[x], smooth[name], color=colour, lw=1)
                axis.plot(at, curve.exact, color=colour, ls="", marker="_", ms=9)
                axis.errorbar(
                    at,
                    curve.value,
                    2 * np.array(curve.stderr),
                    color=colour,
                    fmt="o",
                    ms=3,
                    lw=1,
                    label=f"$N = {result.N}$",
                )
            turn = result.uturn
            axes[1, column].errorbar(
                at, turn.value, 2 * np.array(turn.stderr), color=colour, fmt="s", ms=4, lw=1, mfc="none"
            )
    for axis in axes[0]:
        axis.set(ylabel="Binder cumulant of $\\mu_\\tau$")
    for axis in axes[1]:
        axis.set(ylabel="end in the same state")
        axis.axhline(0.5, color=GREY, lw=0.6)
    for row in axes:
        row[0].set(xlabel="OU time $\\tau$")
        row[1].set(xlabel="$\\log(N e^{-2\\tau})$", ylabel="")
        row[1].invert_xaxis()
    axes[0, 0].legend(fontsize=8)
    axes[0, 1].set(title="lines: large N; dashes: these N; bars: two standard errors")
    fits = ", ".join(f"{r.agreement.chi2:.0f}/{r.agreement.degrees}" for r in results)
    axes[0, 0].set(title=f"$\\chi^2$/dof of all points: {fits}")
    axes[1, 1].set(title="filled: two copies from one state; open: U-turns from data")
    return figure


@styled
def outcomes(results: Sequence[Breaking], laws: Sequence[tuple[Floats, Floats]]) -> Figure:
    """Magnetisation where trajectories from noise end; ``laws[i]`` are its values at equilibrium, and their weights."""
    figure, axes = panels(1, len(results), 2.9 * len(results), 2.7)
    for axis, result, (m, law) in zip(axes[0], results, laws, strict=True):
        width = 2 / result.N * max(1, result.N // 40)
        edges = np.arange(-1 - 1 / result.N, 1 + width, width)
        axis.hist(result.magnetisation, edges, density=True, color=MODEL, alpha=0.45, label="reverse trajectories")
        axis.stairs(
            np.histogram(m, edges, weights=law)[0] / np.diff(edges), edges, color=DATA, label="equilibrium (26)"
        )
        axis.set(
            title=f"$N = {result.N}$, up: {result.plus:.3f} $\\pm$ {result.plus_stderr:.3f} ({result.plus_exact:.3f})",
            xlabel="magnetisation",
        )
    axes[0, 0].set(ylabel="density")
    axes[0, 0].legend(fontsize=7)
    return figure


@styled
def scaling(found: Scaling) -> Figure:
    """Crossing times of the Binder cumulant against N, their distance to large-N theory, and the collapse."""
    figure, axes = panels(1, 3, 10.2, 3.3)
    left, middle, right = axes[0]
    N, tau, bars = np.array(found.N), np.array(found.tau), 2 * np.array(found.stderr)
    exact, theory, walked = np.array(found.exact), np.array(found.theory), np.array(found.walked)
    base = theory[-1] + 0.5 * np.log(N / N[-1])
    for axis, shift in ((left, 0.0), (middle, base)):
        axis.plot(N, theory - shift, color=GREY, lw=1, label="large-N theory")
        axis.plot(N, exact - shift, color=DATA, ls="", marker="_", ms=10, label="exact law of N spins")
        for where, colour, fill, label in (
            (walked, MODEL, MODEL, "reverse walks"),
            (~walked, GAUSSIAN, "none", "exact draws"),
        ):
            if where.any():
                y = (tau - shift)[where]
                axis.errorbar(N[where], y, bars[where], color=colour, fmt="o", ms=4, lw=1, mfc=fill, label=label)
        axis.set(xscale="log", xlabel="$N$")
    middle.axhline(0, color=GREY, lw=0.6, ls=":")
    left.set(
        ylabel=f"$\\tau$ where the cumulant is {found.level:.3f}",
        title=f"slope {found.slope.slope:.3f} $\\pm$ {found.slope.stderr:.3f} (theory 1/2)",
    )
    middle.set(
        ylabel="$\\tau - \\frac{1}{2}\\log N$ + const", title="corrections to scaling; bars: two standard errors"
    )
    colours = _SHADES(np.linspace(0.05, 0.9, len(N)))
    right.plot(found.variable, found.limit, color=GREY, lw=1, label="limit")
    for colour, size, curve, its, errors in zip(
        colours, found.N, found.curves, found.exact_curves, found.curve_stderr, strict=True
    ):
        right.errorbar(
            found.variable, curve, 2 * np.array(errors), color=colour, fmt="o", ms=2.5, lw=0.8, label=f"{size}"
        )
        right.plot(found.variable, its, color=colour, ls="", marker="_", ms=8)
    fit = found.collapse
    right.set(
        xlabel="$\\log(N e^{-2\\tau})$",
        ylabel="Binder cumulant",
        title=f"collapse: $\\chi^2$/dof {fit.chi2:.0f}/{fit.degrees}, $p$ = {fit.p_value:.3f}",
    )
    right.invert_xaxis()
    left.legend(fontsize=7)
    right.legend(fontsize=6, ncols=2, loc="upper right")
    return figure


@styled
def langevin(
    panels_of: Mapping[str, Sequence[tuple[float, Floats]]], grid: Floats, densities: Mapping[str, Sequence[Floats]]
) -> Figure:
    """Histograms of walkers at several OU times with Fokker-Planck's densities over them, a row for each direction.

    ``panels_of[row]`` lists ``(tau, walkers)``; ``densities[row]`` the densities on ``grid`` at the same times.
    """
    rows = list(panels_of)
    columns = len(panels_of[rows[0]])
    figure, axes = panels(len(rows), columns, 2.1 * columns, 2.1 * len(rows))
    for row, name in zip(axes, rows, strict=True):
        for axis, (tau, x), density in zip(row, panels_of[name], densities[name], strict=True):
            axis.hist(x, np.linspace(grid[0], grid[-1], 90), density=True, color=GREY, alpha=0.6)
            axis.plot(grid, density, color=MODEL)
            axis.set(title=f"$\\tau = {tau:.2f}$", xlabel="$x$", yticks=[])
        row[0].set(ylabel=name)
    return figure
