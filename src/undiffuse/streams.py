"""Random streams: one independent generator for every purpose, time and pass.

Nothing in the package keeps a generator running from one unit of work to the next. Each unit asks for its own stream
by key, so cutting, resuming, reordering or moving work to another process changes no number.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import require


class Purpose(IntEnum):
    """What a stream is for; part of its key, so two uses of one seed never share numbers."""

    DATA = 0
    START = 1  # initial weights, keyed by t
    PASS = 2  # order and noise of one pass over the data, keyed by (t, pass)
    HELD_OUT = 3  # noise of the held-out error, keyed by t
    SAMPLE = 4  # one generated sample, keyed by its index
    METRIC = 5
    FRESH_DATA = 6
    CLASSIFIER = 7
    KNOWN = 8  # the known part of one sample that is filled in, keyed by its index
    JUMP = 9  # steps back up of one such sample, keyed by its index
    BASELINE = 10
    DIFFUSED = 11  # noise of one image that is diffused to be reconstructed, keyed by its index
    PHYSICS = 12


def stream(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """Return the generator that belongs to ``(seed, purpose, *key)``.

    Raises
    ------
    UserError
        If the seed is negative.
    """
    require(seed >= 0, f"a seed is an integer >= 0, got {seed}")
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, int(purpose), *key])))


class SampleNoise:
    """Standard normal noise for ``n`` samples, each from its own stream.

    Sample ``i`` sees the same numbers whatever the number of samples beside it and however they are cut into
    batches. Numbers are drawn ahead in slabs, since one call per sample and step would cost more than the step.

    Parameters
    ----------
    seed : int
    n, dim : int
        Number of samples and of variables.
    first : int
        Index of the first sample: batches of one long run pass their offset here.
    purpose : Purpose
        Two kinds of noise for the same samples have different purposes.
    """

    _SLAB = 1 << 20  # numbers drawn ahead, over all samples together

    def __init__(self, seed: int, n: int, dim: int, first: int = 0, purpose: Purpose = Purpose.SAMPLE) -> None:
        self._streams = [stream(seed, purpose, first + i) for i in range(n)]
        self._ahead = max(1, self._SLAB // max(1, n * dim))
        self._slab: NDArray[np.float64] = np.empty((n, self._ahead, dim))
        self._used = self._ahead

    def __call__(self) -> NDArray[np.float64]:
        """Return the next ``(n, dim)`` standard normal numbers."""
        if self._used == self._ahead:
            for row, generator in zip(self._slab, self._streams, strict=True):
                generator.standard_normal(out=row)
            self._used = 0
        self._used += 1
        return self._slab[:, self._used - 1]
