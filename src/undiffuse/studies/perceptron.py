"""``undiffuse perceptron``: Annex II, two digits told apart by a perceptron."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from cyclopts import Parameter

from undiffuse import datasets
from undiffuse import figures as drawing
from undiffuse.baselines import Perceptron
from undiffuse.studies.options import Flag, IdxFolder
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import require
from undiffuse.support.files import check_output
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.streams import Purpose, stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to classify.

    Attributes
    ----------
    digits : (int, int)
        Two digits; the second has output +1.
    data : path, optional
        Folder of IDX files; the digits in the package by default.
    orders : int
        Number of random orders of the training data to try as well.
    bias : bool
        Learn a threshold.
    max_passes : int
        Largest number of passes over the data.
    figure : path, optional
        PNG file to draw the weights to.
    overwrite : bool
        Replace a figure that is there.
    seed : int
        Seed of the random orders.
    """

    digits: tuple[int, int] = (0, 1)
    data: IdxFolder = None
    orders: int = 20
    bias: bool = True
    max_passes: int = 100
    figure: Path | None = None
    overwrite: Flag = False
    seed: int = 0


@dataclass(frozen=True)
class RandomOrders(results.Result):
    """Passes until the last mistake and errors on test images, for each random order of the training data."""

    passes: tuple[int, ...]
    test_errors: tuple[int, ...]


@dataclass(frozen=True)
class Result(results.Result):
    """A trained perceptron.

    Attributes
    ----------
    digits : (int, int)
    training_images, test_images : int
    bias, converged : bool
    passes : int
        Over the training data, in the files' order.
    mistakes : tuple of int
        In each pass.
    test_errors : int
    random_orders : RandomOrders
    figure : path or None
    w : (dim,)
        Weights.
    shape : (rows, columns)
        Of the images.
    """

    digits: tuple[int, int]
    training_images: int
    test_images: int
    bias: bool
    converged: bool
    passes: int
    mistakes: tuple[int, ...]
    test_errors: int
    random_orders: RandomOrders
    figure: str | None
    w: Floats
    shape: tuple[int, int]

    _hidden: ClassVar[tuple[str, ...]] = ("w", "shape")


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Train in the files' order and in random ones, and draw the weights if that is asked for.

    ``on_cost`` is told what the random orders will take, from the files' own.

    Raises
    ------
    UserError
        If a digit is not there, or a number is out of range.
    """
    if settings.figure is not None:
        check_output(settings.figure, settings.overwrite, ".png")
    train, test = (datasets.mnist(settings.digits, split, settings.data) for split in ("train", "test"))
    require(settings.orders >= 0, f"orders = {settings.orders}: wanted at least 0")
    rule = Perceptron(bias=settings.bias, max_passes=settings.max_passes)
    y, y_test = (np.where(images.labels == settings.digits[1], 1, -1) for images in (train, test))
    start = time.monotonic()
    found = rule.fit(train.x, y)
    if on_cost is not None and settings.orders:
        seconds = settings.orders * (time.monotonic() - start)
        on_cost(Cost(seconds, f"{settings.orders} random orders", "fewer --orders"))
    shuffled = []
    for k in range(settings.orders):
        shuffled.append(rule.fit(train.x, y, stream(settings.seed, Purpose.PERCEPTRON_ORDER, k)))
        on_progress(k + 1, settings.orders)
    result = Result(
        digits=settings.digits,
        training_images=len(train.x),
        test_images=len(test.x),
        bias=settings.bias,
        converged=found.converged,
        passes=len(found.mistakes),
        mistakes=tuple(found.mistakes),
        test_errors=found.errors(test.x, y_test),
        random_orders=RandomOrders(
            tuple(len(r.mistakes) for r in shuffled), tuple(r.errors(test.x, y_test) for r in shuffled)
        ),
        figure=None if settings.figure is None else str(settings.figure),
        w=found.w,
        shape=train.shape,
    )
    if settings.figure is not None:
        drawing.save(figures(result)["perceptron"], settings.figure)
    return result


def figures(result: Result) -> dict[str, Figure]:
    """Weights as an image."""
    first, second = map(str, result.digits)
    return {"perceptron": drawing.perceptron_weights(result.w, result.shape, (first, second))}
