"""``undiffuse likelihood``: the density of samples by three routes, and the work that is lost on the way."""

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
from undiffuse.diffusion.flow import flow_log_density
from undiffuse.diffusion.work import Work, trajectory_terms, work
from undiffuse.studies.densities import Route, denoiser_of
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.open_run import RunLike
from undiffuse.studies.options import Changes, N, PresetName
from undiffuse.support.arrays import Array, Floats
from undiffuse.support.costs import Cost, OnCost, seconds_of, stages, step_seconds
from undiffuse.support.errors import require
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.stats import mean_and_stderr
from undiffuse.support.streams import Purpose, Streams, stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEW = 0.1  # effective share of the trajectories below which importance sampling has failed
_STRIDE = 2  # of the flow whose difference tells the error of the steps


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Of what, and how finely.

    Attributes
    ----------
    run : path, optional
        Run folder, whose bank is taken; or give --exact.
    exact : str, optional
        Preset or TOML file whose data's exact denoiser is taken instead of a bank, such as curie-weiss.
    changes : tuple of str
        Replace a setting of --exact, such as data.spins=16; may be repeated.
    n : int
        Held-out samples, at most as many as there are.
    trajectories : int
        Forward trajectories of each sample.
    t : int
        Time whose density it is; the samples are diffused to it. At least 1: data need have no density.
    out : path, optional
        Folder for the figure and summary.json; files of the same names are replaced.
    seed : int
        Seed of all noise.
    """

    run: RunLike | None = None
    _: KW_ONLY
    exact: PresetName | None = None
    changes: Changes = ()
    n: N = 200
    trajectories: Annotated[int, Parameter(alias="-k")] = 64
    t: int = 1
    out: Path | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """Densities by three routes.

    Attributes
    ----------
    of : str
        Bank or exact denoiser, in words.
    t, samples, trajectories, dim, seed : int
    tau : float
        OU time of ``t``.
    truth : Route, optional
        Of the data's law, where it is known.
    bound : Route
        ``<W>``, the negative ELBO from t on.
    importance : Route
        ``-log <e^-W>``, (11) and (12).
    flow : Route
        Probability flow, by the exact trace.
    flow_step_error : float
        Mean change of the flow's answer with steps twice as long, over 3: what Heun's rule is off by.
    effective, effective_least : float
        Effective number of trajectories: median and least over samples.
    failed : float
        Share of samples with less than a tenth of the trajectories effective, and less than 10 of them.
    warning : str, optional
        What that means, where it is more than a twentieth.
    work_std : float
        Root of the mean variance of W over the trajectories of a sample.
    dissipated, dissipated_stderr : float
        ``<W> + log <e^-W>``: KL(q || p) of the latent variables (Annex I).
    per_t, variance_per_t : list of float
        Mean and variance of the terms of W: steps from t + 1, .., T, and the prior.
    seconds : float
    """

    of: str
    t: int
    tau: float
    samples: int
    trajectories: int
    dim: int
    seed: int
    bound: Route
    importance: Route
    flow: Route
    flow_step_error: float
    effective: float
    effective_least: float
    failed: float
    work_std: float
    dissipated: float
    dissipated_stderr: float
    per_t: Sequence[float]
    variance_per_t: Sequence[float]
    seconds: float
    truth: Route | None = None
    warning: str | None = None


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Find densities by every route; progress is told in percent, and ``on_cost`` before what it will take.

    Raises
    ------
    UserError
        If there is neither a run nor an exact denoiser or both, the run is unfinished, or a number is out of range.
    """
    prepare(settings.out)
    begun = time.monotonic()
    of, denoiser, data = denoiser_of(settings.run, settings.exact, settings.changes)
    require(settings.n >= 2, f"n = {settings.n}: wanted at least 2 samples")
    forward, n = denoiser.forward, min(settings.n, len(data.held_out))
    require(1 <= settings.t < forward.T, f"t = {settings.t}: wanted a time in 1..{forward.T - 1}")
    require(settings.trajectories >= 2, f"trajectories = {settings.trajectories}: wanted at least 2")
    check_memory(16 * n * settings.trajectories, f"{settings.trajectories} trajectories of {n} samples")
    xi = stream(settings.seed, Purpose.LIKELIHOOD_POINTS).standard_normal((n, denoiser.dim))
    x = forward.jump(data.held_out[:n], settings.t, xi)
    seconds = (1.0, 1.0)
    if on_cost is not None:
        steps, few, K = forward.T - settings.t, x[: min(n, 16)], settings.trajectories
        walk = trajectory_terms(denoiser, few, settings.t, Streams(0, Purpose.WORK), K)

        def slope() -> tuple[Array, Floats]:
            return denoiser.xi_hat(x, forward.T), denoiser.xi_trace(x, forward.T)

        slope()  # the first call loads and compiles what the others need
        seconds = (steps * step_seconds(walk) * n / len(few), 3 * steps * seconds_of(slope))
        work_of = f"{K} trajectories of {n} samples in {steps} steps, and their flows"
        on_cost(Cost(sum(seconds), work_of, "a smaller -n or --trajectories"))
    first, second = stages(on_progress, seconds)
    done = work(
        denoiser,
        x,
        settings.t,
        trajectories=settings.trajectories,
        seed=settings.seed,
        on_step=lambda points: first(points, n),
    )
    flow = flow_log_density(denoiser, x, settings.t, on_step=lambda u: second(u, forward.T))
    coarse = flow_log_density(denoiser, x, settings.t, stride=_STRIDE)
    result = _result(settings, (of, denoiser, data), x, done, (flow, coarse), begun)
    return result if settings.out is None else keep(settings.out, result, figures(result))


