r"""The likelihood by importance sampling over forward trajectories, equations (11) and (12), and the work that is lost.

For a trajectory ``x_t .. x_T`` of the forward process from ``x_t``, with t = 0 for data,

    W = log q(x_{t+1}..x_T | x_t) - log p(x_t..x_T),   <e^-W> = p(x_t),   <W> = bound >= -log p(x_t)

which is Jarzynski's equality with W as work: ``<W> + log p(x_t) = KL(q || p)`` of the latent variables, the gap of the
bound (Annex I), is what is dissipated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.samplers import Ancestral, Step
from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import require
from undiffuse.support.stats import exp_rows
from undiffuse.support.streams import Purpose, Streams

_NUMBERS = 1 << 21  # of the states that are moved at once


@dataclass(frozen=True)
class Work:
    """Work of forward trajectories, in nats.

    Attributes
    ----------
    total : (n, K) array
        ``W`` of each of K trajectories from each of n points.
    per_t : (T - t + 1,) array
        Mean terms: of the reverse steps from t + 1, t + 2, .. T, and of the prior at T. The first is the decoder,
        ``-log p(x_t | x_{t+1})``, the others are those of the bound (18).
    variance_per_t : (T - t + 1,) array
        Variance of each term over trajectories, mean over points.
    """

    total: Floats
    per_t: Floats
    variance_per_t: Floats

    @property
    def bound(self) -> Floats:
        """``<W>`` of each point, ``(n,)``: the negative ELBO."""
        return np.asarray(self.total.mean(axis=1))

    @property
    def log_density(self) -> Floats:
        """``log <e^-W>`` of each point, ``(n,)``; by Jensen too low by ``(1/ESS - 1/K)/2`` if that is small."""
        top, total = exp_rows(-self.total)
        return np.asarray(top + np.log(total / self.total.shape[1]))

    @property
    def effective(self) -> Floats:
        """Effective number of trajectories of each point, ``(sum w)^2/sum w^2`` with ``w = e^-W``; ``(n,)``, 1 to K."""
        weights = np.exp(self.total.min(axis=1, keepdims=True) - self.total)
        return np.asarray(weights.sum(axis=1) ** 2 / np.sum(weights**2, axis=1))

    @property
    def dissipated(self) -> Floats:
        """``<W> + log p`` of each point, ``(n,)``: the estimate of ``KL(q || p)`` of the latent variables (Annex I)."""
        return self.bound + self.log_density


def work(
    denoiser: Denoiser,
    x: ArrayLike,
    t: int = 0,
    *,
    trajectories: int = 64,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda points: None,
) -> Work:
    r"""Work of forward trajectories from each point; Algorithm 2 with ``sigma^2 = beta`` is the reverse process.

    The term of the step from u is ``log q(x_{u-1}|x_u, x_t) - log p(x_{u-1}|x_u)``, that of the prior
    ``log q(x_T|x_t) - log N(x_T; 0, s^2)``, and that of the decoder ``-log p(x_t|x_{t+1})``, with variance
    ``s^2 beta_1`` where it leads to t = 0.

    Parameters
    ----------
    denoiser : Denoiser
    x : array_like, shape (n, dim)
        Points at time ``t``.
    t : int
        Whose density it is: 0 for that of data.
    trajectories : int
        K, of each point; at least 2.
    seed : int
        Each trajectory has a stream of its own.
    on_step : callable
        Called with the number of points that are done after each batch.

    Raises
    ------
    UserError
        If ``x`` has another dimension than the denoiser, ``t`` is not in 0..T-1 or there are fewer than 2 trajectories.

    Examples
    --------
    Data that are the noise's own Gaussian: the reverse process is exact, so nothing is dissipated on any trajectory.

    >>> import numpy as np, undiffuse as ud
    >>> from undiffuse.diffusion.work import work
    >>> exact = ud.GaussianDenoiser(ud.ForwardProcess(ud.NoiseSchedule.linear(50, 1e-3, 0.4)), [0.0], [[1.0]])
    >>> found = work(exact, [[0.0], [1.0]], trajectories=4)
    >>> found.log_density.round(6)  # -log(2 pi)/2, and 1/2 less
    array([-0.918939, -1.418939])

    See Also
    --------
    undiffuse.bound : the mean of W, with independent noise at each time.
    undiffuse.diffusion.flow.flow_log_density : the other density that a denoiser has.
    """
    points, T = as_samples(x, denoiser.dim, "x"), denoiser.forward.T
    require(0 <= t < T, f"t = {t}: wanted a time in 0..{T - 1}")
    require(trajectories >= 2, f"trajectories = {trajectories}: wanted at least 2")
    n, size = len(points), max(1, _NUMBERS // (trajectories * denoiser.dim))
    total, sums, squares = np.empty((n, trajectories)), np.zeros(T - t + 1), np.zeros(T - t + 1)
    for first in range(0, n, size):
        some = points[first : first + size]
        terms = trajectory_terms(
            denoiser, some, t, Streams(seed, Purpose.WORK, first=first * trajectories), trajectories
        )
        total[first : first + size] = 0.0
        for i, term in terms:
            total[first : first + size] += term
            sums[i] += term.mean(axis=1).sum()
            squares[i] += term.var(axis=1, ddof=1).sum()
        on_step(min(n, first + size))
    return Work(total, sums / n, squares / n)


def trajectory_terms(
    denoiser: Denoiser, points: Floats, t: int, streams: Streams, trajectories: int
) -> Iterator[tuple[int, Floats]]:
    """Yield the number of each term of the work and the term, ``(n, K)``, along trajectories drawn on the way.

    Parameters
    ----------
    denoiser : Denoiser
    points : (n, dim)
    t : int
    streams : Streams
        Trajectory k of point i has the one numbered ``i K + k``.
    trajectories : int
        K.
    """
    K = trajectories
    forward, schedule, N, shape = denoiser.forward, denoiser.forward.schedule, denoiser.dim, (len(points), K)
    noise, s2 = streams.noise(len(points) * K, N), forward.noise_scale**2
    sampler = Ancestral()
    origin = np.repeat(points, K, axis=0)
    before = origin
    for u in range(t + 1, schedule.T + 1):
        now = forward.step(before, u, noise())
        step, (alpha, beta, _) = Step(u, u - 1), schedule.between(u, u - 1)
        c = sampler.coefficients(forward, step)
        mean = c.p * now + c.q * np.asarray(denoiser.xi_hat(now, u), np.float64)
        term = -_log_normal(before - mean, s2 * beta)
        if u > t + 1:
            A, D, _ = schedule.between(u - 1, t)
            _, D_u, _ = schedule.between(u, t)
            centre = np.sqrt(A) * beta / D_u * origin + np.sqrt(alpha) * D / D_u * now
            term += _log_normal(before - centre, s2 * D * beta / D_u)
        yield u - t - 1, term.reshape(shape)
        before = now
    A, D, _ = schedule.between(schedule.T, t)
    prior = _log_normal(before - np.sqrt(A) * origin, s2 * D) - _log_normal(before, s2)
    yield schedule.T - t, prior.reshape(shape)


def _log_normal(away: Floats, variance: float) -> Floats:
    """Log density of an isotropic Gaussian at these distances from its mean, ``(n,)``."""
    return np.asarray(-0.5 * np.sum(away**2, axis=1) / variance - away.shape[1] / 2 * np.log(2 * np.pi * variance))
