"""Random numbers as functions of a key and a place, made by torch on any device: Philox4x32-10.

Salmon, Moraes, Dror & Shaw 2011. A generator with a state gives other numbers when other work stands beside it on the
device; here number i of draw j of a row is the same whatever is made together with it. Words are whole numbers below
2^32 in int64 tensors, since torch has no unsigned arithmetic; they are the same on every device. Normal numbers follow
by the rule of Box & Muller, and may differ between kinds of devices in the last digit of a logarithm or cosine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

_WORD = 0xFFFFFFFF
_FACTORS = 0xD2511F53, 0xCD9E8D57
_BUMPS = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_TRIG = torch.cos, torch.sin
_AT_ONCE = 1 << 22  # blocks of four words that are made together

Words = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def block(counter: Words, key: tuple[torch.Tensor, torch.Tensor]) -> Words:
    """Four words for each counter of four words, with a key of two; all broadcast against one another."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        # The product of two words fills 64 bits; its upper half survives in a signed integer, bit by bit.
        first, second = c0 * _FACTORS[0], c2 * _FACTORS[1]
        c0 = ((second >> 32) & _WORD) ^ c1 ^ k0
        c2 = ((first >> 32) & _WORD) ^ c3 ^ k1
        c1, c3 = second & _WORD, first & _WORD
        k0, k1 = (k0 + _BUMPS[0]) & _WORD, (k1 + _BUMPS[1]) & _WORD
    return c0, c1, c2, c3


@dataclass(frozen=True)
class Rows:
    """Streams of random numbers side by side, one to a row.

    Attributes
    ----------
    keys : (rows, 2) or (1, 2) int64 tensor
        From :func:`undiffuse.support.streams.key_words`.
    numbers : (rows,) int64 tensor
        What tells rows of one key apart.
    """

    keys: torch.Tensor
    numbers: torch.Tensor

    @staticmethod
    def of(keys: np.ndarray, device: torch.device, numbers: Sequence[int] | None = None) -> Rows:
        """Rows of these keys, shape ``(rows, 2)``; or of one key, told apart by ``numbers`` below 2^32."""
        each = torch.zeros(len(keys), dtype=torch.int64) if numbers is None else torch.tensor(numbers)
        return Rows(torch.from_numpy(keys.astype(np.int64)).to(device), each.to(device))

    def uniform(self, draw: int, count: int) -> torch.Tensor:
        """``(rows, count)`` float64 numbers in (0, 1), of 32 random bits."""
        out = torch.empty((len(self.numbers), count), dtype=torch.float64, device=self.keys.device)
        for where, words in self._words(draw, count):
            each = torch.stack(words, dim=2).flatten(1)[:, : out[:, where].shape[1]]
            out[:, where] = (each.to(out.dtype) + 0.5) * 2.0**-32
        return out

    def normal(self, draw: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """``(rows, count)`` standard normal numbers."""
        out = torch.empty((len(self.numbers), count), dtype=dtype, device=self.keys.device)
        for where, words in self._words(draw, count):
            u = [(word.to(dtype) + 0.5) * 2.0**-32 for word in words]
            radii = [(-2 * each.log()).sqrt() for each in u[:2]]
            angles = [2 * math.pi * each for each in u[2:]]
            pairs = [trig(angle) * radius for radius, angle in zip(radii, angles, strict=True) for trig in _TRIG]
            out[:, where] = torch.stack(pairs, dim=2).flatten(1)[:, : out[:, where].shape[1]]
        return out

    def order(self, draw: int, n: int) -> torch.Tensor:
        """Random permutations of ``0..n-1``, ``(rows, n)``, by sorting random numbers."""
        return torch.argsort(self.uniform(draw, n), dim=1, stable=True)

    def below(self, draw: int, n: int, count: int) -> torch.Tensor:
        """``(rows, count)`` whole numbers in ``0..n-1``."""
        return (self.uniform(draw, count) * n).long()

    def _words(self, draw: int, count: int) -> Iterator[tuple[slice, Words]]:
        """Give columns and their words, as many at once as stay small."""
        blocks, rows, device = -(-count // 4), self.numbers[:, None], self.keys.device
        step = max(1, _AT_ONCE // max(1, len(rows)))
        k0, k1 = self.keys[:, :1], self.keys[:, 1:]
        for first in range(0, blocks, step):
            last = min(first + step, blocks)
            places = torch.arange(first, last, device=device)[None].expand(len(rows), -1)
            zero = torch.zeros_like(places)
            yield slice(4 * first, min(4 * last, count)), block((places, zero + draw, zero + rows, zero), (k0, k1))
