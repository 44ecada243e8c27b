r"""The Curie-Weiss ferromagnet, its laws under diffusion, and when they break their symmetry.

Notation: ``theta = e^-tau`` is what is left of the spins at Ornstein-Uhlenbeck time tau, ``D = 1 - theta^2`` the
variance of the noise (s = 1), and ``mu = sum_i x_i/sqrt(N)`` the collective coordinate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import product
from math import prod
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import comb, gammaln, logsumexp

from undiffuse.support.arrays import Floats
from undiffuse.support.errors import one_of, require

Criterion = Literal["marginal", "covariance", "potential"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
_COLDEST = 100.0  # at it, the magnetisation is one to the last digit
SHARP = 1e-3  # share of the rarer state below which there is no symmetry left to break


class CurieWeiss:
    r"""``q(x) = 1/Z exp(beta/(2N) (sum_i x_i)^2 + h/N sum_i x_i)`` over spins ``x_i = +-1``, equation (26).

    The field enters as ``h/N``, so that the weights of the two states stay comparable, ``W+/W- = exp(2 h m*)``.

    Parameters
    ----------
    N : int
        Number of spins, at least 2.
    beta : float
        Inverse temperature; above 1 there are two states, of magnetisation ``+-m*`` with ``m* = tanh(beta m*)``.
    h : float
        Field.

    Raises
    ------
    UserError
        If ``N`` is not an integer >= 2, ``beta`` is not in (0, 100] or ``h`` is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from undiffuse.physics import CurieWeiss
    >>> model = CurieWeiss(100, beta=1.5)
    >>> round(model.m_star, 4), round(model.critical_time("marginal"), 3)
    (0.8586, 2.154)
    >>> model.sample(5, np.random.default_rng(0)).shape
    (5, 100)

    See Also
    --------
    undiffuse.physics.CurieWeissDenoiser : its score under diffusion.
    undiffuse.physics.breaking.symmetry_breaking : its transition, measured.
    """

    def __init__(self, N: int, beta: float = 1.5, h: float = 0.0) -> None:
        require(isinstance(N, (int, np.integer)) and N >= 2, f"N = {N}: wanted a whole number of spins, at least 2")
        require(0 < beta <= _COLDEST, f"beta = {beta}: wanted an inverse temperature above 0, {_COLDEST:g} at most")
        require(np.isfinite(h), f"h = {h}: wanted a finite field")
        self.N, self.beta, self.h = int(N), float(beta), float(h)

    def __repr__(self) -> str:
        return f"CurieWeiss(N={self.N}, beta={self.beta:g}, h={self.h:g})"

    # -- at equilibrium -----------------------------------------------------------------------------------------------

    @cached_property
    def m_star(self) -> float:
        """Spontaneous magnetisation ``m* = tanh(beta m*) > 0`` of the infinite system.

        Raises
        ------
        UserError
            If ``beta <= 1``: there is none.
        """
        require(
            self.beta > 1,
            f"inverse temperature beta = {self.beta:g}: a ferromagnet, with two states, needs beta > 1",
        )
        return float(brentq(lambda m: np.tanh(self.beta * m) - m, 1e-12 + np.sqrt(1 - 1 / self.beta) * 1e-3, 1.0))

    @property
    def chi(self) -> float:
        """Susceptibility ``(1 - m*^2)/(1 - beta (1 - m*^2))``: variance of mu inside one state."""
        rest = 1 - self.m_star**2
        return rest / (1 - self.beta * rest)

    @property
    def weights(self) -> tuple[float, float]:
        """``(W+, W-)`` of the infinite system, with ``W+/W- = exp(2 h m*)``."""
        plus = float(1 / (1 + np.exp(-2 * self.h * self.m_star)))
        return plus, 1 - plus

    @property
    def sums(self) -> NDArray[np.int64]:
        """Values that ``sum_i x_i`` can take: ``-N, -N + 2, .., N``."""
        return np.arange(-self.N, self.N + 1, 2)

    @cached_property
    def log_law(self) -> Floats:
        """``log P(sum_i x_i)`` for each of :attr:`sums`, exact."""
        up = (self.sums + self.N) // 2
        entropy = gammaln(self.N + 1) - gammaln(up + 1) - gammaln(self.N - up + 1)
        logs = entropy + self.beta / (2 * self.N) * self.sums.astype(float) ** 2 + self.h / self.N * self.sums
        return np.asarray(logs - logsumexp(logs))

    @property
    def plus_share(self) -> float:
        """Exact probability of a positive sum; a sum of zero counts half."""
        law = np.exp(self.log_law)
        return float(law[self.sums > 0].sum() + law[self.sums == 0].sum() / 2)

    def require_two_states(self) -> None:
        """Raise a :class:`UserError` unless there are two states and neither has a negligible weight."""
        rarer = min(self.weights)
        require(
            rarer >= SHARP,
            f"field h = {self.h:g} leaves one of the two states a share of {rarer:.1e}: "
            f"wanted |h| <= {np.arctanh(1 - 2 * SHARP) / self.m_star:.2g}",
        )

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw ``n`` configurations exactly, shape ``(n, N)``: first the sum, then which spins point up."""
        require(n >= 1, f"n = {n}: wanted at least one configuration")
        cumulative = np.cumsum(np.exp(self.log_law))
        ups = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right")
        x = np.full((n, self.N), -1.0)
        for row, up in zip(x, ups, strict=True):
            row[:up] = 1.0
            rng.shuffle(row)
        return x

    # -- under diffusion ----------------------------------------------------------------------------------------------

    def separation(self, tau: ArrayLike) -> tuple[Floats, Floats]:
        """``(r, Gamma)``: squared distance of the two states' ``mu`` from 0, and the variance of each, at tau.

        ``r = N m*^2 theta^2`` and ``Gamma = D + chi theta^2``.
        """
        theta2 = np.exp(-2 * np.asarray(tau, float))
        return self.N * self.m_star**2 * theta2, 1 - theta2 + self.chi * theta2

    def binder(self, tau: ArrayLike) -> Floats:
        """Binder cumulant ``1 - <mu^4>/(3 <mu^2>^2)`` of the infinite system, ``2/3 (r/(r + Gamma))^2``, any field."""
        r, Gamma = self.separation(tau)
        return np.asarray(2 / 3 * (r / (r + Gamma)) ** 2)

    def binder_exact(self, tau: ArrayLike) -> Floats:
        """Binder cumulant of ``N`` spins, any field."""
        second, fourth = (self.moment(k, tau) for k in (2, 4))
        return np.asarray(1 - fourth / (3 * second**2))

    def binder_scatter(self, tau: ArrayLike) -> Floats:
        """Standard error of a Binder cumulant from one draw of ``mu_tau``; divide by the root of their number.

        By the delta method, from the exact moments up to the eighth.
        """
        m2, m4, m6, m8 = (self.moment(k, tau) for k in (2, 4, 6, 8))
        by_4, by_2 = -1 / (3 * m2**2), 2 * m4 / (3 * m2**3)
        return np.sqrt(by_4**2 * (m8 - m4**2) + by_2**2 * (m4 - m2**2) + 2 * by_4 * by_2 * (m6 - m4 * m2))

    def binder_covariance(self, taus: Sequence[float]) -> Floats:
        """Covariance of the Binder cumulants at several OU times from one draw of the path of mu, shape ``(k, k)``.

        Divide by the number of draws. By the delta method, from the exact joint moments (:meth:`joint_moment`); its
        diagonal is the square of :meth:`binder_scatter`. A reverse walk with the exact score has the law of the forward
        one, so these are the covariances along reverse trajectories too.
        """
        at, powers = np.asarray(taus, float), (2, 4)
        m2, m4 = (self.moment(k, at) for k in powers)
        slopes = np.stack([2 * m4 / (3 * m2**3), -1 / (3 * m2**2)], axis=1)
        out = np.empty((len(at), len(at)))
        means = np.stack([m2, m4], axis=1)
        for i, j in product(range(len(at)), repeat=2):
            s, t = (i, j) if at[i] <= at[j] else (j, i)
            joint = np.array([[self.joint_moment((a, b), (at[s], at[t])) for b in powers] for a in powers])
            out[i, j] = slopes[s] @ (joint - np.outer(means[s], means[t])) @ slopes[t]
        return out

    def joint_moment(self, orders: tuple[int, int], taus: tuple[float, float]) -> Floats:
        """Exact ``<mu_s^a mu_t^b>`` for ``taus = (s, t)``, ``s <= t``, and ``orders = (a, b)``.

        From ``mu_t = e^-(t - s) mu_s + sqrt(1 - e^-2(t - s)) z``: the sum of N Ornstein-Uhlenbeck processes is one.
        """
        (a, b), (s, t) = orders, taus
        theta = np.exp(-(t - s))
        return np.asarray(
            sum(
                comb(b, k)
                * prod(range(1, b - k, 2))
                * theta**k
                * (1 - theta**2) ** ((b - k) / 2)
                * self.moment(a + k, s)
                for k in range(b % 2, b + 1, 2)
            )
        )

    def paths(self, taus: Sequence[float], shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[Floats]:
        """Yield ``mu_tau`` at increasing OU times along exact draws of its path, each of the given shape."""
        cumulative = np.cumsum(np.exp(self.log_law))
        ups = np.searchsorted(cumulative, rng.random(shape) * cumulative[-1], side="right")
        mu, before = self.sums[ups] / np.sqrt(self.N), 0.0
        for tau in taus:
            theta = np.exp(-(tau - before))
            mu = theta * mu + np.sqrt(1 - theta**2) * rng.standard_normal(shape)
            before = tau
            yield mu

    def binder_crossing(self, level: float) -> float:
        """OU time at which the exact cumulant of N spins falls to ``level``.

        Raises
        ------
        UserError
            If it is below the level at tau = 0 already.
        """
        require(
            float(self.binder_exact(0.0)) > level,
            f"the Binder cumulant of {self!r} never reaches {level:g}",
        )
        return float(brentq(lambda tau: float(self.binder_exact(tau)) - level, 0.0, 20.0 + np.log(self.N)))

    def moment(self, order: int, tau: ArrayLike = 0.0) -> Floats:
        """Exact moment ``<mu_tau^order>``, from ``mu_tau = theta mu_0 + sqrt(D) z``."""
        theta = np.exp(-np.asarray(tau, float))
        D, law, mu = 1 - theta**2, np.exp(self.log_law), self.sums / np.sqrt(self.N)
        return np.asarray(
            sum(
                comb(order, k) * prod(range(1, order - k, 2)) * theta**k * D ** ((order - k) / 2) * float(law @ mu**k)
                for k in range(order % 2, order + 1, 2)
            )
        )

    def cloning(self, tau: ArrayLike) -> Floats:
        r"""Probability that two copies going back from one ``x_tau`` end in the same state; infinite system.

        ``int (W+^2 G+^2 + W-^2 G-^2)/(W+ G+ + W- G-)`` with ``G+- = N(mu; +-sqrt(r), Gamma)``; Biroli et al. 2024.
        """
        r, Gamma = self.separation(tau)
        ratio = np.sqrt(r / Gamma)
        return np.array([cloning_probability(x, *self.weights) for x in np.atleast_1d(ratio)]).reshape(np.shape(ratio))

    def scaling_variable(self, tau: ArrayLike) -> Floats:
        """``log(N e^(-2 tau))``, against which the curves of all N collapse."""
        return np.asarray(np.log(self.N) - 2 * np.asarray(tau, float))

    def potential(self, mu: ArrayLike, tau: float) -> Floats:
        """Potential of ``mu`` under the reverse drift, with (27) as the score.

        ``V = coth(tau)/2 mu^2 - 2 log cosh[m* (h + sqrt(N) mu theta/D)]``; equation (28) is its limit ``D -> 1``.
        """
        theta, mu = np.exp(-tau), np.asarray(mu, float)
        argument = self.m_star * (self.h + np.sqrt(self.N) * mu * theta / -np.expm1(-2 * tau))
        return np.asarray(0.5 / np.tanh(tau) * mu**2 - 2 * _log_cosh(argument))

    def potential_large_time(self, mu: ArrayLike, tau: float) -> Floats:
        """Equation (28) as it stands: ``mu^2/2 - 2 log cosh[m* (h + sqrt(N) mu theta)]``.

        At tau = 0.5 its wells lie 37 % too far out.
        """
        mu = np.asarray(mu, float)
        return np.asarray(0.5 * mu**2 - 2 * _log_cosh(self.m_star * (self.h + np.sqrt(self.N) * mu * np.exp(-tau))))

    def potential_early(self, mu: ArrayLike, tau: float) -> Floats:
        """Limit of (28) at h = 0 where ``N theta^2 >> 1``, up to a constant: ``mu^2/2 - 2 m* sqrt(N) theta |mu|``."""
        mu = np.asarray(mu, float)
        return np.asarray(0.5 * mu**2 - 2 * self.m_star * np.sqrt(self.N) * np.exp(-tau) * np.abs(mu))

    def potential_late(self, mu: ArrayLike, tau: float) -> Floats:
        """Limit of (28) where ``N theta^2 << 1``, up to a constant: ``[mu - 2 m* tanh(h m*) sqrt(N) theta]^2/2``."""
        centre = 2 * self.m_star * np.tanh(self.h * self.m_star) * np.sqrt(self.N) * np.exp(-tau)
        return np.asarray(0.5 * (np.asarray(mu, float) - centre) ** 2)

    def critical_time(self, criterion: Criterion) -> float:
        """OU time at which the symmetry breaks, by one of three criteria.

        For many spins the first two agree up to O(1/N), and the third is larger by ``log(2)/2``.

        ``marginal``: at h = 0 the law of mu turns bimodal, ``r = Gamma``. ``covariance``: ``Lambda theta^2 = 1`` with
        ``Lambda`` the variance of mu at tau = 0. ``potential``: at h = 0 the reverse potential repels at mu = 0,
        ``1 - theta^4 = 2 N m*^2 theta^2``; that of a plain Gaussian of variance above 2 does so too, without wells.

        Raises
        ------
        UserError
            If the criterion is none of these, is defined for h = 0 only, or there is no such time, as for few spins
            near beta = 1.
        """
        one_of("criterion", criterion, CRITERIA)
        require(self.h == 0 or criterion == "covariance", f"the criterion {criterion!r} is known at h = 0 only")
        a = self.N * self.m_star**2
        if criterion == "potential":
            return float(0.5 * np.log(a + np.sqrt(a**2 + 1)))
        mean = float(np.exp(self.log_law) @ self.sums)
        inverse = a + 1 - self.chi if criterion == "marginal" else float(self.moment(2)) - mean**2 / self.N
        require(
            inverse > 1,
            f"{self!r} has no critical time by {criterion!r}: too few spins at this beta and h",
        )
        return float(0.5 * np.log(inverse))


def cloning_probability(ratio: float, plus: float = 0.5, minus: float = 0.5) -> float:
    """Cloning probability of two Gaussians of unit variance at ``+-ratio`` with the given weights.

    With equal weights and ``ratio = 1``, where the mixture turns bimodal, it is 0.775.
    """

    def integrand(mu: float) -> float:
        logs = np.log([plus, minus]) - 0.5 * (mu + np.array([-ratio, ratio])) ** 2 - 0.5 * np.log(2 * np.pi)
        return float(np.exp(logsumexp(2 * logs) - logsumexp(logs)))

    if ratio > 20:  # the two modes do not overlap
        return plus + minus
    return float(quad(integrand, -ratio - 10, ratio + 10, points=sorted({-ratio, 0.0, ratio}), limit=200)[0])


def _log_cosh(x: Floats) -> Floats:
    return np.asarray(np.abs(x) + np.log1p(np.exp(-2 * np.abs(x))) - np.log(2))
