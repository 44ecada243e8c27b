"""Adam for the torch engine: torch's own on a GPU, one pass over the weights on a processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

Tensors = Mapping[str, torch.Tensor]


class Adam:
    """Weights with their moments, running average and copies in a lower precision, moved together.

    Parameters
    ----------
    weights, first, second : dict of tensors
        Float32, on one device, by name.
    step : int
        Steps made.
    average : dict of tensors
        Running average of the weights, or empty.
    kept : float
        Share of the average kept each time it is moved, every :data:`AVERAGE_EVERY` steps.
    lower : dtype, optional
        Of copies of the weights that are as new as they, in :attr:`copies`.
    """

    AVERAGE_EVERY = 4  # steps between updates of the average, which moves far more slowly

    def __init__(
        self,
        weights: Tensors,
        moments: tuple[Tensors, Tensors],
        step: int,
        average: Tensors,
        kept: float,
        lower: torch.dtype | None,
    ) -> None:
        self.weights, self.average, self.steps = weights, average, step
        self.first, self.second = moments
        self._share = 1 - kept
        self.copies = {} if lower is None else {name: whole.to(lower) for name, whole in weights.items()}
        self._on_processor = next(iter(weights.values())).device.type == "cpu"
        self._torch: torch.optim.Adam | None = None
        if not self._on_processor:
            # foreach and fused apply the update elementwise, so networks stay independent of one another.
            self._torch = torch.optim.Adam(list(weights.values()), fused=True)
            for name, parameter in weights.items():
                self._torch.state[parameter] = {
                    "step": torch.tensor(float(step), device=parameter.device),
                    "exp_avg": self.first[name],
                    "exp_avg_sq": self.second[name],
                }

    def move(self, gradients: Tensors, rate: float) -> None:
        """Make a step.

        Parameters
        ----------
        gradients : dict of tensors
            Float32 or of the lower precision.
        rate : float
        """
        self.steps += 1
        averaging = bool(self.average) and self.steps % self.AVERAGE_EVERY == 0
        if self._torch is not None:
            for name, parameter in self.weights.items():
                parameter.grad = gradients[name].float()
            self._torch.param_groups[0]["lr"] = rate
            self._torch.step()
            for name, copy in self.copies.items():
                copy.copy_(self.weights[name])
            for name, mean in self.average.items() if averaging else ():
                mean.lerp_(self.weights[name], self._share)
            return
        from undiffuse.kernels import moments as kernel

        adam_step: Any = kernel.adam_step
        for name, parameter in self.weights.items():
            adam_step(
                *(_numbers(tensor) for tensor in (parameter, self.first[name], self.second[name], gradients[name])),
                _numbers(self.copies[name]) if self.copies else np.empty(0, np.uint16),
                _numbers(self.average[name]) if averaging else np.empty(0, np.float32),
                self.steps,
                rate,
                self._share,
            )


def _numbers(tensor: torch.Tensor) -> np.ndarray:
    """The memory of a tensor as a flat array; bfloat16 as the integers that it is made of."""
    flat = tensor.reshape(-1)
    return flat.view(torch.uint16).numpy() if tensor.dtype == torch.bfloat16 else flat.numpy()
