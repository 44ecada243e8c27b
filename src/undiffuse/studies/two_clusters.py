"""``undiffuse physics two-clusters``: how many points a generative model needs, where the answer is known.

Networks with one hidden unit and a scalar skip are trained on n points of two Gaussian clusters and generate the
clusters anew; their means, weights and skips stand beside the closed forms of Cui, Krzakala, Vanden-Eijnden & Zdeborova
(ICLR 2024, arXiv 2310.03575) and the Bayes-optimal error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter

from undiffuse import figures as drawing
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.two_cluster_network import Loss, generate, train
from undiffuse.physics.two_cluster_sizes import Rate, Size
from undiffuse.physics.two_clusters import Solution, TrainingSet, forward_from
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.support.costs import Cost, OnCost, seconds_of
from undiffuse.support.errors import require, shown
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, counter, silent
from undiffuse.support.streams import Purpose, stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CALLS = 60  # evaluations of the loss for each network, 2026-11-26
_MOST_TIMES, _MOST_SEEDS, _MOST_POINTS = 10_000, 10_000, 100_000


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which clusters, and how many points, networks and trainings.

    Attributes
    ----------
    n : tuple of int
        Training points.
    noises : tuple of int
        Draws of noise for each training point, the same at every time; 1 is the paper's, and more come nearer to fresh
        noise in each pass.
    sigma : float
        Standard deviation of the clusters, whose centres are ``sqrt(dim)`` from the origin.
    ridge : float
        Strength of the penalty on the weights, lambda in the paper.
    dim : int
        Dimension of the data; theory is for many. Costs memory, and hardly any time.
    times : int
        Number of diffusion times, each with a network of its own.
    seeds : int
        Training sets for each n, over which errors are taken.
    samples : int
        Samples generated from each.
    out : path, optional
        Folder for the figure and summary.json; files of the same names are replaced.
    seed : int
        Seed of the training sets, of the random starts and of the samples.
    """

    n: Annotated[tuple[int, ...], Parameter(alias="-n", negative=())] = (4, 8, 16, 32, 64, 128)
    noises: Annotated[tuple[int, ...], Parameter(negative=())] = (1, 4)
    sigma: float = 1.0
    ridge: float = 0.1
    dim: int = 10_000
    times: int = 40
    seeds: int = 5
    samples: int = 500
    out: Path | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """Generated clusters and learned weights against the number of training points.

    Attributes
    ----------
    sigma, ridge, dim, seeds, samples, seed
        What was asked.
    signal_to_noise : tuple of float
        ``sqrt(alpha_bar/Delta)`` of each time, t = 1 first.
    sizes : tuple of Size
        For each number of noises, each number of points.
    rates : tuple of Rate
        For each number of noises, how the error falls with n.
    seconds : float
    """

    sigma: float
    ridge: float
    dim: int
    seeds: int
    samples: int
    seed: int
    signal_to_noise: tuple[float, ...]
    sizes: tuple[Size, ...]
    rates: tuple[Rate, ...]
    seconds: float


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Train, generate and compare; progress counts networks, and ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If a number is out of range, a number of points or noises is given twice, or memory is too small.
    """
    prepare(settings.out)
    solutions = _solutions(settings)
    forward = forward_from(settings.dim, settings.times)
    start = time.monotonic()
    if on_cost is not None:
        what = f"{settings.seeds} trainings of {len(solutions)} banks of {settings.times} networks"
        on_cost(Cost(_seconds(settings, solutions, forward), what, "fewer --seeds or smaller -n"))
    step = counter(on_progress, settings.times * settings.seeds * len(solutions))
    sizes = tuple(_size(settings, solution, forward, step) for solution in solutions)
    ratios = [forward.signal(t) / forward.noise(t) for t in range(1, forward.T + 1)]
    result = Result(
        sigma=settings.sigma,
        ridge=settings.ridge,
        dim=settings.dim,
        seeds=settings.seeds,
        samples=settings.samples,
        seed=settings.seed,
        signal_to_noise=tuple(ratios),
        sizes=sizes,
        rates=tuple(Rate.of([size for size in sizes if size.noises == noises]) for noises in settings.noises),
        seconds=round(time.monotonic() - start, 2),
    )
    return result if settings.out is None else keep(settings.out, result, figures(result))


def figures(result: Result) -> dict[str, Figure]:
    """Error of the generated mean against n with its closed form and the Bayes-optimal one, and overlaps of weights."""
    return {"two_clusters": drawing.two_clusters(result.sizes, result.rates, result.signal_to_noise)}


def _solutions(settings: Settings) -> list[Solution]:
    n, noises = settings.n, settings.noises
    for name, given, most in (("n", n, _MOST_POINTS), ("noises", noises, _MOST_POINTS)):
        require(
            len(given) >= 1 and len(set(given)) == len(given), f"{name} = {list(given)}: wanted different whole numbers"
        )
        require(max(given) <= most, f"{name} = {shown(max(given))}: wanted at most {most}")
    require(2 <= settings.dim <= 10**9, f"dim = {shown(settings.dim)}: wanted 2 to 1e9")
    require(
        2 <= settings.seeds <= _MOST_SEEDS, f"seeds = {shown(settings.seeds)}: wanted 2 to {_MOST_SEEDS}, for errors"
    )
    require(4 <= settings.times <= _MOST_TIMES, f"times = {shown(settings.times)}: wanted 4 to {_MOST_TIMES}")
    require(settings.samples >= 2, f"samples = {settings.samples}: wanted at least two")
    solutions = [Solution(points, settings.sigma, settings.ridge, draws) for draws in noises for points in n]
    rows = max(1 + s.n * (1 + int(s.noises)) for s in solutions)
    span = min(rows, settings.dim)
    drawn = 8 * (3 * rows * settings.dim + 4 * rows * span)
    check_memory(drawn, f"drawing {rows} points and noises of {settings.dim} variables")
    check_memory(8 * 6 * settings.samples * span, f"generating {settings.samples} samples in {span} coordinates")
    check_memory(8 * 4 * settings.times * span, f"keeping {settings.times} networks")
    return solutions


def _size(settings: Settings, solution: Solution, forward: ForwardProcess, on_step: Callable[[], None]) -> Size:
    measured = []
    for replicate in range(settings.seeds):
        given = TrainingSet.draw(solution, settings.dim, settings.seed, replicate)
        key = (solution.n, int(solution.noises), replicate)
        rng = stream(settings.seed, Purpose.TWO_CLUSTER_STARTS, *key)
        trained = train(given, forward, settings.ridge, rng, on_step)
        measured.append((trained, given, generate(trained.bank, given, settings.samples, rng)))
    return Size.of(solution, forward, measured)


def _seconds(settings: Settings, solutions: Sequence[Solution], forward: ForwardProcess) -> float:
    """Seconds of the whole, from one draw and one evaluation of the largest loss."""
    largest = max(solutions, key=lambda s: s.n * s.noises)
    start = time.perf_counter()
    given = TrainingSet.draw(largest, settings.dim, settings.seed)
    drawing_it = time.perf_counter() - start
    loss = Loss(given, given.diffused(forward, 1), settings.ridge)
    point = np.ones(1 + given.x0.shape[1])
    evaluation = seconds_of(lambda: loss(point))

    def rows(s: Solution) -> float:
        return s.n * (1 + s.noises)

    shares = [(rows(s) / rows(largest)) ** 2 for s in solutions]
    each = [drawing_it * share + _CALLS * settings.times * (evaluation * share + 5e-5) for share in shares]
    return settings.seeds * sum(each)
