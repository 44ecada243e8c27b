"""The two engines: the same steps of the same optimiser, on a fused kernel or on torch matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from undiffuse.networks.network import Architecture, Weights
from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.errors import UserError, one_of

ENGINES = ("auto", "kernel", "torch")
KERNEL_DIM = 4  # largest dimension the fused kernel keeps in registers


@dataclass(frozen=True)
class TrainingState:
    """Where the training of one network stands: weights, Adam's two moments of each, steps made, running average."""

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
        """State in which a sweep goes on with the next time's network, which may have other components.

        Where components come in, the average starts again from the weights: the new ones were never averaged.
        """
        width = architecture.width
        kept = self.result if width <= self.weights.W.shape[1] else self.weights
        parts = (part.widened(width) for part in (self.weights, self.first, self.second, kept))
        weights, first, second, average = parts
        return TrainingState(weights, first, second, self.step, average)


class Engine(Protocol):
    """Trains the networks of a group of times side by side; they share nothing but the architecture."""

    def run_pass(self, x: Float32, y: Float32, batch: int, rates: Floats, weights: Sequence[float]) -> Floats:
        """Make one pass in minibatches over inputs and targets of shape ``(times, n, dim)``.

        ``rates`` holds one learning rate for each step, ``weights`` one factor on the loss for each time. Returns
        each time's mean square output error per dimension, every minibatch measured just before its update.
        """
        ...

    def outputs(self, x: Float32) -> Float32:
        """Outputs of the networks at ``x``, shape ``(times, n, dim)``."""
        ...

    def states(self) -> list[TrainingState]:
        """Return the state of each time's network, to save or to go on from."""
        ...


def choose(engine: str, architecture: Architecture, device: str, averaging: bool = False) -> str:
    """Return the engine to use: the kernel for small piecewise-linear networks on a CPU, torch for the rest.

    Raises
    ------
    UserError
        If the kernel is asked for and cannot do it.
    """
    one_of("engine", engine, ENGINES)
    obstacle = ""
    if architecture.width > KERNEL_DIM:
        obstacle = f"networks of {architecture.width} variables (at most {KERNEL_DIM})"
    elif architecture.activation == "sigmoid":
        obstacle = "sigmoid activations"
    elif averaging:
        obstacle = "weight averages (order 'sweep')"
    elif device != "cpu":
        obstacle = f"device {device}"
    if engine == "kernel" and obstacle:
        raise UserError(f"engine 'kernel' does not do {obstacle}; use 'torch' or 'auto'")
    return "torch" if obstacle or engine == "torch" else "kernel"


def build(
    engine: str, architecture: Architecture, states: list[TrainingState], device: str = "cpu", average: float = 0.0
) -> Engine:
    """Make an engine, named by :func:`choose`, that starts from the given states.

    ``average`` is the share of the running average kept at each step, for states that have one.
    """
    if engine == "torch":
        from undiffuse.training.torch_engine import TorchEngine

        return TorchEngine(architecture, states, device, average)
    return KernelEngine(architecture, states)


class KernelEngine:
    """One network at a time on :mod:`undiffuse.kernels.autoencoder`."""

    def __init__(self, architecture: Architecture, states: list[TrainingState]) -> None:
        from undiffuse.kernels import autoencoder as kernel

        if len(states) != 1:
            raise ValueError(f"the kernel trains one time after another, got {len(states)} at once")
        self._kernel: Any = kernel
        self._architecture = architecture
        (state,) = states
        parts = (state.weights, state.first, state.second)
        self._packed = [kernel.pack(part.W, part.b_h, part.A) for part in parts]
        self._biases = [part.b_r.copy() for part in parts]
        self._step = state.step
        units = self._packed[0].size // (2 * architecture.width + 1)
        self._signs = np.ones(units, np.float32)
        self._signs[: architecture.hidden] = architecture.signs

    def run_pass(self, x: Float32, y: Float32, batch: int, rates: Floats, weights: Sequence[float]) -> Floats:
        """See :class:`Engine`."""
        a = self._architecture
        error = self._kernel.training_pass(
            *self._packed,
            *self._biases,
            a.tying != "untied",
            self._signs,
            self._kernel.floor_of(a.activation),
            x.reshape(-1),
            y.reshape(-1),
            batch,
            rates,
            weights[0],
            self._step,
            (0,) * a.width,
        )
        self._step += len(rates)
        return np.array([error])

    def outputs(self, x: Float32) -> Float32:
        """See :class:`Engine`."""
        floor = self._kernel.floor_of(self._architecture.activation)
        return self._kernel.apply(self._packed[0], self._biases[0], floor, x[0])[None]

    def states(self) -> list[TrainingState]:
        """See :class:`Engine`."""
        return [TrainingState(self._unpack(0), self._unpack(1), self._unpack(2), self._step)]

    def _unpack(self, part: int) -> Weights:
        a, b_r = self._architecture, self._biases[part]
        W, b_h, A = self._kernel.unpack(self._packed[part], a.width, a.hidden)
        return Weights(W, b_h, A, b_r.copy())
