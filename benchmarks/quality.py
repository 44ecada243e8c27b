"""Quality against time: held-out error and distance of samples after a share of each recipe's passes.

    python benchmarks/quality.py --json quality.json --figure docs/images/quality.png

Each recipe is trained with 1/16, 1/8, ... of its passes, never less than one at a time, from several seeds, and timed.
Its networks' mean held-out error is that of the xi-error over all times, and its samples are set beside fresh or
held-out data: points by their distance to the curve, over that of fresh points; images by the Frechet distance in a
classifier's features, the same classifier for every bank. Seconds are wall-clock time of one process for each core,
their start included. An hour and a quarter on one core.

    python benchmarks/quality.py --recipes mnist-01-short --shares 0.25 0.5 1 --beside quality.json --figure all.png

measures one recipe more and draws it beside what the first found.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import undiffuse as ud
from timing import JsonFile, drawing_options, earlier, seconds
from undiffuse.datasets import Dataset, ImageDataset
from undiffuse.figures.style import DATA, EMPIRICAL, GAUSSIAN, MODEL, panels, save, styled, ticks_at_round_numbers
from undiffuse.metrics import Evaluation
from undiffuse.metrics.classifiers import Classifiers
from undiffuse.recipes.vary import with_share_of_passes
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, require
from undiffuse.support.stats import mean_and_stderr
from undiffuse.training import train_bank

RECIPES = ("spiral-2pi", "spiral-2pi-best", "spiral-3pi", "spiral-3pi-best", "mnist-01-quick")
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
SAMPLES, REPLICATES = 1_000, 8
LABELS = {False: "distance to the curve, over its floor", True: "Fréchet distance"}  # of points, of images
COLOURS = (GAUSSIAN, MODEL, EMPIRICAL, DATA)


@dataclass(frozen=True)
class Point:
    """What a recipe reaches with a share of its passes: means over seeds with their standard errors.

    Attributes
    ----------
    recipe : str
    share : float
    seconds, held_out, distance : (float, float)
    """

    recipe: str
    share: float
    seconds: tuple[float, float]
    held_out: tuple[float, float]
    distance: tuple[float, float]


def measured(recipe: str, share: float, seed: int, classifiers: Classifiers | None) -> tuple[float, float, float]:
    """Seconds of a training, mean held-out error, and distance of samples."""
    config = with_share_of_passes(ud.config.load(recipe, [], seed), share)
    data = ud.datasets.load(config)
    trained = []
    taken = seconds(lambda: trained.append(train_bank(config, data)))
    bank, errors = trained[0]
    samples = ud.sample(bank, SAMPLES * REPLICATES, seed=seed)
    return taken, float(errors[:, 2].mean()), distance(samples, data, seed, classifiers)


def distance(samples: Floats, data: Dataset, seed: int, classifiers: Classifiers | None) -> float:
    """Frechet distance of images; distance of points to the curve, over that of fresh ones."""
    found = Evaluation(data, REPLICATES, seed, classifiers).of(samples)
    if isinstance(data, ImageDataset):
        return found["frechet_distance"].value
    return found["distance_to_curve"].value / found["distance_to_curve"].floor


def judges(data: Dataset) -> Classifiers | None:
    """Classifiers of images; None for points."""
    return Classifiers.train(*data.images) if isinstance(data, ImageDataset) else None


def curve(recipe: str, shares: Sequence[float], seeds: int) -> list[Point]:
    """Train a recipe with each share of its passes; print a line for each."""
    judge, out = judges(ud.datasets.load(ud.config.load(recipe))), []
    for share in shares:
        numbers = np.array([measured(recipe, share, seed, judge) for seed in range(seeds)])
        out.append(Point(recipe, share, *(mean_and_stderr(column) for column in numbers.T)))
        one = out[-1]
        print(
            f"{recipe:16} {share:6.3f} of the passes: {one.seconds[0]:6.1f} ± {one.seconds[1]:4.1f} s, held-out error "
            f"{one.held_out[0]:.5f} ± {one.held_out[1]:.5f}, distance {one.distance[0]:.2f} ± {one.distance[1]:.2f}",
            flush=True,
        )
    return out


@styled
def drawn(curves: Sequence[Sequence[Point]]) -> Figure:
    """Held-out error and distance of samples against seconds: points above, images below where there are any."""
    images = [points[0].recipe.startswith("mnist") for points in curves]
    rows = [kind for kind in (False, True) if kind in images]
    figure, axes = panels(len(rows), 2, 7.4, 2.9 * len(rows))
    for kind, (left, right) in zip(rows, axes, strict=True):
        these = [points for points, image in zip(curves, images, strict=True) if image == kind]
        for points, colour in zip(these, cycle(COLOURS), strict=False):
            _line(left, points, "held_out", colour)
            _line(right, points, "distance", colour)
        left.set(xscale="log", xlabel="training (s)", ylabel="held-out error, mean over times")
        right.set(xscale="log", yscale="log", xlabel="training (s)", ylabel=LABELS[kind])
        for axis in (left.xaxis, right.xaxis, right.yaxis):
            ticks_at_round_numbers(axis)
        for panel in (left, right):
            panel.minorticks_off()
        right.legend()
    return figure


def _line(axis: Axes, points: Sequence[Point], name: str, colour: str) -> None:
    values = np.array([getattr(point, name) for point in points])
    taken = [point.seconds[0] for point in points]
    axis.errorbar(taken, values[:, 0], values[:, 1], fmt="o-", ms=3.5, color=colour, label=points[0].recipe)


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[JsonFile.options(), drawing_options()],
    )
    parser.add_argument("--recipes", nargs="+", default=RECIPES, choices=ud.presets(), metavar="PRESET")
    parser.add_argument("--shares", nargs="+", type=float, default=SHARES, help="of the passes of each, ascending")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each")
    options = parser.parse_args(argv)
    try:
        require(options.seeds >= 2, f"seeds = {options.seeds}: wanted at least two, for errors to be known")
        for recipe, share in product(options.recipes, options.shares):
            with_share_of_passes(ud.config.load(recipe), share)
        file = JsonFile(parser, argv, options)
        known = earlier(options, "curves", lambda points: [Point(**point) for point in points])
        found = [curve(recipe, options.shares, options.seeds) for recipe in options.recipes]
    except UserError as error:
        parser.error(str(error))
    file.write({"curves": [[point.__dict__ for point in points] for points in found]})
    if options.figure is not None:
        save(drawn([*known, *found]), options.figure)


if __name__ == "__main__":
    main()
