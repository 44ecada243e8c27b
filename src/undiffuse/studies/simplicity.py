"""``undiffuse physics simplicity``: how simple a bank may be before its quality suffers, the thesis's open question.

One of four settings of a recipe is changed at a time: hidden units, T, passes over the data, training points. Beside
each stand the errors of exact denoisers on the same noised points.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from cyclopts import Parameter

from undiffuse import datasets
from undiffuse import figures as drawing
from undiffuse.datasets import Dataset, can_be_classified
from undiffuse.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser
from undiffuse.diffusion.objective import xi_errors
from undiffuse.diffusion.reverse import sample
from undiffuse.metrics import Evaluation, measure_names
from undiffuse.recipes.vary import mean_passes, with_hidden, with_points, with_share_of_passes, with_times
from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.options import Changes, IdxFolder, Numbers, PresetName, all_changes
from undiffuse.studies.simplicity_points import Knee, Point, knee
from undiffuse.support.arrays import Floats
from undiffuse.support.backend import LOCAL, processes
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import one_of, require
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.stats import mean_and_stderr
from undiffuse.training import Execution, train_bank
from undiffuse.training.cost import pass_costs, training_seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from undiffuse.metrics.classifiers import Classifiers

COLUMNS = ("hidden", "T", "passes", "n")
_CENTRE_T = 40  # of the recipe that is varied, where the preset has more
_SHARES = {"hidden": (1 / 64, 1 / 16, 1 / 4, 1.0), "T": (1 / 4, 1 / 2, 1.0, 2.0), "n": (1 / 100, 1 / 30, 1 / 10, 1.0)}
_HELD_OUT = 1_000  # points on which xi-errors are taken
_MOST_SEEDS, _MOST_VALUES = 1_000, 100


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which recipe, and the values that each of its settings takes.

    Attributes
    ----------
    preset : str
        Name of a preset or a TOML file. Every setting but the one that varies has the preset's value.
    hidden : tuple of int
        Hidden units; 1/64 to all of the preset's by default.
    times : tuple of int
        Numbers of diffusion times T at the same total noise; 1/4 to twice the recipe's by default.
    shares : tuple of float
        Shares of the preset's passes over the data.
    n : tuple of int
        Training points, trained on for as many steps; 1/100 to all of the preset's by default.
    only : tuple of str
        Settings to vary: hidden, T, passes, n; all of them by default.
    centre : int, optional
        T of the recipe that is varied, at the preset's total noise; 40 by default where the preset may be cut.
    metric : str, optional
        Measure of samples, such as w2; by default frechet_distance of images and w2 of other data.
    seeds : int
        Trainings of each, every one from data, weights and noise of its own; the same data for all settings.
    samples : int
        Samples in a set.
    replicates : int
        Sets of samples of each bank.
    changes : tuple of str
        Replace a setting of the preset, such as data.noise=0.05; may be repeated.
    data : path, optional
        Folder of IDX files (.gz or not) to take the digits from; for image presets.
    out : path, optional
        Folder for the figure and summary.json; files of the same names are replaced.
    workers : int, optional
        Worker processes, each with a bank of its own; one per core by default.
    seed : int
        First of the seeds.
    """

    preset: PresetName
    _: KW_ONLY
    hidden: Numbers = ()
    times: Numbers = ()
    shares: Annotated[tuple[float, ...], Parameter(negative=())] = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
    n: Annotated[tuple[int, ...], Parameter(alias="-n", negative=())] = ()
    only: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    centre: int | None = None
    metric: str | None = None
    seeds: int = 3
    samples: int = 500
    replicates: int = 4
    changes: Changes = ()
    data: IdxFolder = None
    out: Path | None = None
    workers: int | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """Quality against each of the settings.

    Attributes
    ----------
    preset, metric : str
    T, hidden, n : int
        Of the recipe that is varied.
    passes : float
        Its passes over the data at each time, mean over times.
    seeds, samples, replicates, seed : int
    exact : str
        Whose errors stand beside: ``law``, the exact denoiser of the law of the data, which no denoiser is better
        than; or ``empirical``, that of the training points where the law is not known, which is no floor on held-out
        points.
    columns : dict of tuple of Point
        For each setting that varies, its values in increasing order.
    knees : dict of Knee
    seconds : float
    """

    preset: str
    metric: str
    T: int
    hidden: int
    n: int
    passes: float
    seeds: int
    samples: int
    replicates: int
    seed: int
    exact: str
    columns: Mapping[str, tuple[Point, ...]]
    knees: Mapping[str, Knee]
    seconds: float


