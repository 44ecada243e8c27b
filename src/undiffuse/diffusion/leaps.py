"""Chains that leap: steps at which a variable is linear are taken at once, and exactly.

Where no network sees a variable, a step ``x_p = p x_t + q xi_hat + r z`` is ``a x_t + b + r z`` in it, with
``a = p + q gain`` and ``b = -q gain sqrt(alpha_bar) mean`` known beforehand. Two such steps make one:

    a <- a' a,   b <- a' b + b',   r^2 <- a'^2 r^2 + r'^2

so that a single normal number stands for the noise of all of them. The law of the samples is that of the chain that
takes every step. Denoisers that are linear throughout get to t = 0 in one leap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from undiffuse.diffusion.denoiser import AxisDenoiser, Denoiser
from undiffuse.diffusion.samplers import Coefficients, Sampler, Step, left_the_numbers
from undiffuse.diffusion.starts import Beginning
from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.streams import SampleNoise
from undiffuse.support.threads import PartThreads, one_ahead

_TOGETHER = 8  # steps that a thread takes before it waits for the others: their networks are in memory at once


@dataclass(frozen=True)
class Leap:
    """``x_i <- a_i x_i + b_i + r_i z_i`` for some of the variables.

    Attributes
    ----------
    columns : slice
        Which ones.
    a, b, r : (columns,) arrays
    """

    columns: slice
    a: Floats
    b: Floats
    r: Floats

    def take(self, x: Floats, noise: SampleNoise) -> None:
        """Take samples ``(n, dim)`` through it, in place."""
        there = x[:, self.columns]
        there *= self.a
        there += self.b
        there += self.r * noise.take(there.shape[1])


@dataclass(frozen=True)
class Stretch:
    """Consecutive steps at which the same leading variables are seen, and the leaps that bring these up to date.

    Attributes
    ----------
    leaps : list of Leap
    seen : int
    steps : list of (Step, Coefficients)
    """

    leaps: list[Leap]
    seen: int
    steps: list[tuple[Step, Coefficients]]


@dataclass
class _Part:
    """Some of the samples: all their variables, those of them that are seen, and their noise."""

    x: Floats
    noise: SampleNoise
    seen: Floats


class _Move(NamedTuple):
    """A step of the variables that are seen, ``z <- a z + b + c of(z) + r noise``."""

    a: Floats
    b: Floats
    c: float
    of: Callable[[Floats], Float32]
    r: float


class LeapingChain:
    """A chain from its start to data, cut into stretches; the last is where all variables arrive at t = 0.

    Parameters
    ----------
    denoiser : AxisDenoiser
    steps : list of (Step, Coefficients)
        From the start down to 0.
    begin : Beginning
        Of independent variables.
    """

    def __init__(self, denoiser: AxisDenoiser, steps: list[tuple[Step, Coefficients]], begin: Beginning) -> None:
        self._denoiser, self._steps, self._begin = denoiser, steps, begin
        seen = [denoiser.seen(at.t) for at, _ in steps]
        changes = [i for i in range(1, len(seen)) if seen[i] != seen[i - 1]]
        edges = sorted({0, *seen, denoiser.dim})
        reached: dict[int, int | None] = dict.fromkeys(
            edges[:-1]
        )  # steps that the variables from each edge on have made
        self._stretches = []
        for start, end in pairwise([0, *changes, len(seen), len(seen)]):
            width = seen[start] if start < len(seen) else denoiser.dim
            leaps = []
            for low, high in pairwise(edges):
                if high <= width:
                    done = reached[low]
                    if done is None or done < start:
                        leaps.append(self._leap(slice(low, high), done, start))
                    reached[low] = end
            self._stretches.append(Stretch(leaps, width, steps[start:end]))

    @classmethod
    def of(cls, denoiser: Denoiser, sampler: Sampler, times: Sequence[int], begin: Beginning) -> LeapingChain | None:
        """Make one of the times visited, or None: no axes, a start that is not along them, or steps of another form.

        Parameters
        ----------
        denoiser : Denoiser
        sampler : Sampler
        times : sequence of int
            From the start down to 0.
        begin : Beginning
            Along the denoiser's axes.
        """
        if not isinstance(denoiser, AxisDenoiser) or not begin.independent:
            return None
        steps = sampler.all_coefficients(denoiser.forward, times)
        return None if steps is None else cls(denoiser, steps, begin)

    def _leap(self, columns: slice, first: int | None, last: int) -> Leap:
        """Steps ``first`` to ``last`` in one; with ``first`` None from the start, of variables without numbers yet."""
        shape = self._denoiser.mean[columns].shape
        a, b, r2 = np.ones(shape), np.zeros(shape), np.zeros(shape)
        if first is None:
            a, b, r2 = 0 * a, b + self._begin.mean[columns], r2 + self._begin.root[columns] ** 2
        for at, coefficients in self._steps[first or 0 : last]:
            factor, offset = self._linear(at, coefficients, columns)
            a, b, r2 = factor * a, factor * b + offset, factor**2 * r2 + coefficients.r**2
        return Leap(columns, a, b, np.sqrt(r2))

    def _linear(self, at: Step, coefficients: Coefficients, columns: slice) -> tuple[Floats, Floats]:
        """``(a, b)`` of a step without noise or correction, ``x_p = a x_t + b``."""
        gain, mean = self._denoiser.gain(at.t)[columns], self._denoiser.mean[columns]
        p, q, _ = coefficients
        return p + q * gain, -q * gain * self._denoiser.forward.signal(at.t) * mean

    def _moves(self, seen: int, steps: list[tuple[Step, Coefficients]]) -> list[_Move]:
        """Make consecutive steps ready for the variables that are seen; none where there are no such."""
        moves = []
        for at, coefficients in steps if seen else ():
            factor, of = self._denoiser.correction(at.t)
            linear = self._linear(at, coefficients, slice(seen))
            moves.append(_Move(*linear, coefficients.q * factor, of, coefficients.r))
        return moves

    def walk(self, out: Floats, parts: Sequence[tuple[slice, SampleNoise]]) -> Iterator[int]:
        """Fill ``out`` with samples along the axes, yielding the time that is reached after each step.

        Parameters
        ----------
        out : (n, dim)
            Complete once all times are visited.
        parts : sequence of (slice, SampleNoise)
            Rows that are shared out among threads, and their noise.

        Raises
        ------
        UserError
            If a number becomes infinite.
        """
        out[...] = 0.0  # what has no number yet is multiplied by a = 0
        from undiffuse.kernels import dense

        own = [_Part(out[rows], noise, out[rows, :0]) for rows, noise in parts]

        def begin(stretch: Stretch, part: _Part) -> bool:
            for leap in stretch.leaps:
                leap.take(part.x, part.noise)
            part.seen = part.x[:, : stretch.seen].copy()
            return bool(np.isfinite(part.seen).all())

        def march(moves: list[_Move], part: _Part) -> int:
            """Take the steps, and tell how many ended in finite numbers."""
            for i, move in enumerate(moves):
                noise = part.noise.ahead(part.seen.shape[1]) if move.r else (part.seen, 0)
                if not dense.advance(part.seen, move.a, move.b, move.c, move.of(part.seen), move.r, *noise):
                    return i
            return len(moves)

        def end(part: _Part) -> None:
            part.x[:, : part.seen.shape[1]] = part.seen

        with PartThreads(len(parts)) as threads:
            at = self._steps[0][0]
            for stretch in self._stretches:
                if not all(threads.map(partial(begin, stretch), own)):
                    raise left_the_numbers(at)
                chunks = [stretch.steps[i : i + _TOGETHER] for i in range(0, len(stretch.steps), _TOGETHER)]
                for steps, moves in one_ahead(partial(self._moves, stretch.seen), chunks):
                    done = min(threads.map(partial(march, moves), own))
                    if done < len(moves):
                        raise left_the_numbers(steps[done][0])
                    for at, _ in steps:
                        yield at.previous
                threads.map(end, own)
