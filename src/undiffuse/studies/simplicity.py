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

from cyclopts import Parameter

from undiffuse import datasets
from undiffuse import figures as drawing
from undiffuse.datasets import Dataset, can_be_classified
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser
from undiffuse.diffusion.objective import xi_errors
from undiffuse.diffusion.reverse import sample
from undiffuse.metrics import Evaluation, measure_names
from undiffuse.recipes.vary import evenly, mean_passes, with_hidden, with_points, with_share_of_passes, with_times
from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.options import Changes, IdxFolder, Numbers, PresetName, all_changes
from undiffuse.studies.simplicity_points import Found, Knee, Point, knee
from undiffuse.support.backend import LOCAL, processes
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import one_of, require
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.training import Execution, train_bank
from undiffuse.training.cost import pass_costs, training_seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from undiffuse.metrics.classifiers import Classifiers

COLUMNS = ("hidden", "T", "passes", "n")
_CENTRE_T = 40  # of the recipe that is varied, where the preset has more
_NARROW = 4  # variables of data whose banks are trained in seconds
_FEWER_T, _FEWER_HIDDEN, _FEWER_PASSES = 20, 512, 5  # of the recipe that is varied, at most, for wider data
_SHARES = {"hidden": (1 / 64, 1 / 16, 1 / 4, 1.0), "T": (1 / 4, 1 / 2, 1.0, 2.0), "n": (1 / 100, 1 / 30, 1 / 10, 1.0)}
_HELD_OUT, _FEWER_HELD_OUT = 1_000, 200  # points on which xi-errors are taken, and for wider data
_MOST_SEEDS, _MOST_VALUES = 1_000, 100


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which recipe, and the values that each of its settings takes.

    Attributes
    ----------
    preset : str
        Name of a preset or a TOML file. Every setting but the one that varies has its value; for data of more than four
        variables by default at most 20 times, 512 hidden units and 5 passes, all times alike, each by itself, and
        without blends and posterior means.
    hidden : tuple of int
        Hidden units; 1/64 to all of the recipe's by default.
    times : tuple of int
        Numbers of diffusion times T at the same total noise; 1/4 to twice the recipe's by default.
    shares : tuple of float
        Shares of the preset's passes over the data.
    n : tuple of int
        Training points, trained on for as many steps; 1/100 to all of the preset's by default.
    only : tuple of str
        Settings to vary: hidden, T, passes, n; by default all of them, for data of more than four variables hidden
        and those whose values are given.
    centre : int, optional
        T of the recipe that is varied, at the preset's total noise and with its hidden units and passes; the preset's
        own T keeps all of it. By default 40 where the preset may be cut.
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


