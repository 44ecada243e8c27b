"""The figure of the clock of memorisation: errors along training, both clocks, and their powers of n."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from undiffuse.figures.style import GAUSSIAN, GREY, MODEL, panels, styled
from undiffuse.support.arrays import Floats

if TYPE_CHECKING:
    from undiffuse.physics.memory_clock import Growth, Reached, Reading

_CURVES = 3  # numbers of points whose errors are drawn


class Clocks(NamedTuple):
    """Networks of one number of hidden units.

    Attributes
    ----------
    steps : (records,)
    training, held_out : (n, records, times)
        Mean square xi-errors, means over trainings.
    readings : sequence of Reading
    growth : sequence of Growth
        By time.
    """

    steps: Floats
    training: Floats
    held_out: Floats
    readings: Sequence[Reading]
    growth: Sequence[Growth]


@styled
def memorisation_clock(clocks: Clocks, threshold: float) -> Figure:
    """Errors along training at one time; steps to memorise against n and against OU time; powers of n.

    Bars are two standard errors over trainings. A clock that did not ring in every training is not drawn, but for a
    triangle at the last step. Dashed lines without points are what Bonnaire et al. 2025 predict: ``tau_mem ~ n``, and
    ``tau_gen`` the same for all n.

    Parameters
    ----------
    clocks : Clocks
    threshold : float
        Ratio of errors beyond which a network is called memorising.
    """
    figure, axes = panels(2, 2, 9.6, 7.2)
    sizes = sorted({reading.n for reading in clocks.readings})
    shades = dict(zip(sizes, mpl.colormaps["viridis"](np.linspace(0, 0.88, len(sizes))), strict=True))
    place = len(clocks.growth) // 2
    _errors(axes[0, 0], clocks, place, shades)
    _against_n(axes[0, 1], clocks, sizes, threshold)
    _against_time(axes[1, 0], clocks, shades)
    _powers(axes[1, 1], clocks.growth)
    return figure


def _errors(axis: Axes, clocks: Clocks, place: int, shades: dict[int, Floats]) -> None:
    """Both errors along training at one time, and those of the exact denoisers."""
    t, last = clocks.growth[place].t, clocks.steps[-1]
    order = list(dict.fromkeys(reading.n for reading in clocks.readings))
    sizes = sorted(shades)
    for n in [sizes[i] for i in np.unique(np.linspace(0, len(sizes) - 1, _CURVES).round().astype(int))]:
        k, colour = order.index(n), shades[n]
        axis.plot(clocks.steps, clocks.held_out[k, :, place], color=colour, label=f"{n}")
        axis.plot(clocks.steps, clocks.training[k, :, place], color=colour, ls="--")
        (found,) = (r for r in clocks.readings if r.n == n and r.t == t)
        for x, marker, training, held_out in (
            (1.5, "s", found.gaussian_training, found.gaussian_held_out),
            (2.4, "^", found.empirical_training, found.empirical_held_out),
        ):
            axis.plot(x * last, held_out, color=colour, marker=marker, ms=5, ls="")
            axis.plot(x * last, training, color=colour, marker=marker, ms=5, ls="", mfc="none")
    axis.axvline(1.2 * last, color=GREY, lw=0.6)
    axis.set(
        xscale="log",
        yscale="log",
        xlim=(1, 3.2 * last),
        xlabel="steps of Adam",
        ylabel="$\\xi$-error, mean square per dimension",
        title=f"OU time {clocks.growth[place].ou_time:.2f}; full: held-out, dashed, open: training",
    )
    first = axis.legend(fontsize=7, title="points $n$", title_fontsize=7, loc="lower left")
    axis.add_artist(first)
    marks = [
        Line2D([], [], color=GREY, marker=marker, ls="", ms=5, label=label)
        for marker, label in (("s", "Gaussian denoiser"), ("^", "empirical denoiser"))
    ]
    axis.legend(handles=marks, fontsize=7, loc="lower center")


def _against_n(axis: Axes, clocks: Clocks, sizes: Sequence[int], threshold: float) -> None:
    """Steps to memorise against the number of points, a line for each time."""
    colours = mpl.colormaps["plasma"](np.linspace(0, 0.85, len(clocks.growth)))
    last = clocks.steps[-1]
    for i, (growth, colour) in enumerate(zip(clocks.growth, colours, strict=True)):
        mine = sorted((r for r in clocks.readings if r.t == growth.t), key=lambda r: r.n)
        label = f"{growth.ou_time:.2f}"
        if growth.memorised is not None:
            label += f": ${growth.memorised.exponent:.2f} \\pm {growth.memorised.stderr:.2f}$"
        x, y, bars = _known([(r.n, r.memorised) for r in mine])
        axis.errorbar(x, y, bars, color=colour, fmt="o-", ms=4, lw=1, capsize=2, label=label)
        never = [r.n * 1.04 ** (i - len(clocks.growth) // 2) for r in mine if r.memorised.steps is None]
        axis.plot(never, [1.15 * last] * len(never), color=colour, marker="^", ms=4, ls="", mfc="none")
    starts = [r.memorised.steps / r.n for r in clocks.readings if r.memorised.steps is not None]
    if starts:
        ends = np.array([sizes[0], sizes[-1]])
        axis.plot(ends, ends * np.exp(np.mean(np.log(starts))), color=GREY, ls="--", lw=1, label="$\\sim n$")
    axis.axhline(last, color=GREY, lw=0.6)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="training points $n$",
        ylabel=f"steps until held-out/training $> {threshold:g}$",
        title="$\\tau_{\\mathrm{mem}}$; open triangles: not in every training",
    )
    axis.set_xticks(sizes, [str(n) for n in sizes])
    axis.minorticks_off()
    axis.set_ylim(top=60 * last)
    axis.legend(fontsize=7, title="OU time: power of $n$", title_fontsize=7, loc="upper left", ncols=2)


def _against_time(axis: Axes, clocks: Clocks, shades: dict[int, Floats]) -> None:
    """Both clocks against the diffusion time, a colour for each number of points."""
    for n, colour in shades.items():
        mine = sorted((r for r in clocks.readings if r.n == n), key=lambda r: r.ou_time)
        x, y, bars = _known([(r.ou_time, r.memorised) for r in mine])
        axis.errorbar(x, y, bars, color=colour, fmt="o-", ms=4, lw=1, capsize=2, label=f"{n}")
        x, y, bars = _known([(r.ou_time, r.generalised) for r in mine])
        axis.errorbar(x, y, bars, color=colour, fmt="s:", ms=4, lw=1, capsize=2, mfc="none")
    axis.axhline(clocks.steps[-1], color=GREY, lw=0.6)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="OU time $\\tau$ of the network",
        ylabel="steps of Adam",
        title="dots: $\\tau_{\\mathrm{mem}}$; open squares: $\\tau_{\\mathrm{gen}}$",
    )
    _ticks(axis, clocks.growth)
    axis.legend(fontsize=7, title="points $n$", title_fontsize=7)


def _powers(axis: Axes, growth: Sequence[Growth]) -> None:
    """Powers of n of both clocks against the diffusion time, beside their predictions."""
    for name, label, colour, marker, expected in (
        ("memorised", "$\\tau_{\\mathrm{mem}}$", MODEL, "o", 1),
        ("generalised", "$\\tau_{\\mathrm{gen}}$", GAUSSIAN, "s", 0),
    ):
        powers = [(g.ou_time, getattr(g, name)) for g in growth]
        rows = [(tau, power.exponent, 2 * power.stderr) for tau, power in powers if power is not None]
        x, y, bars = np.array(rows, np.float64).reshape(-1, 3).T
        axis.errorbar(x, y, bars, color=colour, fmt=marker, ms=5, lw=1, capsize=2, label=label)
        axis.axhline(expected, color=colour, ls="--", lw=0.8)
    axis.set(
        xscale="log",
        xlabel="OU time $\\tau$ of the network",
        ylabel="power of $n$",
        title="dashed: prediction, $\\tau_{\\mathrm{mem}} \\sim n$, $\\tau_{\\mathrm{gen}} \\sim n^0$",
    )
    if all(g.memorised is None and g.generalised is None for g in growth):
        axis.text(0.5, 0.5, "fewer than three sizes", transform=axis.transAxes, ha="center", fontsize=8, color=GREY)
    _ticks(axis, growth)
    axis.legend(fontsize=7)


def _ticks(axis: Axes, growth: Sequence[Growth]) -> None:
    times = [g.ou_time for g in growth]
    axis.set_xticks(times, [f"{tau:.2g}" for tau in times])
    axis.minorticks_off()
    axis.set_xlim(times[0] / 1.3, 1.3 * times[-1])


def _known(pairs: Sequence[tuple[float, Reached]]) -> tuple[Floats, Floats, Floats]:
    """Where a clock rang in every training: abscissa ``(k,)``, steps, and two standard errors down and up ``(2, k)``.

    Errors are those of a logarithm, so that no bar reaches below nothing.
    """
    rows = [(x, r.steps, 2 * r.stderr / r.steps) for x, r in pairs if r.steps is not None and r.stderr is not None]
    x, y, errors = np.array(rows, np.float64).reshape(-1, 3).T
    return x, y, np.stack([y * (1 - np.exp(-errors)), y * (np.exp(errors) - 1)])
