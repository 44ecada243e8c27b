"""Small banks that studies train for themselves: networks of a few times, side by side, without a run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from undiffuse import datasets
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.networks.network import Architecture, Autoencoder, Weights, start_weights
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.runs.config import Config
from undiffuse.runs.sections import TrainingSection
from undiffuse.support.arrays import Array, Float32, Floats
from undiffuse.support.streams import Purpose, stream
from undiffuse.training import engines
from undiffuse.training.passes import Examples, learning_rates
from undiffuse.training.state import TrainingState


class Small(Denoiser):
    """Networks of a few times only, which predict x0 of centred data.

    Parameters
    ----------
    forward : ForwardProcess
    networks : dict
        By time.
    """

    def __init__(self, forward: ForwardProcess, networks: dict[int, Autoencoder]) -> None:
        super().__init__(forward, next(iter(networks.values())).architecture.dim)
        self._networks = networks

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise of centred data, shape ``(n, dim)``."""
        return self.forward.to_xi("x0", self._networks[t](x_t), x_t, t)

    def x0_jacobian(self, x_t: Array, t: int) -> Floats:
        """Mean Jacobian of the network, shape ``(dim, dim)``."""
        return self._networks[t].mean_jacobian(x_t)


def centred(config: Config) -> Floats:
    """Training data of a configuration about their mean."""
    x = datasets.load(config).train
    return np.asarray(x - x.mean(axis=0))


def fresh_states(a: Architecture, examples: Sequence[Examples], seed: int) -> list[TrainingState]:
    """Untrained networks of the times of some examples, each with a start of its own by seed and time."""
    out = []
    for one in examples:
        rng = stream(seed, Purpose.START, one.t)
        out.append(TrainingState.fresh(start_weights(a, one.at_start(a.hidden, rng), rng), a))
    return out


def seconds_of_step(a: Architecture, batch: int, x: Floats, networks: int = 1) -> float:
    """Seconds of a step of Adam, from a few steps.

    Parameters
    ----------
    a : Architecture
    batch : int
    x : (n, dim)
        Samples, of which the first are taken.
    networks : int
        Side by side.
    """
    few = np.repeat(x[None, : 4 * batch].astype(np.float32), networks, axis=0)
    engine = engines.build("torch", a, [TrainingState.fresh(Weights.zeros(a), a) for _ in range(networks)])
    rates, taken = np.full(-(-few.shape[1] // batch), 1e-9), []
    for _ in range(3):
        begun = time.perf_counter()
        engine.run_pass(few, few, batch, rates, [1.0] * networks)
        taken.append(time.perf_counter() - begun)
    return min(taken) / len(rates)


def trained_with_adam(
    forward: ForwardProcess, a: Architecture, training: TrainingSection, times: Sequence[int], x: Float32, seed: int
) -> Small:
    """Networks of several times, trained side by side with Adam.

    Parameters
    ----------
    forward : ForwardProcess
    a : Architecture
        Plain, predicting x0.
    training : TrainingSection
    times : sequence of int
    x : (n, dim)
        Centred data.
    seed : int
    """
    link = Parametrisation(forward, a)
    each = [Examples(link, x, x, seed, t, training) for t in times]
    engine, done = engines.build("torch", a, fresh_states(a, each, seed)), 0
    for number in range(training.epochs):
        inputs, targets = (np.stack(part) for part in zip(*(e.of_pass(number) for e in each), strict=True))
        steps = -(-inputs.shape[1] // training.batch)
        rates = learning_rates(training, done, steps, steps * training.epochs)
        engine.run_pass(inputs, targets, training.batch, rates, [1.0] * len(each))
        done += steps
    networks = [Autoencoder(state.result, a) for state in engine.states()]
    return Small(forward, dict(zip(times, networks, strict=True)))
