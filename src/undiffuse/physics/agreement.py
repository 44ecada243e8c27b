"""Agreement of correlated measurements with the exact law: chi^2, and how often the exact law itself exceeds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from undiffuse.physics.curie_weiss import CurieWeiss
from undiffuse.support.arrays import Floats
from undiffuse.support.results import Result

NULLS = 999  # sets of measurements drawn from the exact law: p-values are multiples of 1/1000
_WALKERS = 1000  # in each of these sets at most: deviations of more are as Gaussian, and only smaller
_DRAWS = 1 << 20  # numbers drawn at once


@dataclass(frozen=True)
class Agreement(Result):
    r"""Chi square ``r^T C^-1 r`` of deviations r from exact values with covariance C.

    C is exact too, not estimated: with the exact score the walkers' joint law is known. What is left is that some of
    the measurements are far from Gaussian (a cumulant from 800 walkers is skewed by its eighth moments, a share near 1
    is a small count), which makes the tails of chi^2 too heavy by half at the 1 % level. So the p-value is the rank of
    chi^2 among those of :data:`NULLS` sets of as many walkers drawn from the exact law (Davison & Hinkley 1997,
    section 4.2), which is right whatever the distribution.

    Attributes
    ----------
    chi2 : float
    degrees : int
        Number of measurements, about the expectation of chi2.
    p_value : float
        ``(1 + number of null draws at or above chi2)/(1 + number of null draws)``; 1 without measurements.
    null : (m,)
        Chi squares of the sets drawn from the exact law.
    """

    _hidden: ClassVar[tuple[str, ...]] = ("null",)
    chi2: float
    degrees: int
    p_value: float
    null: Floats

    @staticmethod
    def of(residual: Floats, covariance: Floats, null: Floats) -> Agreement:
        """Compare residuals ``(k,)`` of covariance ``(k, k)`` with residuals ``(m, k)`` drawn from the exact law."""
        precision = np.linalg.inv(covariance) if len(residual) else covariance
        every = np.concatenate([residual[None], null])
        squares = np.einsum("mi,ij,mj->m", every, precision, every)
        return Agreement.ranked(float(squares[0]), len(residual), squares[1:])

    @staticmethod
    def ranked(chi2: float, degrees: int, null: Floats) -> Agreement:
        """Give chi^2 its rank among the draws. Equal values count as larger, up to rounding."""
        above = int(np.sum(null >= chi2 * (1 - 1e-9)))
        return Agreement(chi2, degrees, (1 + above) / (1 + len(null)), null)

    @staticmethod
    def together(parts: Sequence[Agreement]) -> Agreement:
        """Join independent parts: everything adds, draw by draw."""
        null = np.sum([part.null for part in parts], axis=0)
        return Agreement.ranked(sum(part.chi2 for part in parts), sum(part.degrees for part in parts), null)


def cumulant(mu: Floats) -> Floats:
    """Binder cumulant ``1 - <mu^4>/(3 <mu^2>^2)`` over the last axis."""
    squares = mu * mu
    return np.asarray(1 - np.mean(squares * squares, axis=-1) / (3 * np.mean(squares, axis=-1) ** 2))


def drawn_cumulants(model: CurieWeiss, taus: Sequence[float], n: int, sets: int, rng: np.random.Generator) -> Floats:
    """Cumulants of ``sets`` sets of ``n`` exact paths of mu at increasing OU times, shape ``(sets, len(taus))``.

    Parameters
    ----------
    model : CurieWeiss
    taus : sequence of float
    n : int
        Paths in each set.
    sets : int
    rng : numpy.random.Generator
    """
    rows = max(1, _DRAWS // n)
    blocks = [model.paths(taus, (min(rows, sets - i), n), rng) for i in range(0, sets, rows)]
    return np.concatenate([np.stack([cumulant(mu) for mu in block], axis=1) for block in blocks])


def null_cumulants(model: CurieWeiss, taus: Sequence[float], n: int, sets: int, rng: np.random.Generator) -> Floats:
    """Deviations of drawn cumulants from their exact values, for null draws, shape ``(sets, len(taus))``.

    Parameters
    ----------
    model, taus, n, sets, rng
        See :func:`drawn_cumulants`. Of more than 1,000 walkers only 1,000 are drawn, and deviations scaled to n.
    """
    few = min(n, _WALKERS)
    return (drawn_cumulants(model, taus, few, sets, rng) - model.binder_exact(taus)) * np.sqrt(few / n)


class Copies(NamedTuple):
    """Agreement of cloning, of U-turns, and of both together.

    Attributes
    ----------
    cloning, uturn, both : Agreement
    """

    cloning: Agreement
    uturn: Agreement
    both: Agreement


def copies_agreement(measured: Floats, exact: Floats, exact_stderr: Floats, n: int, rng: np.random.Generator) -> Copies:
    r"""Compare shares of equal signs of (two copies; data and first copy) with their exact value at each time.

    Given ``x_t`` the signs of the data and of two copies are independent with the same law. With
    ``q = 2 phi - 1 = E[s s']`` the pair of outcomes (copies alike, data and copy alike) then has probabilities
    ``(1 + 3q)/4`` for both and ``(1 - q)/4`` for each other case. Hence variances ``(1 - q^2)/4`` and covariance
    ``q (1 - q)/4``, to which the variance of the exact value is added in all entries. Times at which fewer than five of
    n pairs are expected to differ, or to agree, are left out (Cochran's rule).

    Parameters
    ----------
    measured : (2, k)
        Shares measured on ``n`` pairs: cloning, U-turn.
    exact, exact_stderr : (k,)
        The exact value, and its standard error.
    n : int
    rng : numpy.random.Generator
        For the sets drawn from the exact law.
    """
    used = n * np.minimum(exact, 1 - exact) >= 5
    phi, error = exact[used], exact_stderr[used]
    q, k = np.clip(2 * phi - 1, 0, 1), int(used.sum())
    residual = (measured - exact)[:, used]
    null = np.empty((NULLS, 2, k))
    for i in range(k):
        other = (1 - q[i]) / 4
        counts = rng.multinomial(n, [1 - 3 * other, other, other, other], size=NULLS)
        alike = np.stack([counts[:, 0] + counts[:, 1], counts[:, 0] + counts[:, 2]], axis=1)
        null[:, :, i] = alike / n - (1 + q[i]) / 2 + error[i] * rng.standard_normal((NULLS, 1))
    own, shared = np.diag((1 - q**2) / (4 * n) + error**2), np.diag(q * (1 - q) / (4 * n) + error**2)
    whole = np.block([[own, shared], [shared, own]])
    return Copies(
        Agreement.of(residual[0], own, null[:, 0]),
        Agreement.of(residual[1], own, null[:, 1]),
        Agreement.of(residual.ravel(), whole, null.reshape(NULLS, 2 * k)),
    )
