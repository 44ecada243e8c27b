"""The figure of two clusters: errors of generated means against n, and overlaps of learned weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from undiffuse.figures.style import DATA, GAUSSIAN, GREY, MODEL, panels, styled

if TYPE_CHECKING:
    from undiffuse.physics.two_cluster_sizes import Rate, Size

_COLOURS = (MODEL, GAUSSIAN, *(mpl.colormaps["viridis"](share) for share in (0.3, 0.55, 0.8)))
_SHOWN = 3  # numbers of points whose overlaps are drawn


@styled
def two_clusters(sizes: Sequence[Size], rates: Sequence[Rate], signal_to_noise: Sequence[float]) -> Figure:
    """Error of the generated mean against n, the same over its closed form, and the weights' overlap along diffusion.

    Bars are one standard error over training sets; lines are closed forms.
    """
    figure, axes = panels(1, 3, 11.0, 3.5)
    left, middle, right = axes[0]
    for k, rate in enumerate(rates):
        its = sorted((size for size in sizes if size.noises == rate.noises), key=lambda size: size.n)
        colour, name = _COLOURS[k % len(_COLOURS)], f"{rate.noises} noise{'s' if rate.noises > 1 else ''} a point"
        n, exact = np.array([size.n for size in its]), np.array([size.error_closed_form for size in its])
        error, bar = np.array([size.error for size in its]), np.array([size.error_stderr for size in its])
        slope = "" if rate.slope is None else f", slope ${rate.slope:.3f} \\pm {rate.slope_stderr:.3f}$"
        left.plot(n, exact, color=colour, lw=1)
        left.errorbar(n, error, bar, color=colour, fmt="o", ms=4, lw=1, capsize=2, label=name + slope)
        shift = 1.02 ** (k - (len(rates) - 1) / 2)
        middle.errorbar(n * shift, error / exact, bar / exact, color=colour, fmt="o", ms=4, lw=1, capsize=2, label=name)
    first = sorted((size for size in sizes if size.noises == rates[0].noises), key=lambda size: size.n)
    left.plot([s.n for s in first], [s.bayes for s in first], color=DATA, ls="--", label="Bayes-optimal")
    left.set(
        xscale="log",
        yscale="log",
        xlabel="training points $n$",
        ylabel="$|\\hat\\mu - \\mu|^2/d$",
        title="generated mean; lines: closed form",
    )
    middle.axhline(1, color=GREY, lw=0.8)
    middle.set(
        xscale="log",
        xlabel="training points $n$",
        ylabel="measured over closed form",
        title="the same, over its theory",
    )
    noise = 1 / np.array(signal_to_noise)
    shown = np.unique(np.linspace(0, len(first) - 1, _SHOWN).round().astype(int))
    for colour, size in zip(
        mpl.colormaps["viridis"](np.linspace(0.1, 0.75, len(shown))), [first[i] for i in shown], strict=True
    ):
        right.plot(noise, size.overlap_closed_form, color=colour, lw=1)
        right.errorbar(
            noise, size.overlap, size.overlap_stderr, color=colour, fmt="o", ms=3, lw=1, label=f"$n = {size.n}$"
        )
    right.set(
        xscale="log",
        ylim=(0, 1.05),
        xlabel="noise over signal $\\sqrt{\\Delta/\\bar\\alpha}$",
        ylabel="$\\cos(w_t, \\mu)$",
        title=f"learned weights, {rates[0].noises} noise{'s' if rates[0].noises > 1 else ''} a point",
    )
    for axis in axes[0]:
        axis.legend(fontsize=7)
    for axis in (left, middle):
        axis.set_xticks([size.n for size in first], [str(size.n) for size in first], minor=False)
        axis.minorticks_off()
    return figure
