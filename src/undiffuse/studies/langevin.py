"""``undiffuse physics langevin``: (24) and (25) simulated from two points to noise and back, beside Fokker-Planck."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from cyclopts import Parameter

from undiffuse import figures as drawing
from undiffuse.diffusion.exact import EmpiricalDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.physics.langevin import forward_langevin, reverse_langevin
from undiffuse.physics.ornstein_uhlenbeck import OrnsteinUhlenbeck, fokker_planck
from undiffuse.studies import rates
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.support.arrays import Floats
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import require
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.stats import share_stderr
from undiffuse.support.streams import Purpose, check_seed, stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TIMES = (10, 25, 50, 100, 400)  # times shown, of 400 steps of 0.01 in OU time


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many walkers.

    Attributes
    ----------
    walkers : int
        Number of walkers.
    out : path, optional
        Folder for the figure and summary.json; files of the same names are replaced.
    seed : int
        Seed of all noise.
    """

    walkers: int = 10_000
    out: Path | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """Walkers compared with densities.

    Attributes
    ----------
    walkers : int
    ou_time : list of float
        Times shown.
    kolmogorov_distance : dict
        Largest difference of distribution functions at each time, ``forward`` and ``reverse``.
    kolmogorov_5_percent : float
        Distance that 5 % of samples of as many draws from the law itself exceed, ``1.358/sqrt(walkers)``.
    fokker_planck_error : float
        Largest difference of the solved density and the closed form.
    plus, plus_stderr : float
        Share of reverse walkers that end on the positive side.
    end_mean_abs : float
        Mean distance from 0 where they end; the points are at 1.
    seconds : float
    states : dict
        Walkers at each step shown, ``forward`` and ``reverse``.
    grid, densities : arrays
        Points, and the densities there at the times shown.
    """

    walkers: int
    ou_time: tuple[float, ...]
    kolmogorov_distance: Mapping[str, list[float]]
    kolmogorov_5_percent: float
    fokker_planck_error: float
    plus: float
    plus_stderr: float
    end_mean_abs: float
    seconds: float
    states: Mapping[str, Mapping[int, Floats]]
    grid: Floats
    densities: Floats

    _hidden: ClassVar[tuple[str, ...]] = ("states", "grid", "densities")


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Simulate from two points to noise and back, beside the Fokker-Planck equation; progress counts three stages.

    ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If there are fewer than 100 walkers.
    """
    prepare(settings.out)
    walkers = settings.walkers
    require(walkers >= 100, f"walkers = {walkers}: wanted at least 100")
    check_seed(settings.seed)
    check_memory(16 * 8 * walkers, f"moving {walkers} walkers")
    start = time.monotonic()
    forward = ForwardProcess(NoiseSchedule.at_ou_times(np.linspace(0.01, 4, 400)))
    exact = EmpiricalDenoiser(forward, [[-1.0], [1.0]])
    if on_cost is not None:
        seconds = 2 * rates.of_samples(exact, walkers)
        on_cost(Cost(seconds, f"{walkers} walkers, {forward.T} steps there and back", "fewer --walkers"))
    rng = stream(settings.seed, Purpose.LANGEVIN)
    taus = [float(forward.schedule.ou_time(t)) for t in _TIMES]
    x0 = rng.choice([-1.0, 1.0], (walkers, 1))
    states: dict[str, dict[int, Floats]] = {
        "forward": {s.t: s.x[:, 0] for s in forward_langevin(forward, x0, rng) if s.t in _TIMES}
    }
    on_progress(1, 3)
    wanted = {*_TIMES, 0}
    back = reverse_langevin(exact, rng.standard_normal((walkers, 1)), rng)
    states["reverse"] = {s.t: s.x[:, 0] for s in back if s.t in wanted}
    last = states["reverse"].pop(0)
    on_progress(2, 3)
    y = np.linspace(-4, 4, 801)
    process = OrnsteinUhlenbeck()
    solved = fokker_planck(y, _mixture(y, process, taus[0]), taus, process.drift)
    closed = np.stack([_mixture(y, process, tau) for tau in taus])
    distances = {
        name: [_kolmogorov(x[t], y, density) for t, density in zip(_TIMES, closed, strict=True)]
        for name, x in states.items()
    }
    on_progress(3, 3)
    result = Result(
        walkers=walkers,
        ou_time=tuple(taus),
        kolmogorov_distance=distances,
        kolmogorov_5_percent=float(1.358 / np.sqrt(walkers)),
        fokker_planck_error=float(np.abs(solved - closed).max()),
        plus=float(np.mean(last > 0)),
        plus_stderr=share_stderr(0.5, walkers),
        end_mean_abs=float(np.abs(last).mean()),
        seconds=round(time.monotonic() - start, 2),
        states=states,
        grid=y,
        densities=solved,
    )
    return result if settings.out is None else keep(settings.out, result, figures(result))


def figures(result: Result) -> dict[str, Figure]:
    """Histograms of walkers with Fokker-Planck's densities over them."""
    rows = {
        f"{direction} walkers": [(tau, x[t]) for t, tau in zip(_TIMES, result.ou_time, strict=True)]
        for direction, x in result.states.items()
    }
    return {"langevin": drawing.langevin(rows, result.grid, {name: list(result.densities) for name in rows})}


def _mixture(y: Floats, process: OrnsteinUhlenbeck, tau: float) -> Floats:
    return np.asarray((process.kernel(y, 1.0, tau) + process.kernel(y, -1.0, tau)) / 2)


def _kolmogorov(x: Floats, y: Floats, density: Floats) -> float:
    """Largest difference between the walkers' distribution function and the density's."""
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2) * (y[1] - y[0])])
    ranks = np.searchsorted(np.sort(x), y, side="right") / len(x)
    return float(np.abs(ranks - cumulative).max())