class _Bench(NamedTuple):
    """What all trainings share: settings, the measure's name, and files of the classifiers of images."""

    settings: Settings
    metric: str
    judge: Mapping[str, bytes] | None


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Train and measure; progress counts banks, and ``on_cost`` is told before what they will take.

    Raises
    ------
    UserError
        If a setting is out of range, or cannot be changed in this recipe; nothing is trained then.
    """
    prepare(settings.out)
    begun = time.monotonic()
    preset = _preset(settings)
    data = datasets.load(preset)
    config = _centre(settings, preset, data.dim)
    metric = _metric(settings, data)
    grid = _grid(settings, config, data)
    banks = [bank for column in grid.values() for bank in column.values()]
    # The recipe itself stands in every column and is trained once; configurations have no hash, their text has.
    distinct = {_key(bank): bank for bank in banks}
    _check_sizes(settings, data, distinct.values())
    judge = _judge(data)
    if on_cost is not None:
        on_cost(_cost(settings, distinct.values(), data, judge))
    keys = [(key, k) for key in distinct for k in range(settings.seeds)]
    bench = _Bench(settings, metric, None if judge is None else judge.to_files())
    calls = [(bench, distinct[key], k) for key, k in keys]
    found = dict(zip(keys, LOCAL.map(_measured, calls, settings.workers, on_progress), strict=True))
    columns = {
        name: tuple(
            Point.of(value, [found[_key(bank), k] for k in range(settings.seeds)]) for value, bank in column.items()
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


def _preset(settings: Settings) -> Config:
    """Check numbers, and read the preset."""
    config = configuration.load(settings.preset, all_changes(settings.changes, settings.data), settings.seed)
    require(2 <= settings.seeds <= _MOST_SEEDS, f"seeds = {settings.seeds}: wanted 2 to {_MOST_SEEDS}, for errors")
    require(settings.samples >= 2, f"samples = {settings.samples}: wanted at least 2")
    require(2 <= settings.replicates <= 1_000, f"replicates = {settings.replicates}: wanted 2 to 1000")
    for name in settings.only:
        one_of("setting to vary", name, COLUMNS)
    require(len(set(settings.only)) == len(settings.only), "--only: a setting comes twice")
    return config


def _is_small(settings: Settings, dim: int) -> bool:
    """Whether the recipe that is varied is cut in all that makes trainings long."""
    return settings.centre is None and dim > _NARROW


def _centre(settings: Settings, config: Config, dim: int) -> Config:
    """Return the recipe that is varied."""
    T, cosine = config.diffusion.T, config.diffusion.schedule == "cosine"
    if settings.centre is not None:
        return config if settings.centre == T else with_times(evenly(config), settings.centre)
    if _is_small(settings, dim):
        config = evenly(config)
        # Posterior means over the training set take longer than the networks.
        plain = config.training.model_copy(update={"targets": "sample", "blends": 0.0})
        config = config.model_copy(update={"training": plain})
        config = with_hidden(config, min(_FEWER_HIDDEN, config.network.hidden))
        config = with_share_of_passes(config, min(1.0, _FEWER_PASSES / config.training.epochs))
        return config if cosine else with_times(config, min(_FEWER_T, T))
    # A recipe whose times have settings of their own, or without betas to scale, stays as it is.
    fixed = config.times or config.training.sweep_from is not None or cosine
    return config if fixed else with_times(config, min(_CENTRE_T, T))


def _metric(settings: Settings, data: Dataset) -> str:
    usual = "frechet_distance" if can_be_classified(data) else "w2"
    return one_of("metric", settings.metric or usual, measure_names(data))


def _grid(settings: Settings, config: Config, data: Dataset) -> dict[str, dict[float, _Bank]]:
    """What is trained, by setting and value, in increasing order."""
    n = len(data.train)
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
    asked = {"hidden", *(name for name in ("T", "n") if given[name])}
    asked |= {"passes"} if settings.shares != Settings.shares else set()
    grid = {}
    for name in settings.only or [name for name in COLUMNS if name in asked or not _is_small(settings, data.dim)]:
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


def _shown(data: Dataset, n: int) -> Dataset:
    """What a training sees: the first n points, and one held out, since errors after each pass are not looked at."""
    return Dataset(data.train[:n], data.held_out[:1])


def _cost(settings: Settings, banks: Collection[_Bank], data: Dataset, judge: Classifiers | None) -> Cost:
    """What the trainings will take, from a few passes of each, and the measures of the samples.

    Parameters
    ----------
    settings : Settings
    banks : collection of _Bank
    data : Dataset
    judge : Classifiers or None
    """
    each = []
    for bank in banks:
        part = _shown(data, bank.n)
        device, _ = Execution("cpu").resolve(bank.config, part.dim)
        each.append(training_seconds(bank.config, pass_costs(bank.config, part, device), 1))
    beside = {"gaussian": data.train}
    measuring = Evaluation(data, settings.replicates, settings.seed, judge, beside).seconds(_size(settings, data))
    several = processes(settings.workers, settings.seeds * len(each))
    seconds = settings.seeds * (sum(each) + measuring * len(each)) / several
    what = f"{settings.seeds} trainings of {len(each)} banks on {several} workers, and their samples' distances"
    return Cost(seconds, what, "smaller --seeds or --centre, or --only hidden")


def _size(settings: Settings, data: Dataset) -> int:
    largest = data.largest_set()
    return settings.samples if largest is None else min(settings.samples, largest)


def _measured(bench: _Bench, bank: _Bank, k: int) -> Found:
    """Train one bank from the k-th seed, and measure it; called on a worker."""
    settings = bench.settings
    seed = settings.seed + k
    config = bank.config.model_copy(update={"seed": seed})
    data = datasets.load(config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # errors above linear theory's are what this is about
        trained, _ = train_bank(config, _shown(data, bank.n), Execution("cpu", workers=1))
    gaussian = GaussianDenoiser.from_data(trained.forward, data.train[: bank.n])
    of_bank = _xi_error(trained, data, seed)
    of_gaussian, of_exact = _exact_errors(config.model_dump_json(include={"seed", "data", "diffusion"}), bank.n)
    count = _size(settings, data) * settings.replicates
    samples, linear = (sample(denoiser, count, seed=seed) for denoiser in (trained, gaussian))
    judge = _judge_of(bench.judge)
    found = Evaluation(data, settings.replicates, seed, judge, {"gaussian": linear}).of(samples)[bench.metric]
    floor = found.floor if found.ratio is not None else float("nan")
    return Found(of_bank, of_gaussian, of_exact, found.value / floor, found.baselines["gaussian"] / floor)


def _xi_error(denoiser: Denoiser, data: Dataset, seed: int) -> float:
    """Mean over all times of the held-out error, on the same noised points for every denoiser."""
    x0 = data.held_out[: _HELD_OUT if data.dim <= _NARROW else _FEWER_HELD_OUT]
    return float(xi_errors(denoiser, x0, denoiser.forward.schedule.times.tolist(), seed).mean())


@lru_cache(maxsize=100)
def _exact_errors(text: str, n: int) -> tuple[float, float]:
    """Errors of the Gaussian and the exact denoiser, once on a worker for all banks of the same points and times.

    ``text`` is the part of their configuration that they depend on.
    """
    config = configuration.validate(json.loads(text), "data")
    data, forward = datasets.load(config), config.forward()
    train, law = data.train[:n], data.law(forward)
    exact = EmpiricalDenoiser(forward, train) if law is None else law
    return _xi_error(GaussianDenoiser.from_data(forward, train), data, config.seed), _xi_error(exact, data, config.seed)


def _judge(data: Dataset) -> Classifiers | None:
    """Classifiers of images, trained once; None for other data."""
    if not can_be_classified(data):
        return None
    from undiffuse.metrics.classifiers import Classifiers

    return Classifiers.train(*data.images)


def _judge_of(files: Mapping[str, bytes] | None) -> Classifiers | None:
    """The same on a worker, from their files."""
    if files is None:
        return None
    from undiffuse.metrics.classifiers import Classifiers

    return Classifiers.from_files(files)
