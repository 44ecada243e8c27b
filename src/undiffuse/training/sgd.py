"""Plain stochastic gradient descent for the torch engine: what theories of learning describe."""

from __future__ import annotations

import torch

from undiffuse.training.adam import Adam, Tensors


class Sgd:
    """Weights that go down their gradient, ``w <- w - rate * gradient``, without momentum.

    A drop-in for :class:`~undiffuse.training.adam.Adam`, which rescales every gradient by its size and so hides how
    fast each direction of the data is learned. The moments it is given are kept as they are: there are none.

    Parameters
    ----------
    weights : dict of tensors
        Float32, on one device, by name.
    moments : (dict of tensors, dict of tensors)
        As Adam has them, for the state that is saved.
    step : int
        Steps made.
    average : dict of tensors
        Running average of the weights, or empty.
    kept : float
        Share of the average kept each time it is moved, every :data:`Adam.AVERAGE_EVERY` steps.
    lower : dtype, optional
        Of copies of the weights that are as new as they, in :attr:`copies`.
    """

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

    def move(self, gradients: Tensors, rate: float) -> None:
        """Make a step.

        Parameters
        ----------
        gradients : dict of tensors
            Float32 or of the lower precision.
        rate : float
        """
        self.steps += 1
        for name, parameter in self.weights.items():
            parameter.sub_(gradients[name].to(parameter.dtype), alpha=rate)
        for name, copy in self.copies.items():
            copy.copy_(self.weights[name])
        if self.steps % Adam.AVERAGE_EVERY == 0:
            for name, mean in self.average.items():
                mean.lerp_(self.weights[name], self._share)
