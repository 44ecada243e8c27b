"""``undiffuse starts``: quality of samples against the time at which the reverse process starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cyclopts import Parameter

from undiffuse import figures as drawing
from undiffuse.datasets import can_be_classified
from undiffuse.diffusion import reverse
from undiffuse.diffusion.samplers import Sampler
from undiffuse.diffusion.starts import GaussianStart, speciation
from undiffuse.metrics import energy_distance, sliced_wasserstein2
from undiffuse.metrics.features import frechet_distance
from undiffuse.studies import rates
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import N, Numbers, SamplerName
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.costs import Cost, OnCost, seconds_of
from undiffuse.support.errors import require
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, counter, silent
from undiffuse.support.stats import mean_and_stderr
from undiffuse.support.streams import Purpose, stream
from undiffuse.support.threads import one_thread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Measure = Callable[[Floats], dict[str, float]]
_LEAST, _MOST = 3, 1000  # starts on a curve
_EARLIEST = 0.3  # OU time below which a start is a long way from Gaussian for any data worth a model


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which runs, and where to start.

    Attributes
    ----------
    runs : list of path
        Run folders of one configuration, trained from different seeds; errors are then over trainings.
    out : path
        Folder for the figure and summary.json; files of the same names are replaced.
    sampler : str
        Name of a sampler.
    eta : float, optional
        Noise of DDIM, 0 to 1; 0 by default.
    steps : tuple of int
        Numbers of reverse steps; a curve for each.
    points : int
        Number of starts on a curve, evenly spaced in OU time; the one from noise at T comes besides.
    n : int
        Samples in a set.
    replicates : int
        Sets of samples.
    seed : int
        Seed of the samples and of the data they are held against.
    """

    runs: Sequence[RunLike]
    _: KW_ONLY
    out: Path
    sampler: SamplerName = "ddim"
    eta: float | None = None
    steps: Numbers = (5, 10, 20)
    points: int = 12
    n: N = 1000
    replicates: int = 2
    seed: int = 0


