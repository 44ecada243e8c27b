"""``undiffuse memorise``: does a bank generalise or memorise? Two on disjoint halves of the data, compared.

A bank that learned the law of its data draws the same sample as its twin from the same noise; one that learned its data
by heart draws one of its own training points (Kadkhodaie et al. 2024). The noise is the same in the variables of the
data (pixels), whatever axes each bank works along. Beside each pair stand two pairs of exact denoisers of the same
points: the Gaussian ones, which know mean and covariance, and the empirical ones, which know the points.

``--along training`` follows networks along their training instead: :mod:`undiffuse.studies.memorisation_clock`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Annotated, Literal, get_args
from uuid import uuid4

import numpy as np
from cyclopts import Parameter

from undiffuse.datasets import Dataset
from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config
from undiffuse.studies import memorisation_clock as clock
from undiffuse.studies.memorisation_clock import DEFAULT_CLOCK, ClockOptions
from undiffuse.studies.options import (
    DEFAULT_BACKEND,
    DEFAULT_SAMPLER,
    BackendOptions,
    Changes,
    IdxFolder,
    Numbers,
    PresetName,
    SamplerOptions,
    all_changes,
)
from undiffuse.studies.twin_training import HELD_OUT, Pair, TwinBench, adapted, points, train_pair
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.backend import LOCAL, processes
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import one_of, require
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.stats import share_stderr, stderr, straight_line
from undiffuse.training import Execution
from undiffuse.training.cost import pass_costs, training_seconds

_PAIR = 4_000  # bytes of what is asked and told of a pair
_DENOISERS = ("bank", "gaussian", "empirical")
_SAMPLES = 500

Along = Literal["points", "training"]


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which twins to train, or which networks to follow along their training.

    Attributes
    ----------
    preset : str
        Preset or TOML file. Along training its data and schedule are used, and not its network.
    n : tuple of int
        Training points of each twin; along training of each network, 50 to 800 by default.
    along : {"points", "training"}
        Twins of banks against the number of points, or single networks along their training.
    hidden : tuple of int
        Hidden units; the preset's by default, along training 256.
    seeds : int, optional
        Pairs trained for each size, each on a split of its own, 1 by default; five or more for errors that mean
        something. Along training: trainings of each kind, 5 by default.
    changes : tuple of str
        Replace a setting, such as training.epochs=5; may be repeated.
    data : path, optional
        Folder of IDX files (.gz or not) to take the digits from; for image presets.
    samples : int
        Samples compared.
    sampler : SamplerOptions
    clock : ClockOptions
    workers : int, optional
        Worker processes, each with a pair of its own, or with blocks of a single one; one per core by default.
    backend : BackendOptions
    seed : int
        Seed of the splits, of the trainings and of the samples.
    """

    preset: PresetName
    _: KW_ONLY
    n: Annotated[tuple[int, ...], Parameter(alias="-n", negative=())] = ()
    along: Along = "points"
    hidden: Numbers = ()
    seeds: int | None = None
    changes: Changes = ()
    data: IdxFolder = None
    samples: int = _SAMPLES
    sampler: SamplerOptions = DEFAULT_SAMPLER
    clock: ClockOptions = DEFAULT_CLOCK
    workers: int | None = None
    backend: BackendOptions = DEFAULT_BACKEND
    seed: int = 0


@dataclass(frozen=True)
class Twins(results.Result):
    """Pairs of banks trained on disjoint sets of ``n`` points, means over ``seeds`` pairs.

    Attributes
    ----------
    n, hidden, seeds : int
        Training points of each bank, hidden units, and number of pairs.
    copies, copies_stderr : float
        Share of the first bank's samples whose nearest training point is three times nearer than the next.
    copies_of_data : float
        The same share for points that the bank has not seen: what the measure gives without any memory.
    apart, apart_stderr : float
        Root mean square distance of the twins' samples from the same noise, over that from different noise: 0 where
        they are the same function, 1 where they share nothing but the law of their data.
    apart_samples_stderr : float
        Standard error over samples alone. ``apart_stderr`` is that over pairs, which holds both; of a single pair the
        two are the same, and the scatter between trainings is not known.
    gaussian_apart, gaussian_apart_stderr, empirical_apart, empirical_apart_stderr : float
        The same distance for the exact denoisers of the same points.
    gap, gap_stderr : float
        Mean of held-out over training error, minus one.
    """

    n: int
    hidden: int
    copies: float
    copies_stderr: float
    copies_of_data: float
    apart: float
    apart_stderr: float
    gap: float
    seeds: int
    apart_samples_stderr: float
    gaussian_apart: float
    gaussian_apart_stderr: float
    empirical_apart: float
    empirical_apart_stderr: float
    gap_stderr: float | None


