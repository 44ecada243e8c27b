"""Networks of a few diffusion times, trained for ``undiffuse memorise --along training`` with their errors recorded."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from undiffuse.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.objective import xi_errors
from undiffuse.networks.network import Architecture, Weights
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.runs.sections import TrainingSection
from undiffuse.studies.small_banks import fresh_states
from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.errors import UserError
from undiffuse.support.streams import Purpose, stream
from undiffuse.support.threads import one_thread, one_torch_thread
from undiffuse.training import engines
from undiffuse.training.passes import Examples, Minibatches
from undiffuse.training.state import Engine, TrainingState

PROBES = 1_000  # noised points at which each error is measured
SPACING = 1.1  # factor from one record to the next


@dataclass(frozen=True)
class Bench:
    """What all trainings share.

    Attributes
    ----------
    forward : ForwardProcess
    times : tuple of int
        Diffusion times, a network for each.
    updates : int
        Steps of the optimiser.
    batch : int
        Batch size; smaller sets are one batch.
    learning_rate : float
        The same at every step.
    activation, optimiser : str
        Of the hidden units and of the training.
    """

    forward: ForwardProcess
    times: tuple[int, ...]
    updates: int
    batch: int
    learning_rate: float
    activation: str = "relu"
    optimiser: str = "adam"

    def architecture(self, dim: int, hidden: int) -> Architecture:
        """Plain network that predicts x0, without a skip, which would know the mean and covariance of the points."""
        return Architecture(dim, hidden, prediction="x0", activation=self.activation)

    @property
    def records(self) -> Floats:
        """Steps after which errors are measured, evenly spaced in their logarithm."""
        count = 1 + int(np.ceil(np.log(self.updates) / np.log(SPACING)))
        return np.unique(np.rint(np.geomspace(1, self.updates, count)))


class Errors(NamedTuple):
    """Mean square xi-errors per dimension, on noised training points and on noised held-out ones.

    Attributes
    ----------
    training, held_out : array
        ``(records, times)`` of a network along its training, ``(times,)`` of an exact denoiser.
    """

    training: Floats
    held_out: Floats


class Trained(NamedTuple):
    """What the trainings on one set of points gave.

    Attributes
    ----------
    network : Errors
        Along training.
    empirical, gaussian : Errors
        Of the exact denoisers of the same points, measured at the same noised points.
    weights : tuple of Weights
        Of each time, at the end.
    """

    network: Errors
    empirical: Errors
    gaussian: Errors
    weights: tuple[Weights, ...]


def probes(x: Floats) -> Floats:
    """Points at which errors are measured, ``(PROBES, dim)``: the first ones, or all of them over and over."""
    return np.asarray(x[np.arange(PROBES) % len(x)])


def trained(bench: Bench, hidden: int, points: Floats, held_out: Floats, seed: int) -> Trained:
    """Train a network for each time on ``points`` and follow both its errors.

    Errors are those of :func:`undiffuse.diffusion.objective.xi_error` with this seed at the :func:`probes` of each set;
    training and held-out points get the same noise, which takes most of its scatter out of the ratio.

    Parameters
    ----------
    bench : Bench
    hidden : int
        Hidden units.
    points, held_out : (n, dim)
    seed : int
        Of weights, batches and noise.

    Raises
    ------
    UserError
        If an error is not finite: the learning rate is too large.
    """
    with one_thread(), one_torch_thread():
        both = Errors(probes(points), probes(held_out))
        exact = EmpiricalDenoiser(bench.forward, points), GaussianDenoiser.from_data(bench.forward, points)
        empirical, gaussian = (Errors(*(xi_errors(denoiser, x, bench.times, seed) for x in both)) for denoiser in exact)
        network, weights = _followed(bench, hidden, points.astype(np.float32), both, seed)
        for t, curve in zip(bench.times, (network.training + network.held_out).T, strict=True):
            if not np.isfinite(curve).all():
                raise UserError(
                    f"training diverged at t = {t} on {len(points)} points: wanted a smaller learning rate than "
                    f"{bench.learning_rate:g}"
                )
        return Trained(network, empirical, gaussian, weights)


def seconds(bench: Bench, hidden: int, points: Floats) -> float:
    """Seconds of one training with so many hidden units, from a few steps and one record."""
    with one_thread(), one_torch_thread():
        a = bench.architecture(points.shape[1], hidden)
        states = [TrainingState.fresh(Weights.zeros(a), a) for _ in bench.times]
        engine = engines.build("torch", a, states, optimiser=bench.optimiser)
        each = [Minibatches(one, min(bench.batch, len(points))) for one in _examples(bench, a, points, 0)]
        seen = np.repeat(probes(points).astype(np.float32)[None], len(bench.times), axis=0)
        few, taken = 5, []
        for _ in range(3):
            begun = time.perf_counter()
            _steps(bench, engine, each, few, rate=1e-12)
            between = time.perf_counter()
            engine.outputs(seen)
            taken.append(((between - begun) / few, 2 * (time.perf_counter() - between)))
        step, record = np.min(taken, axis=0)
        return float(step * bench.updates + record * len(bench.records))


# -- inside -----------------------------------------------------------------------------------------------------------


def _followed(
    bench: Bench, hidden: int, points: Float32, both: Errors, seed: int
) -> tuple[Errors, tuple[Weights, ...]]:
    """Errors of the networks at every record, and their last weights.

    Parameters
    ----------
    bench : Bench
    hidden : int
    points : (n, dim)
    both : Errors
        Where errors are measured: training and held-out probes, ``(PROBES, dim)``.
    seed : int
    """
    a = bench.architecture(points.shape[1], hidden)
    examples = _examples(bench, a, points, seed)
    engine = engines.build("torch", a, fresh_states(a, examples, seed), optimiser=bench.optimiser)
    each = [Minibatches(one, min(bench.batch, len(points))) for one in examples]
    noised = [_noised(bench, x, seed) for x in both]
    found: tuple[list[Floats], list[Floats]] = [], []
    with np.errstate(over="ignore", invalid="ignore"):  # what diverges is looked at afterwards
        for before, now in pairwise([0, *map(int, bench.records)]):
            _steps(bench, engine, each, now - before, bench.learning_rate)
            for errors, x, x_t in zip(found, both, noised, strict=True):
                output = engine.outputs(x_t).astype(np.float64)
                errors.append(_xi_errors(bench, output - x))
    return Errors(*map(np.stack, found)), tuple(state.result for state in engine.states())


def _examples(bench: Bench, a: Architecture, points: Floats | Float32, seed: int) -> list[Examples]:
    """Pairs ``(x_t, x_0)`` of each time.

    Parameters
    ----------
    bench : Bench
    a : Architecture
    points : (n, dim)
    seed : int
    """
    x, training = points.astype(np.float32), TrainingSection(batch=min(bench.batch, len(points)), engine="torch")
    link = Parametrisation(bench.forward, a)
    return [Examples(link, x, x, seed, t, training) for t in bench.times]


def _steps(bench: Bench, engine: Engine, each: list[Minibatches], steps: int, rate: float) -> None:
    """Make so many steps with the networks of all times.

    Parameters
    ----------
    bench : Bench
    engine : Engine
    each : list of Minibatches
        One for each time; all cut their passes at the same places.
    steps : int
    rate : float
    """
    for parts in zip(*(one.of(steps) for one in each), strict=True):
        inputs, targets = (np.stack(part) for part in zip(*parts, strict=True))
        batch = each[0].batch
        engine.run_pass(inputs, targets, batch, np.full(inputs.shape[1] // batch, rate), [1.0] * len(bench.times))


def _noised(bench: Bench, x: Floats, seed: int) -> Float32:
    """``x_t`` of each time with the noise of :func:`undiffuse.diffusion.objective.xi_error`, ``(times, n, dim)``."""
    noise = [stream(seed, Purpose.XI_ERROR, t).standard_normal(x.shape) for t in bench.times]
    return np.stack([bench.forward.jump(x, t, xi) for t, xi in zip(bench.times, noise, strict=True)]).astype(np.float32)


def _xi_errors(bench: Bench, misses: Floats) -> Floats:
    """Mean square xi-errors from errors in x0, ``(times, n, dim)``: the two are proportional at one ``x_t``."""
    units = np.array([bench.forward.xi_per("x0", t) for t in bench.times])
    return np.asarray(units**2 * np.mean(misses**2, axis=(1, 2)))
