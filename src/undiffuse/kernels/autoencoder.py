"""The fused kernels of one small autoencoder: apply it, and train it for one pass over the data.

One network's weights, gradients and Adam moments stay in cache for its whole training. Units come in chunks of
``LANES``; a chunk's parameters lie together as rows ``W_1..W_N, b_h, A_1..A_N`` of ``LANES`` numbers, padded with
units whose weights are zero, which no update moves.

For a piecewise-linear activation all gradients of a unit follow from the sums over the minibatch, taken where the
unit is active, of the residual ``e_i`` and of ``e_i x_j``:

    dA_i = b_h S_i + sum_j W_j S_ij,   dW_j = sum_i A_i S_ij,   db_h = sum_i A_i S_i

so the inner loop holds N^2 + N accumulators and never stores a hidden activity.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from undiffuse.kernels import LANES
from undiffuse.kernels.lanes import (
    adam,
    add,
    add_inner,
    add_inner_first,
    add_outer,
    affine,
    at_least,
    load,
    scale,
    spread,
    spread_one,
    store,
    store_row_sums,
    where_above,
    zeros,
    zeros_outer,
)

Float32 = NDArray[np.float32]
GROUP = 4  # samples that share one sweep over the weights: their sums fill the registers
DECAY_1, DECAY_2, EPSILON = 0.9, 0.999, 1e-8  # Adam's usual constants (Kingma & Ba 2015)
ONE = (0,)  # the shape of a single row


def pack(W: Float32, b_h: Float32, A: Float32) -> Float32:
    """Arrange the hidden units' parameters in the order that the kernels read them: flat, chunk by chunk."""
    hidden, dim = W.shape
    chunks = -(-hidden // LANES)
    units = np.zeros((chunks * LANES, 2 * dim + 1), np.float32)
    units[:hidden, :dim] = W
    units[:hidden, dim] = b_h
    units[:hidden, dim + 1 :] = A.T
    return np.ascontiguousarray(units.reshape(chunks, LANES, -1).transpose(0, 2, 1)).reshape(-1)


def unpack(packed: Float32, dim: int, hidden: int) -> tuple[Float32, Float32, Float32]:
    """Undo :func:`pack`: ``W``, ``b_h`` and ``A``."""
    units = packed.reshape(-1, 2 * dim + 1, LANES).transpose(0, 2, 1).reshape(-1, 2 * dim + 1)[:hidden]
    return units[:, :dim].copy(), units[:, dim].copy(), units[:, dim + 1 :].T.copy()


def apply(packed: Float32, b_r: Float32, floor: float, x: Float32) -> Float32:
    """Output ``r(x) = A max(W x + b_h, floor) + b_r`` of the network, shape ``(n, dim)``.

    Parameters
    ----------
    packed : float32, flat
        Hidden units' parameters as :func:`pack` arranges them.
    b_r : float32 (dim,)
        Decoder bias.
    floor : float
        Lower limit of the activations: 0 for ReLU, minus infinity for none.
    x : float32 (n, dim)
        Inputs.
    """
    out = np.empty_like(x)
    if len(x):
        _apply(packed, b_r, np.float32(floor), x.reshape(-1), out.reshape(-1), (0,) * x.shape[1])
    return out


@njit(nogil=True, cache=True)
def _sweep(packed, floor, x, i, last, sums, space):
    """``A h(W x + b_h)`` for the GROUP samples from ``i`` on, in one sweep over the weights."""
    dim = len(space)
    low = spread_one(floor)
    X0, X1 = spread(x, i * dim, space), spread(x, min(i + 1, last) * dim, space)
    X2, X3 = spread(x, min(i + 2, last) * dim, space), spread(x, min(i + 3, last) * dim, space)
    r0, r1, r2, r3 = zeros(space), zeros(space), zeros(space), zeros(space)
    for o in range(0, packed.size, (2 * dim + 1) * LANES):
        W, b, A = load(packed, o, space), load(packed, o + dim * LANES, ONE), load(packed, o + (dim + 1) * LANES, space)
        r0 = add_outer(r0, A, at_least(affine(W, b, X0), low))
        r1 = add_outer(r1, A, at_least(affine(W, b, X1), low))
        r2 = add_outer(r2, A, at_least(affine(W, b, X2), low))
        r3 = add_outer(r3, A, at_least(affine(W, b, X3), low))
    store_row_sums(r0, sums, 0)
    store_row_sums(r1, sums, dim)
    store_row_sums(r2, sums, 2 * dim)
    store_row_sums(r3, sums, 3 * dim)


@njit(nogil=True, cache=True)
def _apply(packed, b_r, floor, x, out, space):
    dim = len(space)
    n = x.size // dim
    sums = np.empty(GROUP * dim, np.float32)
    for i in range(0, n, GROUP):
        _sweep(packed, floor, x, i, n - 1, sums, space)
        for k in range(min(GROUP, n - i) * dim):
            out[i * dim + k] = sums[k] + b_r[k % dim]


@njit(nogil=True, cache=True)
def march(packed, ends, b_r, floor, M, k, c, r, x, noise, first, space):
    """Take samples through consecutive steps ``x <- x M + k + c network(x) + r noise``, each with a network of its own.

    A step is taken by all samples before the next one begins, so that its weights stay in cache; the noise of a step
    without any (``r = 0``) is not used up.

    Parameters
    ----------
    packed : float32, flat
        Networks as :func:`pack` arranges them, one after another.
    ends : int (steps,)
        Where each ends.
    b_r : float32 (steps, dim)
        Decoder biases.
    floor : float32
        Lower limit of the activations.
    M, k, c, r : float64 (steps, dim, dim), (steps, dim), (steps,), (steps,)
    x : float64 (n, dim)
        Moved in place.
    noise : float64 (n, m)
    first : int
        Column of the noise of the first step.
    space : tuple
        As long as there are variables.

    Returns
    -------
    bool
        Whether the samples are finite; what became infinite stays so.
    """
    dim = len(space)
    n = len(x)
    inputs, sums = np.empty(n * dim, np.float32), np.empty((n + GROUP) * dim, np.float32)
    moved = np.empty(dim)
    start = 0
    for step in range(len(ends)):
        for i in range(n):
            for d in range(dim):
                inputs[i * dim + d] = x[i, d]
        for i in range(0, n, GROUP):
            _sweep(packed[start : ends[step]], floor, inputs, i, n - 1, sums[i * dim :], space)
        start = ends[step]
        for i in range(n):
            for d in range(dim):
                moved[d] = k[step, d] + c[step] * (sums[i * dim + d] + b_r[step, d])
                for e in range(dim):
                    moved[d] += x[i, e] * M[step, e, d]
            for d in range(dim):
                x[i, d] = moved[d]
        if r[step]:
            for i in range(n):
                for d in range(dim):
                    x[i, d] += r[step] * noise[i, first + d]
            first += dim
    return np.isfinite(x).all()


@njit(nogil=True, cache=True)
def training_pass(packed, m, v, b_r, m_r, v_r, tie, signs, floor, x, y, batch, rates, weight, step, space):
    """Make one pass over the data in minibatches: residuals, gradients and Adam updates, fused.

    Parameters
    ----------
    packed, m, v : float32, flat
        Hidden units' parameters as :func:`pack` arranges them, and their Adam moments; updated in place.
    b_r, m_r, v_r : float32 (dim,)
        Decoder bias and its moments; updated in place.
    tie : bool
        Whether ``A = W^T diag(signs)``.
    signs : float32
        One sign for each unit, padding included.
    floor : float32
        Lower limit of the activations: 0 for ReLU, minus infinity for none.
    x, y : float32, flat
        Inputs and targets, ``n dim`` numbers each.
    batch : int
        Batch size.
    rates : float64
        One learning rate for each step of the pass.
    weight : float
        Factor on the loss ``mean over the minibatch of |r(x) - y|^2``.
    step : int
        Adam steps made before this pass.
    space : tuple of int
        Its length is dim, known when the kernel is compiled; its entries are ignored.

    Returns
    -------
    float
        Mean of ``(r(x) - y)^2`` per dimension, each minibatch measured just before its update.
    """
    dim = len(space)
    n = x.size // dim
    inputs = np.empty(batch * dim, np.float32)
    # A copy of the minibatch with every number in all lanes, so that the inner loop reads its operands from memory.
    X_wide, E_wide = np.empty(batch * dim * LANES, np.float32), np.empty(batch * dim * LANES, np.float32)
    sums = np.empty(GROUP * dim, np.float32)
    d1, d2, eps, one = np.float32(DECAY_1), np.float32(DECAY_2), np.float32(EPSILON), np.float32(1)
    low = spread_one(floor)
    total = 0.0
    for start in range(0, n, batch):
        size = min(batch, n - start)
        for k in range(size * dim):
            inputs[k] = x[start * dim + k]
            X_wide[k * LANES : (k + 1) * LANES] = inputs[k]
        for i in range(0, size, GROUP):
            _sweep(packed, floor, inputs, i, size - 1, sums, space)
            for k in range(min(GROUP, size - i) * dim):
                e = sums[k] + b_r[k % dim] - y[(start + i) * dim + k]
                total += e * e
                at = (i * dim + k) * LANES
                E_wide[at : at + LANES] = e * np.float32(2 * weight / size)
        step += 1
        rate = np.float32(rates[start // batch] / (1 - DECAY_1**step))
        c2 = np.float32(1 / np.sqrt(1 - DECAY_2**step))
        for o in range(0, packed.size, (2 * dim + 1) * LANES):
            o_b, o_A = o + dim * LANES, o + (dim + 1) * LANES
            W, b, A = load(packed, o, space), load(packed, o_b, ONE), load(packed, o_A, space)
            S, SX = zeros(space), zeros_outer(space, space)
            for i in range(size):
                X = load(X_wide, i * dim * LANES, space)
                E = where_above(affine(W, b, X), low, load(E_wide, i * dim * LANES, space))
                S = add(S, E)
                SX = add_outer(SX, E, X)
            g_W = add_inner_first(zeros(space), SX, A)
            g_b = add_inner(zeros(ONE), S, A)
            g_A = add_inner(scale(S, b), SX, W)
            if tie:
                sign = load(signs, o // (2 * dim + 1), ONE)
                adam(packed, m, v, o, add(g_W, scale(g_A, sign)), d1, d2, rate, c2, eps)
                store(packed, o_A, scale(load(packed, o, space), sign))
            else:
                adam(packed, m, v, o, g_W, d1, d2, rate, c2, eps)
                adam(packed, m, v, o_A, g_A, d1, d2, rate, c2, eps)
            adam(packed, m, v, o_b, g_b, d1, d2, rate, c2, eps)
        for d in range(dim):
            g = np.float32(0)
            for i in range(size):
                g += E_wide[(i * dim + d) * LANES]
            m_r[d] += (one - d1) * (g - m_r[d])
            v_r[d] = d2 * v_r[d] + (one - d2) * g * g
            b_r[d] -= rate * m_r[d] / (np.sqrt(v_r[d]) * c2 + eps)
    return total / (n * dim)
