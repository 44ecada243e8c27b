r"""Classes taken for Gaussians: when diffusion decides between two of them, in closed form.

A class ``N(mu_c, C_c)`` is ``N(theta mu_c, S_c)`` with ``S_c = theta^2 C_c + s^2 (1 - theta^2)`` at OU time tau, where
``theta = e^-tau``. The log odds of two of them are a quadratic function of ``x_tau`` (quadratic discriminant analysis,
QDA). Under either class they are a constant and a sum of independent terms, one for each solution of
``S_a v_k = m_k S_b v_k`` with ``V^T S_b V = 1``,

    log N_a/N_b = c + sum_k (lambda_k z_k^2/2 + w_k z_k),    z ~ N(0, 1)

where under a, with ``g = V^T (theta mu_a - theta mu_b)``: ``lambda = m - 1``, ``w = sqrt(m) g``, ``c = sum_k (g_k^2 -
log m_k)/2``, and under b, of the opposite sign and with ``1/m`` for m, ``-g/sqrt(m)`` for g. So

    mean = c + sum_k lambda_k/2 = KL(own||other),    variance = sum_k (lambda_k^2/2 + w_k^2)

and their characteristic function is a product. Everything here is made from these two lines, without samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.optimize import brentq

from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.class_moments import ClassMoments, GaussianClass, ResampledGaussians
from undiffuse.physics.crossings import NEVER, Time, closed_form, scatter
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.threads import one_thread

EARLIEST = 0.01  # OU time, far below every crossing
_STEP = 0.25  # of the search for a crossing, in OU time
_LONGEST = 40  # units of OU time past the first guess
_SMALLEST = 1e-17  # of a term that counts
_LOST = 1e-13  # share of the variance below which a covariance is singular in double precision
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_TURN = 4.0  # change of the integrand's logarithm along a panel, which these nodes follow to the last digits
_MOST_PANELS = 20_000
_SHARP = 0.02  # width of the logistic law that stands for a step, where log odds spread by 1 or more


@dataclass(frozen=True)
class _Quadratic:
    """Log odds under one class: ``constant + sum_k (curved_k z_k^2/2 + straight_k z_k)`` of normal z, ``(dim,)``."""

    constant: float
    curved: Floats
    straight: Floats

    @property
    def mean(self) -> float:
        return float(self.constant + self.curved.sum() / 2)

    @property
    def variance(self) -> float:
        return float(np.sum(self.curved**2) / 2 + np.sum(self.straight**2))

    def above(self, threshold: float, width: float) -> float:
        r"""``P(L + width l > threshold)`` for l of the logistic law, so ``E[1/(1 + e^(-(L - threshold)/width))]``.

        By inversion of the characteristic function (Gil-Pelaez 1951), of which the logistic law's is
        ``pi u/sinh(pi u)``:

            1/2 + int_0^inf Im[phi(u) e^(-i u threshold)] width/sinh(pi width u) du

        Gauss and Legendre's rule is applied to panels that double in length, until the phase turns too fast for that.
        """
        offset, low, total = self.constant - threshold, 0.0, 0.0
        high = 0.5 / (abs(self.mean - threshold) + np.sqrt(self.variance) + np.pi * width)
        for _ in range(_MOST_PANELS):
            u = (high + low) / 2 + (high - low) / 2 * _NODES
            logs = self._log_characteristic(u) + 1j * u * offset
            terms = np.exp(logs.real) * np.sin(logs.imag) * width / np.sinh(np.minimum(np.pi * width * u, 700.0))
            total += (high - low) / 2 * float(_WEIGHTS @ terms)
            if np.exp(logs[-1].real) * width / np.sinh(min(np.pi * width * high, 700.0)) < _SMALLEST:
                break
            turning = max(self._turning(end, offset) for end in (high, 2 * high)) + np.pi * width
            low, high = high, high + min(high, _TURN / turning)
        return float(np.clip(0.5 + total, 0.0, 1.0))

    def _log_characteristic(self, u: Floats) -> NDArray[np.complex128]:
        """``log E[e^(i u (L - constant))]``."""
        turned = 1 - 1j * np.outer(u, self.curved)
        return np.asarray(-(np.log(turned) + np.outer(u**2, self.straight**2) / turned).sum(axis=1) / 2)

    def _turning(self, u: float, offset: float) -> float:
        """How fast the logarithm of the integrand changes at u, without that of the logistic law."""
        turned = 1 - 1j * u * self.curved
        slopes = 1j * self.curved / turned - self.straight**2 * (2 * u / turned + 1j * self.curved * (u / turned) ** 2)
        return float(abs(slopes.sum() / 2 + 1j * offset))


@dataclass(frozen=True)
class TwoGaussians:
    r"""Two Gaussian classes under diffusion.

    Attributes
    ----------
    first, second : GaussianClass
        Their shares are taken relative to one another.
    noise_scale : float
        s.

    Raises
    ------
    UserError
        If nothing tells the classes apart: they have the same mean and covariance.

    Examples
    --------
    Two normal laws of variance 1 around -2 and 2 part where each is one standard deviation from the middle:

    >>> import numpy as np
    >>> from undiffuse.physics import GaussianClass, TwoGaussians
    >>> low, high = (GaussianClass(0.5, np.array([m]), np.eye(1)) for m in (-2.0, 2.0))
    >>> pair = TwoGaussians(low, high)
    >>> round(pair.speciation(), 4), round(pair.kept(0.6931), 4)  # log 2, and the level of two equal Gaussians
    (0.6931, 0.7752)

    Two of no mean, in 200 dimensions, of variances 1 and 3:

    >>> wide, narrow = (GaussianClass(0.5, np.zeros(200), v * np.eye(200)) for v in (3.0, 1.0))
    >>> pair = TwoGaussians(wide, narrow)
    >>> round(pair.speciation(), 3), round(pair.large_time(), 3)
    (1.095, 1.151)
    """

    first: GaussianClass
    second: GaussianClass
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        same = [
            np.array_equal(getattr(self.first, name), getattr(self.second, name)) for name in ("mean", "covariance")
        ]
        require(
            not all(same),
            "two classes have the same mean and the same covariance: wanted some difference between them",
        )

    @staticmethod
    def of(moments: ClassMoments, first: Sequence[int], second: Sequence[int], s: float) -> TwoGaussians:
        """Two groups of classes against one another.

        Parameters
        ----------
        moments : ClassMoments
        first, second : sequence of int
            Places of their classes; each group is one Gaussian, with the moments of the mixture.
        s : float
            Noise scale.
        """
        return TwoGaussians(moments.group(first), moments.group(second), s)

    @property
    def shares(self) -> Floats:
        """Shares of both, of sum 1."""
        both = np.array([self.first.share, self.second.share])
        return np.asarray(both / both.sum())

    def log_odds(self, tau: float) -> tuple[Floats, Floats]:
        """Mean and variance of each class's log odds of itself, without those of the shares, ``(2,)`` each.

        The mean is the Kullback-Leibler divergence of the class from the other one. In nats.
        """
        both = self._quadratics(tau)
        return np.array([q.mean for q in both]), np.array([q.variance for q in both])

    def ratio(self, tau: float) -> float:
        """Mean over standard deviation of the log odds of the own class, over both classes.

        It is 1 at speciation by free entropy (Achilli, Benedetti, Biroli & Mezard 2026). For one covariance the log
        odds are normal with mean ``d^2/2`` and variance ``d^2``, so the ratio is d/2.
        """
        mean, variance = self.log_odds(tau)
        total = float(self.shares @ mean)
        return total / float(np.sqrt(self.shares @ (variance + mean**2) - total**2))

    def speciation(self, start: float | None = None) -> float:
        """Last OU time at which :meth:`ratio` is 1; NaN where it is below 1 from 0.01 on.

        Parameters
        ----------
        start : float, optional
            A guess, by default :meth:`large_time`.
        """
        return _last_crossing(self.ratio, 1.0, max(self.large_time() if start is None else start, EARLIEST))

    def large_time(self) -> float:
        r"""Speciation time to leading order in ``theta``, where both laws are near that of the noise.

        The divergence is ``A' theta^2/2 + B' theta^4/4`` with ``A' = |mu_a - mu_b|^2/s^2`` and
        ``B' = tr[(C_a - C_b)^2]/s^4``, and the variance twice the mean, so it has to be 2: with ``A = A'/4`` and
        ``B = B'/8``, ``theta^-2 = (A + sqrt(A^2 + 4 B))/2``. Where means differ and grow as sqrt(N) that is
        ``log(A)/2 ~ log(N)/2``, where they do not ``log(B)/4 ~ log(N)/4``, as Achilli et al. have it.
        """
        gap, other = self.first.mean - self.second.mean, self.first.covariance - self.second.covariance
        A, B = gap @ gap / (4 * self.noise_scale**2), np.sum(other**2) / (8 * self.noise_scale**4)
        return float(0.5 * np.log((A + np.sqrt(A**2 + 4 * B)) / 2))

    def kept(self, tau: float) -> float:
        """Probability that a sample at ``tau`` goes back to its own class: that of a U-turn, and of two copies.

        The posterior probability of the own class, averaged over both: ``E sum_c P(c|x_tau)^2`` is the same number.
        """
        return self._mean(tau, 1.0)

    def accuracy(self, tau: float) -> float:
        """Probability that the likelier class is the right one: that of the best classifier of ``x_tau``.

        The step is a logistic one of width 0.02 and 0.04, times the log odds' standard deviation where that is below 1,
        and the square of the width is extrapolated away; the tests hold it to 1e-5 in one dimension, where it is worst.
        """
        width = _SHARP * min(1.0, float(np.sqrt(self.shares @ self.log_odds(tau)[1])))
        return (4 * self._mean(tau, width) - self._mean(tau, 2 * width)) / 3

    def kept_at(self, level: float) -> float:
        """Last OU time at which :meth:`kept` is ``level``; NaN where it never is from 0.01 on.

        For large times it falls to the sum of the shares' squares, so a level has to lie above that.
        """
        if level <= np.sum(self.shares**2):
            return float("nan")
        return _last_crossing(self.kept, level, max(self.large_time(), EARLIEST))

    def _mean(self, tau: float, width: float) -> float:
        own = self.shares
        thresholds = np.log(own[::-1] / own)
        both = zip(own, self._quadratics(tau), thresholds, strict=True)
        return float(sum(share * q.above(float(at), width) for share, q, at in both))

    def _quadratics(self, tau: float) -> tuple[_Quadratic, _Quadratic]:
        """Log odds of the own class under each."""
        (at_a, S_a), (at_b, S_b) = (one.at(tau, self.noise_scale) for one in (self.first, self.second))
        m, V = _both_diagonal(S_a, S_b)
        g, logs = V.T @ (at_a - at_b), np.log(m).sum()
        return (
            _Quadratic(float((g @ g - logs) / 2), m - 1, np.sqrt(m) * g),
            _Quadratic(float((np.sum(g**2 / m) + logs) / 2), 1 / m - 1, -g / m),
        )


def _both_diagonal(S_a: Floats, S_b: Floats) -> tuple[Floats, Floats]:
    """Solve ``S_a v = m S_b v`` with ``V^T S_b V = 1``; ``(dim,)``, all positive, and ``(dim, dim)``, columns v.

    Data so wide that the noise is lost in the last digits get a little more of it.
    """
    with one_thread():
        try:
            m, V = eigh(S_a, S_b)
        except np.linalg.LinAlgError:
            more = _LOST * max(np.trace(S_a), np.trace(S_b)) * np.eye(len(S_a))
            m, V = eigh(S_a + more, S_b + more)
    return np.maximum(m, _SMALLEST), V


@dataclass(frozen=True)
class ResampledPair:
    """Two groups of classes as Gaussians, and those of resampled training sets.

    Attributes
    ----------
    plain : TwoGaussians
    others : tuple of TwoGaussians
    forward : ForwardProcess
    """

    plain: TwoGaussians
    others: tuple[TwoGaussians, ...]
    forward: ForwardProcess

    @staticmethod
    def of(
        forward: ForwardProcess, gaussians: ResampledGaussians, first: Sequence[int], second: Sequence[int]
    ) -> ResampledPair:
        """Pair two groups of classes.

        Parameters
        ----------
        forward : ForwardProcess
        gaussians : ResampledGaussians
        first, second : sequence of int
            Places of their classes.
        """
        s = forward.noise_scale
        others = tuple(TwoGaussians.of(moments, first, second, s) for moments in gaussians.replicas)
        return ResampledPair(TwoGaussians.of(gaussians.plain, first, second, s), others, forward)

    def crossing(self, curve: Callable[[TwoGaussians, float], float], tau: float) -> tuple[Time, Floats]:
        """Time at which the curve of ``plain`` crosses a level, and to first order those of ``others``."""
        if np.isnan(tau):
            return NEVER, np.empty(0)
        step = min(0.02, tau / 2)
        slope = (curve(self.plain, tau + step) - curve(self.plain, tau - step)) / (2 * step)
        height = curve(self.plain, tau)
        replicas = tau - np.array([curve(other, tau) - height for other in self.others]) / slope
        error = scatter(replicas)
        return Time.at(tau, error, self.forward, stderr_training=error), replicas

    def large_time(self) -> tuple[Time, Floats]:
        """:meth:`TwoGaussians.large_time`, and those of ``others``."""
        replicas = np.array([other.large_time() for other in self.others])
        return closed_form(self.plain.large_time(), replicas, self.forward), replicas


def _last_crossing(curve: Callable[[float], float], level: float, start: float) -> float:
    """Largest time from ``EARLIEST`` on at which a curve that ends below ``level`` crosses it; NaN without one."""
    high = start + _STEP
    for _ in range(_LONGEST):
        if curve(high) < level:
            break
        high += 4 * _STEP
    low = high
    while low > EARLIEST:
        high, low = low, max(low - _STEP, EARLIEST)
        if curve(low) >= level:
            return float(brentq(lambda tau: curve(tau) - level, low, high, xtol=1e-6))
    return float("nan")
