"""A bank computed in float64, at points in stacks."""

from __future__ import annotations

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.networks.bank import Bank
from undiffuse.support.arrays import Array


class PreciseBank(Denoiser):
    """The same estimates as a bank's, in float64 throughout, for ``x_t`` of shape ``(..., dim)``.

    A product of matrices may give other last digits to a row when other rows stand beside it. In a stack of shape
    ``(n, draws, dim)`` each of the n sets is multiplied by itself, so none depends on its neighbours.

    Parameters
    ----------
    bank : Bank
    """

    def __init__(self, bank: Bank) -> None:
        super().__init__(bank.forward, bank.dim)
        self._bank = bank

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Noise estimated by the network of time t, of the shape of ``x_t``."""
        net, parametrisation = self._bank.kept(t), self._bank.parametrisation(t)
        hidden = net.hidden(parametrisation.inputs(x_t, t))
        output = hidden @ net.A.T.astype(np.float64) + net.b_r.astype(np.float64)
        return parametrisation.xi_hat(output, x_t, t)
