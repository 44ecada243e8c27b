"""Curves along the diffusion time: terms of the bound, reconstructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from undiffuse.figures.style import DATA, EMPIRICAL, GAUSSIAN, GREY, MODEL, panels, plain, styled
from undiffuse.support.arrays import Floats
from undiffuse.support.stats import normal_density

_COLOURS = {"bank": MODEL, "gaussian": GAUSSIAN, "empirical": EMPIRICAL}


@styled
def bound_terms(terms: Mapping[str, Floats], totals: Mapping[str, str]) -> Figure:
    """KL of each reverse step, t = 2..T, for several denoisers, in nats per sample; ``totals`` go to the legend."""
    figure, axes = panels(1, 1, 6.4, 3.4)
    axis = axes[0, 0]
    for name, per_t in terms.items():
        axis.plot(
            np.arange(2, len(per_t) + 2), per_t, color=_COLOURS.get(name, GREY), lw=1, label=f"{name}: {totals[name]}"
        )
    axis.set(xlabel="diffusion time $t$", ylabel="KL of the step $t \\to t-1$ (nats per sample)", yscale="log")
    axis.set(xscale="log", xlim=(2, None))
    axis.legend(fontsize=8)
    return figure


@styled
def reconstruction_curves(curves: Mapping[str, Mapping[str, Floats]], times: Floats) -> Figure:
    """Class kept, pixel error and spread of reconstructions from t, with bands of two standard errors.

    ``curves[denoiser]`` holds ``kept``, ``pixel_error``, ``spread`` and their ``..._stderr``, one value per time.
    """
    figure, axes = panels(1, 3, 9.6, 3.0)
    names = {
        "kept": "share that keeps its class",
        "pixel_error": "rms pixel error (of the range)",
        "spread": "rms spread of repeats (of the range)",
    }
    for axis, (key, label) in zip(axes[0], names.items(), strict=True):
        for name, curve in curves.items():
            colour, value, band = _COLOURS.get(name, GREY), curve[key], 2 * curve[f"{key}_stderr"]
            axis.plot(times, value, color=colour, marker="o", ms=2.5, label=name)
            axis.fill_between(times, value - band, value + band, color=colour, alpha=0.2, lw=0)
        axis.set(xlabel="reconstructed from $t$", ylabel=label)
    axes[0, 0].legend(fontsize=8)
    return figure


@styled
def against_setting(lines: Mapping[str, Sequence[tuple[str, float, float]]], setting: str, measure: str) -> Figure:
    """A measure against a setting, a line for each choice of the others.

    ``lines`` holds ``(value of the setting, measure, standard error)`` by the name of the line. Values that are no
    numbers stand beside one another in the order in which they first come.
    """
    figure, axes = panels(1, 1, 5.0, 3.4)
    axis = axes[0, 0]
    values = list(dict.fromkeys(value for line in lines.values() for value, _, _ in line))
    places = _numbers(values) or list(range(len(values)))
    at = dict(zip(values, places, strict=True))
    for name, line in lines.items():
        points = sorted((at[value], measured, stderr) for value, measured, stderr in line)
        axis.errorbar(*zip(*points, strict=True), marker="o", ms=3, capsize=2, label=plain(name))  # x, y, error of y
    if min(places) > 0 and max(places) >= 10 * min(places):
        axis.set_xscale("log")
    axis.set_xticks(places, [plain(value) for value in values])
    axis.minorticks_off()
    axis.set(xlabel=plain(setting), ylabel=plain(measure))
    if len(lines) > 1:
        axis.legend(fontsize=8)
    return figure


@styled
def likelihood(routes: Mapping[str, tuple[float, float]], times: Floats, mean: Floats, variance: Floats) -> Figure:
    """``-log p`` by each route with two standard errors, and mean and variance of the work of each step along t.

    Parameters
    ----------
    routes : dict of (float, float)
    times : (k,)
        Time that each step starts from.
    mean, variance : (k,)
        In nats, and squared nats.
    """
    figure, axes = panels(1, 2, 8.2, 3.2)
    left, right = axes[0]
    colours = {"bound": GAUSSIAN, "importance": EMPIRICAL, "flow": MODEL, "truth": DATA}
    for i, (name, (nats, error)) in enumerate(routes.items()):
        left.errorbar([nats], [i], xerr=[2 * error], color=colours.get(name, GREY), fmt="o", ms=5, capsize=3)
    if "truth" in routes:
        left.axvline(routes["truth"][0], color=DATA, lw=0.8, ls=":")
    left.set_yticks(range(len(routes)), list(routes))
    left.set(xlabel="$-\\log p$ (nats; bars: two standard errors)", ylim=(len(routes) - 0.5, -0.5))
    right.plot(times, np.maximum(mean, 1e-300), color=MODEL, lw=1, label="mean (its sum is the bound's)")
    right.plot(times, np.maximum(variance, 1e-300), color=GREY, lw=1, label="variance (what spoils the weights)")
    top = max(float(np.max(mean)), float(np.max(variance)), 1e-12)
    right.set(xlabel="diffusion time $t$ of the step", ylabel="work of the step (nats, nats$^2$)", xscale="log")
    right.set(yscale="log", ylim=(1e-6 * top, 3 * top))
    right.legend(fontsize=8)
    return figure


class StartLine(NamedTuple):
    """A measure against the OU time of the start, and what it is from pure noise."""

    name: str
    tau: Sequence[float]
    value: Sequence[float]
    stderr: Sequence[float]
    noise: float


_MEASURES = {
    "frechet_distance": "Fréchet distance of features",
    "confident": "share above 0.9, strict classifier",
    "sliced_w2": "sliced 2-Wasserstein distance",
}


@styled
def starts(
    lines: Mapping[str, Sequence[StartLine]], floor: Mapping[str, float], speciation: float, last: float
) -> Figure:
    """Measures of samples against the OU time at which they start, with bars of one standard error; a panel for each.

    Parameters
    ----------
    lines : dict of StartLine
        By the name of the measure. The same measure from pure noise is a mark at ``last``.
    floor : dict
        Each measure of real data.
    speciation : float
        OU time at which theory wants the start.
    last : float
        OU time of T.
    """
    figure, axes = panels(1, len(lines), 4.6 * len(lines), 3.4)
    colours = mpl.colormaps["viridis"](np.linspace(0.1, 0.75, max(map(len, lines.values()))))
    for axis, (measure, its) in zip(axes[0], lines.items(), strict=True):
        for colour, line in zip(colours, its, strict=False):
            axis.errorbar(
                line.tau, line.value, line.stderr, color=colour, marker="o", ms=3, lw=1, capsize=2, label=line.name
            )
            axis.plot([last], [line.noise], color=colour, marker="D", ms=6, mfc="none", ls="")
        axis.axhline(floor[measure], color=GREY, lw=0.8, ls="--", label="real data")
        if speciation > 0:
            axis.axvline(speciation, color=DATA, lw=1, ls=":", label="predicted: $\\log(\\Lambda/s^2)/2$")
        axis.set(
            xlabel="OU time $\\tau$ of the start (open: from noise at $T$)",
            ylabel=_MEASURES.get(measure, measure.replace("_", " ")),
        )
        if measure.endswith("distance"):
            axis.set_yscale("log")
    axes[0, 0].legend(fontsize=8, frameon=True, framealpha=0.9, edgecolor="none")  # the floor may lie behind it
    return figure


class DensityBeside(NamedTuple):
    """A density beside the true one against OU time, with standard errors: its divergence, in nats, and its mass."""

    tau: Sequence[float]
    divergence: Sequence[float]
    divergence_stderr: Sequence[float]
    mass: Sequence[float]
    mass_stderr: Sequence[float]


@styled
def one_energy(
    tau: Floats, steps: Mapping[str, tuple[Sequence[float], Sequence[float]]], beside: DensityBeside | None
) -> Figure:
    """What steps between neighbouring times scatter, each and from t up to T, and the density beside the true one.

    Parameters
    ----------
    tau : (T,)
        OU time of t = 1..T.
    steps : dict
        By name, the scatter of each step ``(T - 1,)`` and of all from t up ``(T,)``, in nats.
    beside : DensityBeside or None
        Bars are of one standard error.
    """
    rows = 1 if beside is None else 2
    figure, axes = panels(rows, 2, 8.4, 3.2 * rows)
    each, together = axes[0]
    for i, (name, (spread, mismatch)) in enumerate(steps.items()):
        style = {"color": MODEL if i == 0 else GREY, "ls": "-" if i == 0 else "--", "lw": 1.2, "label": name}
        each.plot(tau[:-1], np.maximum(spread, 1e-12), **style)
        together.plot(tau[:-1], np.maximum(mismatch[:-1], 1e-12), **style)
    each.set(xlabel="OU time $\\tau$", ylabel="scatter of the step $t \\to t + 1$ (nats)")
    together.set(xlabel="OU time $\\tau$ of $t$", ylabel="scatter of all steps from $t$ to $T$ (nats)")
    for axis in (each, together):
        axis.set(xscale="log", yscale="log")
        axis.legend(fontsize=8)
    if beside is not None:
        pairs = (
            (beside.divergence, beside.divergence_stderr, 0.0, "$\\langle\\log q_t - \\log p_t\\rangle$ (nats)"),
            (beside.mass, beside.mass_stderr, 1.0, "mass $\\langle p_t/q_t\\rangle$"),
        )
        for axis, (value, error, wanted, label) in zip(axes[1], pairs, strict=True):
            axis.errorbar(beside.tau, value, error, color=MODEL, fmt="o", ms=3, lw=1, capsize=2, label="energy")
            axis.axhline(wanted, color=DATA, lw=0.8, ls=":", label="truth")
            axis.set(xscale="log", xlabel="OU time $\\tau$", ylabel=label)
            axis.legend(fontsize=8)
        axes[1, 0].set_yscale("symlog", linthresh=0.01)
        axes[1, 0].set_ylim(bottom=min(-0.02, 2 * min(beside.divergence)))
        axes[1, 1].set_yscale("log")
        axes[1, 1].set_ylim(1e-2, 1e2)  # beyond, a few samples carry all the weight
    return figure


def _numbers(values: Sequence[str]) -> list[float] | None:
    try:
        return [float(value) for value in values]
    except ValueError:
        return None


@styled
def linear_model(clouds: Mapping[str, Floats]) -> Figure:
    """Clouds in the plane of the two leading components, and their first coordinate with a normal curve over it."""
    figure, axes = panels(1, 2 * len(clouds), 2.9 * 2 * len(clouds), 2.8)
    for (name, x), (plane, line) in zip(clouds.items(), axes[0].reshape(-1, 2), strict=True):
        colour = DATA if name == "data" else GAUSSIAN
        plane.scatter(x[:, 0], x[:, 1], s=2, color=colour, alpha=0.5, linewidths=0, rasterized=True)
        plane.set(title=name, xlabel="first component", ylabel="second component")
        line.hist(x[:, 0], 50, density=True, color=colour, alpha=0.4)
        at = np.linspace(x[:, 0].min(), x[:, 0].max(), 200)
        line.plot(at, normal_density(at, x[:, 0].mean(), x[:, 0].var()), color=MODEL, label="normal")
        line.set(title=name, xlabel="first component", yticks=[])
        line.legend(fontsize=7)
    return figure
