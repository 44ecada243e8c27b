"""Symmetry breaking of the Curie-Weiss model, measured on reverse trajectories and set beside theory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.reverse import reconstruct, reverse_trajectory
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.physics.curie_weiss import CRITERIA, Criterion, CurieWeiss
from undiffuse.physics.curie_weiss_denoiser import CurieWeissDenoiser
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, require
from undiffuse.support.results import Result
from undiffuse.support.stats import mean_and_stderr, share_stderr
from undiffuse.support.streams import Purpose, Streams, stream

_DRAWS = 1 << 25  # spins drawn at once
_COPIES = 32  # exact posterior draws of each state, for the cloning probability at finite N


@dataclass(frozen=True)
class Curve:
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
        Of these N spins: from the exact law where there is a closed form (with error 0), else from exact posterior
        draws at the same states.
    """

    value: tuple[float, ...]
    stderr: tuple[float, ...]
    theory: tuple[float, ...]
    exact: tuple[float, ...]
    exact_stderr: tuple[float, ...]

    def as_dict(self) -> dict[str, list[float]]:
        """Return everything by name, with the deviations from the exact values, in standard errors."""
        return {name: list(values) for name, values in asdict(self).items()} | {"deviations": self.deviations.tolist()}

    @property
    def deviations(self) -> Floats:
        """Measured minus exact value, in standard errors of the difference."""
        spread = np.hypot(self.stderr, self.exact_stderr)
        return (np.array(self.value) - np.array(self.exact)) / np.maximum(spread, 1e-12)


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
        Share of trajectories from noise that end with positive magnetisation.
    plus_theory, plus_exact : float
        ``W+``, and its value for these N spins.
    magnetisation : tuple of float
        ``sum_i x_i/N`` at the end of each trajectory.
    critical : dict
        OU time of the transition by each criterion, None where there is none.
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

    _hidden: ClassVar[tuple[str, ...]] = ("magnetisation",)
    critical: Mapping[str, float | None]


def grids(model: CurieWeiss, step: float = 0.05) -> tuple[NoiseSchedule, NoiseSchedule]:
    """OU times for trajectories whose states are all used, and for those of which only the outcome is used.

    Both have steps of ``step`` around the transition and above. Below it, where the sign is decided already, the second
    has steps three times as wide. Near the data steps grow in proportion to the time.
    """
    middle = _middle(model)
    bottom = max(middle - 2.0, 0.3)
    above = np.arange(bottom, middle + 3.0 + step, step)

    def below(width: float) -> Floats:
        near = np.geomspace(0.01, 0.3, round(1 + 0.5 / width * 3.4))
        return np.concatenate([near, np.linspace(0.3, bottom, max(2, round((bottom - 0.3) / width) + 1))[1:-1]])

    def whole(width: float) -> NoiseSchedule:
        return NoiseSchedule.at_ou_times(np.unique(np.concatenate([below(width), above])))

    return whole(step), whole(3 * step)


def _middle(model: CurieWeiss) -> float:
    """OU time at which ``N m*^2 e^(-2 tau) = 1``."""
    return float(0.5 * np.log(model.N * model.m_star**2))


