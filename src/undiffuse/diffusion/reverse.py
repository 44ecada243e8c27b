"""The reverse process: from noise back to data, with any denoiser and any sampler.

``beta`` and ``beta~`` are those of the jump between two consecutive times visited, so a subset of the times needs no
other formula. No noise is added in the step that reaches t = 0 (22).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.leaps import LeapingChain
from undiffuse.diffusion.marches import MarchingChain
from undiffuse.diffusion.samplers import Ancestral, Draw, Sampler, Step, left_the_numbers
from undiffuse.diffusion.starts import Beginning
from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import require
from undiffuse.support.streams import Purpose, SampleNoise, Streams
from undiffuse.support.threads import PartThreads, one_thread

_BATCH = 4096  # samples that go through the chain together
_PIECES = 4  # that a batch is cut into for other processes, each of which reads every network
_PART = 392_000  # array entries of a thread's task: few enough for its cache, enough to pay for the hand-over
_ROWS = 1024  # and no more samples than these, so that small networks are shared out as well


class State(NamedTuple):
    """One moment of a reverse trajectory: the time and the samples ``(n, dim)`` at it."""

    t: int
    x: Floats


def sample(
    denoiser: Denoiser,
    n: int,
    *,
    sampler: Sampler | None = None,
    seed: int | Streams = 0,
    on_step: Callable[[int], None] = lambda samples: None,
    first: int = 0,
) -> Floats:
    """Generate ``n`` samples, shape ``(n, dim)``, from ``x_T ~ N(0, s^2 I)`` or the sampler's start; Algorithm 2.

    Parameters
    ----------
    denoiser : Denoiser
    n : int
        Number of samples. Sample i is the same for every ``n``.
    sampler : Sampler
        :class:`~undiffuse.Ancestral` (DDPM) with all steps by default.
    seed : int or Streams
        Sample i has a stream of its own, keyed by (seed, i). A number lets the chain leap over steps at which a
        variable is linear, exactly in law (:mod:`undiffuse.diffusion.leaps`); the same seed is then the same noise for
        denoisers that see the same variables. :class:`Streams` are noise for every step and variable, as
        :func:`sample_trajectory` takes it: ``Streams(seed)`` along the denoiser's axes, ``Streams(seed, axes="data")``
        along the variables of the data, and so the same for all denoisers.
    on_step : callable
        Called now and then with the number of samples moved, times the number of times each has been moved to.
    first : int
        Number of the first sample; those of :func:`pieces` have the same bits, made together or apart.

    Raises
    ------
    UserError
        If ``n`` is below 1, ``first`` is negative, or the sampler or its start does not fit the denoiser.

    Examples
    --------
    >>> import undiffuse as ud
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2))
    >>> exact = ud.GaussianDenoiser(forward, mean=[0.0], covariance=[[0.25]])
    >>> x = ud.sample(exact, 1_000, sampler=ud.DPMSolver2M(steps=50), seed=1)
    >>> bool(abs(x.mean()) < 0.05 and abs(x.std() - 0.5) < 0.05)
    True

    See Also
    --------
    undiffuse.reverse_trajectory, undiffuse.reconstruct, undiffuse.inpaint
    """
    require(n >= 1, f"n = {n}: wanted at least one sample")
    require(first >= 0, f"first = {first}: wanted the number of a sample, from 0")
    sampler = sampler or Ancestral()
    times = sampler.way(denoiser)
    frame = Frame.of(denoiser, sampler.clip is not None)
    begin = sampler.beginning(denoiser, frame.axes)
    leaping = None if isinstance(seed, Streams) else LeapingChain.of(frame.denoiser, sampler, times, begin)
    out = np.empty((n, denoiser.dim))
    if leaping is None and _streams(seed).turn(frame.axes, denoiser.dim) is None and frame.axes is None:
        marching = MarchingChain.of(denoiser, sampler, times, begin)
        if marching is not None:
            for made in marching.fill(out, _cut(n, denoiser.dim), _streams(seed), first):
                on_step(made)
            return out
    for start in range(0, n, _BATCH):
        batch = out[start : start + _BATCH]
        if leaping is None:
            parts = _parts(seed, frame, len(batch), denoiser.dim, first + start)
            for state in _walk(frame.denoiser, _start(begin, parts), times, sampler, parts):
                on_step(len(batch))
                if state.t == 0:
                    batch[...] = state.x
        else:
            noise = _noise(seed, len(batch), denoiser.dim, first + start)
            for _ in leaping.walk(batch, noise):
                on_step(len(batch))
        for rows in _cut(len(batch), denoiser.dim):  # how a product is rounded may depend on its size
            batch[rows] = frame.leave(batch[rows])
    return out


def pieces(n: int, dim: int) -> list[tuple[int, int]]:
    """Cut ``n`` samples of ``dim`` variables into pieces ``(first, count)`` that can be made by different processes."""
    part = _rows(dim)
    size = part * max(1, round(_BATCH / _PIECES / part))
    found = []
    for start in range(0, n, _BATCH):
        count = min(_BATCH, n - start)
        cuts = [*range(0, max(1, count - part + 1), size), count]
        found += [(start + a, b - a) for a, b in pairwise(cuts)]
    return found


def sample_trajectory(
    denoiser: Denoiser, n: int, *, sampler: Sampler | None = None, seed: int | Streams = 0
) -> Iterator[State]:
    """Yield every state on the way to samples, from T or the start to 0: to those of :func:`sample` with ``Streams``.

    Parameters
    ----------
    denoiser, n, sampler, seed
        See :func:`sample`.
    """
    require(n >= 1, f"n = {n}: wanted at least one sample")
    sampler = sampler or Ancestral()
    frame = Frame.of(denoiser, sampler.clip is not None)
    parts = _parts(seed, frame, n, denoiser.dim)
    begin = sampler.beginning(denoiser, frame.axes)
    for t, z in _walk(frame.denoiser, _start(begin, parts), sampler.way(denoiser), sampler, parts):
        yield State(t, frame.leave(z))


def reverse_trajectory(
    denoiser: Denoiser,
    x_t: ArrayLike,
    start: int | None = None,
    *,
    sampler: Sampler | None = None,
    seed: int | Streams = 0,
    noise: Draw | None = None,
) -> Iterator[State]:
    """Yield every state of the reverse process, from ``x_t`` at time ``start`` (default T) down to t = 0.

    Parameters
    ----------
    denoiser : Denoiser
    x_t : array_like, shape (n, dim)
    start : int
        Time that ``x_t`` belongs to; the process makes exactly ``start`` steps, or ``sampler.steps``.
    sampler : Sampler
    seed : int or Streams
        Sample i draws its noise from its own stream, keyed by (seed, i).
    noise : callable, optional
        Returns the standard normal ``(n, dim)`` numbers of each noisy step in turn, instead of the seed's.

    Raises
    ------
    UserError
        If ``x_t`` has another dimension than the denoiser or is not finite, ``start`` is not in 1..T, or the sampler
        has a start of its own.
    """
    x = as_samples(x_t, denoiser.dim, "x_t")
    sampler = sampler or Ancestral()
    sampler.refuse_start()
    times = sampler.times(denoiser, denoiser.forward.T if start is None else start)
    frame = Frame.of(denoiser, sampler.clip is not None)
    parts = _parts(seed, frame, *x.shape) if noise is None else [_Part(slice(None), lambda: frame.enter(noise()))]
    walk = _walk(frame.denoiser, frame.enter(x), times, sampler, parts)
    first = next(walk)
    return chain([State(first.t, x)], (State(t, frame.leave(z)) for t, z in walk))


def reconstruct(
    denoiser: Denoiser, x_t: ArrayLike, t: int, *, sampler: Sampler | None = None, seed: int | Streams = 0
) -> Floats:
    """Take diffused samples ``x_t`` back from time ``t`` to t = 0; exactly t steps unless the sampler says fewer.

    Parameters
    ----------
    denoiser : Denoiser
    x_t : array_like, shape (n, dim)
    t : int
        Time that ``x_t`` belongs to.
    sampler : Sampler
        :class:`~undiffuse.Ancestral` by default.
    seed : int or Streams
        Sample i draws its noise from its own stream, keyed by (seed, i).
    """
    *_, last = reverse_trajectory(denoiser, x_t, t, sampler=sampler, seed=seed)
    return last.x


def reconstructions(
    denoiser: Denoiser, x0: Floats, t: int, repeats: int, *, sampler: Sampler | None = None, seed: int = 0
) -> tuple[Floats, Floats]:
    """U-turns: diffuse each sample once to time ``t`` and bring it back ``repeats`` times.

    Parameters
    ----------
    denoiser : Denoiser
    x0 : (n, dim)
    t : int
    repeats : int
    sampler : Sampler
        Makes ``t`` steps at most.
    seed : int
        The noise that diffuses sample i is the same at every ``t``, times its size there.

    Returns
    -------
    diffused : (n, dim)
    back : (n, repeats, dim)

    Raises
    ------
    UserError
        If ``t`` is outside 1..T or ``repeats`` below 1.
    """
    diffused, walk = uturn_trajectory(denoiser, x0, t, repeats, sampler=sampler, seed=seed)
    *_, last = walk
    return diffused, last.x.reshape(len(x0), repeats, denoiser.dim)


def uturn_trajectory(
    denoiser: Denoiser, x0: Floats, t: int, repeats: int, *, sampler: Sampler | None = None, seed: int = 0
) -> tuple[Floats, Iterator[State]]:
    """Diffused samples ``(n, dim)``, and every state of bringing them back, ``(n repeats, dim)``.

    Parameters
    ----------
    denoiser, x0, t, repeats, sampler, seed
        See :func:`reconstructions`.
    """
    require(1 <= t <= denoiser.forward.T, f"t = {t} is outside 1..{denoiser.forward.T}")
    require(repeats >= 1, f"repeats = {repeats}: wanted at least 1")
    n, dim = x0.shape
    diffused = denoiser.forward.jump(x0, t, Streams(seed, Purpose.DIFFUSED).noise(n, dim)())
    sampler = sampler or Ancestral()
    if sampler.steps is not None:
        sampler = replace(sampler, steps=min(sampler.steps, t))
    return diffused, reverse_trajectory(denoiser, np.repeat(diffused, repeats, axis=0), t, sampler=sampler, seed=seed)


@dataclass(frozen=True)
class Frame:
    """The axes along which a chain is computed: those of the data, or others along which the denoiser is cheaper."""

    denoiser: Denoiser
    axes: Floats | None

    @staticmethod
    def of(denoiser: Denoiser, clipped: bool = False) -> Frame:
        """Choose the axes; clipping is done variable by variable, so it needs those of the data."""
        other = None if clipped else denoiser.along_axes()
        return Frame(denoiser, None) if other is None else Frame(*other)

    def enter(self, x: Floats) -> Floats:
        """Turn samples or noise to these axes."""
        return x if self.axes is None else _product(x, self.axes)

    def leave(self, z: Floats) -> Floats:
        """Turn them back."""
        return z if self.axes is None else _product(z, self.axes.T)


def _product(x: Floats, axes: Floats) -> Floats:
    with one_thread():
        return np.asarray(x @ axes)


# -- the loop ---------------------------------------------------------------------------------------------------------


@dataclass
class _Part:
    """Some of the samples: which rows, their noise, and what the sampler remembers of them."""

    rows: slice
    draw: Draw
    memory: Any = None


def _parts(seed: int | Streams, frame: Frame, n: int, dim: int, first: int = 0) -> list[_Part]:
    """Cut samples ``first`` to ``first + n`` into parts, each with its own noise along the axes of the frame."""
    turn = _streams(seed).turn(frame.axes, dim)
    return [_Part(rows, _turned(noise, turn)) for rows, noise in _noise(seed, n, dim, first)]


def _noise(seed: int | Streams, n: int, dim: int, first: int = 0) -> list[tuple[slice, SampleNoise]]:
    """Cut samples ``first`` to ``first + n`` into parts, each with the noise of its samples."""
    return [(rows, _streams(seed).noise(rows.stop - rows.start, dim, first + rows.start)) for rows in _cut(n, dim)]


def _streams(seed: int | Streams) -> Streams:
    return seed if isinstance(seed, Streams) else Streams(seed)


def _cut(n: int, dim: int) -> list[slice]:
    """Parts of about ``_PART`` numbers."""
    size = _rows(dim)
    return [slice(row, min(row + size, n)) for row in range(0, n, size)]


def _rows(dim: int) -> int:
    return min(_ROWS, max(1, _PART // dim))


def _turned(draw: Draw, turn: Floats | None) -> Draw:
    return draw if turn is None else lambda: np.asarray(draw() @ turn)


def _start(begin: Beginning, parts: Sequence[_Part]) -> Floats:
    """First state of each sample, from the first numbers of its noise."""
    return np.concatenate([begin(part.draw()) for part in parts])


def _walk(
    denoiser: Denoiser, x: Floats, times: Sequence[int], sampler: Sampler, parts: Sequence[_Part]
) -> Iterator[State]:
    """Take ``x`` down the times, the parts of each step shared out among threads."""

    def move(at: Step, before: Floats, after: Floats, part: _Part) -> bool:
        """Take one part through a step; tell whether it stayed finite."""
        after[part.rows], part.memory = sampler.move(denoiser, before[part.rows], at, part.draw, part.memory)
        return bool(np.isfinite(after[part.rows]).all())

    yield State(times[0], x)
    with PartThreads(len(parts)) as threads:
        for at in map(Step._make, pairwise(times)):
            after = np.empty_like(x)
            if not all(threads.map(partial(move, at, x, after), parts)):
                raise left_the_numbers(at)
            x = after
            yield State(at.previous, x)
