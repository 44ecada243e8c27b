"""``undiffuse physics curie-weiss``: the Curie-Weiss model breaks its symmetry; section 6 and Figure 11."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from cyclopts import Parameter

from undiffuse import figures as drawing
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.physics.agreement import Agreement
from undiffuse.physics.breaking import STEP, Breaking, Walk, check_walkers, symmetry_breaking
from undiffuse.physics.crossings import check_points
from undiffuse.physics.curie_weiss import CurieWeiss
from undiffuse.physics.curie_weiss_denoiser import CurieWeissDenoiser, Method
from undiffuse.physics.scaling import SIZES, Scaling, large_enough, scaling, walk_to_crossing
from undiffuse.studies import rates
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.options import DEFAULT_BACKEND, BackendOptions, Numbers
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.backend import check_workers, processes
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import require
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.stats import stderr, straight_line
from undiffuse.support.streams import Purpose, check_seed, stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STEPS_PER_POINT = 250.0  # steps at every size for each time, those of the scaling included, 2026-11-25
_APPROXIMATIONS: tuple[Method, ...] = ("two-state", "large-time")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which models, and how many walkers.

    Attributes
    ----------
    spins : tuple of int
        Numbers of spins N.
    beta : float
        Inverse temperature, above 1.
    field : float
        Field h; it enters as h/N.
    walkers : int
        Trajectories, pairs of copies and U-turns at each time.
    points : int
        Number of times at which they are compared.
    out : path, optional
        Folder for the figures and summary.json; files of the same names are replaced.
    workers : int
        Worker processes, each with a size of its own; one walks on all cores.
    backend : BackendOptions
    seed : int
        Seed of all noise.
    """

    spins: Numbers = (50, 200, 1000)
    beta: float = 1.5
    field: float = 0.0
    walkers: int = 800
    points: int = 8
    out: Path | None = None
    workers: int = 1
    backend: BackendOptions = DEFAULT_BACKEND
    seed: int = 0


@dataclass(frozen=True)
class ScoreErrors(results.Result):
    """Root mean square errors of approximate spin means against the exact ones.

    Attributes
    ----------
    N : tuple of int
        Numbers of spins.
    rms : dict
        Errors at each, by method.
    power, power_stderr : dict
        Exponent in N of the errors and its standard error (scatter over configurations), by method.
    """

    N: tuple[int, ...]
    rms: Mapping[str, list[float]]
    power: Mapping[str, float]
    power_stderr: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """Symmetry breaking at each size.

    Attributes
    ----------
    beta, h, m_star : float
    walkers, seed : int
    results : list of Breaking
        One for each size.
    within_two_stderr, largest_deviation : float
        Share of all points that lie within two standard errors of the exact value, and the largest deviation in them.
        The points are correlated; the test is chi^2.
    agreement : Agreement
        Of everything measured with the exact law: chi^2 with the points' covariances, all sizes together; in
        :meth:`as_dict` as ``chi2``, ``degrees`` and ``p_value``.
    scaling : Scaling or None
        Finite-size scaling over eight sizes and those above; None at a temperature where most of them are too small.
    score_errors : ScoreErrors
    seconds : float
    """

    beta: float
    h: float
    m_star: float
    walkers: int
    seed: int
    results: tuple[Breaking, ...]
    within_two_stderr: float
    largest_deviation: float
    agreement: Agreement
    scaling: Scaling | None
    score_errors: ScoreErrors
    seconds: float

    _hidden: ClassVar[tuple[str, ...]] = ("agreement",)

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, the agreement as ``chi2``, ``degrees`` and ``p_value``."""
        return super().as_dict() | self.agreement.as_dict()


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Break the symmetry for each size, and measure both approximate scores; progress is counted in sizes.

    ``on_cost`` is told before what that will take, from a few steps at each size.

    Raises
    ------
    UserError
        If there is no ferromagnet, one of its states is negligible, or a number is out of range.
    """
    prepare(settings.out)
    sizes, beta, h, seed = settings.spins, settings.beta, settings.field, settings.seed
    models = [CurieWeiss(N, beta, h) for N in sizes]
    require(
        len(models) >= 1 and len(set(sizes)) == len(sizes), f"sizes {list(sizes)}: wanted different numbers of spins"
    )
    check_points(settings.points, least=2)
    check_seed(seed)
    check_walkers(settings.walkers)
    check_workers(settings.workers)
    for model in models:
        model.require_two_states()
    check_memory(4 * 8 * settings.walkers * max(sizes), f"moving {settings.walkers} walkers of {max(sizes)} spins")
    backend = settings.backend.build()
    if on_cost is not None and not backend.elsewhere:
        on_cost(_cost(settings, models))
    start = time.monotonic()
    errors = score_errors(beta, h, seed=seed)
    calls = [(model, None, settings.walkers, settings.points, seed) for model in models]
    found = backend.map(symmetry_breaking, calls, settings.workers, on_progress)
    fit = finite_size_scaling(settings, {r.N: r.walk for r in found})
    deviations = np.concatenate([curve.deviations for r in found for curve in (r.binder, r.cloning, r.uturn)])
    result = Result(
        beta=beta,
        h=h,
        m_star=models[0].m_star,
        walkers=settings.walkers,
        seed=seed,
        results=tuple(found),
        within_two_stderr=float(np.mean(np.abs(deviations) <= 2)),
        largest_deviation=float(np.abs(deviations).max()),
        agreement=Agreement.together([r.agreement for r in found]),
        scaling=fit,
        score_errors=errors,
        seconds=round(time.monotonic() - start, 2),
    )
    return result if settings.out is None else keep(settings.out, result, figures(result))


