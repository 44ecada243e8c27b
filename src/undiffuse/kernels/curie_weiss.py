"""Kernels of the exact Curie-Weiss posterior: weights of the auxiliary field's nodes, and the spins' means under them.

Given the auxiliary field z the spins are independent, and a factor of spin i is ``p_i e^a + q_i e^-a`` with
``a = beta z + h/N`` and ``p_i = 1 - q_i = 1/(1 + e^(-2 b_i))``: a sum of positive terms, so nothing cancels.
"""

from __future__ import annotations

from threading import Lock

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_NEGLIGIBLE = 30.0  # nodes this many nats below the best one count for nothing
_IN_TURN = Lock()  # one parallel kernel at a time: not every threading layer of numba allows calls from two threads


@njit(cache=True)
def _log_weight(p: Floats, q: Floats, up: float, down: float, chunk: int) -> float:
    """``sum_i log(p_i up + q_i down)``, one logarithm for ``chunk`` spins.

    Eight independent products are written out. With ``fastmath`` the compiler may reorder products itself, but
    differently from one compilation to the next, and the last digits decide where a walker ends.
    """
    total = 0.0
    for start in range(0, p.size, chunk):
        stop = min(start + chunk, p.size)
        a = b = c = d = e = f = g = h = 1.0
        i = start
        while i + 8 <= stop:
            a *= p[i] * up + q[i] * down
            b *= p[i + 1] * up + q[i + 1] * down
            c *= p[i + 2] * up + q[i + 2] * down
            d *= p[i + 3] * up + q[i + 3] * down
            e *= p[i + 4] * up + q[i + 4] * down
            f *= p[i + 5] * up + q[i + 5] * down
            g *= p[i + 6] * up + q[i + 6] * down
            h *= p[i + 7] * up + q[i + 7] * down
            i += 8
        product = ((a * b) * (c * d)) * ((e * f) * (g * h))
        while i < stop:
            product *= p[i] * up + q[i] * down
            i += 1
        total += np.log(product)
    return total


def node_weights(
    p: Floats, q: Floats, up: Floats, down: Floats, prior: Floats, stride: int, slack: float, chunk: int
) -> Floats:
    """Posterior weights of the nodes for each sample, shape ``(n, nodes)``, each row summing to one.

    Every ``stride``-th node is computed first, and those between two of them only where they can matter.

    Parameters
    ----------
    p, q : (n, N)
        Factors of the spins, ``p = 1/(1 + e^(-2 b))`` and ``q = 1 - p``.
    up, down : (nodes,)
        ``e^a`` and ``e^-a`` at each node.
    prior : (nodes,)
        Log weights of the nodes without the data, up to a constant.
    stride : int
    slack : float
        How much the log weight between two computed neighbours can exceed the larger of theirs, in nats.
    chunk : int
        Number of spins whose factors are multiplied before a logarithm is taken.
    """
    with _IN_TURN:
        return _node_weights(p, q, up, down, prior, stride, slack, chunk)


def spin_means(p: Floats, q: Floats, up: Floats, down: Floats, weights: Floats) -> Floats:
    """``<tanh(a + b_i)>`` over the nodes' weights, shape ``(n, N)``.

    Parameters
    ----------
    p, q, up, down
        See :func:`node_weights`.
    weights : (n, nodes)
        From :func:`node_weights`.
    """
    with _IN_TURN:
        return _spin_means(p, q, up, down, weights)


@njit(parallel=True, cache=True)
def _node_weights(
    p: Floats, q: Floats, up: Floats, down: Floats, prior: Floats, stride: int, slack: float, chunk: int
) -> Floats:
    n, nodes = p.shape[0], up.size
    out = np.zeros((n, nodes))
    for sample in prange(n):
        logs = np.full(nodes, -np.inf)
        best = -np.inf
        for look in range(0, nodes + stride - 1, stride):
            k = min(look, nodes - 1)
            logs[k] = prior[k] + _log_weight(p[sample], q[sample], up[k], down[k], chunk)
            best = max(best, logs[k])
        for k in range(0, nodes - 1, stride):
            end = min(k + stride, nodes - 1)
            if max(logs[k], logs[end]) + slack < best - _NEGLIGIBLE:
                continue
            for j in range(k + 1, end):
                logs[j] = prior[j] + _log_weight(p[sample], q[sample], up[j], down[j], chunk)
                best = max(best, logs[j])
        total = 0.0
        for k in range(nodes):
            if logs[k] > best - _NEGLIGIBLE:
                out[sample, k] = np.exp(logs[k] - best)
                total += out[sample, k]
        for k in range(nodes):
            out[sample, k] /= total
    return out


@njit(cache=True)
def _add_means(
    out: Floats, p: Floats, q: Floats, up: float, down: float, weight: float, up2: float, down2: float, weight2: float
) -> None:
    """Add the contributions of two nodes to the means, with one division for both."""
    for i in range(p.size):
        a, b, a2, b2 = p[i] * up, q[i] * down, p[i] * up2, q[i] * down2
        out[i] += (weight * (a - b) * (a2 + b2) + weight2 * (a2 - b2) * (a + b)) / ((a + b) * (a2 + b2))


@njit(parallel=True, cache=True)
def _spin_means(p: Floats, q: Floats, up: Floats, down: Floats, weights: Floats) -> Floats:
    out = np.zeros_like(p)
    for sample in prange(p.shape[0]):
        used = np.flatnonzero(weights[sample])
        for j in range(0, used.size, 2):
            k = used[j]
            # With an odd number of nodes the last one is paired with a node of weight zero.
            other, weight = (used[j + 1], weights[sample, used[j + 1]]) if j + 1 < used.size else (k, 0.0)
            _add_means(
                out[sample], p[sample], q[sample], up[k], down[k], weights[sample, k], up[other], down[other], weight
            )
    return out