class _Bank(NamedTuple):
    """What is trained: a configuration, and its number of training points."""

    config: Config
    n: int


class _Found(NamedTuple):
    """What one training gave: errors of bank, Gaussian and exact denoiser, and the samples' distance over its floor."""

    xi_error: float
    gaussian: float
    exact: float
    distance: float


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Train and measure; progress counts banks, and ``on_cost`` is told before what they will take.

    Raises
    ------
    UserError
        If a setting is out of range, or cannot be changed in this recipe; nothing is trained then.
    """
    prepare(settings.out)
    begun = time.monotonic()
    config = _centre(settings)
    data = datasets.load(config)
    metric = _metric(settings, data)
    grid = _grid(settings, config, len(data.train))
    banks = [bank for column in grid.values() for bank in column.values()]
    # The recipe itself stands in every column and is trained once; configurations have no hash, their text has.
    distinct = {_key(bank): bank for bank in banks}
    _check_sizes(settings, data, distinct.values())
    if on_cost is not None:
        on_cost(_cost(settings, distinct.values(), data))
    keys = [(key, k) for key in distinct for k in range(settings.seeds)]
    calls = [(settings, distinct[key], metric, k) for key, k in keys]
    found = dict(zip(keys, LOCAL.map(_measured, calls, settings.workers, on_progress), strict=True))
    columns = {
        name: tuple(
            _point(value, [found[_key(bank), k] for k in range(settings.seeds)]) for value, bank in column.items()
        )
        for name, column in grid.items()
    }
    result = Result(
        preset=settings.preset,
        metric=metric,
        T=config.diffusion.T,
        hidden=config.network.hidden,
        n=len(data.train),
        passes=mean_passes(config),
        seeds=settings.seeds,
        samples=settings.samples,
        replicates=settings.replicates,
        seed=settings.seed,
        exact="empirical" if data.law(config.forward()) is None else "law",
        columns=columns,
        knees={name: knee(points) for name, points in columns.items()},
        seconds=round(time.monotonic() - begun, 2),
    )
    return result if settings.out is None else keep(settings.out, result, figures(result))


def figures(result: Result) -> dict[str, Figure]:
    """Draw a column for each setting: xi-error with its references above, distance of samples over its floor below."""
    return {"simplicity": drawing.simplicity(result.columns, result.exact, result.metric.replace("_", " "))}


# -- inside -----------------------------------------------------------------------------------------------------------


def _centre(settings: Settings) -> Config:
    """Check numbers, and return the recipe that is varied."""
    config = configuration.load(settings.preset, all_changes(settings.changes, settings.data), settings.seed)
    require(2 <= settings.seeds <= _MOST_SEEDS, f"seeds = {settings.seeds}: wanted 2 to {_MOST_SEEDS}, for errors")
    require(settings.samples >= 2, f"samples = {settings.samples}: wanted at least 2")
    require(2 <= settings.replicates <= 1_000, f"replicates = {settings.replicates}: wanted 2 to 1000")
    for name in settings.only:
        one_of("setting to vary", name, COLUMNS)
    require(len(set(settings.only)) == len(settings.only), "--only: a setting comes twice")
    if settings.centre is not None:
        return with_times(config, settings.centre)
    # A recipe whose times have settings of their own, or without betas to scale, stays as it is.
    fixed = config.times or config.training.sweep_from is not None or config.diffusion.schedule == "cosine"
    return config if fixed else with_times(config, min(_CENTRE_T, config.diffusion.T))


def _metric(settings: Settings, data: Dataset) -> str:
    usual = "frechet_distance" if can_be_classified(data) else "w2"
    return one_of("metric", settings.metric or usual, measure_names(data))


def _grid(settings: Settings, config: Config, n: int) -> dict[str, dict[float, _Bank]]:
    """What is trained, by setting and value, in increasing order."""
    makers: dict[str, Callable[[float], _Bank]] = {
        "hidden": lambda value: _Bank(with_hidden(config, int(value)), n),
        "T": lambda value: _Bank(with_times(config, int(value)), n),
        "passes": lambda share: _Bank(with_share_of_passes(config, share), n),
        "n": lambda value: _Bank(with_points(config, int(value), n), int(value)),
    }
    wholes = {"hidden": config.network.hidden, "T": config.diffusion.T, "n": n}
    given: dict[str, Sequence[float]] = {
        "hidden": settings.hidden, "T": settings.times, "passes": settings.shares, "n": settings.n,
    }  # fmt: skip
    grid = {}
    for name in settings.only or COLUMNS:
        values = given[name] or sorted({max(2, round(share * wholes[name])) for share in _SHARES[name]})
        require(len(set(values)) == len(values), f"{name}: a value comes twice")
        require(2 <= len(values) <= _MOST_VALUES, f"{name}: wanted 2 to {_MOST_VALUES} values, there are {len(values)}")
        made = [makers[name](value) for value in sorted(values)]
        shown = [mean_passes(bank.config) for bank in made] if name == "passes" else sorted(values)
        grid[name] = dict(zip(shown, made, strict=True))
        require(len(grid[name]) >= 2, f"{name}: all shares are the same number of passes, {shown[0]:g}")
    return grid


def _key(bank: _Bank) -> str:
    return f"{bank.n} {bank.config.model_dump_json()}"


def _check_sizes(settings: Settings, data: Dataset, banks: Collection[_Bank]) -> None:
    total = settings.samples * settings.replicates
    check_memory(3 * 8 * total * data.dim + 32 * settings.samples**2, f"measuring {total} samples")
    for bank in banks:
        d, hidden = bank.config.diffusion, bank.config.network.hidden
        check_memory(4 * d.T * (2 * data.dim + 1) * hidden, f"keeping a bank of {hidden} hidden units at {d.T} times")


def _cost(settings: Settings, banks: Collection[_Bank], data: Dataset) -> Cost:
    """What the trainings will take, from a few passes of each, and the measures of the samples."""
    each = []
    for bank in banks:
        part = Dataset(data.train[: bank.n], data.held_out)
        device, _ = Execution("cpu").resolve(bank.config, part.dim)
        each.append(training_seconds(bank.config, pass_costs(bank.config, part, device), 1))
    measuring = Evaluation(data, settings.replicates, settings.seed, _judge(data)).seconds(_size(settings, data))
    several = processes(settings.workers, settings.seeds * len(each))
    seconds = settings.seeds * (sum(each) + measuring * len(each)) / several
    what = f"{settings.seeds} trainings of {len(each)} banks on {several} workers, and their samples' distances"
    return Cost(seconds, what, "smaller --seeds or --centre, or --only hidden")


def _size(settings: Settings, data: Dataset) -> int:
    largest = data.largest_set()
    return settings.samples if largest is None else min(settings.samples, largest)


def _measured(settings: Settings, bank: _Bank, metric: str, k: int) -> _Found:
    """Train one bank from the k-th seed, and measure it; called on a worker."""
    seed = settings.seed + k
    config = bank.config.model_copy(update={"seed": seed})
    data = datasets.load(config)
    train = data.train[: bank.n]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # errors above linear theory's are what this is about
        trained, _ = train_bank(config, Dataset(train, data.held_out), Execution("cpu", workers=1))
    law = data.law(trained.forward)
    gaussian = GaussianDenoiser.from_data(trained.forward, train)
    exact = EmpiricalDenoiser(trained.forward, train) if law is None else law
    times, x0 = trained.forward.schedule.times.tolist(), data.held_out[:_HELD_OUT]
    of_bank, of_gaussian, of_exact = (float(xi_errors(d, x0, times, seed).mean()) for d in (trained, gaussian, exact))
    samples = sample(trained, _size(settings, data) * settings.replicates, seed=seed)
    found = Evaluation(
        data, settings.replicates, seed, _judge_of(bank.config.model_dump_json(include={"data", "seed"}))
    ).of(samples)[metric]
    ratio = found.ratio if found.ratio is not None else float("nan")
    return _Found(of_bank, of_gaussian, of_exact, ratio)


@lru_cache(maxsize=1)
def _judge_of(text: str) -> Classifiers | None:
    """Classifiers of a configuration's images, trained once on a worker; None for other data."""
    return _judge(datasets.load(configuration.validate(json.loads(text), "data")))


def _judge(data: Dataset) -> Classifiers | None:
    if not can_be_classified(data):
        return None
    from undiffuse.metrics.classifiers import Classifiers

    return Classifiers.train(*data.images)


def _point(value: float, found: Sequence[_Found]) -> Point:
    columns: list[Floats] = list(np.array(found).T)
    (xi, xi_e), (g, g_e), (e, e_e), (d, d_e) = (mean_and_stderr(column) for column in columns)
    return Point(value, xi, xi_e, g, g_e, e, e_e, d, d_e, tuple(columns[0].tolist()), tuple(columns[3].tolist()))
