"""A step of Adam in one pass over the weights, with gradients in single precision or in bfloat16.

A bfloat16 is the upper half of a float32, kept as an unsigned integer of 16 bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from undiffuse.kernels.autoencoder import DECAY_1, DECAY_2, EPSILON

_CHUNK = 2048  # numbers that stay in the first cache between the loops over them


@njit(nogil=True, cache=True, error_model="numpy")
def adam_step(w, m, v, g, low, average, step, rate, share):
    """Move weights by a step of Adam (Kingma & Ba 2015); ``low`` and ``average`` may have no entries.

    Parameters
    ----------
    w, m, v : float32 (n,)
        Weights and their moments, updated in place.
    g : float32 or uint16 (n,)
        Gradient; bfloat16 if uint16.
    low : uint16 (n,) or (0,)
        Where the new weights are written in bfloat16, rounded to nearest, ties to even.
    average : float32 (n,) or (0,)
        Running average of the weights, moved a ``share`` of the way to the new ones.
    step : int
        Number of this step, from 1.
    rate : float
        Learning rate.
    share : float
    """
    in_1, kept_2, in_2, eps = np.float32(1 - DECAY_1), np.float32(DECAY_2), np.float32(1 - DECAY_2), np.float32(EPSILON)
    speed = np.float32(rate / (1 - DECAY_1**step))
    c2 = np.float32(1 / np.sqrt(1 - DECAY_2**step))
    bits = np.empty(_CHUNK, np.uint32)
    gradient = bits.view(np.float32)
    for start in range(0, w.size, _CHUNK):
        size = min(_CHUNK, w.size - start)
        W, M, V, G = w[start : start + size], m[start : start + size], v[start : start + size], g[start : start + size]
        _widen(G, bits, gradient)
        for i in range(size):
            M[i] += in_1 * (gradient[i] - M[i])
            V[i] = kept_2 * V[i] + in_2 * gradient[i] * gradient[i]
            W[i] -= speed * M[i] / (np.sqrt(V[i]) * c2 + eps)
        if low.size:
            whole, half = W.view(np.uint32), low[start : start + size]
            for i in range(size):
                b = whole[i]
                half[i] = (b + np.uint32(0x7FFF) + ((b >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        if average.size:
            mean = average[start : start + size]
            for i in range(size):
                mean[i] += np.float32(share) * (W[i] - mean[i])


@njit(nogil=True, inline="always")
def _widen(g, bits, gradient):
    """Write a gradient into ``gradient``, whose memory is that of ``bits``."""
    if g.itemsize == 2:
        for i in range(g.size):
            bits[i] = np.uint32(g[i]) << np.uint32(16)
    else:
        for i in range(g.size):
            gradient[i] = g[i]
