r"""Filling in by a particle filter: the exact conditional law of the reverse process, as particles grow in number.

A denoiser and a sampler with noise make a chain ``p(x_T) prod p(x_{t-1}|x_t)``, whose last step ends at ``x0_hat`` plus
noise of variance ``s^2 beta_1`` (the decoder of the bound). Given known variables y, each particle is drawn from
``p(x_p|x_t) g_p(x_p)``, where ``g_p`` looks ahead to y (:mod:`undiffuse.diffusion.twist`), and weighted by

    w_t = int p(x_p|x_t) g_p(x_p) dx_p / g_t(x_t),    and in the end by p(y|x_1)/g_1(x_1);

where the effective number of particles falls below half of them, they are drawn anew in proportion to their weights
(systematic resampling). The product of all weights is an unbiased estimate of p(y), and averages over weighted
particles tend to those of ``p(x_0|y)`` as their number grows, whatever ``g`` is: a twisted particle filter (Whiteley &
Lee 2014), as used for diffusion models by Wu et al. 2023 (TDS) and Cardoso et al. 2023 (MCGDiff). Those take for g the
likelihood at ``x0_hat`` with its gradient, or the diffused observation; this one takes the exact look ahead of the
data's linear theory, for which a Gaussian denoiser has equal weights and no Jacobian is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.diffusion.reverse import Frame
from undiffuse.diffusion.samplers import Sampler, left_the_numbers
from undiffuse.diffusion.twist import NoisyStep, Product, Twist, noisy_steps
from undiffuse.support.arrays import Floats
from undiffuse.support.memory import check_memory
from undiffuse.support.stats import PrincipalAxes, exp_rows
from undiffuse.support.streams import Purpose, Streams

_RESAMPLE = 0.5  # share of the particles below which their effective number is made whole again
_ARRAYS = 8  # of particles, held at once
_FLAT = 1e8  # variance, in units of s^2, of a law that knows nothing


@dataclass(frozen=True)
class Cloud:
    """Weighted particles of each row at one time.

    Attributes
    ----------
    t : int
    z : (n, K, dim) array
        Particles along the axes of the linear theory.
    axes : (dim, dim) array
        These axes, one to a column.
    known, x0 : (n, dim) array
        Which variables are known, True there, and the rows.
    log_weights : (n, K) array
        Normalised.
    effective : (n,) array
        Effective number of particles, ``1/sum w^2``, before they were drawn anew.
    lowest : (n,) array
        The lowest effective number on the way so far.
    ancestors : (n, K) array of int
        Number of the particle at T from which each descends.
    log_evidence : (n,) array
        Logarithm of the estimate of p(y), in nats; a guess before t = 0.
    uniform : (n,) array
        A uniform number for each row, by which :attr:`x` is drawn.
    """

    t: int
    z: Floats
    axes: Floats
    known: NDArray[np.bool_]
    x0: Floats
    log_weights: Floats
    effective: Floats
    lowest: Floats
    ancestors: NDArray[np.intp]
    log_evidence: Floats
    uniform: Floats

    @property
    def particles(self) -> Floats:
        """Particles in the variables of the data, ``(n, K, dim)``; at t = 0 what is known is as it was."""
        x = self.z @ self.axes.T
        return np.where(self.known[:, None], self.x0[:, None], x) if self.t == 0 else x

    @property
    def x(self) -> Floats:
        """One particle of each row, drawn by the weights, ``(n, dim)``."""
        picked = _by_weight(np.exp(self.log_weights), self.uniform[:, None])[:, 0]
        x = self.z[np.arange(len(self.z)), picked] @ self.axes.T
        return np.where(self.known, self.x0, x) if self.t == 0 else x

    def survivors(self) -> NDArray[np.intp]:
        """Number of the particles at T that have descendants, ``(n,)``."""
        return np.array([len(np.unique(row)) for row in self.ancestors])

    def mean(self) -> Floats:
        """Weighted mean of the particles, ``(n, dim)``."""
        return np.einsum("nk,nkd->nd", np.exp(self.log_weights), self.particles)

    @staticmethod
    def together(clouds: Sequence[Cloud], rows: Sequence[NDArray[np.intp]]) -> Cloud:
        """Put the clouds of some rows each into one of all."""
        if len(clouds) == 1:
            return clouds[0]
        order, shared = np.argsort(np.concatenate(rows)), ("t", "axes")
        names = [field.name for field in fields(Cloud) if field.name not in shared]
        arrays = {name: np.concatenate([getattr(one, name) for one in clouds])[order] for name in names}
        return Cloud(t=clouds[0].t, axes=clouds[0].axes, **arrays)


def clouds(
    denoiser: Denoiser, x0: Floats, destroyed: NDArray[np.bool_], particles: int, sampler: Sampler, seed: int
) -> Iterator[Cloud]:
    """Yield the particles at every time, from T down to 0.

    Parameters
    ----------
    denoiser : Denoiser
    x0 : (n, dim)
        What is destroyed in it is not looked at.
    destroyed : (n, dim) of bool
    particles : int
        Of each row.
    sampler : Sampler
        One that adds noise.
    seed : int
        Row i has its own streams.

    Raises
    ------
    UserError
        If the sampler adds no noise, the particles do not fit into the memory, or a chain leaves the finite numbers.
    """
    needed = _ARRAYS * 8 * particles * x0.size
    check_memory(needed, f"{particles} particles of {len(x0)} rows")
    frame, theory = Frame.of(denoiser, sampler.clip is not None), denoiser.linear_theory()
    if theory is None:  # one that knows nothing
        flat, axes = np.full(denoiser.dim, _FLAT * denoiser.forward.noise_scale**2), frame.axes
        theory = PrincipalAxes(np.zeros(denoiser.dim), flat, np.eye(denoiser.dim) if axes is None else axes)
    law = GaussianDenoiser.from_axes(denoiser.forward, *theory)
    steps = noisy_steps(sampler, denoiser.forward, sampler.times(denoiser, denoiser.forward.T))
    masks, group = np.unique(destroyed, axis=0, return_inverse=True)
    rows = [np.flatnonzero(group.reshape(-1) == k) for k in range(len(masks))]
    chain = _Chain(frame, law, sampler)
    ways = [
        _Filter(chain, steps, ~mask, x0[some], _Draws(seed, some)).walk(particles)
        for mask, some in zip(masks, rows, strict=True)
    ]
    return (Cloud.together(found, rows) for found in zip(*ways, strict=True))


# -- inside -----------------------------------------------------------------------------------------------------------


class _Draws:
    """Random numbers of some rows, each from streams of its own."""

    def __init__(self, seed: int, rows: NDArray[np.intp]) -> None:
        self._seed = seed
        self._runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)

    def normal(self, purpose: Purpose, count: int) -> Callable[[], Floats]:
        """Return what gives the next ``count`` normal numbers of each row, ``(rows, count)``."""
        parts = [Streams(self._seed, purpose, first=int(run[0])).noise(len(run), count) for run in self._runs]
        return lambda: np.concatenate([part() for part in parts])


class _Chain:
    """The means of the steps of a denoiser along the axes of the law."""

    def __init__(self, frame: Frame, law: GaussianDenoiser, sampler: Sampler) -> None:
        self._frame, self.law, self._sampler = frame, law, sampler
        same = frame.axes is not None and (frame.axes is law.axes or np.array_equal(frame.axes, law.axes))
        # From the axes of the law to those the denoiser works along.
        self._turn = None if same else law.axes.T if frame.axes is None else law.axes.T @ frame.axes

    def mean(self, z: Floats, step: NoisyStep) -> Floats:
        """``p z + q xi_hat(z)`` of particles ``(rows, K, dim)``."""
        rows = z.reshape(-1, z.shape[-1])
        xi = self._sampler.xi_hat(self._frame.denoiser, rows if self._turn is None else rows @ self._turn, step.at.t)
        out = step.p * z + step.q * (xi if self._turn is None else xi @ self._turn.T).reshape(z.shape)
        if not np.isfinite(out).all():
            raise left_the_numbers(step.at)
        return np.asarray(out)


class _Filter:
    """The particle filter of rows whose known variables are the same."""

    def __init__(
        self, chain: _Chain, steps: list[NoisyStep], known: NDArray[np.bool_], x0: Floats, draws: _Draws
    ) -> None:
        """Look ahead from every time.

        Parameters
        ----------
        chain : _Chain
        steps : list of NoisyStep
        known : (dim,) of bool
        x0 : (rows, dim)
        draws : _Draws
        """
        self._chain, self._steps, self._known, self._x0, self._draws = chain, steps, known, x0, draws
        self._twist = Twist(chain.law, steps, known, x0[:, known])

    def walk(self, count: int) -> Iterator[Cloud]:
        """Yield the particles at every time."""
        n, dim = self._x0.shape
        noise = self._draws.normal(Purpose.PARTICLE, count * dim)
        chance = self._draws.normal(Purpose.RESAMPLED_PARTICLE, 2)
        log_w, ancestors = np.zeros((n, count)), np.tile(np.arange(count), (n, 1))
        evidence, lowest, effective = np.zeros(n), np.full(n, float(count)), np.full(n, float(count))
        rows = np.arange(n)[:, None]

        def drawn(product: Product, pulled: Floats) -> tuple[Floats, Floats]:
            return product.draw(pulled, noise().reshape(n, count, dim))

        def cloud(t: int, z: Floats, uniform: Floats) -> Cloud:
            weights = log_w.copy()
            top, total = exp_rows(weights)
            return Cloud(
                t=t,
                z=z,
                axes=self._chain.law.axes,
                known=np.broadcast_to(self._known, self._x0.shape),
                x0=self._x0,
                log_weights=log_w - (top + np.log(total))[:, None],
                effective=effective,
                lowest=lowest,
                ancestors=ancestors,
                log_evidence=evidence + top + np.log(total / count),
                uniform=uniform,
            )

        first = self._steps[0].at.t
        product = self._twist.seen_from(first).times_normal(self._chain.law.forward.noise_scale**2)
        start = np.zeros((n, count, dim))
        pulled = product.pulled(start)
        log_w = product.log_mass(start, pulled)  # the same for all
        z, log_g = drawn(product, pulled)
        yield cloud(first, z, ndtr(chance()[:, 1]))
        for step in self._steps:
            mu = self._chain.mean(z, step)
            if step.at.previous:
                product = self._twist.seen_from(step.at.previous).times_normal(step.variance)
                pulled = product.pulled(mu)
                log_w = log_w + product.log_mass(mu, pulled) - log_g
            else:
                log_w = log_w + self._twist.log_end(mu) - log_g
            weights = log_w.copy()
            top, total = exp_rows(weights)
            weights /= total[:, None]
            effective = 1 / np.sum(weights**2, axis=1)
            lowest = np.minimum(lowest, effective)
            uniform = ndtr(chance())
            if step.at.previous == 0:
                yield cloud(0, mu, uniform[:, 1])
                return
            poor = effective < _RESAMPLE * count
            if poor.any():
                combs = (np.arange(count) + uniform[poor, :1]) / count
                chosen = np.tile(np.arange(count), (n, 1))
                chosen[poor] = _by_weight(weights[poor], combs)
                pulled, ancestors = pulled[rows, chosen], ancestors[rows, chosen]
                evidence[poor] += (top + np.log(total / count))[poor]
                log_w[poor] = 0.0
            z, log_g = drawn(product, pulled)
            yield cloud(step.at.previous, z, uniform[:, 1])


def _by_weight(weights: Floats, uniform: Floats) -> NDArray[np.intp]:
    """Indices of particles at uniform numbers ``(n, m)``, by the inverse of the cumulative weights ``(n, K)``."""
    cumulative = np.cumsum(weights, axis=1)
    cumulative /= cumulative[:, -1:]
    found = [np.searchsorted(law, at, side="right") for law, at in zip(cumulative, uniform, strict=True)]
    return np.minimum(np.array(found), weights.shape[1] - 1)
