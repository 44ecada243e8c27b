"""Figure of the cascade: transitions of principal components along diffusion time and along training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undiffuse.figures.style import GAUSSIAN, GREY, MODEL, panels, styled
from undiffuse.support.arrays import Floats

_SHADES = mpl.colormaps["viridis"]
_FILLS = {"linear": (GAUSSIAN, "s"), "relu": (MODEL, "o")}
_NAMES = {"linear": "linear units", "relu": "ReLU units"}


class Gains(NamedTuple):
    """Gains against OU time: measured ``(times, k)`` with their errors, by Jacobian, and theory ``(grid, k)``."""

    ou_time: Floats
    gain: Floats
    stderr: Floats | None
    jacobian: Floats
    grid: Floats
    theory: Floats


class Halves(NamedTuple):
    """OU times of half gain: theory ``(k,)``, and measured values ``(k,)``, NaN for what is not known, with errors."""

    theory: Floats
    regression: Floats
    jacobian: Floats
    regression_stderr: Floats | None = None
    jacobian_stderr: Floats | None = None


class ClockLines(NamedTuple):
    """Share learned ``(records, k)`` with errors and theory; steps to half ``(2, k)`` and their theory ``(k,)``."""

    share: Floats
    stderr: Floats
    theory: Floats
    half: Floats
    half_theory: Floats


@styled
def cascade(gains: Gains, halves: Halves, steps: Floats, clocks: Mapping[str, ClockLines], variances: Floats) -> Figure:
    """Gains along diffusion time and times of half gain; shares learned along SGD and steps to half.

    Parameters
    ----------
    gains : Gains
    halves : Halves
    steps : (records,)
        Steps at which shares were measured.
    clocks : dict of ClockLines
        By kind of units.
    variances : (k,)
        Of the components.
    """
    figure, axes = panels(2, 2, 8.6, 6.6)
    colours = _SHADES(np.linspace(0, 0.9, len(variances)))
    (curves, times), (learning, powers) = axes
    _gains(curves, gains)
    _halves(times, halves)
    for kind, lines in clocks.items():
        marker = _FILLS[kind][1]
        for k in sorted({0, 1, len(variances) // 2, len(variances) - 1} & {*range(len(variances))}):
            every = slice(None, None, 3)
            learning.plot(steps, lines.theory[:, k], color=colours[k], lw=1, ls="-" if kind == "linear" else "--")
            learning.plot(
                steps[every],
                lines.share[every, k],
                color=colours[k],
                ls="",
                marker=marker,
                ms=3,
                mfc=colours[k] if kind == "linear" else "none",
                label=f"{k + 1}" if kind == "linear" else None,
            )
    learning.axhline(0.5, color=GREY, lw=0.6)
    learning.set(
        xscale="log",
        xlabel="steps of SGD",
        ylabel="share of component learned",
        title="squares, full lines: linear units; circles, dashed: ReLU",
    )
    learning.legend(fontsize=7, title="component", title_fontsize=7, loc="upper left")
    for kind, lines in clocks.items():
        colour, marker = _FILLS[kind]
        order = np.argsort(variances)
        powers.plot(
            variances[order], lines.half_theory[order], color=colour, lw=1, ls="-" if kind == "linear" else "--"
        )
        powers.errorbar(
            variances, lines.half[0], 2 * lines.half[1], color=colour, fmt=marker, ms=4, lw=1, label=_NAMES[kind]
        )
    powers.set(
        xscale="log",
        yscale="log",
        xlabel="variance $\\lambda_k$ of the component",
        ylabel="steps of SGD to half",
        title="lines: theory, $\\sim 1/\\lambda_k$",
    )
    powers.legend(fontsize=7)
    return figure


@styled
def gains(found: Gains, halves: Halves) -> Figure:
    """Gains of one bank along diffusion time, and the times of half gain beside theory."""
    figure, axes = panels(1, 2, 8.6, 3.4)
    _gains(axes[0, 0], found)
    _halves(axes[0, 1], halves)
    return figure


def _gains(axis: Axes, found: Gains) -> None:
    """Curves of gain against OU time."""
    for k, colour in enumerate(_SHADES(np.linspace(0, 0.9, found.gain.shape[1]))):
        axis.plot(found.grid, found.theory[:, k], color=colour, lw=1)
        bars = None if found.stderr is None else 2 * found.stderr[:, k]
        axis.errorbar(found.ou_time, found.gain[:, k], bars, color=colour, fmt="o", ms=3, lw=1, label=f"{k + 1}")
        axis.plot(found.ou_time, found.jacobian[:, k], color=colour, lw=0.8, ls=":")
    axis.axhline(0.5, color=GREY, lw=0.6)
    axis.set(
        xlabel="OU time $\\tau$",
        ylabel="gain $G_k$",
        xlim=(0, 1.05 * min(found.ou_time[-1], found.grid[found.theory[:, 0] > 0.02][-1])),
        ylim=(-0.05, 1.3),
        title="points: regression; lines: theory; dotted: mean Jacobian",
    )
    axis.legend(fontsize=7, ncols=4, title="component", title_fontsize=7, loc="upper right")


def _halves(axis: Axes, halves: Halves) -> None:
    """Times of half gain against their predictions."""
    _diagonal(axis, np.concatenate([halves.theory, halves.regression, halves.jacobian]))
    for values, errors, colour, fill, label in (
        (halves.regression, halves.regression_stderr, MODEL, MODEL, "regression"),
        (halves.jacobian, halves.jacobian_stderr, GREY, "none", "mean Jacobian"),
    ):
        known = np.isfinite(values)
        if known.any():
            bars = None if errors is None else 2 * errors[known]
            at = halves.theory[known]
            axis.errorbar(at, values[known], bars, color=colour, fmt="o", ms=4, lw=1, mfc=fill, label=label)
    axis.set(
        xlabel="theory: $\\log(1 + \\lambda_k/s^2)/2$",
        ylabel="measured $\\tau_k$ of half gain",
        title="times of half gain" + ("" if halves.regression_stderr is None else "; bars: two standard errors"),
    )
    axis.legend(fontsize=7, loc="upper left")


def _diagonal(axis: Axes, values: Floats) -> None:
    known = values[np.isfinite(values)]
    ends = [0.9 * float(known.min()), 1.05 * float(known.max())]
    axis.plot(ends, ends, color=GREY, lw=0.8)
