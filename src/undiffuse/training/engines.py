"""The engines: the same steps of Adam, on a fused kernel or on torch matrix products (and SGD on the latter)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from undiffuse.kernels import LANES, LARGEST_DIM
from undiffuse.networks.network import Architecture, Weights
from undiffuse.runs.config import Config
from undiffuse.runs.sections import TrainingSection
from undiffuse.support import gpu
from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.errors import UserError
from undiffuse.support.processor import multiplies_bfloat16
from undiffuse.training.state import Engine, TrainingState, mean_square

KERNEL = "kernel" if LANES == 8 else "kernel-avx512"
TORCH = {"float32": "torch", "bfloat16": "torch-bfloat16", "tf32": "torch-tf32"}
TRITON = {precision: name.replace("torch", "triton") for precision, name in TORCH.items()}
_PRECISIONS = {engine: precision for names in (TORCH, TRITON) for precision, engine in names.items()}


def choose(training: TrainingSection, architecture: Architecture, device: str) -> str:
    """Return the engine to use: the kernel for small piecewise-linear networks on a CPU, torch for the rest.

    Another precision is another engine, ``"torch-bfloat16"`` or ``"torch-tf32"``, and so is a kernel with wider
    vectors, ``"kernel-avx512"``: each ends in other bits. So does ``"triton"``, torch on a GPU with a step of Adam of
    our own, in each of the three precisions.

    Parameters
    ----------
    training : TrainingSection
        Its ``engine``, ``precision``, ``optimiser`` and ``order`` are used.
    architecture : Architecture
    device : {"cpu", "cuda"}

    Raises
    ------
    UserError
        If the kernel or Triton is asked for and cannot do it, or the processor has no products in this precision.
    """
    obstacle = ""
    if architecture.width > LARGEST_DIM:
        obstacle = f"networks of {architecture.width} variables (at most {LARGEST_DIM})"
    elif architecture.h.floor is None:
        obstacle = f"{architecture.activation} activations"
    elif training.order == "sweep":
        obstacle = "weight averages (order 'sweep')"
    elif training.optimiser != "adam":
        obstacle = f"optimiser {training.optimiser!r}"
    elif device != "cpu":
        obstacle = f"device {device}"
    if training.engine == "kernel" and obstacle:
        raise UserError(f"engine 'kernel' does not do {obstacle}; use 'torch' or 'auto'")
    if training.engine == "triton" and (device != gpu.CUDA or training.optimiser != "adam"):
        what = f"optimiser {training.optimiser!r}" if device == gpu.CUDA else f"device {device}"
        raise UserError(f"engine 'triton' does not do {what}, but Adam with --device cuda; use 'torch' or 'auto'")
    if not obstacle and training.engine != "torch":
        return KERNEL
    if training.precision == "tf32" and device != gpu.CUDA:
        raise UserError("training.precision = 'tf32' is of products on a GPU: use --device cuda, 'float32' or 'auto'")
    precision: str = training.precision
    if precision == "auto":
        fast = gpu.multiplies_bfloat16() if device == gpu.CUDA else multiplies_bfloat16()
        precision = "bfloat16" if fast else "float32"
    return (TRITON if training.engine == "triton" else TORCH)[precision]


def is_kernel(engine: str) -> bool:
    """Whether this is the fused kernel, with vectors of any width."""
    return engine.startswith("kernel")


def settled(config: Config, engine: str) -> Config:
    """Return the configuration with the precision that this engine has, for workers whose processors have another.

    Parameters
    ----------
    config : Config
    engine : str
        Of the whole training.
    """
    found = [_PRECISIONS[part] for part in engine.split("+") if part in _PRECISIONS]
    precision = found[0] if found else "float32"
    return config.model_copy(update={"training": config.training.model_copy(update={"precision": precision})})


def build(
    engine: str,
    architecture: Architecture,
    states: list[TrainingState],
    device: str = "cpu",
    average: float = 0.0,
    optimiser: str = "adam",
) -> Engine:
    """Make an engine that starts from the given states.

    Parameters
    ----------
    engine : str
        As :func:`choose` returns it.
    architecture : Architecture
    states : list of TrainingState
        One for each time; the kernel takes a single one.
    device : {"cpu", "cuda"}
    average : float
        Share of the running average (EMA) kept at each step; used where the states have one.
    optimiser : {"adam", "sgd"}
        The kernel has Adam only, which :func:`choose` knows.
    """
    if not is_kernel(engine):
        from undiffuse.training.torch_engine import TorchEngine, Way

        on_gpu, fused = device == gpu.CUDA, engine in TRITON.values()
        way = Way(gpu.home(device), _PRECISIONS[engine], recorded=on_gpu, fused=fused)
        return TorchEngine(architecture, states, way, average, optimiser)
    if optimiser != "adam":
        raise ValueError(f"the kernel has no optimiser {optimiser!r}")
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
        """Make one pass over the data.

        Parameters
        ----------
        x, y, batch, rates, weights
            See :meth:`~undiffuse.training.state.Engine.run_pass`.
        """
        a = self._architecture
        error = self._kernel.training_pass(
            *self._packed,
            *self._biases,
            a.tying != "untied",
            self._signs,
            np.float32(a.h.floor),
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
        """See :class:`~undiffuse.training.state.Engine`."""
        return self._kernel.apply(self._packed[0], self._biases[0], self._architecture.h.floor, x[0])[None]

    def errors(self, x: Float32, y: Float32) -> Floats:
        """See :class:`~undiffuse.training.state.Engine`."""
        return mean_square(self.outputs(x) - y)

    def states(self) -> list[TrainingState]:
        """See :class:`~undiffuse.training.state.Engine`."""
        return [TrainingState(self._unpack(0), self._unpack(1), self._unpack(2), self._step)]

    def _unpack(self, part: int) -> Weights:
        a, b_r = self._architecture, self._biases[part]
        W, b_h, A = self._kernel.unpack(self._packed[part], a.width, a.hidden)
        return Weights(W, b_h, A, b_r.copy())