def symmetry_breaking(
    model: CurieWeiss,
    denoiser: Callable[[ForwardProcess], Denoiser] | None = None,
    n: int = 1000,
    points: int = 8,
    seed: int = 0,
) -> Breaking:
    """Measure on reverse trajectories, from noise and from diffused data, when the magnetisation's sign is decided.

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
    require(n >= 100, f"n = {n}: wanted at least 100 walkers, for errors to be known")
    require(points >= 2, f"points = {points}: wanted at least two times")
    make = denoiser or (lambda forward: CurieWeissDenoiser(forward, model))
    fine, forward = (ForwardProcess(schedule) for schedule in grids(model))
    whole, outcome, exact = make(fine), make(forward), CurieWeissDenoiser(forward, model)
    schedule, ahead = forward.schedule, fine.T - forward.T  # the upper times of the two grids are the same
    middle = _middle(model)
    times = sorted({schedule.time_at_ou(tau) for tau in np.linspace(max(middle - 1.5, 0.3), middle + 1.5, points)})
    tau = np.array([float(schedule.ou_time(t)) for t in times])

    def back(x: Floats, t: int, copy: int) -> Floats:
        return _signs(reconstruct(outcome, x, t, seed=Streams(seed, Purpose.SPIN_COPY, (model.N, t, copy))))

    start = stream(seed, Purpose.SPIN_START, model.N).standard_normal((n, model.N))
    walk = reverse_trajectory(whole, start, seed=Streams(seed, Purpose.SPIN_WALK, (model.N,)))
    wanted = {0, *(t + ahead for t in times)}
    states = {t: x for t, x in walk if t in wanted}
    cumulants, cloning, uturn, cloned = [], [], [], []
    for t in times:
        rng = stream(seed, Purpose.SPINS, model.N, t)
        cumulants.append(_cumulant(states[t + ahead].sum(axis=1) / np.sqrt(model.N)))
        x0 = model.sample(n, rng)
        x_t = forward.jump(x0, t, rng.standard_normal(x0.shape))
        one, other = back(x_t, t, 1), back(x_t, t, 2)
        cloning.append(_same(one, other))
        uturn.append(_same(_signs(x0), one))
        x_t = forward.jump(model.sample(n, rng), t, rng.standard_normal(x0.shape))
        cloned.append(_cloning_of_draws(exact, x_t, t, rng))
    ends = states[0].sum(axis=1) / model.N
    plus = (_signs(states[0]) + 1) / 2
    theory, none = model.cloning(tau), np.zeros(len(tau))
    by_draws = np.array(cloned).T
    scatter = np.sqrt(np.maximum(by_draws[0] * (1 - by_draws[0]), 1 / n) / n)
    return Breaking(
        model.N,
        model.beta,
        model.h,
        n,
        tuple(tau.tolist()),
        tuple(model.scaling_variable(tau).tolist()),
        _curve(
            list(zip(cumulants, model.binder_scatter(tau) / np.sqrt(n), strict=True)),
            model.binder(tau),
            model.binder_exact(tau),
            none,
        ),
        _curve(list(zip(cloning, scatter, strict=True)), theory, *by_draws),
        _curve(list(zip(uturn, scatter, strict=True)), theory, *by_draws),
        float(plus.mean()),
        share_stderr(float(plus.mean()), n),
        model.weights[0],
        model.plus_share,
        tuple(ends.tolist()),
        critical,
    )


def _critical_time(model: CurieWeiss, criterion: Criterion) -> float | None:
    try:
        return model.critical_time(criterion)
    except UserError:
        return None


def _signs(x: Floats) -> Floats:
    return np.sign(x.sum(axis=1))


def _same(a: Floats, b: Floats) -> float:
    """Share of equal signs; a sum of zero counts half for either state."""
    return float(np.mean((1 + a * b) / 2))


def _cumulant(mu: Floats) -> float:
    return float(1 - np.mean(mu**4) / (3 * np.mean(mu**2) ** 2))


def _cloning_of_draws(exact: CurieWeissDenoiser, x_t: Floats, t: int, rng: np.random.Generator) -> tuple[float, float]:
    """Cloning probability from several exact posterior draws of each state: all their pairs."""
    rows = max(1, _DRAWS // (_COPIES * exact.dim))
    draws = (exact.posterior_samples(x_t[i : i + rows], t, _COPIES, rng) for i in range(0, len(x_t), rows))
    signs = np.sign(np.concatenate([each.sum(axis=2) for each in draws]))
    # The mean of s_a s_b over pairs a != b is ((sum s)^2 - sum s^2)/(K (K - 1)).
    pairs = (signs.sum(axis=1) ** 2 - (signs**2).sum(axis=1)) / (_COPIES * (_COPIES - 1))
    return mean_and_stderr((1 + pairs) / 2)


def _curve(measured: list[tuple[float, float]], theory: Floats, exact: Floats, exact_stderr: Floats) -> Curve:
    value, stderr = zip(*measured, strict=True)
    return Curve(value, stderr, tuple(theory.tolist()), tuple(exact.tolist()), tuple(exact_stderr.tolist()))
