"""The state of one network's training, and the interface of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from undiffuse.networks.network import Architecture, Weights
from undiffuse.support.arrays import Float32, Floats


@dataclass(frozen=True)
class TrainingState:
    """State of one network's training.

    Attributes
    ----------
    weights : Weights
    first, second : Weights
        Adam's moments of each weight.
    step : int
        Steps made.
    average : Weights, optional
        Running average of the weights (EMA).
    """

    weights: Weights
    first: Weights
    second: Weights
    step: int = 0
    average: Weights | None = None

    @staticmethod
    def fresh(weights: Weights, architecture: Architecture) -> TrainingState:
        """State before the first step."""
        return TrainingState(weights, Weights.zeros(architecture), Weights.zeros(architecture))

    @property
    def result(self) -> Weights:
        """The weights to keep: the average where there is one."""
        return self.average or self.weights

    def swept_to(self, architecture: Architecture) -> TrainingState:
        """State from which a sweep continues with the next time's network, which may have other components.

        Where components are added, the average starts again from the weights, since the new ones have none.
        """
        width = architecture.width
        kept = self.result if width <= self.weights.W.shape[1] else self.weights
        parts = (part.widened(width) for part in (self.weights, self.first, self.second, kept))
        weights, first, second, average = parts
        return TrainingState(weights, first, second, self.step, average)


def mean_square(residuals: Float32) -> Floats:
    """Mean square of residuals ``(times, n, dim)`` for each time."""
    return np.mean(np.square(residuals, dtype=np.float64), axis=(1, 2))


class Engine(Protocol):
    """Trains the networks of a group of times side by side; they share nothing but the architecture."""

    def run_pass(self, x: Float32, y: Float32, batch: int, rates: Floats, weights: Sequence[float]) -> Floats:
        """Make one pass over the data in minibatches.

        Parameters
        ----------
        x, y : float32 (times, n, dim)
            Inputs and targets; tensors on the engine's device where it takes them.
        batch : int
            Batch size.
        rates : (steps,)
            Learning rate of each step.
        weights : sequence of float
            Factor on the loss of each time.

        Returns
        -------
        (times,) array
            Mean square output error per dimension, every minibatch measured just before its update.
        """
        ...

    def outputs(self, x: Float32) -> Float32:
        """Outputs of the networks at ``x``, shape ``(times, n, dim)``."""
        ...

    def errors(self, x: Float32, y: Float32) -> Floats:
        """Mean square output error per dimension of each network, for inputs and targets ``(times, n, dim)``."""
        ...

    def states(self) -> list[TrainingState]:
        """Return the state of each time's network, to save or to continue from."""
        ...
