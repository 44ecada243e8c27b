"""A bank along principal axes in the few bytes that a page in a browser runs it from."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.bank import Bank
from undiffuse.networks.network import Weights
from undiffuse.support.arrays import Float32, Floats

Bits = Literal[8, 16]
BITS: tuple[Bits, Bits] = (16, 8)
Whole = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True)
class AxisNetwork:
    """The network of one time along the axes, its weights as whole numbers.

    ``w_u = scales[u, 0] whole[u, 0]``, ``b_u = scales[u, 1]`` and ``a_u = scales[u, 2] whole[u, 1]``; the bias of the
    decoder keeps its digits.

    Attributes
    ----------
    whole : (hidden, 2, width) array of int8 or int16
    scales : (hidden, 3) float32 array
    bias : (width,) float32 array
    factor : float
        What the network's output is multiplied by in xi_hat.
    linear : (float, float) or None
        ``(shift, gain)`` of the rest of xi_hat, ``gain (z - shift mean)``; None with the Gaussian skip, whose gain is
        another along every axis.
    """

    whole: Whole
    scales: Float32
    bias: Float32
    factor: float
    linear: tuple[float, float] | None

    @staticmethod
    def of(bank: Bank, t: int, bits: Bits, reference: GaussianDenoiser) -> AxisNetwork:
        """Turn the network of time ``t`` to the axes of the data, and round it.

        Parameters
        ----------
        bank : Bank
        t : int
        bits : {8, 16}
        reference : GaussianDenoiser
            Of the training data; its axes.
        """
        net, parametrisation, largest = bank.kept(t), bank.parametrisation(t), 2 ** (bits - 1) - 1
        W, b, A, bias = (np.asarray(array, np.float64) for array in (net.W, net.b_h, net.A, net.b_r))
        shift, gain = parametrisation.linear_part(t)
        if parametrisation.axes is None:  # it sees x_t, and a page what is left of x_t without the shifted mean
            b = b + W @ (shift * reference.mean)
            W, A, bias = W @ reference.axes, reference.axes.T @ A, bias @ reference.axes
        rows = np.stack([W, A.T], axis=1)
        size = np.abs(rows).max(axis=2) / largest
        exact = np.rint(rows / np.where(size > 0, size, 1)[:, :, None])
        return AxisNetwork(
            whole=exact.astype(np.int8) if bits == 8 else exact.astype(np.int16),
            scales=np.column_stack([size[:, 0], b, size[:, 1]]).astype(np.float32),
            bias=bias.astype(np.float32),
            factor=parametrisation.affine(t)[0],
            linear=None if bank.architecture(t).skip == "gaussian" else (shift, float(gain[0])),
        )

    @property
    def weights(self) -> Weights:
        """The rounded weights, as a page has them."""
        rows = self.whole.astype(np.float32) * self.scales[:, [0, 2], None]
        return Weights(rows[:, 0].copy(), self.scales[:, 1].copy(), rows[:, 1].T.copy(), self.bias)


@dataclass(frozen=True)
class AxisBank:
    r"""Networks of some times, in the coordinates ``z = x_t U`` along the principal axes of the training data.

    For a network of the k leading axes with the Gaussian skip (Wiener filter plus what it misses)::

        xi_hat = gain (z - sqrt(alpha_bar) mean) + factor [sum_u a_u h(w_u y + b_u) + b_r, 0],
        y = (z - sqrt(alpha_bar) mean)_k,    gain = s sqrt(Delta)/(alpha_bar variances + s^2 Delta)

    A network that sees all variables has k = dim, with its weights turned to the axes; without that skip, the first
    term is that of :attr:`AxisNetwork.linear`.

    Attributes
    ----------
    times : tuple of int
        Times of the networks, increasing.
    networks : tuple of AxisNetwork
    activation : str
        Name of h.
    axes : (dim, dim) float16 array
        U, its columns the axes, largest variance first.
    mean, variances : (dim,) arrays
        Of the training data along the axes.
    """

    times: tuple[int, ...]
    networks: tuple[AxisNetwork, ...]
    activation: str
    axes: NDArray[np.float16]
    mean: Floats
    variances: Floats

    @staticmethod
    def of(bank: Bank, times: Sequence[int], bits: Bits, reference: GaussianDenoiser) -> AxisBank:
        """Read them from a bank.

        Parameters
        ----------
        bank : Bank
        times : sequence of int
        bits : {8, 16}
        reference : GaussianDenoiser
            Of the training data.
        """
        linear, axes = reference.along_axes()
        return AxisBank(
            times=tuple(times),
            networks=tuple(AxisNetwork.of(bank, t, bits, reference) for t in times),
            activation=bank.architecture(times[0]).h.name,
            axes=axes.astype(np.float16),
            mean=linear.mean,
            variances=linear.variances,
        )

    @property
    def weights(self) -> str:
        """All whole numbers in base64, network after network, each of which begins at a character of its own."""
        kind = "<i1" if self.networks[0].whole.dtype.itemsize == 1 else "<i2"
        return "".join(_whole_groups(net.whole.astype(kind).tobytes()) for net in self.networks)


def characters(bank: Bank, t: int, bits: Bits) -> int:
    """Count the characters that the network of time ``t`` takes, its scales and bias included."""
    kind = bank.architecture(t)
    whole = 4 * -(-2 * kind.hidden * kind.width * bits // 8 // 3)
    return whole + 16 * kind.hidden + 6 * kind.width + 12


def _whole_groups(data: bytes) -> str:
    """Base64 of bytes, with zeros behind them up to a multiple of three."""
    return base64.b64encode(data + bytes(-len(data) % 3)).decode()


def in_order(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Join arrays of any shapes, one after another."""
    return np.concatenate([each.ravel() for each in arrays])
