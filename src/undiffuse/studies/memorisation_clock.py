"""``undiffuse memorise --along training``: when a network has generalised, and when it begins to memorise.

For several numbers of points a network for each of a few diffusion times is trained alone, and its errors on training
and held-out points are followed; see :mod:`undiffuse.physics.memory_clock`. One network with weights of its own for
each time shows how both clocks depend on the diffusion time, which a network that is shared by all times cannot.
Beside them stand the exact denoisers of the same points: the empirical one, which is memory, and the Gaussian one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from cyclopts import Parameter

from undiffuse import datasets
from undiffuse import figures as drawing
from undiffuse.physics.memory_clock import (
    Growth,
    Reached,
    Reading,
    generalisation_step,
    memorisation_step,
    power,
)
from undiffuse.runs import config as configuration
from undiffuse.studies import clock_training as training
from undiffuse.studies.clock_training import Bench, Errors, Trained
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.options import Numbers, number_of
from undiffuse.support.arrays import Floats
from undiffuse.support.backend import LOCAL, Backend, processes
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import require, shown
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.stats import PrincipalAxes, stderr
from undiffuse.support.streams import Purpose, stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HIDDEN, SEEDS = (256,), 5
_SIZES = (50, 100, 200, 400, 800)
_OU_TIMES = (0.05, 0.1, 0.2, 0.4, 0.8)
_COMPONENTS = 50
_LEAST_POINTS, _LEAST_UPDATES, _MOST_UPDATES = 10, 10, 10_000_000
_MOST_TRAININGS = 10_000


@Parameter(name="*")
@dataclass(frozen=True)
class ClockOptions:
    """Of ``--along training``.

    Attributes
    ----------
    t : tuple of int
        Along training: diffusion times, a network for each; those nearest to OU times 0.05 to 0.8 by default.
    updates : int
        Along training: steps of Adam.
    batch : int
        Along training: batch size; smaller sets are one batch.
    learning_rate : float
        Along training: constant learning rate of Adam.
    components : int, optional
        Along training: number of leading principal components of the data that are kept; up to 50 by default.
    threshold : float
        Along training: memorised is where held-out over training error exceeds this.
    within : float
        Along training: generalised is where the held-out error is so near to its minimum, as a fraction of it.
    out : path, optional
        Along training: folder for the figures and summary.json; files of the same names are replaced.
    """

    _: KW_ONLY
    t: Numbers = ()
    updates: int = 8_000
    batch: int = 50
    learning_rate: float = 0.001
    components: int | None = None
    threshold: float = 1.5
    within: float = 0.1
    out: Path | None = None

    def given(self) -> list[str]:
        """Names of those that are not as by default."""
        names = (item.name for item in fields(self) if item.name != "_")
        return [f"--{n.replace('_', '-')}" for n in names if getattr(self, n) != getattr(DEFAULT_CLOCK, n)]


DEFAULT_CLOCK = ClockOptions()


@dataclass(frozen=True)
class Settings:
    """Which networks to follow along training.

    Attributes
    ----------
    preset : str
        Preset or TOML file that names the data and the schedule; its network and training are not used.
    changes : tuple of str
        Replace a setting, such as diffusion.T=500.
    n : tuple of int
        Numbers of training points; 50, 100, 200, 400 and 800, as far as there are so many, by default.
    hidden : tuple of int
        Numbers of hidden units.
    seeds : int
        Trainings of each kind, on points and from weights of their own; errors are over these.
    clock : ClockOptions
    workers : int, optional
        Worker processes, each with a training of its own; one per core by default.
    backend : Backend
        Where the trainings run.
    seed : int
        Seed that the seeds of the trainings come from.
    """

    preset: str
    _: KW_ONLY
    changes: tuple[str, ...] = ()
    n: tuple[int, ...] = ()
    hidden: tuple[int, ...] = HIDDEN
    seeds: int = SEEDS
    clock: ClockOptions = DEFAULT_CLOCK
    workers: int | None = None
    backend: Backend = LOCAL
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """Clocks of every number of points, hidden units, and time.

    Attributes
    ----------
    preset, along : str
    seeds, updates, batch, components : int
    learning_rate, threshold, within : float
    variance_kept : float
        Share of the data's variance along the components kept.
    readings : tuple of Reading
        By hidden units, number of points and time.
    growth : tuple of Growth
        By hidden units and time.
    seconds : float
    steps : (records,) array
        Steps at which errors were measured.
    training, held_out : (hidden, n, records, times) arrays
        xi-errors, means over trainings.
    """

    preset: str
    along: str = "training"
    seeds: int
    updates: int
    batch: int
    components: int
    learning_rate: float
    threshold: float
    within: float
    variance_kept: float
    readings: tuple[Reading, ...]
    growth: tuple[Growth, ...]
    seconds: float
    steps: Floats
    training: Floats
    held_out: Floats

    _hidden: ClassVar[tuple[str, ...]] = ("steps", "training", "held_out")


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Train the networks and read their clocks; progress counts trainings, each of all times.

    ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If a setting is out of range, there are fewer points than asked for, or a training diverges.
    """
    from undiffuse.support import with_torch  # noqa: F401  its absence is said before any work

    prepare(settings.clock.out)
    begun = time.monotonic()
    found = _prepared(settings)
    kinds = [(hidden, n) for hidden in settings.hidden for n in found.sizes]
    if on_cost is not None and not settings.backend.elsewhere:
        on_cost(_cost(settings, found))
    calls = []
    for hidden, n in kinds:
        for replicate in range(settings.seeds):
            seed = int(stream(settings.seed, Purpose.CLOCK_SEED, n, replicate).integers(2**63))
            order = stream(settings.seed, Purpose.CLOCK_POINTS, n, replicate).permutation(len(found.train))
            calls.append((found.bench, hidden, found.train[order[:n]], found.held_out, seed))
    each = settings.backend.map(training.trained, calls, settings.workers, on_progress)
    result = _summed_up(settings, found, each, time.monotonic() - begun)
    return result if settings.clock.out is None else keep(settings.clock.out, result, figures(result))


