"""The torch engine: a group of times at once as batched matrix products, on any device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from undiffuse.networks.network import Architecture, Weights
from undiffuse.support.arrays import Float32, Floats
from undiffuse.training.state import TrainingState


class TorchEngine:
    """Networks of several times, stacked along the first axis of every tensor.

    Gradients are written out instead of left to autograd: one hidden layer has four, and they reuse the forward pass's
    buffers.

    Parameters
    ----------
    architecture : Architecture
    states : list of TrainingState
        One for each time; all with the same number of steps.
    device : str
        ``"cpu"`` or ``"cuda"``.
    average : float
        Share of the running average (EMA) kept at each step; used where the states have one.
    lower : bool
        Whether products of matrices are made in bfloat16, with their sums in float32. Weights, moments, averages,
        losses and :meth:`outputs` are float32 all the same.
    """

    _AVERAGE_EVERY = 4  # steps between updates of the average, which moves far more slowly

    def __init__(
        self,
        architecture: Architecture,
        states: list[TrainingState],
        device: str = "cpu",
        average: float = 0.0,
        lower: bool = False,
    ) -> None:
        self._architecture = architecture
        self._device = torch.device(device)
        self._tied = architecture.tying != "untied"
        self._signs = torch.from_numpy(architecture.signs).to(self._device)
        self._names = [name for name in Weights.NAMES if not (self._tied and name == "A")]
        self._parameters = {name: self._stack([getattr(s.weights, name) for s in states]) for name in self._names}
        # foreach and fused apply the update elementwise, so networks stay independent of one another.
        self._adam = torch.optim.Adam(list(self._parameters.values()), fused=True)
        for name, parameter in self._parameters.items():
            self._adam.state[parameter] = {
                "step": torch.tensor(float(states[0].step), device=self._device),
                "exp_avg": self._stack([getattr(s.first, name) for s in states]),
                "exp_avg_sq": self._stack([getattr(s.second, name) for s in states]),
            }
        averages = [s.average for s in states if s.average is not None]
        self._average = {name: self._stack([getattr(a, name) for a in averages]) for name in self._names if averages}
        self._products = torch.bfloat16 if lower else torch.float32
        self._step, self._kept = states[0].step, average**self._AVERAGE_EVERY

    def run_pass(self, x: Float32, y: Float32, batch: int, rates: Floats, weights: Sequence[float]) -> Floats:
        """Make one pass over the data.

        Parameters
        ----------
        x, y, batch, rates, weights
            See :meth:`~undiffuse.training.state.Engine.run_pass`.
        """
        inputs, targets = self._tensor(x).to(self._products), self._tensor(y)
        factors = torch.tensor(weights, dtype=torch.float32, device=self._device)[:, None, None]
        total = torch.zeros(len(x), dtype=torch.float64, device=self._device)
        for start, rate in zip(range(0, x.shape[1], batch), rates, strict=True):
            chunk = slice(start, start + batch)
            residual = self._gradients(inputs[:, chunk], targets[:, chunk], factors)
            total += residual.square().sum(dim=(1, 2), dtype=torch.float64)
            self._adam.param_groups[0]["lr"] = float(rate)
            self._adam.step()
            self._step += 1
            if self._average and self._step % self._AVERAGE_EVERY == 0:
                for name, average in self._average.items():
                    average.lerp_(self._parameters[name], 1 - self._kept)
        return (total / (x.shape[1] * x.shape[2])).cpu().numpy()

    def outputs(self, x: Float32) -> Float32:
        """See :class:`~undiffuse.training.state.Engine`."""
        out: Float32 = self._forward(self._tensor(x), self._whole())[1].cpu().numpy()
        return out

    def states(self) -> list[TrainingState]:
        """See :class:`~undiffuse.training.state.Engine`."""
        moments = {name: self._adam.state[parameter] for name, parameter in self._parameters.items()}
        first, second = ({name: m[key] for name, m in moments.items()} for key in ("exp_avg", "exp_avg_sq"))
        weights = self._unstack(self._whole())
        if self._tied:
            # The decoder is the encoder's transpose and has no moments of its own.
            first["A"] = second["A"] = torch.zeros_like(self._whole()["A"])
        averages: list[Weights | None] = [None] * len(weights)
        if self._average:
            averages = list(self._unstack(self._whole(self._average)))
        parts = zip(weights, self._unstack(first), self._unstack(second), averages, strict=True)
        return [TrainingState(w, m, v, self._step, average) for w, m, v, average in parts]

    # -- mathematics ------------------------------------------------------------------------------------------

    def _whole(self, weights: dict[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
        """All four arrays of these weights or of the present ones, ``A`` of shape ``(times, dim, hidden)``."""
        weights = weights or self._parameters
        return {**weights, "A": weights["W"].mT * self._signs} if self._tied else weights

    def _forward(self, x: torch.Tensor, p: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden activities and outputs."""
        h = torch.baddbmm(p["b_h"][:, None], x, p["W"].mT)
        h = self._architecture.h.of_tensor(h)
        return h, torch.baddbmm(p["b_r"][:, None], h, p["A"].mT)

    def _gradients(self, x: torch.Tensor, y: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
        """Set every parameter's gradient of ``factor * mean |r(x) - y|^2``; return the residual."""
        p = {name: whole.to(self._products) for name, whole in self._whole().items()}
        h, out = self._forward(x, p)
        residual = out.float().sub_(y)
        g = residual * (2 * factors / x.shape[1])
        g_r, g = g.sum(dim=1), g.to(self._products)
        g_A = torch.bmm(g.mT, h).float()
        g_u = torch.bmm(g, p["A"])
        slope = self._architecture.h.slope(h)
        if slope is not None:
            g_u.mul_(slope)
        g_W = torch.bmm(g_u.mT, x).float()
        parameters = self._parameters
        if self._tied:
            g_W += (g_A * self._signs).mT
        else:
            parameters["A"].grad = g_A
        parameters["W"].grad, parameters["b_r"].grad = g_W, g_r
        parameters["b_h"].grad = g_u.sum(dim=1, dtype=torch.float32)
        return residual

    # -- between numpy and torch ------------------------------------------------------------------------------

    def _tensor(self, array: Float32) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _stack(self, arrays: list[Float32]) -> torch.Tensor:
        return torch.from_numpy(np.stack(arrays)).to(self._device)

    @staticmethod
    def _unstack(tensors: dict[str, torch.Tensor]) -> list[Weights]:
        arrays = {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}
        return [Weights(**{name: arrays[name][i] for name in Weights.NAMES}) for i in range(len(arrays["W"]))]
