"""Plain stochastic gradient descent for the torch engine: what theories of learning describe."""

from __future__ import annotations

from undiffuse.training.optimiser import Optimiser, Tensors


class Sgd(Optimiser):
    """Weights that go down their gradient, ``w <- w - rate * gradient``, without momentum.

    Adam rescales every gradient by its size and so hides how fast each direction of the data is learned; this does not.
    The moments it is given are kept as they are: there are none.
    """

    def move(self, gradients: Tensors) -> None:
        """See :class:`~undiffuse.training.optimiser.Optimiser`."""
        for name, parameter in self.weights.items():
            gradient = gradients[name].to(parameter.dtype)
            if self._in_memory is None:
                parameter.sub_(gradient, alpha=self._rate)
            else:
                parameter.addcmul_(gradient, self._in_memory.to(parameter.dtype), value=-1)
        self._follow()
