r"""The law of the magnetisation of N Curie-Weiss spins under diffusion, by itself.

The forward process moves ``mu = sum_i x_i/sqrt(N)`` as one Ornstein-Uhlenbeck process, whatever the spins do one by
one, so ``mu`` can be diffused, and walked back, without them: its law at tau is a mixture of N + 1 Gaussians.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from undiffuse.physics.curie_weiss import CurieWeiss
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require

_REACH = 8.0  # standard deviations of the noise past the outermost states
_FINE = 4  # points of a quadrature for each standard deviation of the noise


class Magnetisation:
    r"""``mu_tau = theta mu_0 + sqrt(D) z`` with ``mu_0 = sum_i x_i/sqrt(N)`` of the model's exact law.

    With ``theta = e^-tau`` and ``D = 1 - theta^2``,
    ``P_tau(mu) = sum_S P(S) N(mu; theta S/sqrt(N), D)`` over the N + 1 values of the sum S.

    Parameters
    ----------
    model : CurieWeiss

    Examples
    --------
    >>> from undiffuse.physics import CurieWeiss, Magnetisation
    >>> law = Magnetisation(CurieWeiss(100, beta=1.5))
    >>> round(law.cloning(2.154), 3)
    0.771

    See Also
    --------
    undiffuse.physics.CurieWeiss : the model, its moments and what they become for infinitely many spins.
    """

    def __init__(self, model: CurieWeiss) -> None:
        self.model = model
        self._states = model.sums / np.sqrt(model.N)
        self._up = np.where(model.sums > 0, 1.0, np.where(model.sums == 0, 0.5, 0.0))

    def __repr__(self) -> str:
        return f"Magnetisation({self.model!r})"

    def log_density(self, mu: ArrayLike, tau: float) -> Floats:
        """``log P_tau(mu)`` at OU time ``tau > 0``, in the shape of ``mu``.

        Raises
        ------
        UserError
            If ``tau`` is not above 0; so does all that is made from it.
        """
        return np.asarray(logsumexp(self._terms(mu, tau), axis=-1))

    def potential(self, mu: ArrayLike, tau: float) -> Floats:
        """Potential ``-mu^2/2 - 2 log P_tau(mu)`` of the reverse drift ``mu + 2 F``, with F the exact score (25).

        :meth:`CurieWeiss.potential` has (27) as the score instead, which holds for large times.
        """
        return np.asarray(-0.5 * np.asarray(mu, float) ** 2 - 2 * self.log_density(mu, tau))

    def plus(self, mu: ArrayLike, tau: float) -> Floats:
        """Probability that the sum was positive, given ``mu`` at ``tau``; a sum of zero counts half."""
        terms = self._terms(mu, tau)
        return np.asarray(np.exp(logsumexp(terms, b=self._up, axis=-1) - logsumexp(terms, axis=-1)))

    def cloning(self, tau: float) -> float:
        r"""Probability that two ways back from one ``mu_tau`` end with the same sign, for N spins.

        ``int P_tau (p^2 + (1 - p)^2) dmu`` with p of :meth:`plus`, by the trapezoidal rule. The copies share ``mu``;
        those of :func:`~undiffuse.physics.breaking.symmetry_breaking` share every spin, which tells them no less.
        """
        _require_noise(tau)
        width = np.sqrt(-np.expm1(-2 * tau))
        end = np.exp(-tau) * self._states[-1] + _REACH * width
        mu = np.linspace(-end, end, 2 * int(np.ceil(end / width * _FINE)) + 1)
        p = self.plus(mu, tau)
        return float(np.sum(np.exp(self.log_density(mu, tau)) * (p**2 + (1 - p) ** 2)) * (mu[1] - mu[0]))

    def _terms(self, mu: ArrayLike, tau: float) -> Floats:
        """Log weight of each state at mu, shape ``(..., N + 1)``."""
        _require_noise(tau)
        D = -np.expm1(-2 * tau)
        away = np.asarray(mu, float)[..., None] - np.exp(-tau) * self._states
        return np.asarray(self.model.log_law - away**2 / (2 * D) - 0.5 * np.log(2 * np.pi * D))


def _require_noise(tau: float) -> None:
    require(tau > 0, f"tau = {tau}: wanted a time above 0, since at 0 the law has no density")
