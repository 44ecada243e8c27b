"""The two engines: the same steps of the same optimiser, on a fused kernel or on torch matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError, one_of
from undiffuse.network import Architecture, Float32, Weights

ENGINES = ("auto", "kernel", "torch")
KERNEL_DIM = 4  # largest dimension the fused kernel keeps in registers


@dataclass(frozen=True)
class TrainingState:
    """Where the training of one network stands: weights, Adam's two moments of each, steps made."""

    weights: Weights
    first: Weights
    second: Weights
    step: int = 0

    @staticmethod
    def fresh(weights: Weights, architecture: Architecture) -> TrainingState:
        """State before the first step."""
        return TrainingState(weights, Weights.zeros(architecture), Weights.zeros(architecture))


class Engine(Protocol):
    """Trains the networks of a group of times side by side; they share nothing but the architecture."""

    def run_pass(
        self, x: Float32, y: Float32, batch: int, rates: NDArray[np.float64], weights: Sequence[float]
    ) -> NDArray[np.float64]:
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


def choose(engine: str, architecture: Architecture, device: str) -> str:
    """Return the engine to use: the kernel for small piecewise-linear networks on a CPU, torch for the rest.

    Raises
    ------
    UserError
        If the kernel is asked for and cannot do it.
    """
    one_of("engine", engine, ENGINES)
    obstacle = ""
    if architecture.dim > KERNEL_DIM:
        obstacle = f"data of dimension {architecture.dim} (at most {KERNEL_DIM})"
    elif architecture.activation == "sigmoid":
        obstacle = "sigmoid activations"
    elif device != "cpu":
        obstacle = f"device {device}"
    if engine == "kernel" and obstacle:
        raise UserError(f"engine 'kernel' does not do {obstacle}; use 'torch' or 'auto'")
    return "torch" if obstacle or engine == "torch" else "kernel"


def build(engine: str, architecture: Architecture, states: list[TrainingState], device: str = "cpu") -> Engine:
    """Make an engine, named by :func:`choose`, that starts from the given states."""
    if engine == "torch":
        from undiffuse.training.torch_engine import TorchEngine

        return TorchEngine(architecture, states, device)
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
        self._packed = [kernel.pack(part) for part in parts]
        self._biases = [part.b_r.copy() for part in parts]
        self._step = state.step
        units = self._packed[0].size // (2 * architecture.dim + 1)
        self._signs = np.ones(units, np.float32)
        self._signs[: architecture.hidden] = architecture.signs

    def run_pass(
        self, x: Float32, y: Float32, batch: int, rates: NDArray[np.float64], weights: Sequence[float]
    ) -> NDArray[np.float64]:
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
            (0,) * a.dim,
        )
        self._step += len(rates)
        return np.array([error])

    def outputs(self, x: Float32) -> Float32:
        """See :class:`Engine`."""
        return self._kernel.apply(self._unpack(0), self._architecture, x[0])[None]

    def states(self) -> list[TrainingState]:
        """See :class:`Engine`."""
        return [TrainingState(self._unpack(0), self._unpack(1), self._unpack(2), self._step)]

    def _unpack(self, part: int) -> Weights:
        unpacked: Weights = self._kernel.unpack(self._packed[part], self._biases[part], self._architecture.hidden)
        return unpacked
