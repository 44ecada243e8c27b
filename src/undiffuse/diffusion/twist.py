r"""What a Gaussian chain expects of known variables from every time: the look ahead of a particle filter.

With the denoiser of a Gaussian law (:class:`~undiffuse.GaussianDenoiser`), every step of the reverse process is affine
along the law's axes, ``z_p = a_t z_t + b_t + sqrt(v_t) noise`` axis by axis, and the last one ends at ``x0_hat`` plus
noise of variance ``s^2 beta_1``. So the probability of known variables ``y = x_0^K`` from any state is Gaussian,

    g_t(z) = N(y; U_K (h_t z + c_t), U_K diag(e_t) U_K^T + s^2 beta_1)

with ``h_p -> h_t = h_p a_t``, ``c_t = c_p + h_p b_t``, ``e_t = e_p + v_t h_p^2`` and the rows ``U_K`` of the axes that
belong to K. For a Gaussian denoiser it is exact; for any other it is a guess that the filter's weights correct.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.samplers import Coefficients, Sampler, Step
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require


class NoisyStep(NamedTuple):
    """A step of the reverse process ``p x + q xi_hat`` plus noise of ``variance``, which is positive."""

    at: Step
    p: float
    q: float
    variance: float


def noisy_steps(sampler: Sampler, forward: ForwardProcess, times: Sequence[int]) -> list[NoisyStep]:
    """All steps down the times with the variances of their noise; the last one has ``s^2 beta_1``.

    Parameters
    ----------
    sampler : Sampler
    forward : ForwardProcess
    times : sequence of int
        From T down to 0.

    Raises
    ------
    UserError
        If the sampler adds no noise: particles that came from one would stay one.
    """
    found = []
    for t, previous in pairwise(times):
        coefficients: Coefficients | None = sampler.coefficients(forward, Step(t, previous))
        require(
            coefficients is not None and (coefficients.r > 0 or previous == 0),
            f"sampler {sampler.name!r} adds no noise in its steps, which particles need: wanted ancestral, or ddim "
            "with eta above 0",
        )
        assert coefficients is not None  # noqa: S101 (for the type checker)
        beta = forward.schedule.between(t, previous)[1]
        variance = coefficients.r**2 if previous else forward.noise_scale**2 * beta
        found.append(NoisyStep(Step(t, previous), coefficients.p, coefficients.q, float(variance)))
    return found


class Glimpse(NamedTuple):
    """``log g(z) = -z^T M z/2 + z^T b - c/2`` of the known variables of some rows, seen from one time.

    Attributes
    ----------
    precision : (dim, dim)
        ``M``.
    linear : (rows, dim)
        ``b``.
    constant : (rows,)
        ``c``.
    """

    precision: Floats
    linear: Floats
    constant: Floats

    def times_normal(self, variance: float) -> Product:
        """``N(z; mu, variance) g(z)`` for any mean ``mu``."""
        lower = cholesky(self.precision + np.eye(len(self.precision)) / variance, lower=True)
        inverse = solve_triangular(lower, np.eye(len(lower)), lower=True)
        log_determinant = 2 * float(np.log(np.diag(lower)).sum()) + len(lower) * float(np.log(variance))
        return Product(self, variance, inverse, log_determinant)


class Product(NamedTuple):
    """``N(z; mu, v) g(z)``, a Gaussian in z times its mass, for particles ``(rows, K, dim)``.

    Attributes
    ----------
    glimpse : Glimpse
    variance : float
        ``v``.
    inverse : (dim, dim)
        ``L^-1`` with ``L L^T = M + 1/v``.
    log_determinant : float
        Of ``v (M + 1/v)``.
    """

    glimpse: Glimpse
    variance: float
    inverse: Floats
    log_determinant: float

    def pulled(self, mu: Floats) -> Floats:
        """``L^-1 (mu/v + b)``, shape ``(rows, K, dim)``: what mass and draws are made of."""
        return np.asarray((mu / self.variance + self.glimpse.linear[:, None]) @ self.inverse.T)

    def log_mass(self, mu: Floats, pulled: Floats) -> Floats:
        """``log int N(z; mu, v) g(z) dz``, shape ``(rows, K)``."""
        squares = np.sum(pulled**2, axis=2) - np.sum(mu**2, axis=2) / self.variance
        return np.asarray(0.5 * (squares - self.log_determinant - self.glimpse.constant[:, None]))

    def draw(self, pulled: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Draw z in proportion to ``N g``, and return it with ``log g(z)``, ``(rows, K, dim)`` and ``(rows, K)``."""
        white = pulled + noise
        z = np.asarray(white @ self.inverse)
        squares = np.sum(white**2, axis=2) - np.sum(z**2, axis=2) / self.variance
        along = np.einsum("nkd,nd->nk", z, self.glimpse.linear)
        return z, -0.5 * (squares + self.glimpse.constant[:, None]) + along


class Twist:
    """``g_t`` at all times of the way down, for rows with the same known variables.

    Parameters
    ----------
    law : GaussianDenoiser
        The linear theory of the data.
    steps : sequence of NoisyStep
    known : (dim,) of bool
    y : (rows, known variables)
    """

    def __init__(self, law: GaussianDenoiser, steps: Sequence[NoisyStep], known: NDArray[np.bool_], y: Floats) -> None:
        linear, axes = law.along_axes()
        self._rows, self._y, self.floor = np.ascontiguousarray(axes[known]), y, steps[-1].variance
        self._at: dict[int, tuple[Floats, Floats, Floats]] = {}
        h, c, e = np.ones(law.dim), np.zeros(law.dim), np.zeros(law.dim)
        for k, step in enumerate(reversed(steps)):
            gain = linear.gain(step.at.t)
            e = e + (step.variance if k else 0.0) * h**2  # of the last step, the noise is the floor
            c = c - h * step.q * gain * law.forward.signal(step.at.t) * linear.mean
            h = h * (step.p + step.q * gain)
            self._at[step.at.t] = h, c, e

    def seen_from(self, t: int) -> Glimpse:
        """Return ``g_t``."""
        h, c, e = self._at[t]
        covariance = (self._rows * e) @ self._rows.T
        covariance[np.diag_indices_from(covariance)] += self.floor
        lower = cholesky(covariance, lower=True)
        seen = solve_triangular(lower, self._rows * h, lower=True)
        rest = solve_triangular(lower, (self._y - self._rows @ c).T, lower=True)
        log_determinant = 2 * float(np.log(np.diag(lower)).sum())
        constant = np.sum(rest**2, axis=0) + log_determinant + len(lower) * np.log(2 * np.pi)
        return Glimpse(seen.T @ seen, (seen.T @ rest).T, np.asarray(constant))

    def log_end(self, mu: Floats) -> Floats:
        """``log N(y; x0_hat_K, s^2 beta_1)`` of the last means ``(rows, K, dim)`` along the axes, ``(rows, K)``."""
        away = mu @ self._rows.T - self._y[:, None]
        return np.asarray(
            -0.5 * (np.sum(away**2, axis=2) / self.floor + self._y.shape[1] * np.log(2 * np.pi * self.floor))
        )
