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
        On one device, by name.
    moments : (dict of tensors, dict of tensors)
        First and second moments of the gradients, for the state that is saved.
    step : int
        Steps made.
    average : (dict of tensors, float)
        Running average of the weights, or nothing; and the share of it kept each time it is moved, every
        :data:`AVERAGE_EVERY` steps.
    lower : dtype, optional
        Of copies of the weights that are as new as they, in :attr:`copies`.
    recorded : bool
        Whether :meth:`move` may be recorded and repeated: nothing in it is then Python's but what :meth:`begin` left
        in memory.
    """

    AVERAGE_EVERY = 4  # steps between updates of the average, which moves far more slowly

    def __init__(
        self,
        weights: Tensors,
        moments: tuple[Tensors, Tensors],
        step: int,
        average: tuple[Tensors, float],
        lower: torch.dtype | None = None,
        recorded: bool = False,
    ) -> None:
        self.weights, self.steps = weights, step
        self.first, self.second = moments
        self.average, kept = average
        self._share = 1 - kept
        self.copies = {} if lower is None else {name: whole.to(lower) for name, whole in weights.items()}
        self._rate = 0.0
        one = next(iter(weights.values()))
        self._in_memory: torch.Tensor | None = None  # the rate, where a recorded step reads it
        if recorded or one.device.type != "cpu" or one.dtype != torch.float32:
            # Single precision on a GPU, as its fused kernel has it.
            kind = torch.float32 if one.device.type == "cuda" else torch.float64
            self._in_memory = torch.zeros((), dtype=kind, device=one.device)

    @property
    def averages_now(self) -> bool:
        """Whether the step that has begun moves the average as well."""
        return bool(self.average) and self.steps % self.AVERAGE_EVERY == 0

    def begin(self, rate: float) -> None:
        """Begin a step: what is counted or decided by the processor, and so is not part of a recording."""
        self.steps += 1
        self._rate = rate
        if self._in_memory is not None:
            self._in_memory.fill_(rate)

    @abstractmethod
    def move(self, gradients: Tensors) -> None:
        """Make the step that has begun.

        Parameters
        ----------
        gradients : dict of tensors
            Of the precision of the weights or of their copies.
        """

    def _follow(self) -> None:
        """Move the copies and, where it is time, the average after the weights."""
        for name, copy in self.copies.items():
            copy.copy_(self.weights[name])
        for name, mean in self.average.items() if self.averages_now else ():
            mean.lerp_(self.weights[name], self._share)
