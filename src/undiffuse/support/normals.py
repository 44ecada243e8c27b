"""Standard normal numbers of many streams at once, the same to the last bit as numpy draws them from each by itself.

A generator object for each sample costs ten microseconds to make, and each of its calls takes the interpreter's lock.
Here a stream is four integers, and threads draw side by side. The generator is SFC64 (Chris Doty-Humphrey), seeded by
numpy's ``SeedSequence``; numbers follow from its bits by the ziggurat of Marsaglia & Tsang (2000), with numpy's tables.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numba.np.random._constants import fi_double, ki_double, wi_double, ziggurat_nor_inv_r, ziggurat_nor_r
from numpy.typing import NDArray

from undiffuse.support.arrays import Floats

Word = np.uint64
Words = NDArray[np.uint32]
States = NDArray[np.uint64]

# Of numpy's SeedSequence.
_HASH, _HASH_FACTOR = np.uint32(0x43B0D7E5), np.uint32(0x931E8875)
_DRAW, _DRAW_FACTOR = np.uint32(0x8B51F9DD), np.uint32(0x58F38DED)
_MIX_LEFT, _MIX_RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_HALF = np.uint32(16)
_POOL = 4  # words

_SIGN, _INDEX, _MANTISSA = np.uint64(1), np.uint64(0xFF), np.uint64(0x000FFFFFFFFFFFFF)
_TAIL_SIGN = np.uint64(0x100)
_UNIT = 1.0 / (1 << 53)


def states(seed: int, key: tuple[int, ...], first: int, n: int) -> States:
    """States ``(n, 4)`` of ``SFC64(SeedSequence(seed, spawn_key=(*key, i)))`` for n numbers i from ``first`` on.

    Parameters
    ----------
    seed : int
        In 0..2^64 - 1.
    key : tuple of int
        At least one, each in 0..2^32 - 1.
    first, n : int
        ``first + n`` is at most 2^32.
    """
    with np.errstate(over="ignore"):
        pool, factor = _mixed(seed, key, np.arange(first, first + n, dtype=np.uint64).astype(np.uint32)), _DRAW
        words = []
        for k in range(6):
            word = pool[k % _POOL] ^ factor
            factor = factor * _DRAW_FACTOR
            word = word * factor
            words.append((word ^ (word >> _HALF)).astype(np.uint64))
        out = np.ones((n, 4), np.uint64)
        for k in range(3):
            out[:, k] = words[2 * k] | (words[2 * k + 1] << np.uint64(32))
    _advance(out, 12)
    return out


def _mixed(seed: int, key: tuple[int, ...], last: Words) -> list[Words]:
    """Pool of the seed sequence after the last part of its key, one array for each word."""
    before = np.random.SeedSequence(seed, spawn_key=key)
    # The constant changes with every word hashed: a pool full to begin with, each of its words into the others, and
    # each later word into all. A seed fits in the pool, so what comes later is the key.
    hashed = _POOL + _POOL * (_POOL - 1) + _POOL * len(key)
    constant = np.uint32(int(_HASH) * pow(int(_HASH_FACTOR), hashed, 1 << 32) % (1 << 32))
    pool = []
    for word in before.pool:
        value = last ^ constant
        constant = constant * _HASH_FACTOR
        value = value * constant
        mixed = _MIX_LEFT * word - _MIX_RIGHT * (value ^ (value >> _HALF))
        pool.append(mixed ^ (mixed >> _HALF))
    return pool


@njit(inline="always")
def _next(a: Word, b: Word, c: Word, d: Word) -> tuple[Word, Word, Word, Word, Word]:
    """One step of SFC64: the number drawn, and the state after it."""
    drawn = a + b + d
    return (
        drawn,
        b ^ (b >> np.uint64(11)),
        c + (c << np.uint64(3)),
        ((c << np.uint64(24)) | (c >> np.uint64(40))) + drawn,
        d + np.uint64(1),
    )


@njit(nogil=True, cache=True)
def _advance(streams: States, count: int) -> None:
    for i in range(len(streams)):
        a, b, c, d = streams[i]
        for _ in range(count):
            _, a, b, c, d = _next(a, b, c, d)
        streams[i, 0], streams[i, 1], streams[i, 2], streams[i, 3] = a, b, c, d


@njit(nogil=True, cache=True)
def fill(streams: States, out: Floats, first: int) -> None:
    """Draw each stream's next numbers into its row of ``out``, from the column ``first`` on; states move on in place.

    Parameters
    ----------
    streams : (n, 4)
        From :func:`states`.
    out : (n, m)
    first : int
    """
    for i in range(len(streams)):
        a, b, c, d = streams[i, 0], streams[i, 1], streams[i, 2], streams[i, 3]
        for k in range(first, out.shape[1]):
            while True:
                r, a, b, c, d = _next(a, b, c, d)
                layer = np.int64(r & _INDEX)
                r >>= np.uint64(8)
                rest = (r >> _SIGN) & _MANTISSA
                x = rest * wi_double[layer]
                if r & _SIGN:
                    x = -x
                if rest < ki_double[layer]:
                    break
                if layer == 0:
                    while True:
                        u, a, b, c, d = _next(a, b, c, d)
                        v, a, b, c, d = _next(a, b, c, d)
                        beyond = -ziggurat_nor_inv_r * math.log1p(-((u >> np.uint64(11)) * _UNIT))
                        height = -math.log1p(-((v >> np.uint64(11)) * _UNIT))
                        if height + height > beyond * beyond:
                            break
                    x = ziggurat_nor_r + beyond
                    if rest & _TAIL_SIGN:
                        x = -x
                    break
                u, a, b, c, d = _next(a, b, c, d)
                drop = fi_double[layer - 1] - fi_double[layer]
                if drop * ((u >> np.uint64(11)) * _UNIT) + fi_double[layer] < math.exp(-0.5 * x * x):
                    break
            out[i, k] = x
        streams[i, 0], streams[i, 1], streams[i, 2], streams[i, 3] = a, b, c, d
