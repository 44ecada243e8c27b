"""Langevin dynamics in Ornstein-Uhlenbeck time, forward and reverse, with any denoiser's score.

The process moves along the denoiser's own times: step ``t-1 -> t`` takes ``dtau = tau_t - tau_{t-1}``, which is
``beta_t/2`` up to O(beta^2). Exact denoisers accept any grid, see
:meth:`~undiffuse.diffusion.schedule.NoiseSchedule.at_ou_times`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.reverse import State
from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import one_of, require

Method = Literal["euler", "heun"]
METHODS: tuple[str, ...] = get_args(Method)


def forward_langevin(
    forward: ForwardProcess, x0: ArrayLike, rng: np.random.Generator, method: Method = "euler"
) -> Iterator[State]:
    """Yield the states t = 0..T of ``dx = -x dtau + sqrt(2) s dW``, equation (24).

    Parameters
    ----------
    forward : ForwardProcess
    x0 : array_like, shape (n, dim)
    rng : numpy.random.Generator
    method : {"euler", "heun"}
        Euler and Maruyama's rule, of weak order 1, or Heun's for additive noise, of weak order 2.

    Raises
    ------
    UserError
        If ``x0`` is not a finite ``(n, dim)`` array or the method is unknown.
    """
    one_of("method", method, METHODS)
    x = as_samples(x0)
    yield State(0, x)
    walk = _Walk(forward, lambda y, at: -y, rng)
    for t in range(1, forward.T + 1):
        x = walk.step(x, t - 1, t, method)
        yield State(t, x)


def reverse_langevin(
    denoiser: Denoiser,
    x_t: ArrayLike,
    rng: np.random.Generator,
    start: int | None = None,
    method: Method = "euler",
) -> Iterator[State]:
    """Yield the states ``start..0`` of ``dy = (y + 2 s^2 F(y, tau)) dtau' + sqrt(2) s dW``, equation (25).

    ``F`` is the denoiser's score. Noise enters the last step too, unlike in Algorithm 2; Heun's rule ends with a step
    of Euler's, since the score of the data itself need not exist.

    Parameters
    ----------
    denoiser : Denoiser
    x_t : array_like, shape (n, dim)
    rng : numpy.random.Generator
    start : int
        Time that ``x_t`` belongs to; T by default.
    method : {"euler", "heun"}

    Raises
    ------
    UserError
        If shapes disagree, ``start`` is not in 1..T or the method is unknown.
    """
    one_of("method", method, METHODS)
    forward = denoiser.forward
    start = forward.T if start is None else start
    require(1 <= start <= forward.T, f"start time {start} is outside 1..{forward.T}")
    x = as_samples(x_t, denoiser.dim, "x_t")
    twice = 2 * forward.noise_scale**2

    def drift(y: Floats, t: int) -> Floats:
        return np.asarray(y + twice * denoiser.score(y, t))

    walk = _Walk(forward, drift, rng)
    yield State(start, x)
    for t in range(start, 0, -1):
        x = walk.step(x, t, t - 1, method if t > 1 else "euler")
        yield State(t - 1, x)


@dataclass(frozen=True)
class _Walk:
    """Steps of one process, ``drift(x, t)`` per unit of OU time, by one rule."""

    forward: ForwardProcess
    drift: Callable[[Floats, int], Floats]
    rng: np.random.Generator

    def step(self, x: Floats, t: int, following: int, method: Method) -> Floats:
        """Take ``x`` from time ``t`` to the following one."""
        ou_time = self.forward.schedule.ou_time
        dtau = abs(float(ou_time(t) - ou_time(following)))
        here = self.drift(x, t)
        kick = self.forward.noise_scale * np.sqrt(2 * dtau) * self.rng.standard_normal(x.shape)
        end = x + here * dtau + kick
        return end if method == "euler" else x + (here + self.drift(end, following)) * (dtau / 2) + kick
