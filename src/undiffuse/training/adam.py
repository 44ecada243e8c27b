"""Adam for the torch engine: torch's own on a GPU, one pass over the weights on a processor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from undiffuse.training.optimiser import Optimiser, Tensors


class Adam(Optimiser):
    """Adam (Kingma & Ba 2015) with the usual constants; torch's fused step wherever our own cannot be taken.

    Our own is for float32 on a processor, and is not recorded.

    Parameters
    ----------
    weights, moments, step, average, lower, recorded
        See :class:`~undiffuse.training.optimiser.Optimiser`.
    """

    def __init__(
        self,
        weights: Tensors,
        moments: tuple[Tensors, Tensors],
        step: int,
        average: tuple[Tensors, float],
        lower: torch.dtype | None = None,
        recorded: bool = False,
    ) -> None:
        super().__init__(weights, moments, step, average, lower, recorded)
        self._torch: torch.optim.Adam | None = None
        if self._in_memory is not None:
            # Fused, the update is made element by element, so networks stay independent of one another.
            self._torch = torch.optim.Adam(list(weights.values()), lr=self._in_memory, fused=True, capturable=True)
            for name, parameter in weights.items():
                self._torch.state[parameter] = {
                    "step": torch.tensor(float(step), device=parameter.device),
                    "exp_avg": self.first[name],
                    "exp_avg_sq": self.second[name],
                }

    def move(self, gradients: Tensors) -> None:
        """See :class:`~undiffuse.training.optimiser.Optimiser`."""
        if self._torch is not None:
            for name, parameter in self.weights.items():
                parameter.grad = gradients[name].to(parameter.dtype)
            self._torch.step()
            for parameter in self.weights.values():
                parameter.grad = None  # of what is recorded, memory that the next recording may take
            self._follow()
            return
        from undiffuse.kernels import moments as kernel

        adam_step: Any = kernel.adam_step
        for name, parameter in self.weights.items():
            adam_step(
                *(_numbers(tensor) for tensor in (parameter, self.first[name], self.second[name], gradients[name])),
                _numbers(self.copies[name]) if self.copies else np.empty(0, np.uint16),
                _numbers(self.average[name]) if self.averages_now else np.empty(0, np.float32),
                self.steps,
                self._rate,
                self._share,
            )


def _numbers(tensor: torch.Tensor) -> np.ndarray:
    """The memory of a tensor as a flat array; bfloat16 as the integers that it is made of."""
    flat = tensor.reshape(-1)
    return flat.view(torch.uint16).numpy() if tensor.dtype == torch.bfloat16 else flat.numpy()
