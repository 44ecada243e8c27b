"""``undiffuse physics cascade``: one transition for each principal component, along diffusion time and training.

Small plain banks are trained on the centred data of a preset, several from seeds of their own, and the times at which
each component comes in are set beside theory without a free parameter; see :mod:`undiffuse.physics.cascade`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from cyclopts import Parameter

from undiffuse import figures as drawing
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.cascade import Moments, gain_at, gain_between, half_gain_time, two_layer_slope
from undiffuse.runs import config as configuration
from undiffuse.studies import cascade_training as training
from undiffuse.studies.cascade_training import ACTIVE, Bench, Trained
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.options import Changes, IdxFolder, PresetName, all_changes
from undiffuse.studies.small_banks import centred
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.backend import LOCAL, processes
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import require, shown
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.stats import PrincipalAxes, stderr, stderrs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CLOCK = 0.1  # OU time of the network followed along training: little noise, so that each component is learned
_GROWTH = 0.04  # rate of SGD times the covariance of x_0 and x_t along the first axis
_LEAST_POINTS = 4


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which data, and how large the banks are.

    Attributes
    ----------
    preset : str
        Preset or TOML file that names the data and the schedule; its network and training are not used.
    changes : tuple of str
        Replace a setting, such as data.n=500; may be repeated.
    data : path, optional
        Folder of IDX files (.gz or not) to take the digits from; for image presets.
    components : int
        Number of leading principal components followed.
    hidden : int
        Hidden units.
    points : int
        Number of diffusion times trained.
    passes : int
        Passes over the data at each diffusion time.
    batch : int
        Batch size.
    seeds : int
        Trainings; errors are over these.
    workers : int, optional
        Worker processes, each with a training of its own; one per core by default.
    out : path, optional
        Folder for the figure and summary.json; files of the same names are replaced.
    seed : int
        Seed that the seeds of the trainings come from.
    """

    preset: PresetName
    _: KW_ONLY
    changes: Changes = ()
    data: IdxFolder = None
    components: int = 8
    hidden: int = 100
    points: int = 8
    passes: int = 3
    batch: int = 50
    seeds: int = 5
    workers: int | None = None
    out: Path | None = None
    seed: int = 0