def figures(result: Result) -> dict[str, Figure]:
    """Draw the routes side by side, and where along t work is done and scatters."""
    named = {"bound": result.bound, "importance": result.importance, "flow": result.flow, "truth": result.truth}
    routes = {name: (route.nats, route.stderr) for name, route in named.items() if route is not None}
    times = np.arange(result.t + 2, result.t + len(result.per_t), dtype=np.float64)
    terms = np.array(result.per_t[1:-1]), np.array(result.variance_per_t[1:-1])
    return {"likelihood": drawing.likelihood(routes, times, *terms)}


# -- inside -----------------------------------------------------------------------------------------------------------


def _result(
    settings: Settings,
    of: tuple[str, Denoiser, Dataset],
    x: Floats,
    done: Work,
    flows: tuple[Floats, Floats],
    begun: float,
) -> Result:
    """Put the numbers together.

    Parameters
    ----------
    settings : Settings
    of : (str, Denoiser, Dataset)
    x : (n, dim)
        Samples at ``t``.
    done : Work
    flows : two (n,) arrays
        Log densities under the flow, in steps of one and two times.
    begun : float
        When the work began.
    """
    words, denoiser, data = of
    flow, coarse = flows
    truth = data.log_density(denoiser.forward, x, settings.t)

    effective, K = done.effective, settings.trajectories
    failed = float(np.mean((effective < _FEW * K) & (effective < 10)))
    warning = None
    if failed > 0.05:
        warning = (
            f"importance sampling fails for {100 * failed:.0f} % of the samples: a few of {K} trajectories carry all "
            "the weight, and what is called a density is no more than a tightened bound there"
        )
    dissipated, stderr = mean_and_stderr(done.dissipated)
    return Result(
        of=words,
        t=settings.t,
        tau=float(denoiser.forward.schedule.ou_time(settings.t)),
        samples=len(x),
        trajectories=K,
        dim=denoiser.dim,
        seed=settings.seed,
        truth=None if truth is None else Route.of(truth),
        bound=Route.of(-done.bound, truth),
        importance=Route.of(done.log_density, truth),
        flow=Route.of(flow, truth),
        flow_step_error=float(np.mean(np.abs(coarse - flow)) / 3),
        effective=float(np.median(effective)),
        effective_least=float(effective.min()),
        failed=failed,
        warning=warning,
        work_std=float(np.sqrt(done.total.var(axis=1, ddof=1).mean())),
        dissipated=dissipated,
        dissipated_stderr=stderr,
        per_t=done.per_t.tolist(),
        variance_per_t=done.variance_per_t.tolist(),
        seconds=round(time.monotonic() - begun, 2),
    )