def figures(result: Result) -> dict[str, Figure]:
    """For each number of hidden units: errors along training, both clocks against n and OU time, their powers."""
    widths = list(dict.fromkeys(growth.hidden for growth in result.growth))
    out = {}
    for k, width in enumerate(widths):
        clocks = drawing.Clocks(
            result.steps,
            result.training[k],
            result.held_out[k],
            [reading for reading in result.readings if reading.hidden == width],
            [growth for growth in result.growth if growth.hidden == width],
        )
        name = "memorisation_clock" + (f"-{width}" if len(widths) > 1 else "")
        out[name] = drawing.memorisation_clock(clocks, result.threshold)
    return out


# -- inside -----------------------------------------------------------------------------------------------------------


class _Prepared(NamedTuple):
    """What is trained on which data: coordinates along the leading principal axes of all training points."""

    bench: Bench
    sizes: tuple[int, ...]
    train: Floats
    held_out: Floats
    variance_kept: float


def _prepared(settings: Settings) -> _Prepared:
    """Check the settings, and read the data."""
    clock, widths = settings.clock, settings.hidden
    _check(settings)
    config = configuration.load(settings.preset, list(settings.changes))
    forward = config.forward()
    last = f"1..{forward.T}, the diffusion times of {settings.preset}"
    for t in clock.t:
        require(1 <= t <= forward.T, f"t = {t}: wanted a time in {last}")
    times = tuple(sorted(set(clock.t))) or tuple(sorted({forward.schedule.time_at_ou(tau) for tau in _OU_TIMES}))
    data = datasets.load(config)
    sizes = settings.n or tuple(n for n in _SIZES if n <= len(data.train))
    wanted = max(sizes, default=_SIZES[0])
    require(wanted <= len(data.train), f"n = {wanted}: there are {len(data.train)} training points")
    require(len(data.held_out) >= 2, f"{len(data.held_out)} held-out points: wanted at least two")
    k = number_of("components", clock.components, _COMPONENTS, data.dim)
    check_memory(
        4 * 4 * len(times) * 2 * k * max(widths) + 4 * 4 * len(times) * training.PROBES * max(widths),
        f"training {len(times)} networks of {shown(max(widths))} hidden units",
    )
    check_memory(8 * settings.seeds * len(widths) * k * sum(sizes), f"keeping the points of {settings.seeds} trainings")
    axes = PrincipalAxes.of(data.train)
    leading, whole = axes.axes[:, :k], float(axes.variances.sum())
    bench = Bench(forward, times, clock.updates, clock.batch, clock.learning_rate)
    return _Prepared(
        bench,
        sizes,
        (data.train - axes.mean) @ leading,
        training.probes((data.held_out - axes.mean) @ leading),
        float(axes.variances[:k].sum()) / whole if whole > 0 else 1.0,
    )


