"""``undiffuse memorise``: does a bank generalise or memorise? Two on disjoint halves of the data, compared.

A bank that learned the law of its data draws the same sample as its twin from the same noise; one that learned its data
by heart draws one of its own training points (Kadkhodaie et al. 2024). The noise is the same in the variables of the
data (pixels), whatever axes each bank works along. Beside each pair stand two pairs of exact denoisers of the same
points: the Gaussian ones, which know mean and covariance, and the empirical ones, which know the points.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from undiffuse import datasets
from undiffuse.datasets import Dataset
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser
from undiffuse.diffusion.reverse import sample
from undiffuse.metrics.features import memorised_share
from undiffuse.model import Diffusion, fit
from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config
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
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.backend import LOCAL, processes
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import require
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.stats import share_stderr, stderr, straight_line
from undiffuse.support.streams import Purpose, Streams, stream
from undiffuse.training import Execution
from undiffuse.training.cost import pass_costs, training_seconds

_PAIR = 4_000  # bytes of what is asked and told of a pair
_HELD_OUT = 0.1  # share of each half that is not trained on
_DENOISERS = ("bank", "gaussian", "empirical")


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which twins to train.

    Attributes
    ----------
    preset : str
        Preset or TOML file.
    n : tuple of int
        Training points of each twin.
    hidden : tuple of int
        Hidden units; the preset's by default.
    seeds : int
        Pairs trained for each size, each on a split of its own; five or more for errors that mean something.
    changes : tuple of str
        Replace a setting, such as training.epochs=5; may be repeated.
    data : path, optional
        Folder of IDX files (.gz or not) to take the digits from; for image presets.
    samples : int
        Samples compared.
    sampler : SamplerOptions
    workers : int, optional
        Worker processes, each with a pair of its own, or with blocks of a single one; one per core by default.
    backend : BackendOptions
    seed : int
        Seed of the splits, of the trainings and of the samples.
    """

    preset: PresetName
    _: KW_ONLY
    n: Annotated[tuple[int, ...], Parameter(alias="-n", negative=())]
    hidden: Numbers = ()
    seeds: int = 1
    changes: Changes = ()
    data: IdxFolder = None
    samples: int = 500
    sampler: SamplerOptions = DEFAULT_SAMPLER
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


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Train twins for every number of training points and hidden units; progress counts pairs.

    ``on_cost`` is told before what that will take, from a few passes over a set of each size.

    Raises
    ------
    UserError
        If there are fewer points than two of the largest set, or sizes too small to train on.
    """
    sizes, samples = settings.n, settings.samples
    config = configuration.load(settings.preset, all_changes(settings.changes, settings.data))
    settings.sampler.build()
    x = datasets.load(config).train
    require(len(sizes) >= 1 and min(sizes) >= 10, f"sizes {list(sizes)}: wanted at least 10 training points")
    require(2 * max(sizes) <= len(x), f"{max(sizes)} points for each twin need {2 * max(sizes)}, there are {len(x)}")
    require(samples >= 2, f"samples = {samples}: wanted at least two")
    require(settings.seeds >= 1, f"seeds = {settings.seeds}: wanted at least one pair")
    widths, backend = settings.hidden or (config.network.hidden,), settings.backend.build()
    require(min(widths) >= 1, f"hidden = {list(widths)}: wanted at least one hidden unit")
    dim = x.shape[1]
    check_memory(8 * samples * (8 * dim + 2 * max(sizes)), f"comparing {samples} samples")
    check_memory(
        2 * 4 * config.diffusion.T * (2 * dim + 1) * max(widths), f"keeping two banks of {max(widths)} hidden units"
    )
    kinds = [(n, width) for n in sizes for width in widths]
    total = len(kinds) * settings.seeds
    check_memory(_PAIR * total, f"listing {total} pairs of twins")
    # Several pairs share the workers out among themselves; one alone shares out its blocks.
    within = settings.workers if total == 1 and backend == LOCAL else 1
    calls = [
        (replace(settings, workers=within), _adapted(config, len(x), n, width), n, replicate)
        for n, width in kinds
        for replicate in range(settings.seeds)
    ]
    if on_cost is not None and not backend.elsewhere:
        configs = {(n, width): _adapted(config, len(x), n, width) for n, width in kinds}
        on_cost(_cost(configs, x, settings))
    pairs = backend.map(_pair, calls, settings.workers, on_progress)
    found = [
        _summed_up(n, width, pairs[k * settings.seeds : (k + 1) * settings.seeds]) for k, (n, width) in enumerate(kinds)
    ]
    powers = {width: _powers([t for t in found if t.hidden == width]) for width in widths} if len(sizes) >= 3 else None
    return Result(settings.preset, samples, settings.seed, tuple(found), powers)


def _cost(configs: Mapping[tuple[int, int], Config], x: Floats, settings: Settings) -> Cost:
    """What the trainings will take, from a few passes over a set of each size."""
    one_of_each = 0.0
    for (n, _), config in configs.items():
        kept = n - max(1, round(_HELD_OUT * n))
        half = Dataset(x[:kept], x[kept:n])
        device, _ = Execution("auto").resolve(config, half.dim)
        one_of_each += training_seconds(config, pass_costs(config, half, device), 1)
    pairs = len(configs) * settings.seeds
    several = processes(settings.workers, pairs) if pairs > 1 else processes(settings.workers, 2)
    work = f"training {pairs} pair{'s' if pairs > 1 else ''} of twins on {several} workers"
    seconds = 2 * settings.seeds * one_of_each / several
    return Cost(seconds, work, "fewer -n, --seeds or --set training.epochs=5")


def _adapted(config: Config, whole: int, n: int, hidden: int) -> Config:
    """Configuration for ``n`` of ``whole`` points and so many hidden units.

    Passes are as many more as the points are fewer, so that all sizes make about as many steps as the recipe.
    """
    training = config.training
    trained_on = int(n * (1 - _HELD_OUT))
    batch = min(training.batch, trained_on)
    longer = (whole // training.batch) / max(1, trained_on // batch)

    def lengthened(epochs: int | None) -> int | None:
        return None if epochs is None else max(1, round(epochs * longer))

    passes = {"epochs": lengthened(training.epochs), "warm_epochs": lengthened(training.warm_epochs)}
    return config.model_copy(
        update={
            "network": config.network.model_copy(update={"hidden": hidden}),
            "training": training.model_copy(update={**passes, "batch": batch}),
            "times": tuple(
                part.model_copy(update={"epochs": lengthened(part.epochs), "warm_epochs": lengthened(part.warm_epochs)})
                for part in config.times
            ),
        }
    )


@dataclass(frozen=True)
class _Pair:
    """What one pair of banks, and the pairs of exact denoisers of their points, gave."""

    copies: float
    copies_of_data: float
    apart: Mapping[str, tuple[float, float]]  # distance and its standard error over samples
    gap: float
    samples: int


def _pair(settings: Settings, config: Config, n: int, replicate: int) -> _Pair:
    """Train two banks on disjoint sets of ``n`` points, each from a seed of its own, and compare what they draw."""
    shuffled = stream(settings.seed, Purpose.SPLIT, replicate).permutation(datasets.load(config).train)
    halves = [shuffled[k * n : (k + 1) * n] for k in (0, 1)]
    banks: list[Diffusion] = []
    for twin, half in enumerate(halves):
        seed = int(stream(settings.seed, Purpose.TWIN_SEED, replicate, twin).integers(2**63))
        execution = Execution(workers=settings.workers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # errors far above linear theory's are what this is about
            banks.append(fit(half, config, held_out=_HELD_OUT, seed=seed, execution=execution))
    kept = n - max(1, round(_HELD_OUT * n))
    forward = banks[0].forward
    pairs: dict[str, Sequence[Denoiser]] = {
        "bank": banks,
        "gaussian": [GaussianDenoiser.from_data(forward, half[:kept]) for half in halves],
        "empirical": [EmpiricalDenoiser(forward, half[:kept]) for half in halves],
    }
    noise = Streams(settings.seed, axes="data")
    drawn = {
        name: [sample(d, settings.samples, sampler=settings.sampler.build(), seed=noise) for d in pair]
        for name, pair in pairs.items()
    }
    unseen, trained = shuffled[n : n + settings.samples], halves[0][:kept]
    errors = banks[0].errors
    return _Pair(
        copies=memorised_share(drawn["bank"][0], trained),
        copies_of_data=memorised_share(unseen, trained),
        apart={name: _apart(*both) for name, both in drawn.items()},
        gap=float(np.mean(errors[:, 2] / errors[:, 1]) - 1),
        samples=settings.samples,
    )


def _apart(a: Floats, b: Floats) -> tuple[float, float]:
    """Root mean square distance of samples from the same noise over that from different noise, and its error."""
    same_noise = np.sum((a - b) ** 2, axis=1)
    other_noise = float(np.sum((a - np.roll(b, 1, axis=0)) ** 2, axis=1).mean())
    apart = float(np.sqrt(same_noise.mean() / other_noise))
    return apart, stderr(same_noise) / (2 * apart * other_noise) if apart > 0 else 0.0


def _summed_up(n: int, hidden: int, pairs: Sequence[_Pair]) -> Twins:
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
