"""Figures of locality: how far denoisers look, and what one pixel looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undiffuse.figures.style import EMPIRICAL, GAUSSIAN, GREY, MODEL, panels, styled
from undiffuse.support.arrays import Floats

if TYPE_CHECKING:
    from undiffuse.physics.locality import Look

Bars = tuple[Floats, Floats]
"""Means and standard errors, one for each time."""


class Radii(NamedTuple):
    """Receptive radii: of networks by name, of reordered pixels as they stand, of exact denoisers, and the largest."""

    networks: Mapping[str, Bars]
    reordered: Bars
    exact: Mapping[str, Floats]
    everywhere: float


@styled
def locality(tau: Floats, radii: Radii, agreement: Mapping[str, tuple[Bars, Bars]]) -> Figure:
    """Receptive radius, correlation of maps and explained share of outputs against OU time.

    Parameters
    ----------
    tau : (times,)
    radii : Radii
    agreement : dict of (correlation, explained)
        Of each exact denoiser with the networks.
    """
    figure, axes = panels(1, 3, 11.4, 3.7)
    (radius, maps, outputs), lines = axes[0], _lines(list(radii.exact))
    for name, values in radii.exact.items():
        radius.plot(tau, values, **lines[name])
    for (name, (value, error)), marker, fill in zip(radii.networks.items(), "oD", (MODEL, "none"), strict=False):
        radius.errorbar(tau, value, 2 * error, color=MODEL, fmt=marker, ms=5, mfc=fill, lw=1, label=name)
    value, error = radii.reordered
    radius.errorbar(tau, value, 2 * error, color=GREY, fmt="x", ms=5, lw=1, label="reordered, as they stand")
    radius.axhline(radii.everywhere, color=GREY, lw=0.8, ls=":")
    radius.set(ylabel="receptive radius, pixels", ylim=(0, 1.45 * radii.everywhere), title="dotted: looks everywhere")
    for axis, part, label in (
        (maps, 0, "correlation of maps with networks'"),
        (outputs, 1, "share $r^2$ of networks' outputs explained"),
    ):
        for name, both in agreement.items():
            value, error = both[part]
            axis.errorbar(tau, value, 2 * error, **lines[name])
        axis.set(ylabel=label)
    maps.set(title="bars: two standard errors over trainings")
    for axis in axes[0]:
        axis.set(xscale="log", xlabel="OU time $\\tau$")
        axis.set_xticks(tau, [f"{at:.2g}" for at in tau])
        axis.minorticks_off()
    lowest = float(np.nanmin([both[1][0] for both in agreement.values()]))
    outputs.set(ylim=(min(0.9, max(lowest - 0.05, -0.5)), 1.03))
    radius.legend(fontsize=6.5, loc="upper left", ncols=2)
    return figure


@styled
def looks(found: Sequence[Look], everywhere: float) -> Figure:
    """Receptive radius of a bank, correlation of its maps with the Wiener matrix and their difference, along OU time.

    Parameters
    ----------
    found : sequence of Look
    everywhere : float
        Radius of a map that is the same for all pairs of pixels.
    """
    figure, axes = panels(1, 3, 10.6, 3.3)
    radius, like, rest = axes[0]
    tau = np.array([one.tau for one in found])

    def line(axis: Axes, name: str, **style: Any) -> None:
        value, error = (np.array([getattr(one, name + end) for one in found], np.float64) for end in ("", "_stderr"))
        axis.errorbar(tau, value, 2 * error, **{"fmt": "o-", "ms": 3.5, "lw": 1, "color": MODEL, **style})

    wiener = np.array([one.wiener_radius for one in found], np.float64)
    radius.axhline(everywhere, color=GREY, lw=0.8, ls=":", label="all pixels alike")
    radius.plot(tau, wiener, color=GAUSSIAN, marker="s", ms=3, lw=1, label="Wiener matrix $G$")
    line(radius, "radius", label="bank $J$")
    line(radius, "difference_radius", label="difference $J-G$", color=GREY, fmt="x--")
    radius.set(ylabel="receptive radius, pixels", ylim=(0, 1.5 * everywhere))
    radius.legend(fontsize=7, loc="upper left", ncols=2)
    line(like, "correlation")
    # What is left of a map where nearly all is noise is known badly: errors there may leave the frame.
    lowest = min((one.correlation for one in found if one.correlation is not None), default=0.0)
    like.set(ylabel="correlation of $J$ with $G$", ylim=(min(0.5, lowest) - 0.05, 1.03))
    line(rest, "difference")
    most = max((one.difference for one in found if one.difference is not None), default=1.0)
    rest.set(ylabel="$|J-G|/|G|$", ylim=(0, 1.2 * max(most, 0.01)))
    for axis in axes[0]:
        axis.set(xscale="log", xlabel="OU time $\\tau$")
    return figure


@styled
def sensitivity(tau: Sequence[float], maps: Mapping[str, Floats], pixel: int, shape: tuple[int, int]) -> Figure:
    """What one pixel's estimate looks at, a row for each denoiser and a column for each time.

    Parameters
    ----------
    tau : sequence of float
    maps : dict of (times, dim) arrays
        Sensitivities of the pixel; each picture has a scale of its own.
    pixel : int
        It is marked, but where pixels are reordered.
    shape : (rows, columns)
    """
    figure, axes = panels(len(maps), len(tau), 1.05 * len(tau) + 1.1, 1.05 * len(maps) + 0.3)
    row, column = divmod(pixel, shape[1])
    for axis, at in zip(axes[0], tau, strict=True):
        axis.set_title(f"$\\tau = {at:.2g}$", fontsize=8)
    for line, (name, values) in zip(axes, maps.items(), strict=True):
        for axis, one in zip(line, values, strict=True):
            top = float(np.abs(one).max()) or 1.0
            axis.imshow(one.reshape(shape), cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest")
            if name != "reordered":
                axis.plot(column, row, marker="o", ms=7, mfc="none", mec="black", mew=0.6)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(visible=True, linewidth=0.4, color="#bbbbbb")
        line[0].set_ylabel(_title(name).replace(" ", "\n", 1), fontsize=8, rotation=0, ha="right", va="center")
    return figure


def _title(name: str) -> str:
    kind, _, side = name.partition(" ")
    titles = {"wiener": "Wiener", "empirical": "whole image"}
    titles |= {"patch": f"patches {side}x{side}", "equivariant": f"{side}x{side} from anywhere"}
    return titles.get(kind, name)


def _lines(names: list[str]) -> dict[str, dict[str, Any]]:
    """How each exact denoiser is drawn; the same colour for the same side, dashed where it may come from anywhere."""
    sides = sorted({int(name.split()[1]) for name in names if " " in name})
    shades = mpl.colormaps["plasma"](np.linspace(0.2, 0.8, max(1, len(sides))))
    colours = {"wiener": GAUSSIAN, "empirical": EMPIRICAL, **dict(zip(map(str, sides), shades, strict=True))}
    return {
        name: {
            "color": colours[name.split()[-1]],
            "ls": "--" if name.startswith("equivariant") else "-",
            "marker": "s",
            "ms": 3,
            "lw": 1,
            "label": _title(name),
        }
        for name in names
    }
