"""Finite-size scaling of the Curie-Weiss transition: where the Binder cumulant crosses a level, and the collapse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.agreement import NULLS, Agreement, drawn_cumulants, null_cumulants
from undiffuse.physics.breaking import STEP, Walk, grid, middle_time, walk_from_noise
from undiffuse.physics.curie_weiss import CurieWeiss
from undiffuse.physics.curie_weiss_denoiser import CurieWeissDenoiser
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.results import Result
from undiffuse.support.stats import Line
from undiffuse.support.streams import Purpose, stream

LEVEL = 4 / 9  # two thirds of the plateau 2/3
SIZES = (20, 50, 100, 200, 500, 1000, 2000, 5000)
_OFFSETS = STEP * np.arange(-26, 31, 8)  # from the middle, in OU time, where curves of all sizes are compared


@dataclass(frozen=True)
class Scaling(Result):
    r"""Crossing times against log N, and the collapse of the cumulants onto ``log(N e^(-2 tau))``.

    Theory: at ``r/Gamma`` fixed, ``tau = log(N)/2 + const + O(1/N)``.

    Attributes
    ----------
    level : float
        Value of the Binder cumulant.
    N : tuple of int
        Numbers of spins.
    walked : tuple of bool
        Whether the cumulants of this size are those of reverse walks; else of as many exact draws of mu's path.
    tau, stderr : tuple of float
        OU time at which the measured cumulant crosses the level. Errors by the delta method, from the exact law.
    exact, theory : tuple of float
        The same for the exact cumulant of N spins, in closed form, and for the infinite system's.
    slope, walks : Line
        Line through the measured times against log N: all sizes; walks only (None with fewer than three). Theory: 1/2.
    exact_slope : float
        Slope of the line with the same weights through the exact times of all sizes.
    exact_local : tuple of float
        Slopes of the exact times between neighbouring sizes: 1/2 with corrections.
    correction : float
        Power of N with which the exact cumulants approach their limit at fixed ``log(N e^(-2 tau))``: the largest gap
        at :attr:`variable`, by least squares over the larger half of the sizes.
    variable : tuple of float
        ``log(N e^(-2 tau))`` where the curves of all sizes are compared.
    curves, curve_stderr : tuple of tuple of float
        Measured cumulants there for each size, and their errors.
    exact_curves : tuple of tuple of float
        Exact cumulants there.
    limit : tuple of float
        Their limit at large N.
    collapse : Agreement
        Of the measured curves with their common mean: chi^2 with all covariances along the walks. Its null draws are
        from the largest size, so a small p-value says that corrections to scaling, or errors of the walk, are seen.
    excess : float
        What the exact corrections to scaling add to chi^2 on average.
    """

    level: float
    N: tuple[int, ...]
    walked: tuple[bool, ...]
    tau: tuple[float, ...]
    stderr: tuple[float, ...]
    exact: tuple[float, ...]
    theory: tuple[float, ...]
    slope: Line
    walks: Line | None
    exact_slope: float
    exact_local: tuple[float, ...]
    correction: float
    variable: tuple[float, ...]
    curves: tuple[tuple[float, ...], ...]
    curve_stderr: tuple[tuple[float, ...], ...]
    exact_curves: tuple[tuple[float, ...], ...]
    limit: tuple[float, ...]
    collapse: Agreement
    excess: float


class Collapse(NamedTuple):
    """Chi square of curves with their common weighted mean, for many sets at once.

    Attributes
    ----------
    precisions : (sizes, k, k)
        Inverse covariance of each size's curve.
    """

    precisions: Floats

    def chi2(self, curves: Floats) -> Floats:
        """Chi square of curves ``(.., sizes, k)`` about their mean, shape ``(..)``."""
        weighted = np.einsum("nij,...nj->...i", self.precisions, curves)
        mean = np.linalg.solve(self.precisions.sum(axis=0), weighted[..., None])[..., 0]
        rest = curves - mean[..., None, :]
        return np.asarray(np.einsum("...ni,nij,...nj->...", rest, self.precisions, rest))


def scaling(models: Sequence[CurieWeiss], walks: Mapping[int, Walk], n: int, seed: int = 0) -> Scaling | None:
    """Fit finite-size scaling to measured cumulants; None where fewer than three models are large enough.

    A model is large enough if ``N m*^2 > 11.3``, so that its curve lies at OU times above 0.3.

    Parameters
    ----------
    models : sequence of CurieWeiss
        Different sizes at one temperature and field.
    walks : dict of Walk
        Walks from noise by number of spins, of ``n`` walkers each. For other sizes mu is drawn from its exact law.
    n : int
    seed : int
    """
    models = sorted(filter(large_enough, models), key=lambda m: m.N)
    if len(models) < 3:
        return None
    found = [walks.get(m.N) or _drawn(m, n, seed) for m in models]
    tau = np.array([crossing(walk, LEVEL) for walk in found])
    exact = np.array([m.binder_crossing(LEVEL) for m in models])
    errors = np.array([crossing_stderr(m, at, n) for m, at in zip(models, exact, strict=True)])
    logs, walked = np.log([m.N for m in models]), np.array([m.N in walks for m in models])
    times = [middle_time(m) + _OFFSETS for m in models]
    curves = np.array([np.interp(at, walk.tau, walk.cumulant) for at, walk in zip(times, found, strict=True)])
    exact_curves = np.array([m.binder_exact(at) for m, at in zip(models, times, strict=True)])
    covariances = np.array([m.binder_covariance(at.tolist()) / n for m, at in zip(models, times, strict=True)])
    collapse = Collapse(np.linalg.inv(covariances))
    rng = stream(seed, Purpose.SPIN_NULL_COLLAPSE)
    null = null_cumulants(models[-1], times[-1].tolist(), n, NULLS * len(models), rng)
    # Scaled from the largest size's errors to those of each, so that the null draws have the covariances assumed.
    turn = np.linalg.cholesky(covariances) @ np.linalg.inv(np.linalg.cholesky(covariances[-1]))
    null = np.einsum("nij,mnj->mni", turn, null.reshape(NULLS, len(models), -1))
    limit = _limit()
    gaps, half = np.abs(exact_curves - limit).max(axis=1), len(models) // 2
    return Scaling(
        LEVEL,
        tuple(m.N for m in models),
        tuple(walked.tolist()),
        tuple(tau.tolist()),
        tuple(errors.tolist()),
        tuple(exact.tolist()),
        tuple(_crossing_of_theory(m, LEVEL) for m in models),
        Line.through(logs, tau, errors),
        Line.through(logs[walked], tau[walked], errors[walked]) if walked.sum() > 2 else None,
        Line.through(logs, exact, errors).slope,
        tuple(float((b - a) / (v - u)) for (a, u), (b, v) in pairwise(zip(exact, logs, strict=True))),
        float(np.polyfit(logs[half:], np.log(gaps[half:]), 1)[0]),
        tuple((-2 * (_OFFSETS + np.log(models[0].m_star))).tolist()),
        tuple(map(tuple, curves.tolist())),
        tuple(map(tuple, np.sqrt(np.diagonal(covariances, axis1=1, axis2=2)).tolist())),
        tuple(map(tuple, exact_curves.tolist())),
        tuple(limit.tolist()),
        Agreement.ranked(float(collapse.chi2(curves)), (len(models) - 1) * len(_OFFSETS), collapse.chi2(null)),
        float(collapse.chi2(exact_curves)),
    )


def large_enough(model: CurieWeiss) -> bool:
    """Tell whether the times at which curves are compared are all above 0.3 in OU time."""
    return bool(middle_time(model) + _OFFSETS[0] >= 0.3)


def walk_to_crossing(model: CurieWeiss, n: int, seed: int) -> Walk:
    """Walk from noise with the exact score as far down as :func:`scaling` needs."""
    denoiser = CurieWeissDenoiser(ForwardProcess(grid(model)), model)
    return walk_from_noise(model, denoiser, n, seed, lowest=middle_time(model) + _OFFSETS[0])[0]


def crossing(walk: Walk, level: float) -> float:
    """OU time at which a falling curve crosses ``level``, between its points by straight lines; the mean of several.

    Raises
    ------
    UserError
        If it does not.
    """
    gap = walk.cumulant - level
    at = np.flatnonzero(gap[:-1] * gap[1:] <= 0)
    require(len(at) > 0, f"the measured Binder cumulant does not cross {level:g}")
    left, right = gap[at], gap[at + 1]
    return float(np.mean(walk.tau[at] + (walk.tau[at + 1] - walk.tau[at]) * left / (left - right)))


def crossing_stderr(model: CurieWeiss, tau: float, n: int) -> float:
    """Standard error of the crossing at ``tau`` from ``n`` walkers: the cumulant's over its exact slope."""
    slope = float(model.binder_exact(tau + 1e-4) - model.binder_exact(tau - 1e-4)) / 2e-4
    return float(model.binder_scatter(tau)) / np.sqrt(n) / abs(slope)


def _drawn(model: CurieWeiss, n: int, seed: int) -> Walk:
    tau = middle_time(model) + STEP * np.arange(round(_OFFSETS[0] / STEP), round(_OFFSETS[-1] / STEP) + 1)
    rng = stream(seed, Purpose.SPIN_DRAWS, model.N)
    return Walk(tau, drawn_cumulants(model, tau.tolist(), n, 1, rng)[0])


def _limit() -> Floats:
    """Cumulant at the offsets as N grows at fixed ``N e^(-2 tau)``: there ``r = N m*^2 e^(-2 tau)`` and Gamma = 1."""
    r = np.exp(-2 * _OFFSETS)
    return np.asarray(2 / 3 * (r / (r + 1)) ** 2)


def _crossing_of_theory(model: CurieWeiss, level: float) -> float:
    """``2/3 (r/(r + Gamma))^2 = level`` solved for tau: ``r = k Gamma``, ``theta^-2 = N m*^2/k + 1 - chi``."""
    share = np.sqrt(1.5 * level)
    return float(0.5 * np.log(model.N * model.m_star**2 * (1 - share) / share + 1 - model.chi))
