"""What stands between the matrix products of a chain, each in one pass over its numbers."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def shifted(z, shift):
    """``z - shift`` in float32, for z ``(n, k)`` and shift ``(k,)``, both float64."""
    out = np.empty(z.shape, np.float32)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            out[i, j] = z[i, j] - shift[j]
    return out


@njit(nogil=True, cache=True)
def raise_to(u, b, floor):
    """``u <- max(u + b, floor)`` for u ``(n, hidden)`` and b ``(hidden,)``, float32."""
    for i in range(u.shape[0]):
        for k in range(u.shape[1]):
            u[i, k] = max(u[i, k] + b[k], floor)


@njit(nogil=True, cache=True)
def advance(z, a, b, c, correction, r, noise, first):
    """``z <- a z + b + c correction + r noise``, and whether all of it is finite.

    Parameters
    ----------
    z : float64 (n, k)
        Moved in place.
    a, b : float64 (k,)
    c : float
    correction : float32 (n, k)
    r : float
    noise : float64 (n, m)
    first : int
        Column of the noise that belongs to that of z.
    """
    finite = True
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            moved = a[j] * z[i, j] + b[j] + c * correction[i, j] + r * noise[i, first + j]
            finite &= np.isfinite(moved)
            z[i, j] = moved
    return finite
