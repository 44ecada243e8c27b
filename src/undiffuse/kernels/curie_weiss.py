"""Kernels of the exact Curie-Weiss posterior: weights of the auxiliary field's nodes, and the spins' means under them.

Given the auxiliary field z the spins are independent, and a factor of spin i is ``p_i e^a + q_i e^-a`` with
``a = beta z + h/N`` and ``p_i = 1 - q_i = 1/(1 + e^(-2 b_i))``: a sum of positive terms, so nothing cancels.
"""

from __future__ import annotations

from threading import Lock

import numpy as np
from numba import njit, prange

from undiffuse.support.arrays import Floats

_NEGLIGIBLE = 30.0  # nodes this many nats below the best one count for nothing
_IN_TURN = Lock()  # of parallel kernels: not every threading layer of numba can be entered by two threads


@njit(fastmath=True, cache=True)
def _log_weight(p: Floats, q: Floats, up: float, down: float, chunk: int) -> float:
    """``sum_i log(p_i up + q_i down)``, one logarithm for ``chunk`` spins."""
    total = 0.0
    for start in range(0, p.size, chunk):
        product = 1.0
        for i in range(start, min(start + chunk, p.size)):
            product *= p[i] * up + q[i] * down
        total += np.log(product)
    return total


def node_weights(
    p: Floats, q: Floats, up: Floats, down: Floats, prior: Floats, stride: int, slack: float, chunk: int
) -> Floats:
    """Posterior weights of the nodes for each sample, shape ``(n, nodes)``, each row summing to one.

    Every ``stride``-th node is looked at first; those between two of them only where they can count. The logarithm of
    the weight is nowhere more than ``slack`` above the larger of its values at the two neighbours looked at.
    """
    with _IN_TURN:
        return _node_weights(p, q, up, down, prior, stride, slack, chunk)


def spin_means(p: Floats, q: Floats, up: Floats, down: Floats, weights: Floats) -> Floats:
    """``<tanh(a + b_i)>`` over the nodes' weights, shape ``(n, N)``."""
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


@njit(fastmath=True, cache=True)
def _add_means(
    out: Floats, p: Floats, q: Floats, up: float, down: float, weight: float, up2: float, down2: float, weight2: float
) -> None:
    """Add two nodes' share of the means, with one division for both."""
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
            # An odd one out is paired with a node of no weight.
            other, weight = (used[j + 1], weights[sample, used[j + 1]]) if j + 1 < used.size else (k, 0.0)
            _add_means(
                out[sample], p[sample], q[sample], up[k], down[k], weights[sample, k], up[other], down[other], weight
            )
    return out
