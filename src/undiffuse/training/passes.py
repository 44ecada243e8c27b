"""What one pass over the data shows the network of one time: noised inputs, targets and learning rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undiffuse.config import TrainingSection
from undiffuse.forward import ForwardProcess
from undiffuse.network import Float32
from undiffuse.objective import bound_weight
from undiffuse.parametrisation import Parametrisation
from undiffuse.streams import Purpose, stream


class Examples:
    """Pairs ``(x_t, target)`` for the network of one time, fresh noise and a fresh order on each pass.

    Everything is a function of ``(seed, t, pass)``, so there is no generator to save.

    Parameters
    ----------
    parametrisation : Parametrisation
        Says what the target is.
    train, held_out : float32 (n, width)
        Data in the network's own variables.
    seed, t : int
    """

    def __init__(self, parametrisation: Parametrisation, train: Float32, held_out: Float32, seed: int, t: int) -> None:
        self._parametrisation = parametrisation
        self._forward: ForwardProcess = parametrisation.forward
        self._train, self._held_out = train, held_out
        self._seed, self.t = seed, t

    def of_pass(self, number: int) -> tuple[Float32, Float32]:
        """Inputs and targets of pass ``number``, in the order they are to be seen; each ``(n, dim)`` float32."""
        rng = stream(self._seed, Purpose.PASS, self.t, number)
        x0 = np.take(self._train, rng.permutation(len(self._train)), axis=0)
        return self._pair(x0, rng)

    def of_held_out(self) -> tuple[Float32, Float32]:
        """Inputs and targets made from the held-out data, the same at every call."""
        return self._pair(self._held_out, stream(self._seed, Purpose.HELD_OUT, self.t))

    def at_start(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw ``count`` inputs to place initial weights by, shape ``(count, dim)``."""
        x0 = self._train[rng.integers(0, len(self._train), count)]
        return self._forward.jump(x0, self.t, rng.standard_normal(x0.shape)).astype(np.float64)

    def _pair(self, x0: Float32, rng: np.random.Generator) -> tuple[Float32, Float32]:
        xi = rng.standard_normal(x0.shape, dtype=np.float32)
        x_t = np.float32(self._forward.signal(self.t)) * x0
        x_t += np.float32(self._forward.noise(self.t)) * xi
        target = self._parametrisation.target(x0, xi, x_t, self.t)
        return x_t, np.ascontiguousarray(target, dtype=np.float32)


def learning_rates(
    training: TrainingSection, first_step: int, steps: int, total: int, warm_rate: float | None = None
) -> NDArray[np.float64]:
    """Learning rates of ``steps`` consecutive steps out of ``total``: constant, or decaying to zero.

    ``trapezoid`` is constant for the first half and then falls linearly; ``warm_rate`` replaces them all.
    """
    if warm_rate is not None:
        return np.full(steps, warm_rate)
    done = (first_step + np.arange(steps) + 0.5) / total
    factor = {
        "none": np.ones(steps),
        "linear": 1 - done,
        "cosine": 0.5 * (1 + np.cos(np.pi * done)),
        "trapezoid": np.minimum(1, 2 * (1 - done)),
    }[training.decay]
    return training.learning_rate * factor


def loss_weight(training: TrainingSection, parametrisation: Parametrisation, t: int) -> float:
    """Factor on the squared output error: 1 for the simple loss, that of (19) in nats for the weighted one.

    It multiplies every gradient of this time's network alike, and Adam divides it out.
    """
    if training.loss == "simple":
        return 1.0
    return bound_weight(parametrisation.forward.schedule, t) * parametrisation.xi_unit(t) ** 2
