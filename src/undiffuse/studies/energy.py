"""``undiffuse energy``: one normalised density for all times, and whether the times are marginals of one process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter

from undiffuse import figures as drawing
from undiffuse.datasets import Dataset
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.diffusion.flow import flow_log_density
from undiffuse.diffusion.free_energy import Energy, FreeEnergy, free_energy
from undiffuse.diffusion.work import trajectory_terms, work
from undiffuse.model import Diffusion
from undiffuse.studies.densities import Route, denoiser_of
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.open_run import RunLike
from undiffuse.studies.options import Changes, N, PresetName
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.costs import Cost, OnCost, seconds_of, stages, step_seconds
from undiffuse.support.errors import UserError, require
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.stats import mean_and_stderr
from undiffuse.support.streams import Purpose, Streams, stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KNOWN_TIMES = 25  # at which a density is held against the truth
_FEW = 400  # draws at T that have to be effective for log Z_T to be called known


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Of what, and how finely.

    Attributes
    ----------
    run : path, optional
        Run folder of a bank of tied weights; or give --exact.
    exact : str, optional
        Preset or TOML file whose data's exact denoiser is taken instead of a bank, such as curie-weiss.
    changes : tuple of str
        Replace a setting of --exact, such as data.spins=16; may be repeated.
    n : int
        Training samples that the constants are found with, and held-out ones that the density is held against; at most
        as many as there are.
    trajectories : int
        Forward trajectories of each held-out sample, for the bound.
    t : int
        Time at which the density is held against the bound and the flow. At least 1: data need have no density.
    out : path, optional
        Folder for the figure and summary.json; files of the same names are replaced.
    seed : int
        Seed of all noise.
    """

    run: RunLike | None = None
    _: KW_ONLY
    exact: PresetName | None = None
    changes: Changes = ()
    n: N = 500
    trajectories: Annotated[int, Parameter(alias="-k")] = 16
    t: int = 1
    out: Path | None = None
    seed: int = 0


@dataclass(frozen=True)
class Steps(results.Result):
    """What the steps between neighbouring times say, in nats.

    Attributes
    ----------
    spread : list of float
        Standard deviation over samples of what each step from t to t + 1 says of ``log Z_{t+1} - log Z_t``.
    mismatch : list of float
        Standard deviation over samples of the sum of these from t up to T, for t = 1..T.
    """

    spread: Sequence[float]
    mismatch: Sequence[float]

    @staticmethod
    def of(found: FreeEnergy) -> Steps:
        """Take them from constants that were found."""
        return Steps(found.spread.tolist(), found.mismatch.tolist())


