"""A bank of points in the plane in the few numbers that a page in a browser runs it from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.networks.bank import Bank
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require

PLANE = 2
NUMBERS_OF_A_UNIT = 5  # w, b and a in the plane


@dataclass(frozen=True)
class PlaneBank:
    r"""Networks of some times, with one formula for every prediction, skip and number of components.

    For a point ``x`` of the plane, and the unit u of the network of one time with its ``w`` (2), ``b`` and ``a`` (2)::

        xi_hat = scale sum_u a_u h(w_u x + b_u) + x M + k

    Where all weights are tied, ``a_u = s_u w_u`` with a sign, this is the gradient of
    ``scale sum_u s_u H(w_u x + b_u) + x M x/2 + k x`` with ``H' = h``, equation (29): the learned potential.

    Weights are rounded to float16, all else is float64. Networks on components are written in the variables of the
    data: ``w = U w'``, ``a = U a'`` and ``b = b' - sqrt(alpha_bar) mu w``. The decoder's bias is in ``k``.

    Attributes
    ----------
    times : tuple of int
        Times of the networks, increasing.
    hidden : tuple of int
        Number of units of each.
    activation : str
        Name of h.
    units : (sum of hidden, 5) float16 array
        Rows ``w_1, w_2, b, a_1, a_2``, one time after another.
    maps : (times, 7) array
        Rows ``scale, M_11, M_12, M_21, M_22, k_1, k_2``.
    tied : bool
        Whether the weights of all these times are tied.
    """

    times: tuple[int, ...]
    hidden: tuple[int, ...]
    activation: str
    units: NDArray[np.float16]
    maps: Floats
    tied: bool

    @staticmethod
    def of(bank: Bank, times: Sequence[int]) -> PlaneBank:
        """Read them from a bank.

        Raises
        ------
        UserError
            If the bank is not of points in the plane, or a weight is too large for float16.
        """
        require(bank.dim == PLANE, f"the bank has {bank.dim} variables, wanted {PLANE}")
        activation = bank.architecture(times[0]).h
        rows = [_units(bank, t) for t in times]
        with np.errstate(over="ignore"):
            units = np.concatenate(rows).astype(np.float16)
        largest = max(float(np.abs(each).max()) for each in rows)
        require(bool(np.isfinite(units).all()), f"a weight of {largest:.3g} is too large for 16 bits (65504 at most)")
        return PlaneBank(
            times=tuple(times),
            hidden=tuple(len(each) for each in rows),
            activation=activation.name,
            units=units,
            maps=np.stack([_map(bank, t) for t in times]),
            tied=all(bank.architecture(t).tying != "untied" for t in times),
        )


def _units(bank: Bank, t: int) -> Floats:
    """Rows ``w, b, a`` of the network of time ``t``, in the variables of the data."""
    net, parametrisation = bank.kept(t), bank.parametrisation(t)
    W, b, A = (np.asarray(array, np.float64) for array in (net.W, net.b_h, net.A))
    if parametrisation.axes is not None:
        b = b + W @ parametrisation.inputs(np.zeros((1, PLANE)), t)[0]
        W, A = W @ parametrisation.axes.T, parametrisation.axes @ A
    return np.column_stack([W, b, A.T])


def _map(bank: Bank, t: int) -> Floats:
    """``scale``, the rows of M and ``k`` of time ``t``."""
    parametrisation = bank.parametrisation(t)
    scale, M, k = parametrisation.affine_map(t)
    bias = np.asarray(bank.kept(t).b_r, np.float64)
    if parametrisation.axes is not None:
        bias = parametrisation.axes @ bias
    return np.array([scale, *M.ravel(), *(scale * bias + k)])
