"""One autoencoder as a torch module."""

from __future__ import annotations

from collections.abc import Mapping

from undiffuse.networks.activations import Activation
from undiffuse.support.arrays import Float32
from undiffuse.support.with_torch import torch


class TorchAutoencoder(torch.nn.Module):
    """``r(x) = A h(W x + b_h) + b_r`` as ``decoder(h(encoder(x)))``, of two linear layers.

    Parameters
    ----------
    weights : dict of arrays
        ``W`` (hidden, dim), ``b_h`` (hidden,), ``A`` (dim, hidden) and ``b_r`` (dim,).
    activation : Activation
    """

    def __init__(self, weights: Mapping[str, Float32], activation: Activation) -> None:
        super().__init__()
        self.encoder = _linear(weights["W"], weights["b_h"])
        self.decoder = _linear(weights["A"], weights["b_r"])
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Output of the network at ``x``, shape ``(n, dim)``."""
        out: torch.Tensor = self.decoder(self.activation.of_tensor(self.encoder(x)))
        return out


def _linear(matrix: Float32, bias: Float32) -> torch.nn.Linear:
    layer = torch.nn.Linear(matrix.shape[1], matrix.shape[0])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(matrix.copy()))
        layer.bias.copy_(torch.from_numpy(bias.copy()))
    return layer