@dataclass(frozen=True)
class Known(results.Result):
    """The density beside the true one, at some times.

    Attributes
    ----------
    t : list of int
    tau : list of float
        The same in OU time.
    divergence, divergence_stderr : list of float
        Mean of ``log q_t - log p_t`` over held-out samples: ``KL(q_t || p_t)`` if p is normalised.
    mass, mass_stderr : list of float
        Mean of ``p_t/q_t``: the integral of p, by importance sampling from the truth; 1 if p is normalised.
    """

    t: Sequence[int]
    tau: Sequence[float]
    divergence: Sequence[float]
    divergence_stderr: Sequence[float]
    mass: Sequence[float]
    mass_stderr: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """A normalised density at every time, and how far the times are from being marginals of one process.

    Attributes
    ----------
    of : str
        Bank or exact denoiser, in words.
    t, samples, trajectories, dim, seed : int
    tau : float
        OU time of ``t``.
    log_Z, log_Z_stderr : float
        Constant at ``t``.
    effective : float
        Effective number of the 4096 draws that the constant at T is from.
    energy, bound, flow : Route
        ``-log p(x_t)`` of held-out samples by the normalised energy, by the bound, and by the probability flow.
    truth : Route, optional
        Of the data's law, where it is known.
    mismatch : float
        Standard deviation over samples of what the steps from ``t`` to T say together, in nats: 0 for marginals of one
        process.
    apart : float
        What it would be if the steps' residuals were independent: root of the sum of their squared spreads.
    reference : str
        Exact denoiser, whose times are marginals of one process, on the same samples and schedule.
    floor : float
        Its mismatch: the error of the quadrature over the times.
    tau_per_t, log_Z_per_t, log_Z_stderr_per_t : list of float
        At t = 1..T.
    steps, floor_steps : Steps
        Each step, of the energy and of the reference.
    known : Known, optional
        Beside the truth, where it is known.
    warning : str, optional
    seconds : float
    """

    of: str
    t: int
    tau: float
    samples: int
    trajectories: int
    dim: int
    seed: int
    log_Z: float
    log_Z_stderr: float
    effective: float
    energy: Route
    bound: Route
    flow: Route
    mismatch: float
    apart: float
    reference: str
    floor: float
    tau_per_t: Sequence[float]
    log_Z_per_t: Sequence[float]
    log_Z_stderr_per_t: Sequence[float]
    steps: Steps
    floor_steps: Steps
    seconds: float
    truth: Route | None = None
    known: Known | None = None
    warning: str | None = None


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Normalise the energies of all times; progress is told in percent, and ``on_cost`` before what it will take.

    Raises
    ------
    UserError
        If there is neither a run nor an exact denoiser or both, the bank has untied weights, the run is unfinished, or
        a number is out of range.
    """
    prepare(settings.out)
    begun = time.monotonic()
    of, denoiser, data = denoiser_of(settings.run, settings.exact, settings.changes)
    energy = _energy(denoiser)
    forward, t, K = denoiser.forward, settings.t, settings.trajectories
    require(settings.n >= 2, f"n = {settings.n}: wanted at least 2 samples")
    n, m = min(settings.n, len(data.train)), min(settings.n, len(data.held_out))
    require(1 <= t < forward.T, f"t = {t}: wanted a time in 1..{forward.T - 1}")
    require(K >= 2, f"trajectories = {K}: wanted at least 2")
    check_memory(8 * n * (2 * forward.T + 4 * denoiser.dim), f"n = {n}: so many samples at {forward.T} times")
    check_memory(16 * m * K, f"{K} trajectories of {m} samples")
    points = data.train[stream(settings.seed, Purpose.FREE_ENERGY_DATA).permutation(len(data.train))[:n]]
    x = forward.jump(data.held_out[:m], t, _noise(settings, t, (m, data.dim)))
    reference, exact = _reference(data, denoiser)
    seconds = _seconds(settings, denoiser, (energy, exact), points, x, on_cost)
    first, second, third, fourth = stages(on_progress, seconds)
    T = forward.T
    found = free_energy(energy, points, seed=settings.seed, on_step=lambda u: first(u, T))
    floor = free_energy(exact, points, seed=settings.seed, on_step=lambda u: second(u, T))
    done = work(denoiser, x, t, trajectories=K, seed=settings.seed, on_step=lambda rows: third(rows, m))
    flow = flow_log_density(denoiser, x, t, on_step=lambda u: fourth(u, T))
    truth = data.log_density(forward, x, t)
    warning = None
    if found.effective < _FEW:
        warning = (
            f"only {found.effective:.0f} of the draws at T are effective: the energy is far from Gaussian there, and "
            "its constant is not known well; take a longer schedule"
        )
    result = Result(
        of=of,
        t=t,
        tau=float(forward.schedule.ou_time(t)),
        samples=m,
        trajectories=K,
        dim=denoiser.dim,
        seed=settings.seed,
        log_Z=float(found.log_Z[t - 1]),
        log_Z_stderr=float(found.stderr[t - 1]),
        effective=found.effective,
        energy=Route.of(found.log_density(x, t), truth),
        bound=Route.of(-done.bound, truth),
        flow=Route.of(flow, truth),
        truth=None if truth is None else Route.of(truth),
        mismatch=float(found.mismatch[t - 1]),
        apart=float(np.sqrt(np.sum(found.spread[t - 1 :] ** 2))),
        reference=reference,
        floor=float(floor.mismatch[t - 1]),
        tau_per_t=forward.schedule.ou_time(forward.schedule.times).tolist(),
        log_Z_per_t=found.log_Z.tolist(),
        log_Z_stderr_per_t=found.stderr.tolist(),
        steps=Steps.of(found),
        floor_steps=Steps.of(floor),
        known=None if truth is None else _known(settings, found, data, m),
        warning=warning,
        seconds=round(time.monotonic() - begun, 2),
    )
    return result if settings.out is None else keep(settings.out, result, figures(result))


def figures(result: Result) -> dict[str, Figure]:
    """Draw what the steps say against OU time, beside an exact denoiser; and the density against the truth."""
    tau, known = np.array(result.tau_per_t), result.known
    steps = {
        "energy": (result.steps.spread, result.steps.mismatch),
        result.reference: (result.floor_steps.spread, result.floor_steps.mismatch),
    }
    beside = None
    if known is not None:
        beside = drawing.DensityBeside(
            known.tau, known.divergence, known.divergence_stderr, known.mass, known.mass_stderr
        )
    return {"energy": drawing.one_energy(tau, steps, beside)}


# -- inside -----------------------------------------------------------------------------------------------------------


def _energy(denoiser: Denoiser) -> Energy:
    """Return what has the density: the bank of a model, or an exact denoiser; UserError if nothing has one."""
    energy = denoiser.bank if isinstance(denoiser, Diffusion) else denoiser
    require(hasattr(energy, "log_density"), f"{type(energy).__name__} has no density, so nothing to normalise")
    if isinstance(denoiser, Diffusion):
        denoiser.bank.check_tied()
    return energy  # type: ignore[return-value]  # a Denoiser with log_density


def _reference(data: Dataset, denoiser: Denoiser) -> tuple[str, Energy]:
    """Name and exact denoiser whose times are marginals of one process: of the law where that is known, or Gaussian."""
    name, exact = data.exact(denoiser.forward)
    if name == "empirical" or not hasattr(exact, "log_density"):
        return "Gaussian of the data", GaussianDenoiser.from_data(denoiser.forward, data.train)
    return name, exact


def _noise(settings: Settings, t: int, shape: tuple[int, int]) -> Floats:
    return stream(settings.seed, Purpose.ENERGY_POINTS, t).standard_normal(shape)


def _known(settings: Settings, found: FreeEnergy, data: Dataset, m: int) -> Known:
    """Hold the density against the truth at some times, from the first to the last, evenly in log OU time."""
    forward = found.energy.forward
    schedule = forward.schedule
    taus = np.geomspace(float(schedule.ou_time(1)), float(schedule.ou_time(schedule.T)), _KNOWN_TIMES)
    times = sorted({1, schedule.T, *(max(1, schedule.time_at_ou(tau)) for tau in taus)})
    rows = []
    for t in times:
        x = forward.jump(data.held_out[:m], t, _noise(settings, t, (m, data.dim)))
        truth = data.log_density(forward, x, t)
        if truth is None:
            raise UserError("the law of the data is known at one time and not at another")
        away = found.log_density(x, t) - truth
        rows.append((*mean_and_stderr(-away), *mean_and_stderr(np.exp(np.minimum(away, 700.0)))))
    return Known(times, [float(schedule.ou_time(t)) for t in times], *map(list, zip(*rows, strict=True)))


def _seconds(
    settings: Settings,
    denoiser: Denoiser,
    energies: tuple[Energy, Energy],
    points: Floats,
    x: Floats,
    on_cost: OnCost | None,
) -> tuple[float, float, float, float]:
    """Measure seconds of each stage, and tell them.

    Parameters
    ----------
    settings : Settings
    denoiser : Denoiser
    energies : two of Energy
        Its own and the reference.
    points, x : (n, dim)
        At t = 0, and at the time that is asked for.
    on_cost : callable or None
    """
    if on_cost is None:
        return 1.0, 1.0, 1.0, 1.0
    T, t, K = denoiser.forward.T, settings.t, settings.trajectories

    def one(of: Energy) -> float:
        def evaluate(at: Floats) -> object:
            return of.xi_hat(at, T), of.xi_trace(at, T), of.log_density(at, T)

        evaluate(points[:2])  # the first call loads and compiles what the others need
        return T * seconds_of(lambda: evaluate(points))

    few = x[: min(len(x), 16)]
    walk = trajectory_terms(denoiser, few, t, Streams(0, Purpose.WORK), K)
    of_energy, of_reference = map(one, energies)
    seconds = (of_energy, of_reference, (T - t) * step_seconds(walk) * len(x) / len(few), 2 * of_energy)
    what = f"{len(points)} samples at {T} times, and {K} trajectories of {len(x)}"
    on_cost(Cost(sum(seconds), what, "a smaller -n or --trajectories"))
    return seconds
