"""The torch engine: a group of times at once as batched matrix products, on any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from undiffuse.networks.network import Architecture, Weights
from undiffuse.support.arrays import Float32, Floats
from undiffuse.training.adam import Adam
from undiffuse.training.fused_adam import FusedAdam
from undiffuse.training.optimiser import Optimiser, Tensors
from undiffuse.training.recording import Recording
from undiffuse.training.sgd import Sgd
from undiffuse.training.state import TrainingState, mean_square

if TYPE_CHECKING:
    from undiffuse.kernels.products import Pair

# On a GPU errors are measured on so many rows at once, and no more than make so many hidden activities, 128 MiB.
_ROWS, _ACTIVITIES = 1024, 1 << 25
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Way:
    """Where and how the torch engine computes.

    Attributes
    ----------
    device : torch.device
    products : {"float32", "bfloat16", "tf32"}
        Precision of products of matrices. Sums in bfloat16 and TF32 products are float32; weights, moments, averages,
        losses and :meth:`TorchEngine.outputs` are ``whole`` all the same.
    whole : torch.dtype
        Precision of the rest, and of float32 products.
    recorded : bool
        Whether minibatches are copied to one place, where a GPU can repeat recorded launches
        (:class:`~undiffuse.training.recording.Recording`), and Adam is torch's. A processor can do the same without
        records, for tests.
    fused : bool
        Whether gradients are never written out (:class:`~undiffuse.training.fused_adam.FusedAdam`).
    """

    device: torch.device = _CPU
    products: str = "float32"
    whole: torch.dtype = torch.float32
    recorded: bool = False
    fused: bool = False

    @property
    def lower(self) -> torch.dtype | None:
        """Type of the numbers that are multiplied, where it is another one than that of the rest."""
        return torch.bfloat16 if self.products == "bfloat16" else None

    @contextmanager
    def multiplying(self) -> Iterator[None]:
        """Products of matrices as they are to be made on a GPU, inside a ``with`` block."""
        rules = torch.backends.cuda.matmul
        before = rules.allow_tf32, rules.allow_bf16_reduced_precision_reduction
        # By default a product that is cut into pieces may add these up in bfloat16.
        rules.allow_tf32, rules.allow_bf16_reduced_precision_reduction = self.products == "tf32", False
        try:
            yield
        finally:
            rules.allow_tf32, rules.allow_bf16_reduced_precision_reduction = before


ON_PROCESSOR = Way()


class Signals(NamedTuple):
    """What runs through the networks in a step, each ``(times, n, variables or units)``.

    Attributes
    ----------
    x, h, residual : tensors
        Inputs, hidden activities, and ``r(x) - y``.
    g, low : tensors
        Gradient of the outputs, and the same numbers in the precision of the products.
    g_u : tensor
        Gradient of what the hidden units sum.
    """

    x: torch.Tensor
    h: torch.Tensor
    residual: torch.Tensor
    g: torch.Tensor
    low: torch.Tensor
    g_u: torch.Tensor


class TorchEngine:
    """Networks of several times, stacked along the first axis of every tensor.

    Gradients are written out instead of left to autograd: one hidden layer has four, and they reuse the forward pass's
    buffers.

    Parameters
    ----------
    architecture : Architecture
    states : list of TrainingState
        One for each time; all with the same number of steps.
    way : Way
        Device and precision.
    average : float
        Share of the running average (EMA) kept at each step; used where the states have one.
    optimiser : {"adam", "sgd"}
    """

    def __init__(
        self,
        architecture: Architecture,
        states: list[TrainingState],
        way: Way = ON_PROCESSOR,
        average: float = 0.0,
        optimiser: str = "adam",
    ) -> None:
        self._architecture, self._way, self._device = architecture, way, way.device
        self._tied = architecture.tying != "untied"
        self._signs = torch.from_numpy(architecture.signs).to(self._device, way.whole)
        self._names = [name for name in Weights.NAMES if not (self._tied and name == "A")]
        self._parameters = self._stacked([s.weights for s in states])
        self._products = way.lower or way.whole
        self._optimiser = (FusedAdam if way.fused else Sgd if optimiser == "sgd" else Adam)(
            self._parameters,
            (self._stacked([s.first for s in states]), self._stacked([s.second for s in states])),
            states[0].step,
            (self._stacked([s.average for s in states if s.average is not None]), average**Optimiser.AVERAGE_EVERY),
            way.lower,
            way.recorded,
        )
        self._rooms: dict[tuple[str, tuple[int, ...], torch.dtype], torch.Tensor] = {}
        self._recording = Recording(self._device)
        self._factors = torch.ones((len(states), 1, 1), dtype=way.whole, device=self._device)
        self._total = torch.zeros(len(states), dtype=torch.float64, device=self._device)

    def run_pass(
        self,
        x: Float32 | torch.Tensor,
        y: Float32 | torch.Tensor,
        batch: int,
        rates: Floats,
        weights: Sequence[float],
    ) -> Floats:
        """Make one pass over the data.

        Parameters
        ----------
        x, y, batch, rates, weights
            See :meth:`~undiffuse.training.state.Engine.run_pass`.
        """
        inputs, targets = self._tensor(x).to(self._products), self._tensor(y)
        self._factors.copy_(torch.tensor(weights, dtype=self._factors.dtype)[:, None, None])
        self._total.zero_()
        with self._way.multiplying():
            for start, rate in zip(range(0, x.shape[1], batch), rates, strict=True):
                chunk = slice(start, start + batch)
                self._optimiser.begin(float(rate))
                if self._way.recorded:
                    self._recorded_step(inputs[:, chunk], targets[:, chunk])
                else:
                    self._step(inputs[:, chunk], targets[:, chunk])
        return (self._total / (x.shape[1] * x.shape[2])).cpu().numpy()

    def outputs(self, x: Float32) -> Float32:
        """See :class:`~undiffuse.training.state.Engine`."""
        out: Float32 = self._forward(self._tensor(x), self._whole())[1].cpu().numpy()
        return out

    def errors(self, x: Float32 | torch.Tensor, y: Float32 | torch.Tensor) -> Floats:
        """See :class:`~undiffuse.training.state.Engine`."""
        if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor):
            return mean_square(self.outputs(np.asarray(x)) - np.asarray(y))
        self._total.zero_()
        weights = self._whole()
        count = max(1, min(_ROWS, _ACTIVITIES // weights["b_h"].numel()))
        for start in range(0, x.shape[1], count):
            rows = slice(start, start + count)
            gap = self._forward(x[:, rows], weights)[1] - y[:, rows]
            self._total += gap.square().sum(dim=(1, 2), dtype=torch.float64)
        return (self._total / (x.shape[1] * x.shape[2])).cpu().numpy()

    def states(self) -> list[TrainingState]:
        """See :class:`~undiffuse.training.state.Engine`."""
        first, second = dict(self._optimiser.first), dict(self._optimiser.second)
        weights = self._unstack(self._whole())
        if self._tied:
            # The decoder is the encoder's transpose and has no moments of its own.
            first["A"] = second["A"] = torch.zeros_like(self._whole()["A"])
        averages: list[Weights | None] = [None] * len(weights)
        if self._optimiser.average:
            averages = list(self._unstack(self._whole(self._optimiser.average)))
        parts = zip(weights, self._unstack(first), self._unstack(second), averages, strict=True)
        return [TrainingState(w, m, v, self._optimiser.steps, average) for w, m, v, average in parts]

    # -- a step -----------------------------------------------------------------------------------------------

    def _step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        signals = self._signals(x, y)
        self._total += signals.residual.square().sum(dim=(1, 2), dtype=torch.float64)
        if isinstance(self._optimiser, FusedAdam):
            self._optimiser.move_along(self._outer_products(signals))
        else:
            self._optimiser.move(self._gradients(signals))

    def _recorded_step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """The same from one place in memory; steps of another size, or that move the average, are other launches."""
        here = self._room("x", x.shape, x.dtype).copy_(x), self._room("y", y.shape, y.dtype).copy_(y)
        self._recording((x.shape[1], self._optimiser.averages_now), lambda: self._step(*here))

    # -- mathematics ------------------------------------------------------------------------------------------

    def _whole(self, weights: Tensors | None = None) -> Tensors:
        """All four arrays of these weights or of the present ones, ``A`` of shape ``(times, dim, hidden)``."""
        weights = weights or self._parameters
        return {**weights, "A": weights["W"].mT * self._signs.to(weights["W"].dtype)} if self._tied else weights

    def _forward(self, x: torch.Tensor, p: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden activities and outputs."""
        h = self._room("h", (*x.shape[:2], p["W"].shape[1]), x.dtype)
        torch.baddbmm(p["b_h"][:, None], x, p["W"].mT, out=h)
        h = self._architecture.h.of_tensor(h)
        out = self._room("out", x.shape, x.dtype)
        return h, torch.baddbmm(p["b_r"][:, None], h, p["A"].mT, out=out)

    def _signals(self, x: torch.Tensor, y: torch.Tensor) -> Signals:
        """Forward, and back to the hidden units, for ``factor * mean |r(x) - y|^2``."""
        p = self._whole(self._optimiser.copies)
        h, out = self._forward(x, p)
        residual = torch.sub(out, y, out=self._room("residual", y.shape, y.dtype))
        g = torch.mul(residual, 2 * self._factors / x.shape[1], out=self._room("g", y.shape, y.dtype))
        low = self._lowered(g)
        g_u = torch.bmm(low, p["A"], out=self._room("g_u", h.shape, x.dtype))
        self._architecture.h.scale_gradient(g_u, h)
        return Signals(x, h, residual, g, low, g_u)

    def _gradients(self, s: Signals) -> Tensors:
        """Every parameter's gradient."""
        (times, _, hidden), dim = s.h.shape, s.x.shape[2]
        g_A = torch.bmm(s.low.mT, s.h, out=self._room("g_A", (times, dim, hidden), s.x.dtype))
        g_W = torch.bmm(s.g_u.mT, s.x, out=self._room("g_W", (times, hidden, dim), s.x.dtype))
        if self._tied:
            g_W += (g_A * self._signs).mT
        return {"W": g_W, "b_h": s.g_u.sum(dim=1, dtype=self._way.whole), "A": g_A, "b_r": s.g.sum(dim=1)}

    def _outer_products(self, s: Signals) -> dict[str, list[Pair]]:
        """The same gradients as sums of outer products over the minibatch, of which none is made."""
        ones = torch.ones((*s.x.shape[:2], 1), dtype=s.x.dtype, device=self._device)
        products = {"W": [(s.g_u, s.x)], "b_h": [(ones, s.g_u)], "b_r": [(ones.to(s.g.dtype), s.g)]}
        if self._tied:
            products["W"].append((s.h * self._signs.to(s.h.dtype), s.low))
        else:
            products["A"] = [(s.low, s.h)]
        return products

    def _lowered(self, g: torch.Tensor) -> torch.Tensor:
        """The same numbers in the precision of the products."""
        return g if g.dtype == self._products else self._room("low g", g.shape, self._products).copy_(g)

    def _room(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Memory for a result, the same at each step: new pages cost more than what is written on them."""
        key = name, tuple(shape), dtype
        if key not in self._rooms:
            self._rooms[key] = torch.empty(key[1], dtype=dtype, device=self._device)
        return self._rooms[key]

    # -- between numpy and torch ------------------------------------------------------------------------------

    def _tensor(self, array: Float32 | torch.Tensor) -> torch.Tensor:
        if isinstance(array, torch.Tensor):
            return array
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device, self._way.whole)

    def _stacked(self, weights: list[Weights]) -> dict[str, torch.Tensor]:
        """Arrays that are trained, by name, stacked along the times; none if there are no weights."""
        return {
            name: torch.from_numpy(np.stack([getattr(w, name) for w in weights])).to(self._device, self._way.whole)
            for name in (self._names if weights else ())
        }

    @staticmethod
    def _unstack(tensors: Tensors) -> list[Weights]:
        arrays = {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}
        return [Weights(**{name: arrays[name][i] for name in Weights.NAMES}) for i in range(len(arrays["W"]))]
