"""Symmetry breaking of the Curie-Weiss model, measured on reverse trajectories and set beside theory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.reverse import reconstruct, reverse_trajectory
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.physics.agreement import NULLS, Agreement, copies_agreement, cumulant, null_cumulants
from undiffuse.physics.corrected import Corrected
from undiffuse.physics.crossings import check_points
from undiffuse.physics.curie_weiss import CRITERIA, Criterion, CurieWeiss
from undiffuse.physics.curie_weiss_denoiser import CurieWeissDenoiser
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, require
from undiffuse.support.results import Result
from undiffuse.support.stats import mean_and_stderr, share_stderr
from undiffuse.support.streams import Purpose, Streams, stream

STEP = 0.035  # in OU time; see the bias of cloning in symmetry_breaking
_DRAWS = 1 << 25  # spins drawn at once
_COPIES = 8  # exact posterior draws of each state, for the cloning probability at finite N
_STATES = 4  # as many states as walkers, times this

MakeDenoiser = Callable[[ForwardProcess], Denoiser]


@dataclass(frozen=True)
class Curve(Result):
    """One observable against OU time.

    Attributes
    ----------
    value, stderr : tuple of float
        Measured on reverse trajectories. Errors are those of as many draws from the exact law: estimated from the
        walkers, the error of a cumulant (from their eighth moments) would be too noisy and that of a share near 1 too
        small.
    theory : tuple of float
        Of the infinite system.
    exact, exact_stderr : tuple of float
        Of these N spins: from the exact law where there is a closed form, and then with the error 0, else from exact
        posterior draws of other states.
    agreement : Agreement
        Of the values with the exact ones, all times together, with their covariance; in :meth:`as_dict` as ``chi2``,
        ``degrees`` and ``p_value``.
    """

    value: tuple[float, ...]
    stderr: tuple[float, ...]
    theory: tuple[float, ...]
    exact: tuple[float, ...]
    exact_stderr: tuple[float, ...]
    agreement: Agreement

    _hidden: ClassVar[tuple[str, ...]] = ("agreement",)

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, with the deviations from the exact values, in standard errors."""
        return super().as_dict() | {"deviations": self.deviations.tolist()} | self.agreement.as_dict()

    @property
    def deviations(self) -> Floats:
        """Measured minus exact value, in standard errors of the difference."""
        return (np.array(self.value) - np.array(self.exact)) / np.hypot(self.stderr, self.exact_stderr)


@dataclass(frozen=True)
class Walk:
    """Cumulants along a reverse walk from noise.

    Attributes
    ----------
    tau : (k,)
        OU times, increasing.
    cumulant : (k,)
        Binder cumulant of ``mu_tau`` over the walkers.
    """

    tau: Floats
    cumulant: Floats


