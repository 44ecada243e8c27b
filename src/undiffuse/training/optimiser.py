"""What the optimisers of the torch engine share: weights, what follows them, and the state that is saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch

Tensors = Mapping[str, torch.Tensor]


class Optimiser(ABC):
    """Weights with their moments, running average and copies in a lower precision, moved together.

    Parameters
    ----------
    weights : dict of tensors
        Float32, on one device, by name.
    moments : (dict of tensors, dict of tensors)
        First and second moments of the gradients, for the state that is saved.
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

    @abstractmethod
    def move(self, gradients: Tensors, rate: float) -> None:
        """Make a step.

        Parameters
        ----------
        gradients : dict of tensors
            Float32 or of the lower precision.
        rate : float
        """

    @property
    def _averaging(self) -> bool:
        """Whether the average moves in this step."""
        return bool(self.average) and self.steps % self.AVERAGE_EVERY == 0

    def _follow(self) -> None:
        """Move the copies and, where it is time, the average after the weights."""
        for name, copy in self.copies.items():
            copy.copy_(self.weights[name])
        for name, mean in self.average.items() if self._averaging else ():
            mean.lerp_(self.weights[name], self._share)