@dataclass(frozen=True)
class Power(results.Result):
    """How a distance falls with the number of points, ``apart ~ n^exponent``: weighted fit of the logarithms."""

    exponent: float
    stderr: float


@dataclass(frozen=True)
class Result(results.Result):
    """Twins of every size.

    Attributes
    ----------
    preset, samples, seed
        What was asked.
    twins : list of Twins
    powers : dict, optional
        For each number of hidden units the powers of n of ``bank``, ``gaussian`` and ``empirical`` twins' distances;
        where there are three sizes or more.
    """

    preset: str
    samples: int
    seed: int
    twins: tuple[Twins, ...]
    powers: Mapping[int, Mapping[str, Power]] | None = None


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result | clock.Result:
    """Train twins for every number of training points and hidden units, or follow networks along their training.

    Progress counts pairs, or trainings. ``on_cost`` is told before what that will take, from a few passes over a set of
    each size.

    Raises
    ------
    UserError
        If there are fewer points than two of the largest set, sizes too small to train on, or options that belong to
        the other way along.
    """
    if one_of("--along", settings.along, get_args(Along)) == "training":
        return clock.run(_along_training(settings), on_progress, on_cost)
    require(settings.clock == DEFAULT_CLOCK, f"{', '.join(settings.clock.given())}: only with --along training")
    require(settings.n, "-n is missing: how many training points each twin has, such as -n 100 -n 1000")
    return _twins(replace(settings, seeds=1 if settings.seeds is None else settings.seeds), on_progress, on_cost)


def _along_training(settings: Settings) -> clock.Settings:
    """What is followed along training."""
    require(
        settings.samples == _SAMPLES and settings.sampler == DEFAULT_SAMPLER,
        "--along training draws no samples: no --samples and no --sampler with it",
    )
    return clock.Settings(
        settings.preset,
        changes=tuple(all_changes(settings.changes, settings.data)),
        n=settings.n,
        hidden=settings.hidden or clock.HIDDEN,
        seeds=clock.SEEDS if settings.seeds is None else settings.seeds,
        clock=settings.clock,
        workers=settings.workers,
        backend=settings.backend.build(),
        seed=settings.seed,
    )


def _twins(settings: Settings, on_progress: OnProgress, on_cost: OnCost | None) -> Result:
    """Train and compare twins."""
    sizes, samples, seeds = settings.n, settings.samples, settings.seeds or 0
    config = configuration.load(settings.preset, all_changes(settings.changes, settings.data))
    settings.sampler.build()
    bench = TwinBench(config, uuid4().hex, samples, settings.sampler, settings.seed)
    x = points(bench.config, bench.job)
    require(min(sizes) >= 10, f"sizes {list(sizes)}: wanted at least 10 training points")
    require(2 * max(sizes) <= len(x), f"{max(sizes)} points for each twin need {2 * max(sizes)}, there are {len(x)}")
    require(samples >= 2, f"samples = {samples}: wanted at least two")
    require(seeds >= 1, f"seeds = {seeds}: wanted at least one pair")
    widths, backend = settings.hidden or (config.network.hidden,), settings.backend.build()
    require(min(widths) >= 1, f"hidden = {list(widths)}: wanted at least one hidden unit")
    for name, several in (("n", sizes), ("hidden", widths)):
        require(len(set(several)) == len(several), f"{name} = {list(several)}: wanted different ones")
    config.forward().schedule.spaced_times(settings.sampler.steps)  # refuses more steps than times
    dim = x.shape[1]
    check_memory(8 * samples * (8 * dim + 2 * max(sizes)), f"comparing {samples} samples")
    check_memory(
        2 * 4 * config.diffusion.T * (2 * dim + 1) * max(widths), f"keeping two banks of {max(widths)} hidden units"
    )
    kinds = [(n, width) for n in sizes for width in widths]
    total = len(kinds) * seeds
    check_memory(_PAIR * total, f"listing {total} pairs of twins")
    # Several pairs share the workers out among themselves; one alone shares out its blocks.
    within = settings.workers if total == 1 and backend == LOCAL else 1
    calls = [
        (replace(bench, workers=within), adapted(config, len(x), n, width), n, replicate)
        for n, width in kinds
        for replicate in range(seeds)
    ]
    if on_cost is not None and not backend.elsewhere:
        configs = {(n, width): adapted(config, len(x), n, width) for n, width in kinds}
        on_cost(_cost(configs, x, settings))
    pairs = backend.map(train_pair, calls, settings.workers, on_progress)
    found = [_summed_up(n, width, pairs[k * seeds : (k + 1) * seeds]) for k, (n, width) in enumerate(kinds)]
    powers = {width: _powers([t for t in found if t.hidden == width]) for width in widths} if len(sizes) >= 3 else None
    return Result(settings.preset, samples, settings.seed, tuple(found), powers)


