"""A step of Adam on a GPU that never writes a gradient out: a Triton kernel over tiles of weights.

A gradient of a network is a sum over the minibatch of outer products, ``sum_n l_n r_n^T``. A tile of it is summed in
registers, where it moves the same tile of the weights and their moments, and is forgotten: of the 36 bytes that a
weight costs when its gradient is written and read again, 28 are left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
import triton.language as tl

from undiffuse.kernels.autoencoder import DECAY_1, DECAY_2, EPSILON

_HIGH, _WIDE, _DEPTH = 64, 64, 16  # rows and columns of a tile; samples that are summed at once
_WARPS = 16  # with few, the numbers of a tile do not fit in registers
_VECTOR = 4  # numbers that are moved at once, where rows and columns are multiples

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Array:
    """Weights of several networks with all that moves with them, each ``(times, rows, columns)`` and contiguous.

    Attributes
    ----------
    weights, first, second : tensors
        Weights and moments.
    copy : tensor or None
        Of the weights in a lower precision.
    average : tensor or None
        Running average of the weights, in a step that moves it.
    """

    weights: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    copy: torch.Tensor | None = None
    average: torch.Tensor | None = None


def scales(rate: float, step: int) -> tuple[float, float]:
    """What is special to a step of Adam (Kingma & Ba 2015): ``rate/(1 - b1^k)`` and ``1/sqrt(1 - b2^k)``.

    Parameters
    ----------
    rate : float
        Learning rate.
    step : int
        Number k of the step, from 1.
    """
    return rate / (1 - DECAY_1**step), 1 / (1 - DECAY_2**step) ** 0.5


def move(array: Array, pairs: Sequence[Pair], numbers: torch.Tensor, share: float, tf32: bool) -> None:
    """Move weights by a step of Adam along ``sum_n l_n r_n^T``, summed over samples n and over the pairs.

    Parameters
    ----------
    array : Array
    pairs : one or two pairs of tensors
        ``l`` of shape ``(times, n, rows)`` and ``r`` of shape ``(times, n, columns)``.
    numbers : (2,) tensor
        :func:`scales` of the step, in memory, so that a recorded launch can be repeated.
    share : float
        How far the average moves to the weights.
    tf32 : bool
        Whether products of float32 may be TF32.
    """
    weights, ((left, right), *others) = array.weights, pairs
    other_left, other_right = others[0] if others else (left, right)
    times, rows, columns = weights.shape
    _moved[(triton.cdiv(columns, _WIDE), triton.cdiv(rows, _HIGH), times)](
        *(part.contiguous() for part in (left, right, other_left, other_right)),
        weights,
        array.first,
        array.second,
        weights if array.copy is None else array.copy,
        weights if array.average is None else array.average,
        numbers,
        left.shape[1],
        rows,
        columns,
        share,
        two=bool(others),
        copies=array.copy is not None,
        averages=array.average is not None,
        precision="tf32" if tf32 else "ieee",
        whole=weights.device.type == "cpu",  # Triton's interpreter has no products in bfloat16
        of_rows=math.gcd(rows, _VECTOR),
        of_columns=math.gcd(columns, _VECTOR),
        high=_HIGH,
        wide=_WIDE,
        depth=_DEPTH,
        decay_1=DECAY_1,
        decay_2=DECAY_2,
        epsilon=EPSILON,
        num_warps=_WARPS,
    )


@triton.jit
def _summed(
    acc,
    left,
    right,
    net,
    n,
    rows,
    columns,
    r,
    c,
    precision: tl.constexpr,
    whole: tl.constexpr,
    depth: tl.constexpr,
):
    """Add a tile of ``sum_n l_n r_n^T`` of one network to ``acc``."""
    left += net * n * rows
    right += net * n * columns
    for start in range(0, n, depth):
        b = start + tl.arange(0, depth)
        of_left = (b[None, :] < n) & (r[:, None] < rows)
        of_right = (b[:, None] < n) & (c[None, :] < columns)
        one = tl.load(left + b[None, :] * rows + r[:, None], mask=of_left, other=0.0)
        other = tl.load(right + b[:, None] * columns + c[None, :], mask=of_right, other=0.0)
        if whole:
            one, other = one.to(acc.dtype), other.to(acc.dtype)
        acc += tl.dot(one, other, input_precision=precision, out_dtype=acc.dtype)
    return acc


@triton.jit
def _moved(
    left,
    right,
    other_left,
    other_right,
    weights,
    first,
    second,
    copy,
    average,
    numbers,
    n,
    rows,
    columns,
    share,
    two: tl.constexpr,
    copies: tl.constexpr,
    averages: tl.constexpr,
    precision: tl.constexpr,
    whole: tl.constexpr,
    of_rows: tl.constexpr,
    of_columns: tl.constexpr,
    high: tl.constexpr,
    wide: tl.constexpr,
    depth: tl.constexpr,
    decay_1: tl.constexpr,
    decay_2: tl.constexpr,
    epsilon: tl.constexpr,
):
    """Move one tile of one network."""
    rows, columns = rows // of_rows * of_rows, columns // of_columns * of_columns  # which the compiler then knows
    net = tl.program_id(2).to(tl.int64)
    r, c = tl.program_id(1) * high + tl.arange(0, high), tl.program_id(0) * wide + tl.arange(0, wide)
    g = tl.zeros((high, wide), dtype=weights.dtype.element_ty)
    g = _summed(g, left, right, net, n, rows, columns, r, c, precision, whole, depth)
    if two:
        g = _summed(g, other_left, other_right, net, n, rows, columns, r, c, precision, whole, depth)
    begin = net * rows * columns  # one network's numbers are counted in 32 bits, all networks' are not
    place = r[:, None] * columns + c[None, :]
    inside = (r[:, None] < rows) & (c[None, :] < columns)
    w = tl.load(weights + begin + place, mask=inside)
    m = tl.load(first + begin + place, mask=inside)
    v = tl.load(second + begin + place, mask=inside)
    m += (1 - decay_1) * (g - m)
    v = decay_2 * v + (1 - decay_2) * g * g
    w -= tl.load(numbers) * m / (tl.sqrt(v) * tl.load(numbers + 1) + epsilon)
    tl.store(weights + begin + place, w, mask=inside)
    tl.store(first + begin + place, m, mask=inside)
    tl.store(second + begin + place, v, mask=inside)
    if copies:
        tl.store(copy + begin + place, w.to(copy.dtype.element_ty), mask=inside)
    if averages:
        mean = tl.load(average + begin + place, mask=inside)
        tl.store(average + begin + place, mean + share * (w - mean), mask=inside)