def _check(settings: Settings) -> None:
    """Ask of every setting that it is in its range."""
    clock = settings.clock
    for name, values, least in (
        ("n", settings.n or _SIZES, _LEAST_POINTS),
        ("hidden", settings.hidden, 1),
        ("batch", (clock.batch,), 1),
        ("seeds", (settings.seeds,), 2),
    ):
        require(len(values) >= 1, f"{name}: wanted at least one number")
        why = ", for errors over trainings" if name == "seeds" else ""
        require(min(values) >= least, f"{name} = {min(values)}: wanted at least {least}{why}")
        require(len(set(values)) == len(values), f"{name} = {shown(list(values))}: each number once")
    require(
        _LEAST_UPDATES <= clock.updates <= _MOST_UPDATES,
        f"updates = {clock.updates}: wanted {_LEAST_UPDATES}..{_MOST_UPDATES:,} steps",
    )
    require(0 < clock.learning_rate < np.inf, f"learning_rate = {clock.learning_rate:g}: wanted more than 0")
    require(1 < clock.threshold < np.inf, f"threshold = {clock.threshold:g}: wanted a ratio of the two errors above 1")
    require(0 < clock.within < np.inf, f"within = {clock.within:g}: wanted a fraction above 0")
    trainings = settings.seeds * len(settings.n or _SIZES) * len(settings.hidden)
    require(trainings <= _MOST_TRAININGS, f"{trainings} trainings: wanted at most {_MOST_TRAININGS}")


def _cost(settings: Settings, found: _Prepared) -> Cost:
    """What the trainings will take, from a few steps of the largest set with each number of hidden units."""
    trainings = settings.seeds * len(found.sizes) * len(settings.hidden)
    largest = found.train[: max(found.sizes)]
    mean = float(np.mean([training.seconds(found.bench, hidden, largest) for hidden in settings.hidden]))
    rounds = -(-trainings // processes(settings.workers, trainings))
    work = f"{trainings} trainings of {len(found.bench.times)} networks, {settings.clock.updates} steps each"
    return Cost(rounds * mean, work, "fewer --updates, --seeds, -n or --t")


def _summed_up(settings: Settings, found: _Prepared, each: Sequence[Trained], seconds: float) -> Result:
    """Means over trainings, and powers of n.

    Parameters
    ----------
    settings : Settings
    found : _Prepared
    each : sequence of Trained
        By hidden units, number of points and seed.
    seconds : float
    """
    bench, clock, sizes = found.bench, settings.clock, found.sizes
    shape = len(settings.hidden), len(sizes), settings.seeds, len(bench.records), len(bench.times)
    curves = Errors(*(np.stack([getattr(one.network, name) for one in each]).reshape(shape) for name in Errors._fields))
    steps = [_steps(bench.records, clock, curves, kind) for kind in np.ndindex(*shape[:3])]
    read = np.array(steps).reshape(*shape[:3], len(bench.times), 2)
    readings, growth = [], []
    for h, hidden in enumerate(settings.hidden):
        for place, t in enumerate(bench.times):
            tau = float(bench.forward.schedule.ou_time(t))
            powers = [power(sizes, read[h, :, :, place, which], training.SPACING) for which in (0, 1)]
            growth.append(Growth(hidden=hidden, t=t, ou_time=tau, generalised=powers[0], memorised=powers[1]))
            for i, n in enumerate(sizes):
                group = each[(h * len(sizes) + i) * settings.seeds :][: settings.seeds]
                lowest = curves.held_out[h, i, :, :, place].min(axis=1)
                ratio = curves.held_out[h, i, :, -1, place] / curves.training[h, i, :, -1, place]
                exact = np.mean([[e[place] for e in (*one.empirical, *one.gaussian)] for one in group], axis=0).tolist()
                readings.append(
                    Reading(
                        n=n,
                        hidden=hidden,
                        t=t,
                        ou_time=tau,
                        generalised=Reached.of(read[h, i, :, place, 0]),
                        memorised=Reached.of(read[h, i, :, place, 1]),
                        held_out=float(lowest.mean()),
                        held_out_stderr=stderr(lowest),
                        ratio=float(ratio.mean()),
                        ratio_stderr=stderr(ratio),
                        empirical_training=exact[0],
                        empirical_held_out=exact[1],
                        gaussian_training=exact[2],
                        gaussian_held_out=exact[3],
                    )
                )
    return Result(
        preset=settings.preset,
        seeds=settings.seeds,
        updates=clock.updates,
        batch=clock.batch,
        components=found.train.shape[1],
        learning_rate=clock.learning_rate,
        threshold=clock.threshold,
        within=clock.within,
        variance_kept=found.variance_kept,
        readings=tuple(readings),
        growth=tuple(growth),
        seconds=round(seconds, 2),
        steps=bench.records,
        training=curves.training.mean(axis=2),
        held_out=curves.held_out.mean(axis=2),
    )


def _steps(records: Floats, clock: ClockOptions, curves: Errors, kind: tuple[int, ...]) -> list[tuple[float, float]]:
    """Steps at which both clocks of each time rang in one training, ``(times, 2)``; NaN where they did not.

    Parameters
    ----------
    records : (records,)
    clock : ClockOptions
    curves : Errors
        ``(hidden, n, seeds, records, times)``.
    kind : tuple of int
        First three indices.
    """
    return [
        (generalisation_step(records, new, clock.within), memorisation_step(records, new, known, clock.threshold))
        for new, known in zip(curves.held_out[kind].T, curves.training[kind].T, strict=True)
    ]
