"""Small statistics, each written once: means with errors, principal axes, the normal density, posterior weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.support.arrays import Floats, Reals
from undiffuse.support.errors import require
from undiffuse.support.threads import one_thread


def stderr(values: ArrayLike) -> float:
    """Standard error of the mean of independent values, ``std/sqrt(n)`` with n - 1 under the sum; NaN for one value."""
    array = np.asarray(values, np.float64)
    return float(array.std(ddof=1) / np.sqrt(len(array))) if len(array) > 1 else float("nan")


def stderrs(values: Floats) -> Floats:
    """:func:`stderr` of each column of values ``(n, ...)``, two or more to a column."""
    return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(len(values)))


def mean_and_stderr(values: ArrayLike) -> tuple[float, float]:
    """Mean of independent values and its standard error.

    Raises
    ------
    UserError
        If there are fewer than two.
    """
    array = np.asarray(values, np.float64)
    require(len(array) >= 2, "wanted at least two samples, for errors to be known")
    return float(array.mean()), stderr(array)


def root_and_stderr(squares: ArrayLike) -> tuple[float, float]:
    """Root of a mean square and its standard error, by the delta method."""
    array = np.asarray(squares, np.float64)
    root = float(np.sqrt(array.mean()))
    return root, stderr(array) / (2 * root) if root > 0 else 0.0


def share_stderr(share: float, n: int) -> float:
    """Standard error ``sqrt(p (1 - p)/n)`` of a share p of n independent cases."""
    return float(np.sqrt(share * (1 - share) / n))


def normal_density(x: ArrayLike, mean: ArrayLike = 0.0, variance: ArrayLike = 1.0) -> Floats:
    """Density of ``N(mean, variance)`` at ``x``."""
    gap, spread = np.asarray(x, np.float64) - np.asarray(mean), np.asarray(variance)
    return np.asarray(np.exp(-(gap**2) / (2 * spread)) / np.sqrt(2 * np.pi * spread))


def exp_rows(exponents: Reals) -> tuple[Reals, Reals]:
    """Replace each row of exponents by ``e^(x - top)`` in place; return ``top``, its largest entry, and the row's sum.

    Over their sum the rows are posterior weights (a softmax), and ``top + log(sum)`` is the logarithm of the sum of
    ``e^x``; neither overflows. In single precision nothing is below ``e^-60`` of the largest: smaller weights change no
    digit, and products with denormal numbers take many times as long.
    """
    top = exponents.max(axis=1)
    exponents -= top[:, None]
    if exponents.dtype == np.float32:
        np.maximum(exponents, -60, out=exponents)
    np.exp(exponents, out=exponents)
    return top, exponents.sum(axis=1)


class PrincipalAxes(NamedTuple):
    """Mean and principal axes of data.

    Attributes
    ----------
    mean : (dim,)
    variances : (dim,)
        Along the axes, largest first.
    axes : (dim, dim)
        One to a column; of its two directions, the one whose largest entry is positive.
    """

    mean: Floats
    variances: Floats
    axes: Floats

    @staticmethod
    def of(x: Floats) -> PrincipalAxes:
        """Principal axes of data of shape ``(n, dim)``, from their covariance divided by n."""
        mean = x.mean(axis=0)
        return PrincipalAxes(mean, *axes_of_covariance(covariance(x)))


def covariance(x: Floats) -> Floats:
    """Covariance ``(dim, dim)`` of data of shape ``(n, dim)``, divided by n."""
    with one_thread():
        centred = x - x.mean(axis=0)
        return np.asarray(centred.T @ centred / len(x))


def axes_of_covariance(matrix: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues and eigenvectors (columns) of a covariance, largest first.

    Made by one thread, since the eigenvectors' last digits depend on the number of threads.
    """
    with one_thread():
        values, vectors = np.linalg.eigh(matrix)
    axes = vectors[:, ::-1]
    largest = axes[np.argmax(np.abs(axes), axis=0), np.arange(axes.shape[1])]
    return values[::-1].copy(), np.ascontiguousarray(axes * np.where(largest < 0, -1.0, 1.0))


def straight_line(x: Floats, y: Floats, errors: Floats) -> tuple[float, float]:
    """Slope of the weighted least-squares line through points with independent errors, and its standard error.

    Where the points scatter more than their errors allow (chi^2 per degree of freedom above 1), the error is that much
    larger.
    """
    slope, error, chi2 = _weighted_line(x, y, np.maximum(errors, 1e-300))
    return slope, error * float(np.sqrt(max(1.0, chi2 / max(1, len(x) - 2))))


def _weighted_line(x: Floats, y: Floats, errors: Floats) -> tuple[float, float, float]:
    """Slope of the weighted least-squares line, its standard error from ``errors`` alone, and chi^2."""
    weights = 1 / errors**2
    along, up = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    spread = float(np.sum(weights * along**2))
    slope = float(np.sum(weights * along * up) / spread)
    return slope, spread**-0.5, float(np.sum(weights * (up - slope * along) ** 2))


class Line(NamedTuple):
    """Weighted least-squares line through points with known independent errors.

    Attributes
    ----------
    slope, stderr : float
        Slope and its standard error, from the points' errors alone.
    chi2 : float
        Sum of squared deviations in standard errors.
    degrees : int
        Number of points less two.
    p_value : float
        Probability of a larger chi^2.
    """

    slope: float
    stderr: float
    chi2: float
    degrees: int
    p_value: float

    @staticmethod
    def through(x: Floats, y: Floats, errors: Floats) -> Line:
        """Fit ``y = a + slope x``.

        Raises
        ------
        UserError
            If there are fewer than three points, or an error is not positive.
        """
        from scipy.special import gammaincc

        require(len(x) >= 3 and bool((errors > 0).all()), "a line with its chi^2 needs three points with errors")
        slope, error, chi2 = _weighted_line(x, y, errors)
        degrees = len(x) - 2
        return Line(slope, error, chi2, degrees, float(gammaincc(degrees / 2, chi2 / 2)))
