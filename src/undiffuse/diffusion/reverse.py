"""The reverse process: from noise back to data, with any denoiser.

Three samplers share one loop. Each takes ``x_t`` to ``x_p`` at an earlier time p, through the noise estimate
``xi_hat`` and the data estimate ``x0_hat`` that belongs to it:

ancestral
    Posterior mean of ``x_p`` given ``x0_hat``, plus ``s sigma z`` with ``sigma^2 = beta`` or ``beta~``; equation (21),
    Algorithm 2, Ho et al. 2020.
ddim
    ``sqrt(abar_p) x0_hat + s sqrt(Delta_p - sigma^2) xi_hat + s sigma z`` with ``sigma = eta sqrt(beta~)``;
    Song, Meng & Ermon 2021.
ode
    Heun's rule for the probability flow ``dy/dsigma = xi_hat`` with ``y = x/sqrt(abar)`` and
    ``sigma = s sqrt(Delta/abar)``; Karras et al. 2022.

``beta`` and ``beta~`` are those of the jump ``p -> t``, so respaced times need nothing more. No noise is added in the
step that reaches t = 0 (22). DDIM with eta = 1 is the ancestral sampler with ``beta~``; with eta = 0 it is Euler's
rule for the same equation as ``ode``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import UserError, one_of, require
from undiffuse.support.streams import Streams
from undiffuse.support.threads import PartThreads

SAMPLERS = ("ancestral", "ddim", "ode")
VARIANCES = ("beta", "posterior")
_BATCH = 4096  # samples that go through the chain together
_PART = 200_000  # numbers that a thread moves at once: in cache, and worth handing over
Draw = Callable[[], Floats]
Part = tuple[slice, Draw]  # some of the samples, and their noise


class State(NamedTuple):
    """One moment of a reverse trajectory: the time and the samples ``(n, dim)`` at it."""

    t: int
    x: Floats


@dataclass(frozen=True)
class Sampler:
    """How to go back.

    Attributes
    ----------
    name : {"ancestral", "ddim", "ode"}
    steps : int, optional
        Number of steps, spread evenly over the times; all of them by default.
    variance : {"beta", "posterior"}
        ``sigma^2`` of the ancestral sampler: ``beta_t`` (thesis) or ``beta~_t``.
    eta : float
        Noise of DDIM, from 0 (none) to 1.
    clip : (low, high), optional
        Range that ``x0_hat`` is cut to, ``xi_hat`` following it; for bounded data only, off unless asked for.
    """

    name: str = "ancestral"
    steps: int | None = None
    variance: str = "beta"
    eta: float = 0.0
    clip: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        one_of("sampler", self.name, SAMPLERS)
        one_of("variance", self.variance, VARIANCES)
        require(0 <= self.eta <= 1, f"eta = {self.eta}: wanted 0..1")
        require(self.eta == 0 or self.name == "ddim", f"eta = {self.eta} is DDIM's; sampler {self.name!r} has none")
        require(
            self.variance == "beta" or self.name == "ancestral",
            f"variance {self.variance!r} is the ancestral sampler's; sampler {self.name!r} has none",
        )
        require(self.clip is None or self.clip[0] < self.clip[1], f"clip range {self.clip} is empty")

    def step(self, denoiser: Denoiser, x: Floats, t: int, previous: int, noise: Draw) -> Floats:
        """Take ``x`` from time ``t`` to the earlier time ``previous``."""
        forward = denoiser.forward
        xi = self._xi_hat(denoiser, x, t)
        if previous == 0:
            return forward.from_xi("x0", xi, x, t)
        _, beta, posterior = forward.schedule.between(t, previous)
        if self.name == "ode":
            start, end = (forward.noise(p) / forward.signal(p) for p in (t, previous))
            y = x / forward.signal(t)
            predicted = (y + (end - start) * xi) * forward.signal(previous)
            xi_end = self._xi_hat(denoiser, predicted, previous)
            return (y + (end - start) * (xi + xi_end) / 2) * forward.signal(previous)
        s, Delta = forward.noise_scale, float(forward.schedule.Delta(previous))
        if self.name == "ancestral":
            # Around xi_hat at time previous with its own noise level: the posterior mean, written as DDIM's.
            added = beta if self.variance == "beta" else posterior
            kept = Delta - posterior
        else:
            added = self.eta**2 * posterior
            kept = Delta - added
        # signal x0_hat + s sqrt(kept) xi_hat, with x0_hat written out: two passes over the numbers instead of four.
        shrink = forward.signal(previous) / forward.signal(t)
        mean = shrink * x
        mean += (s * np.sqrt(kept) - shrink * forward.noise(t)) * xi
        if added:
            mean += s * np.sqrt(added) * noise()
        return mean

    def times(self, denoiser: Denoiser, start: int) -> list[int]:
        """List the times visited, from ``start`` down to 0."""
        return [*denoiser.forward.schedule.spaced_times(self.steps, start).tolist(), 0]

    def _xi_hat(self, denoiser: Denoiser, x: Floats, t: int) -> Floats:
        """Noise estimate, in keeping with the ``x0_hat`` that was clipped if that is asked for."""
        xi = np.asarray(denoiser.xi_hat(x, t), dtype=np.float64)
        if self.clip is None:
            return xi
        x0 = np.clip(denoiser.forward.from_xi("x0", xi, x, t), *self.clip)
        return denoiser.forward.to_xi("x0", x0, x, t)


def reverse_trajectory(
    denoiser: Denoiser,
    x_t: ArrayLike,
    start: int | None = None,
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
        If ``x_t`` has another dimension than the denoiser or is not finite, or ``start`` is not in 1..T.
    """
    x = as_samples(x_t, denoiser.dim, "x_t")
    sampler = sampler or Sampler()
    times = sampler.times(denoiser, denoiser.forward.T if start is None else start)
    frame = Frame.of(denoiser, sampler.clip is not None)
    parts = _parts(seed, *x.shape) if noise is None else [(slice(None), lambda: frame.enter(noise()))]
    walk = _walk(frame.denoiser, frame.enter(x), times, sampler, parts)
    first = next(walk)
    return chain([State(first.t, x)], (State(t, frame.leave(z)) for t, z in walk))