@dataclass(frozen=True)
class Clock(results.Result):
    """When a kind of units has learned half of each component by SGD.

    Attributes
    ----------
    steps, stderr : tuple of float or None
        Steps; None where a training did not get there.
    theory : tuple of float
        From the variances of the data and the weights at the start, mean over trainings.
    exponent, exponent_stderr : float or None
        Power of the component's variance that the steps go as.
    exponent_theory : float
        The same fit through the predictions: -1 but for a logarithm of what there is to learn over the start.
    """

    steps: tuple[float | None, ...]
    stderr: tuple[float | None, ...]
    theory: tuple[float, ...]
    exponent: float | None
    exponent_stderr: float | None
    exponent_theory: float


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """Transitions of each component.

    Attributes
    ----------
    preset : str
    seeds, hidden : int
    noise_scale : float
    variances : tuple of float
        Of the data along the leading axes.
    tau_theory : tuple of float
        OU times ``log(1 + l_k/s^2)/2`` of half gain.
    tau, tau_stderr : tuple of float or None
        Measured by regression; None where a training did not cross one half between the times trained.
    tau_jacobian, tau_jacobian_stderr : tuple of float or None
        The same by the mean Jacobian.
    jacobian_gain, jacobian_gain_stderr : tuple of float
        Gain by the mean Jacobian at ``tau_theory``: 1/2 for Gaussian data.
    clock_tau : float
        OU time of the networks that are followed along training.
    clock : dict of Clock
        By kind of units, ``linear`` and ``relu``.
    seconds : float
    ou_time : tuple of float
        Times trained.
    regression, regression_stderr, jacobian : (times, k) arrays
        Gains at these.
    steps : (records,) array
    learned, learned_stderr, learned_theory : dict of (records, k) arrays
        Share of each component learned, by kind of units.
    """

    preset: str
    seeds: int
    hidden: int
    noise_scale: float
    variances: tuple[float, ...]
    tau_theory: tuple[float, ...]
    tau: tuple[float | None, ...]
    tau_stderr: tuple[float | None, ...]
    tau_jacobian: tuple[float | None, ...]
    tau_jacobian_stderr: tuple[float | None, ...]
    jacobian_gain: tuple[float, ...]
    jacobian_gain_stderr: tuple[float, ...]
    clock_tau: float
    clock: Mapping[str, Clock]
    seconds: float
    ou_time: tuple[float, ...]
    regression: Floats
    regression_stderr: Floats
    jacobian: Floats
    steps: Floats
    learned: Mapping[str, Floats]
    learned_stderr: Mapping[str, Floats]
    learned_theory: Mapping[str, Floats]

    _hidden: ClassVar[tuple[str, ...]] = (
        "regression",
        "regression_stderr",
        "jacobian",
        "steps",
        "learned",
        "learned_stderr",
        "learned_theory",
    )


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Train the banks and measure each component; progress counts trainings.

    ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If a setting is out of range, or the data do not vary along so many components.
    """
    from undiffuse.support import with_torch  # noqa: F401  its absence is said before any work

    prepare(settings.out)
    begun = time.monotonic()
    bench, x, axes = _bench(settings)
    if on_cost is not None:
        several = processes(settings.workers, settings.seeds)
        one = training.seconds(bench, x, axes.variances)
        work = f"{settings.seeds} trainings at {len(bench.times)} times and along SGD"
        on_cost(Cost(one * -(-settings.seeds // several), work, "fewer --seeds, --points, --passes or --components"))
    calls = [(bench, replicate) for replicate in range(settings.seeds)]
    each = LOCAL.map(training.trained, calls, settings.workers, on_progress)
    result = _summed_up(settings, bench, axes, each, time.monotonic() - begun)
    return result if settings.out is None else keep(settings.out, result, figures(result))


def figures(result: Result) -> dict[str, Figure]:
    """Both clocks: curves with theory, and the times against their predictions."""
    tau = np.linspace(0.5 * result.ou_time[0], result.ou_time[-1], 200)
    gains = drawing.Gains(
        ou_time=np.array(result.ou_time),
        gain=result.regression,
        stderr=result.regression_stderr,
        jacobian=result.jacobian,
        grid=tau,
        theory=gain_at(tau[:, None], np.array(result.variances), result.noise_scale),
    )
    halves = drawing.Halves(
        theory=np.array(result.tau_theory),
        regression=_plotted(result.tau),
        jacobian=_plotted(result.tau_jacobian),
        regression_stderr=_plotted(result.tau_stderr),
        jacobian_stderr=_plotted(result.tau_jacobian_stderr),
    )
    clocks = {
        kind: drawing.ClockLines(
            result.learned[kind],
            result.learned_stderr[kind],
            result.learned_theory[kind],
            np.stack([_plotted(clock.steps), _plotted(clock.stderr)]),
            np.array(clock.theory),
        )
        for kind, clock in result.clock.items()
    }
    return {"cascade": drawing.cascade(gains, halves, result.steps, clocks, np.array(result.variances))}


# -- inside -----------------------------------------------------------------------------------------------------------


def _bench(settings: Settings) -> tuple[Bench, Floats, PrincipalAxes]:
    """Check the settings, and say what is trained on which data."""
    for name, least in (("components", 1), ("hidden", 1), ("points", _LEAST_POINTS), ("passes", 1), ("batch", 1)):
        value = getattr(settings, name)
        require(value >= least, f"{name} = {value}: wanted at least {least}")
    require(settings.seeds >= 2, f"seeds = {settings.seeds}: wanted at least 2, for errors over trainings")
    config = configuration.load(settings.preset, all_changes(settings.changes, settings.data))
    x = centred(config)
    k, dim = settings.components, x.shape[1]
    require(k <= dim, f"components = {k}: the data have {dim} variables")
    require(k < len(x), f"components = {k}: wanted fewer than the {len(x)} training samples")
    require(settings.batch <= len(x), f"batch = {settings.batch}: there are {len(x)} training samples")
    check_memory(
        4 * 4 * (settings.points + 2) * 2 * dim * settings.hidden + 3 * 4 * settings.points * x.size,
        f"training {settings.points} networks of {shown(settings.hidden)} hidden units",
    )
    axes, forward = PrincipalAxes.of(x), config.forward()
    require(
        axes.variances[k - 1] > 1e-9 * axes.variances[0],
        f"components = {k}: the data do not vary along so many axes",
    )
    theory = half_gain_time(axes.variances[:k], forward.noise_scale)
    clock = forward.schedule.time_at_ou(_CLOCK)
    bench = Bench(
        config=config,
        hidden=settings.hidden,
        components=k,
        passes=settings.passes,
        batch=settings.batch,
        times=_times(forward, theory, settings.points),
        clock=clock,
        growth=_GROWTH,
        seed=settings.seed,
    )
    require(
        bench.steps(axes.variances) <= training.MOST_STEPS,
        f"component {k} has {axes.variances[k - 1] / axes.variances[0]:.2g} of the first one's variance, and SGD would "
        f"need more than {training.MOST_STEPS} steps to learn it: wanted fewer --components",
    )
    return bench, x, axes


def _times(forward: ForwardProcess, theory: Floats, points: int) -> tuple[int, ...]:
    """Times around those of half gain, evenly spaced in ``log(e^(2 tau) - 1)``, where gains are logistic curves."""
    schedule = forward.schedule
    low, high = 0.6 * theory[-1], min(theory[0] + 0.3, float(schedule.ou_time(schedule.T)))
    spaced = np.linspace(np.log(np.expm1(2 * low)), np.log(np.expm1(2 * max(high, 2 * low))), points)
    times = tuple(sorted({schedule.time_at_ou(tau) for tau in 0.5 * np.log1p(np.exp(spaced))}))
    require(
        len(times) >= _LEAST_POINTS,
        f"the schedule has {len(times)} times between OU times {low:.3g} and {high:.3g}: wanted at least "
        f"{_LEAST_POINTS}; with more diffusion.T",
    )
    return times


def _summed_up(
    settings: Settings, bench: Bench, axes: PrincipalAxes, each: Sequence[Trained], seconds: float
) -> Result:
    """Means over trainings with their errors.

    Parameters
    ----------
    settings : Settings
    bench : Bench
    axes : PrincipalAxes
    each : sequence of Trained
    seconds : float
    """
    forward, variances = bench.config.forward(), axes.variances[: bench.components]
    theory = half_gain_time(variances, forward.noise_scale)
    tau = forward.schedule.ou_time(bench.times)
    regression, jacobian = (np.stack([getattr(one, name) for one in each]) for name in ("regression", "jacobian"))
    half, other = (_over(np.stack([getattr(one, name) for one in each])) for name in ("half", "jacobian_half"))
    at = np.array([[gain_between(tau, g, wanted) for g, wanted in zip(j.T, theory, strict=True)] for j in jacobian])
    learned = {kind: np.stack([one.learned[kind].share for one in each]) for kind in ACTIVE}
    return Result(
        preset=settings.preset,
        seeds=settings.seeds,
        hidden=settings.hidden,
        noise_scale=forward.noise_scale,
        variances=tuple(variances.tolist()),
        tau_theory=tuple(theory.tolist()),
        tau=half[0],
        tau_stderr=half[1],
        tau_jacobian=other[0],
        tau_jacobian_stderr=other[1],
        jacobian_gain=tuple(at.mean(axis=0).tolist()),
        jacobian_gain_stderr=tuple(stderrs(at).tolist()),
        clock_tau=float(forward.schedule.ou_time(bench.clock)),
        clock={kind: _clock(kind, each, variances) for kind in ACTIVE},
        seconds=round(seconds, 2),
        ou_time=tuple(tau.tolist()),
        regression=regression.mean(axis=0),
        regression_stderr=stderrs(regression),
        jacobian=jacobian.mean(axis=0),
        steps=each[0].steps,
        learned={kind: share.mean(axis=0) for kind, share in learned.items()},
        learned_stderr={kind: stderrs(share) for kind, share in learned.items()},
        learned_theory={kind: _curves(kind, bench, each, axes) for kind in ACTIVE},
    )


def _clock(kind: str, each: Sequence[Trained], variances: Floats) -> Clock:
    half = np.stack([one.learned[kind].half for one in each])
    theory = np.stack([one.learned[kind].theory for one in each])
    powers, predicted = _powers(variances, half), _powers(variances, theory)
    steps, errors = _over(half)
    return Clock(
        steps,
        errors,
        tuple(theory.mean(axis=0).tolist()),
        None if powers is None else float(powers.mean()),
        None if powers is None else stderr(powers),
        -1.0 if predicted is None else float(predicted.mean()),
    )


def _powers(variances: Floats, half: Floats) -> Floats | None:
    """Power of the variance that each training's steps go as; None if there are not two variances or a step lacks."""
    logs = np.log(variances)
    if np.ptp(logs) < 1e-6 or not np.isfinite(half).all():
        return None
    along = logs - logs.mean()
    return np.asarray(np.log(half) @ along / np.sum(along**2))


def _curves(kind: str, bench: Bench, each: Sequence[Trained], axes: PrincipalAxes) -> Floats:
    """Share learned by theory, mean over the trainings' starts, ``(records, k)``.

    Parameters
    ----------
    kind : str
    bench : Bench
    each : sequence of Trained
    axes : PrincipalAxes
    """
    moments = Moments.of(bench.config.forward(), axes.variances[: bench.components], bench.clock)
    rate, steps = bench.rate(axes.variances), each[0].steps[:, None]
    slopes = [two_layer_slope(steps, rate, moments, one.learned[kind].start, ACTIVE[kind]) for one in each]
    return np.asarray(np.mean(slopes, axis=0) / moments.slope)


def _over(values: Floats) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Mean and standard error over trainings (rows) of each component; None where one training has no value."""
    known = [bool(np.isfinite(column).all()) for column in values.T]
    means = tuple(float(v.mean()) if ok else None for v, ok in zip(values.T, known, strict=True))
    errors = tuple(stderr(v) if ok else None for v, ok in zip(values.T, known, strict=True))
    return means, errors


def _plotted(values: Sequence[float | None]) -> Floats:
    """Values as an array, NaN for what is not known."""
    return np.array([np.nan if value is None else value for value in values])