@dataclass(frozen=True)
class Curve(results.Result):
    """Measures of samples of one number of steps against their start.

    Attributes
    ----------
    steps : int
    t : tuple of int
    tau : tuple of float
        Times of the starts, in steps and in OU time.
    value, stderr : dict
        Each measure at each start; standard errors over runs, of one run over sets of samples.
    noise, noise_stderr : dict
        Each measure from pure noise at T.
    best_tau, best_tau_stderr : float
        OU time of the start with the best :attr:`Result.judged_by`, and its standard error over runs or sets.
    """

    steps: int
    t: tuple[int, ...]
    tau: tuple[float, ...]
    value: Mapping[str, tuple[float, ...]]
    stderr: Mapping[str, tuple[float, ...]]
    noise: Mapping[str, float]
    noise_stderr: Mapping[str, float]
    best_tau: float
    best_tau_stderr: float


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """Quality against the start.

    Attributes
    ----------
    runs : tuple of str
    sampler : str
    samples, replicates, seed : int
    speciation : float
        OU time ``log(Lambda/s^2)/2``, where theory wants the start.
    ou_time_T : float
    judged_by : str
        Distance that says which start is best: ``frechet_distance`` of images, ``energy_distance`` of other data.
    floor : dict
        Each measure of real data.
    curves : tuple of Curve
    seconds : float
    """

    runs: tuple[str, ...]
    sampler: str
    samples: int
    replicates: int
    seed: int
    speciation: float
    ou_time_T: float
    judged_by: str
    floor: Mapping[str, float]
    curves: tuple[Curve, ...]
    seconds: float


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Measure samples from every start; progress counts sets, and ``on_cost`` is told before what they will take.

    Raises
    ------
    UserError
        If a run is unfinished, the runs are of different configurations, or a number is out of range.
    """
    prepare(settings.out)
    begun = time.monotonic()
    runs, samplers = _checked(settings)
    first = runs[0]
    starts = [_starts(first, sampler, settings.points) for sampler in samplers]
    sets = sum(len(times) for times in starts) * settings.replicates * len(runs)
    if on_cost is not None:
        one = sum(rates.of_samples(first.model, settings.n, sampler) for sampler in samplers) / len(samplers)
        judge, reference, _ = _judge(first, settings)
        seconds = sets * (one + seconds_of(lambda: judge(reference)))
        on_cost(Cost(seconds, f"{sets} sets of {settings.n} samples, and their measures", "smaller -n or --points"))
    step = counter(on_progress, sets)
    found = [_of_run(opened, samplers, starts, settings, step) for opened in runs]
    judged_by = next(iter(found[0][1]))
    result = Result(
        runs=tuple(str(opened.path) for opened in runs),
        sampler=settings.sampler,
        samples=settings.n,
        replicates=settings.replicates,
        seed=settings.seed,
        speciation=speciation(first.reference),
        ou_time_T=float(first.model.schedule.end()["ou_time_T"]),
        judged_by=judged_by,
        floor={name: float(np.mean([floor[name] for _, floor in found])) for name in found[0][1]},
        curves=tuple(
            _curve(first, sampler, times, [measured[i] for measured, _ in found], judged_by)
            for i, (sampler, times) in enumerate(zip(samplers, starts, strict=True))
        ),
        seconds=round(time.monotonic() - begun, 2),
    )
    return keep(settings.out, result, figures(result))


def figures(result: Result) -> dict[str, Figure]:
    """Draw two measures against the OU time of the start, with the prediction."""
    shown = [name for name in (result.judged_by, "confident", "sliced_w2") if name in result.floor][:2]
    lines = {
        name: [
            drawing.StartLine(
                f"{curve.steps} steps", curve.tau, curve.value[name], curve.stderr[name], curve.noise[name]
            )
            for curve in result.curves
        ]
        for name in shown
    }
    return {"starts": drawing.starts(lines, result.floor, result.speciation, result.ou_time_T)}


# -- inside -----------------------------------------------------------------------------------------------------------


def _checked(settings: Settings) -> tuple[list[OpenRun], list[Sampler]]:
    """Open the runs and make the samplers, one for each number of steps."""
    require(
        _LEAST <= settings.points <= _MOST, f"points = {settings.points}: wanted {_LEAST} to {_MOST} starts on a curve"
    )
    require(settings.replicates >= 2, f"replicates = {settings.replicates}: wanted at least 2")
    require(settings.n >= 10, f"n = {settings.n}: wanted at least 10 samples in a set")
    require(settings.steps, "steps: wanted at least one number")
    require(len(set(settings.steps)) == len(settings.steps), f"steps {settings.steps}: one comes twice")
    require(settings.runs, "wanted at least one run")
    runs = [OpenRun.of(one) for one in settings.runs]
    first = runs[0]
    for other in runs[1:]:
        require(
            other.config.model_copy(update={"seed": first.config.seed}) == first.config,
            f"{other.path} has other settings than {first.path}: wanted trainings that differ in their seed only",
        )
    samplers = [Sampler.named(settings.sampler, steps=steps, eta=settings.eta) for steps in settings.steps]
    for sampler in samplers:
        sampler.way(first.model)
    largest = first.data.largest_set()
    require(
        largest is None or settings.n <= largest,
        f"n = {settings.n}: wanted at most {largest} samples in a set, as many as there are held-out ones",
    )
    check_memory(3 * 8 * settings.n * first.data.dim, f"n = {settings.n}: so many samples")
    return runs, samplers


def _starts(opened: OpenRun, sampler: Sampler, points: int) -> list[int | None]:
    """Times to start from, early ones first, evenly spaced in OU time; None, pure noise, is the last."""
    schedule = opened.model.schedule
    first = max(sampler.steps or 1, schedule.time_at_ou(_EARLIEST))
    taus = np.linspace(float(schedule.ou_time(first)), float(schedule.ou_time(schedule.T)), points)
    return [*sorted({max(first, schedule.time_at_ou(tau)) for tau in taus}), None]


def _judge(opened: OpenRun, settings: Settings) -> tuple[Measure, Floats, Floats]:
    """What measures a set of samples, the set that it is held against, and another one of data."""
    data = opened.data
    reference, other = data.two_sets(settings.n, stream(settings.seed, Purpose.FRESH_DATA, 0))
    if can_be_classified(data):
        judges = opened.classifiers
        features = judges.plain.features(reference)

        def of_images(x: Floats) -> dict[str, float]:
            return {"frechet_distance": frechet_distance(judges.plain.features(x), features)} | judges.shares(x)

        return of_images, reference, other

    def of_points(x: Floats) -> dict[str, float]:
        return {"energy_distance": energy_distance(x, reference), "sliced_w2": sliced_wasserstein2(x, reference)}

    return of_points, reference, other


def _of_run(
    opened: OpenRun,
    samplers: Sequence[Sampler],
    starts: Sequence[Sequence[int | None]],
    settings: Settings,
    step: Callable[[], None],
) -> tuple[list[dict[str, Floats]], dict[str, float]]:
    """Each measure of a run for each sampler, ``(starts, replicates)``, and those of data.

    Parameters
    ----------
    opened : OpenRun
    samplers : sequence of Sampler
    starts : sequence of sequences of int or None
        Times that each sampler starts at.
    settings : Settings
    step : callable
        Called after each set.
    """
    judge, _, other = _judge(opened, settings)
    found = []
    for sampler, times in zip(samplers, starts, strict=True):
        rows = []
        for t in times:
            start = None if t is None else GaussianStart(opened.reference, t)
            own, row = replace(sampler, start=start), []
            for k in range(settings.replicates):
                x = reverse.sample(opened.model, settings.n, sampler=own, seed=settings.seed, first=k * settings.n)
                with one_thread():
                    row.append(judge(x))
                step()
            rows.append(row)
        found.append({name: np.array([[one[name] for one in row] for row in rows]) for name in rows[0][0]})
    return found, judge(other)


def _curve(
    opened: OpenRun, sampler: Sampler, times: Sequence[int | None], runs: Sequence[dict[str, Floats]], judged_by: str
) -> Curve:
    """Means over runs, or of one run over sets, with standard errors.

    Parameters
    ----------
    opened : OpenRun
    sampler : Sampler
    times : sequence of int or None
    runs : sequence of dict
        Each measure of each run, ``(starts, replicates)``.
    judged_by : str
    """
    schedule = opened.model.schedule
    taus = np.array([float(schedule.ou_time(t)) for t in times if t is not None])
    # One column for each independent repeat: a run, or a set of the only one.
    repeats = {
        name: runs[0][name] if len(runs) == 1 else np.stack([one[name].mean(axis=1) for one in runs], axis=1)
        for name in runs[0]
    }
    both = {name: [mean_and_stderr(row) for row in rows] for name, rows in repeats.items()}
    best = mean_and_stderr(np.array([lowest(taus, column) for column in repeats[judged_by][:-1].T]))
    return Curve(
        steps=len(sampler.way(opened.model)) - 1,
        t=tuple(t for t in times if t is not None),
        tau=tuple(taus.tolist()),
        value={name: tuple(value for value, _ in rows[:-1]) for name, rows in both.items()},
        stderr={name: tuple(error for _, error in rows[:-1]) for name, rows in both.items()},
        noise={name: rows[-1][0] for name, rows in both.items()},
        noise_stderr={name: rows[-1][1] for name, rows in both.items()},
        best_tau=best[0],
        best_tau_stderr=best[1],
    )


def lowest(tau: Floats, distance: Floats) -> float:
    """OU time of the lowest distance: the bottom of a parabola through the logarithms of the lowest and its neighbours.

    The end itself where the lowest is the first or the last.
    """
    i = int(np.argmin(distance))
    if i in (0, len(tau) - 1):
        return float(tau[i])
    near = slice(i - 1, i + 2)
    a, b, _ = np.polyfit(tau[near] - tau[i], np.log(np.maximum(distance[near], 1e-300)), 2)
    return float(tau[i] + np.clip(-b / (2 * a), tau[i - 1] - tau[i], tau[i + 1] - tau[i])) if a > 0 else float(tau[i])