@dataclass(frozen=True)
class Breaking(Result):
    """What :func:`symmetry_breaking` measured.

    Attributes
    ----------
    N : int
        Number of spins.
    beta, h : float
        Inverse temperature and field.
    n : int
        Number of walkers.
    tau, scaling : tuple of float
        OU times, and ``log(N e^(-2 tau))`` there.
    binder : Curve
        Binder cumulant of ``mu_tau``.
    cloning, uturn : Curve
        Probability that two copies from one ``x_tau``, or one copy and the data it came from, have the same sign.
    plus, plus_stderr : float
        Share of trajectories from noise that end with positive magnetisation; the error is that of as many exact draws.
    plus_theory, plus_exact : float
        ``W+``, and its value for these N spins.
    magnetisation : tuple of float
        ``sum_i x_i/N`` at the end of each trajectory.
    critical : dict
        OU time of the transition by each criterion, None where there is none.
    agreement : Agreement
        Of all three curves with the exact law; in :meth:`as_dict` as ``chi2``, ``degrees`` and ``p_value``.
    walk : Walk
        Cumulants at all times of the trajectories from noise around the transition.
    """

    N: int
    beta: float
    h: float
    n: int
    tau: tuple[float, ...]
    scaling: tuple[float, ...]
    binder: Curve
    cloning: Curve
    uturn: Curve
    plus: float
    plus_stderr: float
    plus_theory: float
    plus_exact: float
    magnetisation: tuple[float, ...]
    critical: Mapping[str, float | None]
    agreement: Agreement
    walk: Walk

    _hidden: ClassVar[tuple[str, ...]] = ("magnetisation", "agreement", "walk")

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, the agreement as ``chi2``, ``degrees`` and ``p_value``."""
        return super().as_dict() | self.agreement.as_dict()


def grid(model: CurieWeiss, step: float = STEP, below: float = 0.15) -> NoiseSchedule:
    """OU times of the trajectories, with ``middle`` where ``N m*^2 e^(-2 tau) = 1``.

    Multiples of ``step`` from the middle, from 1.5 below it to 3 above. Further down, where the sign is decided, steps
    are ``below`` wide, and near the data they grow in proportion to the time. Wide steps there are enough for copies,
    whose sign only is used; walkers whose magnetisation at the end is used take ``below = step``.
    """
    middle = middle_time(model)
    bottom = max(middle - 1.5, 0.3)
    above = middle + step * np.arange(np.ceil((bottom - middle) / step - 1e-9), np.ceil(3 / step) + 1)
    near = np.geomspace(0.01, 0.3, round(1 + 0.5 / below * 3.4))
    further = np.linspace(0.3, above[0], max(2, round((above[0] - 0.3) / below) + 1))[1:-1]
    return NoiseSchedule.at_ou_times(np.concatenate([near[near < above[0] - step / 4], further, above]))


def middle_time(model: CurieWeiss) -> float:
    """OU time at which ``N m*^2 e^(-2 tau) = 1``."""
    return float(0.5 * np.log(model.N * model.m_star**2))


def walk_from_noise(
    model: CurieWeiss, denoiser: Denoiser, n: int, seed: int, lowest: float = 0.0
) -> tuple[Walk, Floats]:
    """Take ``n`` walkers from noise down the denoiser's times, as far as OU time ``lowest``.

    Parameters
    ----------
    model : CurieWeiss
    denoiser : Denoiser
    n : int
    seed : int
    lowest : float
        The walk ends at the last time not below it.

    Returns
    -------
    walk : Walk
    x : (n, N)
        Where the walkers are at the end.
    """
    schedule = denoiser.forward.schedule
    x = stream(seed, Purpose.SPIN_START, model.N).standard_normal((n, model.N))
    streams = Streams(seed, Purpose.SPIN_WALK, (model.N,))
    taus, cumulants = [], []
    for t, state in reverse_trajectory(denoiser, x, sampler=Corrected(), seed=streams):
        tau = float(schedule.ou_time(t))
        if tau < lowest - 1e-9:
            break
        x = state
        taus.append(tau)
        cumulants.append(float(cumulant(x.sum(axis=1) / np.sqrt(model.N))))
    return Walk(np.array(taus[::-1]), np.array(cumulants[::-1])), x


def check_walkers(n: int) -> None:
    """Raise a :class:`UserError` unless so many walkers give errors."""
    require(n >= 100, f"n = {n}: wanted at least 100 walkers, for errors to be known")


def symmetry_breaking(
    model: CurieWeiss,
    denoiser: MakeDenoiser | None = None,
    n: int = 1000,
    points: int = 8,
    seed: int = 0,
) -> Breaking:
    """Measure on reverse trajectories, from noise and from diffused data, when the magnetisation's sign is decided.

    Walkers move by :class:`~undiffuse.physics.corrected.Corrected`. With its steps of 0.035 the cloning probability at
    N = 50, where it changes fastest, comes out too large by 0.002 +- 0.001 (100,000 pairs), a seventh of the error of
    800 pairs; by ancestral steps of 0.05 it was 0.009 +- 0.001.

    Parameters
    ----------
    model : CurieWeiss
        A ferromagnet both of whose states have weight.
    denoiser : callable, optional
        Makes the denoiser for a forward process; the exact one by default.
    n : int
        Walkers: trajectories from noise, pairs of copies and U-turns at each time.
    points : int
        Number of times at which observables are measured, evenly spaced in tau around the transition.
    seed : int

    Raises
    ------
    UserError
        If there is no ferromagnet, one of its states is negligible, or there are too few walkers or points.
    """
    model.require_two_states()
    critical: dict[str, float | None] = {criterion: _critical_time(model, criterion) for criterion in CRITERIA}
    check_walkers(n)
    check_points(points, least=2)
    forward = ForwardProcess(grid(model))
    schedule, exact = forward.schedule, CurieWeissDenoiser(forward, model)
    make = denoiser or (lambda process: CurieWeissDenoiser(process, model))
    walker = make(forward)
    middle = middle_time(model)
    times = sorted({schedule.time_at_ou(tau) for tau in np.linspace(max(middle - 1.5, 0.3), middle + 1.5, points)})
    tau = np.asarray(schedule.ou_time(np.array(times)))
    walk, ends = walk_from_noise(model, make(ForwardProcess(grid(model, below=STEP))), n, seed)
    measured = np.array([_copies(model, walker, t, n, seed) for t in times]).T
    phi, error = np.array([_cloning_of_draws(exact, t, _STATES * n, seed) for t in times]).T
    binder = _binder_curve(model, tau, walk.cumulant[np.searchsorted(walk.tau, tau - 1e-9)], n, seed)
    copies = copies_agreement(measured, phi, error, n, stream(seed, Purpose.SPIN_NULL_COPIES, model.N))
    scatter, theory = np.sqrt(np.maximum(phi * (1 - phi), 1 / n) / n), model.cloning(tau)
    return Breaking(
        N=model.N,
        beta=model.beta,
        h=model.h,
        n=n,
        tau=tuple(tau.tolist()),
        scaling=tuple(model.scaling_variable(tau).tolist()),
        binder=binder,
        cloning=_curve((measured[0], scatter, theory, phi, error), copies.cloning),
        uturn=_curve((measured[1], scatter, theory, phi, error), copies.uturn),
        plus=float(np.mean(_signs(ends) > 0)),
        plus_stderr=share_stderr(model.plus_share, n),
        plus_theory=model.weights[0],
        plus_exact=model.plus_share,
        magnetisation=tuple((ends.sum(axis=1) / model.N).tolist()),
        critical=critical,
        agreement=Agreement.together([binder.agreement, copies.both]),
        walk=walk,
    )


def _critical_time(model: CurieWeiss, criterion: Criterion) -> float | None:
    try:
        return model.critical_time(criterion)
    except UserError:
        return None


def _signs(x: Floats) -> Floats:
    """Sign of each sum of spins (last axis); a sum of zero goes with its first spin, up as often as down."""
    return np.sign(x.sum(axis=-1) + x[..., 0] / 2)


def _same(a: Floats, b: Floats) -> float:
    return float(np.mean(a == b))


def _copies(model: CurieWeiss, denoiser: Denoiser, t: int, n: int, seed: int) -> tuple[float, float]:
    """Share of equal signs of two copies from one ``x_t``, and of the first copy and its data."""
    rng = stream(seed, Purpose.SPINS, model.N, t)
    x0 = model.sample(n, rng)
    x_t = denoiser.forward.jump(x0, t, rng.standard_normal(x0.shape))

    def back(copy: int) -> Floats:
        streams = Streams(seed, Purpose.SPIN_COPY, (model.N, t, copy))
        return _signs(reconstruct(denoiser, x_t, t, sampler=Corrected(), seed=streams))

    one, other = back(1), back(2)
    return _same(one, other), _same(_signs(x0), one)


def _cloning_of_draws(exact: CurieWeissDenoiser, t: int, states: int, seed: int) -> tuple[float, float]:
    """Cloning probability from several exact posterior draws of each state: all their pairs; with its error.

    The error is at least what one draw unlike the others makes.
    """
    rng, rows, pairs = stream(seed, Purpose.SPIN_POSTERIOR, exact.dim, t), max(1, _DRAWS // (_COPIES * exact.dim)), []
    for i in range(0, states, rows):
        x0 = exact.model.sample(min(rows, states - i), rng)
        x_t = exact.forward.jump(x0, t, rng.standard_normal(x0.shape))
        total = _signs(exact.posterior_samples(x_t, t, _COPIES, rng)).sum(axis=1)
        # The mean of s_a s_b over pairs a != b of K is ((sum s)^2 - K)/(K (K - 1)).
        pairs.append((total**2 - _COPIES) / (_COPIES * (_COPIES - 1)))
    phi, error = mean_and_stderr((1 + np.concatenate(pairs)) / 2)
    return phi, max(error, 2 / (_COPIES * states))


def _binder_curve(model: CurieWeiss, tau: Floats, value: Floats, n: int, seed: int) -> Curve:
    exact = model.binder_exact(tau)
    null = null_cumulants(model, tau.tolist(), n, NULLS, stream(seed, Purpose.SPIN_NULL_WALKS, model.N))
    agreement = Agreement.of(value - exact, model.binder_covariance(tau.tolist()) / n, null)
    stderr = model.binder_scatter(tau) / np.sqrt(n)
    return _curve((value, stderr, model.binder(tau), exact, np.zeros(len(tau))), agreement)


def _curve(columns: tuple[Floats, ...], agreement: Agreement) -> Curve:
    value, stderr, theory, exact, exact_stderr = (tuple(column.tolist()) for column in columns)
    return Curve(value, stderr, theory, exact, exact_stderr, agreement)