def _cost(configs: Mapping[tuple[int, int], Config], x: Floats, settings: Settings) -> Cost:
    """What the trainings will take, from a few passes over a set of each size."""
    one_of_each = 0.0
    for (n, _), config in configs.items():
        kept = n - max(1, round(HELD_OUT * n))
        half = Dataset(x[:kept], x[kept:n])
        device, _ = Execution("auto").resolve(config, half.dim)
        one_of_each += training_seconds(config, pass_costs(config, half, device), 1)
    seeds = settings.seeds or 0
    pairs = len(configs) * seeds
    several = processes(settings.workers, pairs) if pairs > 1 else processes(settings.workers, 2)
    work = f"training {pairs} pair{'s' if pairs > 1 else ''} of twins on {several} workers"
    seconds = 2 * seeds * one_of_each / several
    return Cost(seconds, work, "fewer -n, --seeds or --set training.epochs=5")


def _summed_up(n: int, hidden: int, pairs: Sequence[Pair]) -> Twins:
    several = len(pairs) > 1

    def over_pairs(name: str) -> tuple[float, float, float]:
        """Mean distance, its error over pairs (of one pair: over samples), and its error over samples."""
        values, errors = np.array([pair.apart[name] for pair in pairs]).T
        of_samples = float(np.sqrt(np.mean(errors**2) / len(pairs)))
        return float(values.mean()), stderr(values) if several else of_samples, of_samples

    copies, gaps = np.array([pair.copies for pair in pairs]), np.array([pair.gap for pair in pairs])
    apart, gaussian, empirical = (over_pairs(name) for name in _DENOISERS)
    return Twins(
        n=n,
        hidden=hidden,
        copies=float(copies.mean()),
        copies_stderr=stderr(copies) if several else share_stderr(pairs[0].copies, pairs[0].samples),
        copies_of_data=float(np.mean([pair.copies_of_data for pair in pairs])),
        apart=apart[0],
        apart_stderr=apart[1],
        gap=float(gaps.mean()),
        seeds=len(pairs),
        apart_samples_stderr=apart[2],
        gaussian_apart=gaussian[0],
        gaussian_apart_stderr=gaussian[1],
        empirical_apart=empirical[0],
        empirical_apart_stderr=empirical[1],
        gap_stderr=stderr(gaps) if several else None,
    )


def _powers(twins: Sequence[Twins]) -> dict[str, Power]:
    """Powers of n of the three distances."""
    logs = np.log([t.n for t in twins])
    out = {}
    for name, prefix in zip(_DENOISERS, ("", "gaussian_", "empirical_"), strict=True):
        value, error = (np.array([getattr(t, f"{prefix}{key}") for t in twins]) for key in ("apart", "apart_stderr"))
        out[name] = Power(*straight_line(logs, np.log(value), error / value))
    return out
