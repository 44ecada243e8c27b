"""Chains whose samples walk by themselves: many steps in one call, where a denoiser offers that (``Denoiser.march``).

Some samples at a time go from noise to data without waiting for the others. The noise is that of the chain that takes
one step after another, and so are the samples, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser, March
from undiffuse.diffusion.samplers import Sampler, Step, left_the_numbers
from undiffuse.diffusion.starts import Beginning
from undiffuse.support.arrays import Floats
from undiffuse.support.streams import Streams
from undiffuse.support.threads import PartThreads

_TOGETHER = 128  # steps in a call: enough to pay for it, few enough to be stopped within a second


class MarchingChain:
    """A chain from its start to data, in marches of many steps.

    Parameters
    ----------
    begin : Beginning
    marches : list of (list of Step, int, March)
        Consecutive steps, the number of those that add noise, and what takes them.
    """

    def __init__(self, begin: Beginning, marches: list[tuple[list[Step], int, March]]) -> None:
        self._begin, self._marches = begin, marches

    @classmethod
    def of(cls, denoiser: Denoiser, sampler: Sampler, times: Sequence[int], begin: Beginning) -> MarchingChain | None:
        """Make one of the times visited, or None where the denoiser or the sampler has no such thing.

        Parameters
        ----------
        denoiser : Denoiser
        sampler : Sampler
        times : sequence of int
            From the start down to 0.
        begin : Beginning
        """
        steps = sampler.all_coefficients(denoiser.forward, times)
        if steps is None:
            return None
        marches = []
        for first in range(0, len(steps), _TOGETHER):
            ats, coefficients = zip(*steps[first : first + _TOGETHER], strict=True)
            march = denoiser.march([at.t for at in ats], np.array(coefficients))
            if march is None:
                return None
            marches.append((list(ats), sum(each.r != 0 for each in coefficients), march))
        return cls(begin, marches)

    def fill(self, out: Floats, parts: Sequence[slice], streams: Streams, first: int) -> Iterator[int]:
        """Fill ``out`` with samples, yielding the number of samples times steps made after each part.

        Parameters
        ----------
        out : (n, dim)
        parts : sequence of slice
            Rows that threads take one after another.
        streams : Streams
        first : int
            Number of the first sample.

        Raises
        ------
        UserError
            If a number becomes infinite.
        """
        steps = sum(len(ats) for ats, _, _ in self._marches)

        def walk(rows: slice) -> int:
            noise = streams.noise(rows.stop - rows.start, out.shape[1], first + rows.start)
            x = self._begin(noise())
            for ats, noisy, march in self._marches:
                if not march(x, *noise.ahead(noisy * out.shape[1])):
                    raise left_the_numbers(Step(ats[0].t, ats[-1].previous))
            out[rows] = x
            return len(x) * (steps + 1)

        with PartThreads(len(parts)) as threads:
            yield from threads.each(walk, parts)
