"""Plain stochastic gradient descent for the torch engine: what theories of learning describe."""

from __future__ import annotations

from undiffuse.training.optimiser import Optimiser, Tensors


class Sgd(Optimiser):
    """Weights that go down their gradient, ``w <- w - rate * gradient``, without momentum.

    Adam rescales every gradient by its size and so hides how fast each direction of the data is learned; this does not.
    The moments it is given are kept as they are: there are none.
    """

    def move(self, gradients: Tensors, rate: float) -> None:
        """See :class:`~undiffuse.training.optimiser.Optimiser`."""
        self.steps += 1
        for name, parameter in self.weights.items():
            parameter.sub_(gradients[name].to(parameter.dtype), alpha=rate)
        self._follow()