def _cost(settings: Settings, models: Sequence[CurieWeiss]) -> Cost:
    forward = ForwardProcess(NoiseSchedule.at_ou_times(np.linspace(STEP, 4, 100)))
    step = sum(rates.of_step(CurieWeissDenoiser(forward, model), settings.walkers) for model in models)
    seconds = _STEPS_PER_POINT * settings.points * step / processes(settings.workers, len(models))
    work = f"{settings.walkers} walkers at {settings.points} times of {len(models)} sizes, and the scaling of sizes"
    return Cost(seconds, work, "fewer --walkers, --points or --spins")


def finite_size_scaling(settings: Settings, walks: Mapping[int, Walk]) -> Scaling | None:
    """Fit the sizes 20 to 5000 and those of the settings: by walks up to the largest of these, above by exact draws.

    Parameters
    ----------
    settings : Settings
    walks : dict of Walk
        Walks that have been made, by number of spins.
    """
    models = [CurieWeiss(N, settings.beta, settings.field) for N in sorted({*SIZES, *settings.spins})]
    missing = [m for m in models if m.N not in walks and max(settings.spins) > m.N and large_enough(m)]
    calls = [(model, settings.walkers, settings.seed) for model in missing]
    made = settings.backend.build().map(walk_to_crossing, calls, settings.workers)
    walked = {**walks, **{model.N: walk for model, walk in zip(missing, made, strict=True)}}
    return scaling(models, walked, settings.walkers, settings.seed)


def score_errors(
    beta: float, h: float, sizes: Sequence[int] = (256, 512, 1024, 2048), n: int = 200, *, seed: int = 0
) -> ScoreErrors:
    """Root mean square error of the approximate ``x0_hat`` against the exact one, and its exponent in N.

    Measured at the time where ``N m*^2 e^(-2 tau) = 4``, on exact configurations diffused to it; both states are still
    possible there.

    Parameters
    ----------
    beta, h : float
        Inverse temperature and field.
    sizes : sequence of int
        Numbers of spins.
    n : int
        Configurations of each.
    seed : int
    """
    squares: dict[str, list[Floats]] = {method: [] for method in _APPROXIMATIONS}
    smallest = CurieWeiss(min(sizes), beta, h)
    require(
        smallest.N * smallest.m_star**2 > 8, f"beta = {beta:g} is too near 1 to compare scores at {smallest.N} spins"
    )
    for N in sizes:
        model = CurieWeiss(N, beta, h)
        tau = 0.5 * np.log(N * model.m_star**2 / 4)
        forward = ForwardProcess(NoiseSchedule.at_ou_times([tau, tau + 1]))
        rng = stream(seed, Purpose.SPIN_SCORE, N)
        x = forward.jump(model.sample(n, rng), 1, rng.standard_normal((n, N)))
        exact = CurieWeissDenoiser(forward, model).spin_means(x, 1)
        for method in _APPROXIMATIONS:
            other = CurieWeissDenoiser(forward, model, method).spin_means(x, 1)
            squares[method].append(np.mean((other - exact) ** 2, axis=1))
    means = {name: np.array([each.mean() for each in values]) for name, values in squares.items()}
    # The logarithm of a root has half the relative error of what is under it.
    relative = {
        name: np.array([stderr(each) for each in values]) / (2 * means[name]) for name, values in squares.items()
    }
    lines = {name: straight_line(np.log(sizes), np.log(means[name]) / 2, relative[name]) for name in squares}
    return ScoreErrors(
        tuple(sizes),
        {name: np.sqrt(mean).tolist() for name, mean in means.items()},
        {name: slope for name, (slope, _) in lines.items()},
        {name: error for name, (_, error) in lines.items()},
    )


# -- figures ----------------------------------------------------------------------------------------------------------


def figures(result: Result) -> dict[str, Figure]:
    """Potentials (Figure 11) of the largest model, curves of symmetry breaking, where trajectories end, and scaling."""
    models = [CurieWeiss(r.N, r.beta, r.h) for r in result.results]
    smooth = [_theory(m, r.tau) for m, r in zip(models, result.results, strict=True)]
    made = {
        "11_potentials": figure_11(models[-1]),
        "symmetry_breaking": drawing.breaking(result.results, smooth),
        "outcomes": drawing.outcomes(result.results, [(m.sums / m.N, np.exp(m.log_law)) for m in models]),
    }
    return made if result.scaling is None else made | {"scaling": drawing.scaling(result.scaling)}


def figure_11(model: CurieWeiss) -> Figure:
    """Potentials of one model before, at and after its transition."""
    tau = model.critical_time("potential")
    times = [0.6 * tau, 0.85 * tau, tau, tau + 1.0]
    # The grid reaches beyond the wells at the earliest of these times.
    mu = np.linspace(-1, 1, 601) * 3.0 * model.m_star * np.sqrt(model.N) * np.exp(-times[0])
    limits = {
        "early: two parabolas": (times[0], model.potential_early(mu, times[0])),
        "late: one parabola": (times[-1], model.potential_late(mu, times[-1])),
    }
    at_large_time = {t: model.potential_large_time(mu, t) for t in times}
    return drawing.potentials(mu, {t: model.potential(mu, t) for t in times}, at_large_time, limits)


def _theory(model: CurieWeiss, taus: Sequence[float]) -> dict[str, Floats]:
    """Curves of the infinite system over a range of times."""
    tau = np.linspace(min(taus), max(taus), 80)
    return {
        "tau": tau,
        "scaling": model.scaling_variable(tau),
        "binder": model.binder(tau),
        "cloning": model.cloning(tau),
    }
