"""When diffusion decides between classes: curves with critical times, and successive times as a tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undiffuse.figures.style import DATA, EMPIRICAL, GAUSSIAN, GREY, MODEL, canvas, panels, styled

if TYPE_CHECKING:
    from undiffuse.physics.crossings import Time
    from undiffuse.physics.transitions import CriticalTimes, Curve
    from undiffuse.physics.trees import SpeciationTree, Split

_HIGHEST_RATIO = 4.0  # of mean over spread of the log odds that is shown


@styled
def critical_times(found: CriticalTimes, others: Mapping[str, Mapping[str, Curve]] | None = None) -> Figure:
    """Curves behind the critical times of data against OU time, with the times and the levels marked.

    Dash-dotted: the theory for Gaussians with the means and covariances of the classes. Legends stand below the panels.
    ``others[denoiser]`` may hold curves named ``uturn`` and ``potential`` of learned denoisers, drawn beside.
    """
    figure, axes = panels(2, 2, 8.4, 8.2)
    (decided, odds), (force, collapse) = axes
    learned = others or {}
    _decided(decided, found, learned)
    _odds(odds, found)
    _force(force, found, learned)
    _collapse(collapse, found)
    latest = np.nanmax([found.covariance.time.tau, 2.5])
    end = min(latest + 1.0, max(found.curves["cloning"].tau))
    for axis in axes.ravel():
        axis.set(xlabel="OU time $\\tau$", xlim=(0, end))
        axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
    return figure


def _decided(axis: Axes, found: CriticalTimes, learned: Mapping[str, Mapping[str, Curve]]) -> None:
    curves = found.curves
    for name, style, label in (("cloning", "-", "two copies"), ("uturn", "--", "U-turn from data")):
        _curve(axis, curves[name], EMPIRICAL, style, f"{label}, empirical")
    for name, its in learned.items():
        if "uturn" in its:
            _curve(axis, its["uturn"], MODEL, "-", f"U-turn, {name}")
    _curve(axis, curves["class Gaussians"], GAUSSIAN, "-.", "both, class Gaussians")
    information = curves["class information"]
    axis.plot(information.tau, information.value, color=GREY, lw=1, label="class information (share)")
    axis.axhline(found.level, color=GREY, lw=0.6, label=f"level {found.level:.3f}")
    _mark(axis, found.covariance.time, "speciation by covariance")
    _mark(axis, found.predictions["class Gaussians"].time, "theory: class Gaussians", GAUSSIAN, "-.")
    axis.set(ylabel="end in the same class", title="classes decided", ylim=(min(-0.02, axis.get_ylim()[0]), 1.03))


def _odds(axis: Axes, found: CriticalTimes) -> None:
    _curve(axis, found.curves["free entropy"], EMPIRICAL, "-", "empirical score")
    if (theory := found.curves.get("free entropy of class Gaussians")) is not None:
        _curve(axis, theory, GAUSSIAN, "-.", "class Gaussians")
    axis.axhline(1, color=GREY, lw=0.6, label="level 1")
    _mark(axis, found.covariance.time, "speciation by covariance")
    _mark(axis, found.times["free entropy"], "speciation by free entropy", EMPIRICAL, "--")
    if (predicted := found.predictions.get("free entropy of class Gaussians")) is not None:
        _mark(axis, predicted.time, "theory: class Gaussians", GAUSSIAN, "-.")
    top = min(_HIGHEST_RATIO, 1.1 * max(1.0, max(found.curves["free entropy"].value)))
    axis.set(ylabel="mean over spread of the log odds", title="free entropies of the classes", ylim=(0, top))


def _force(axis: Axes, found: CriticalTimes, learned: Mapping[str, Mapping[str, Curve]]) -> None:
    for name, colour, style in (("potential", EMPIRICAL, "-"), ("gaussian potential", GAUSSIAN, "--")):
        words = {"potential": "empirical score", "gaussian potential": "score of one Gaussian"}[name]
        _curve(axis, found.curves[name], colour, style, words)
    for name, its in learned.items():
        if "potential" in its:
            _curve(axis, its["potential"], MODEL, "-", f"score, {name}")
    axis.axhline(0, color=GREY, lw=0.6)
    _mark(axis, found.covariance.time, "speciation by covariance")
    _mark(axis, found.predictions["instability of class Gaussians"].time, "theory: class Gaussians", GAUSSIAN, "-.")
    axis.set(ylabel="curvature of the reverse potential", title="fixed-point instability", ylim=(-3, 2))


def _collapse(axis: Axes, found: CriticalTimes) -> None:
    curves, times = found.curves, found.times
    for name, colour in (("excess entropy", DATA), ("posterior entropy", EMPIRICAL)):
        _curve(axis, curves[name], colour, "-", name)
    own, shown = curves["own-point weight"], axis.twinx()
    shown.plot(own.tau, own.value, color=GREY, lw=1)
    shown.set(ylabel="own-point weight (grey)", ylim=(-1, 1), yticks=[0, 0.5, 1])
    axis.axhline(0, color=GREY, lw=0.6)
    top = max(curves["excess entropy"].value)
    if top > 0:
        axis.set_ylim(-1.5 * top, 1.5 * top)
    _mark(axis, times["collapse"], "collapse, $f = 0$")
    _mark(axis, times["own-point weight"], "own-point weight 1/2", GREY, "--")
    axis.set(ylabel="nats per dimension", title="collapse on training points")


@styled
def speciation_tree(tree: SpeciationTree) -> Figure:
    """Successive speciation times as a dendrogram, and beside it what else tells them.

    Left: OU time upwards, noise at the top and classes at the bottom; a split stands at the time of its groups'
    Gaussians. Right: against these times, those under the exact score of the training set (crosses) and by the
    covariance criterion (discs, rings where it does not apply). Bars are two standard errors.
    """
    wide = max(3.2, 1.2 + 0.5 * len(tree.classes))
    figure = canvas(wide + 3.9, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=[wide, 3.4])
    places: dict[str, int] = {}

    def draw(group: tuple[str, ...]) -> tuple[float, float]:
        """Draw a group; return where it hangs: place across and height."""
        split = tree.below(group)
        if split is None:
            places[group[0]] = len(places)
            return places[group[0]], 0.0
        ends = [draw(split.first), draw(split.second)]
        known = not np.isnan(split.time.tau)
        height = split.time.tau if known else 0.0
        for place, low in ends:
            left.plot([place, place], [low, height], color=DATA, lw=1.2, solid_capstyle="butt")
        middle = (ends[0][0] + ends[1][0]) / 2
        left.plot([ends[0][0], ends[1][0]], [height, height], color=DATA, lw=1.2)
        if known:
            left.errorbar(middle, height, 2 * split.time.stderr, color=GAUSSIAN, marker="s", ms=4, zorder=3)
        return middle, height

    place, height = draw(tree.classes)
    left.plot([place, place], [height, 1.15 * max(height, 0.1)], color=DATA, lw=1.2)
    names = sorted(places, key=lambda name: places[name])
    left.set(
        xticks=range(len(names)), xticklabels=names, xlim=(-0.6, len(names) - 0.4), ylim=(0, None),
        ylabel="OU time $\\tau$", xlabel="classes", title="successive speciation, groups as Gaussians",
    )  # fmt: skip
    _beside(right, tree)
    return figure


def _beside(axis: Axes, tree: SpeciationTree) -> None:
    """Times of the splits by the exact score and by the covariance against those of the groups' Gaussians."""
    seen: list[float] = []
    kinds: tuple[tuple[str, str, str, str, Callable[[Split], Time | None]], ...] = (
        ("empirical score", EMPIRICAL, "x", EMPIRICAL, lambda split: split.measured),
        ("covariance", GREY, "o", GREY, lambda split: split.covariance.time if split.covariance.applies else None),
        (
            "covariance, which does not apply", GREY, "o", "none",
            lambda split: None if split.covariance.applies else split.covariance.time,
        ),
    )  # fmt: skip
    for label, colour, marker, face, of in kinds:
        pairs = [(split.time, time) for split in tree.splits if (time := of(split)) is not None]
        pairs = [(x, y) for x, y in pairs if not np.isnan(x.tau) and not np.isnan(y.tau)]
        if pairs:
            x, y = ([time.tau for time in times] for times in zip(*pairs, strict=True))
            errors = [[2 * time.stderr for time in times] for times in zip(*pairs, strict=True)]
            axis.errorbar(
                x, y, errors[1], errors[0], color=colour, marker=marker, mfc=face, ms=5, ls="", lw=0.9, label=label
            )
            seen += [*x, *y]
    if seen:
        ends = [min(seen) - 0.08, max(seen) + 0.08]
        axis.plot(ends, ends, color=GREY, lw=0.6, zorder=0)
        axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    axis.set(
        xlabel="$\\tau$, groups as Gaussians",
        ylabel="$\\tau$, by the other criteria",
        title="the same splits otherwise",
    )


def _mark(axis: Axes, time: Time, label: str, colour: str = DATA, style: str = ":") -> None:
    if not np.isnan(time.tau):
        axis.axvline(time.tau, color=colour, lw=1, ls=style, label=label)


def _curve(axis: Axes, curve: Curve, colour: str, style: str, label: str) -> None:
    tau, value, band = (np.array(a) for a in (curve.tau, curve.value, curve.stderr))
    axis.plot(tau, value, color=colour, ls=style, label=label)
    axis.fill_between(tau, value - 2 * band, value + 2 * band, color=colour, alpha=0.2, lw=0)