@dataclass(frozen=True)
class Frame:
    """The axes that a chain runs along: those of the data, or cheaper ones that the denoiser knows."""

    denoiser: Denoiser
    axes: Floats | None

    @staticmethod
    def of(denoiser: Denoiser, clipped: bool = False) -> Frame:
        """Choose the axes; clipping is done variable by variable, so it needs those of the data."""
        other = None if clipped else denoiser.along_axes()
        return Frame(denoiser, None) if other is None else Frame(*other)

    def enter(self, x: Floats) -> Floats:
        """Turn samples or noise to these axes."""
        return x if self.axes is None else x @ self.axes

    def leave(self, z: Floats) -> Floats:
        """Turn them back."""
        return z if self.axes is None else z @ self.axes.T


def _parts(seed: int | Streams, n: int, dim: int, first: int = 0) -> list[Part]:
    """Cut samples ``first`` to ``first + n`` into parts of about ``_PART`` numbers, each with its own noise."""
    streams = seed if isinstance(seed, Streams) else Streams(seed)
    size = max(1, _PART // dim)
    return [(slice(row, row + size), streams.noise(min(size, n - row), dim, first + row)) for row in range(0, n, size)]


def _start(denoiser: Denoiser, parts: Sequence[Part]) -> Floats:
    """``x_T`` of each sample, from the first numbers of its noise."""
    return denoiser.forward.noise_scale * np.concatenate([draw() for _, draw in parts])


def _move(
    denoiser: Denoiser, sampler: Sampler, t: int, previous: int, before: Floats, after: Floats, part: Part
) -> bool:
    """Take one part of the samples from time t to the previous one; tell whether it stayed finite."""
    rows, draw = part
    after[rows] = sampler.step(denoiser, before[rows], t, previous, draw)
    return bool(np.isfinite(after[rows]).all())


def _walk(
    denoiser: Denoiser, x: Floats, times: Sequence[int], sampler: Sampler, parts: Sequence[Part]
) -> Iterator[State]:
    """Take ``x`` down the times, the parts of each step shared out among threads."""
    yield State(times[0], x)
    with PartThreads(len(parts)) as threads:
        for t, previous in pairwise(times):
            after = np.empty_like(x)
            if not all(threads.map(partial(_move, denoiser, sampler, t, previous, x, after), parts)):
                raise UserError(f"the reverse process left the finite numbers between t = {t} and t = {previous}")
            x = after
            yield State(previous, x)


def sample(
    denoiser: Denoiser,
    n: int,
    sampler: Sampler | None = None,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda samples: None,
) -> Floats:
    """Generate ``n`` samples, shape ``(n, dim)``, from ``x_T ~ N(0, s^2 I)``; Algorithm 2.

    Sample i is the same whatever ``n`` is. ``on_step`` is called after each step with the number of samples it moved.

    Raises
    ------
    UserError
        If ``n`` is below 1 or the sampler does not fit the schedule.
    """
    require(n >= 1, f"n = {n}: wanted at least one sample")
    sampler = sampler or Sampler()
    times = sampler.times(denoiser, denoiser.forward.T)
    frame = Frame.of(denoiser, sampler.clip is not None)
    out = np.empty((n, denoiser.dim))
    for first in range(0, n, _BATCH):
        count = min(_BATCH, n - first)
        parts = _parts(seed, count, denoiser.dim, first)
        for state in _walk(frame.denoiser, _start(denoiser, parts), times, sampler, parts):
            on_step(count)
            if state.t == 0:
                out[first : first + count] = frame.leave(state.x)
    return out


def sample_trajectory(denoiser: Denoiser, n: int, sampler: Sampler | None = None, seed: int = 0) -> Iterator[State]:
    """Yield every state on the way to the samples that :func:`sample` gives, from t = T down to 0."""
    require(n >= 1, f"n = {n}: wanted at least one sample")
    sampler = sampler or Sampler()
    frame = Frame.of(denoiser, sampler.clip is not None)
    parts = _parts(seed, n, denoiser.dim)
    times = sampler.times(denoiser, denoiser.forward.T)
    for t, z in _walk(frame.denoiser, _start(denoiser, parts), times, sampler, parts):
        yield State(t, frame.leave(z))


def reconstruct(
    denoiser: Denoiser, x_t: ArrayLike, t: int, sampler: Sampler | None = None, seed: int | Streams = 0
) -> Floats:
    """Take diffused samples ``x_t`` back from time ``t`` to t = 0; exactly t steps unless the sampler says fewer."""
    *_, last = reverse_trajectory(denoiser, x_t, t, sampler, seed)
    return last.x
