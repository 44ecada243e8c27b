"""Small statistics against numpy and scipy."""

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import logsumexp, softmax
from threadpoolctl import threadpool_limits

from undiffuse import UserError
from undiffuse.support.stats import (
    PrincipalAxes,
    exp_rows,
    mean_and_stderr,
    normal_density,
    root_and_stderr,
    share_stderr,
    stderr,
    straight_line,
)


def test_mean_and_error_are_scipys(rng):
    x = rng.standard_normal(50)
    assert mean_and_stderr(x) == pytest.approx((x.mean(), stats.sem(x)))
    assert np.isnan(stderr([1.0]))
    with pytest.raises(UserError, match="at least two samples"):
        mean_and_stderr([1.0])


def test_the_error_of_a_root_is_the_spread_of_its_estimates(rng):
    """2,000 estimates from 200 squares each: 3 standard errors of a standard deviation are 5 %."""
    squares = rng.standard_normal((2_000, 200)) ** 2 * 4
    estimates, errors = np.array([root_and_stderr(row) for row in squares]).T
    assert np.mean(errors) == pytest.approx(estimates.std(), rel=0.05)
    assert root_and_stderr(np.zeros(3)) == (0.0, 0.0)


def test_the_error_of_a_share_is_binomial():
    assert share_stderr(0.3, 50) == pytest.approx(stats.binom(50, 0.3).std() / 50)


def test_the_normal_density_is_scipys(rng):
    x = rng.standard_normal(10)
    np.testing.assert_allclose(normal_density(x, 0.3, 2.0), stats.norm(0.3, np.sqrt(2)).pdf(x))


def test_exponentials_of_rows_do_not_overflow(rng):
    exponents = 1e4 * rng.standard_normal((5, 7))
    copy = exponents.copy()
    top, total = exp_rows(copy)
    np.testing.assert_allclose(copy / total[:, None], softmax(exponents, axis=1))
    np.testing.assert_allclose(top + np.log(total), logsumexp(exponents, axis=1))


def test_principal_axes_diagonalise_the_covariance_largest_first(rng):
    x = rng.standard_normal((100, 5)) @ rng.standard_normal((5, 5))
    mean, variances, axes = PrincipalAxes.of(x)
    np.testing.assert_allclose(axes.T @ np.cov(x.T, bias=True) @ axes, np.diag(variances), atol=1e-10)
    assert (np.diff(variances) <= 0).all()
    np.testing.assert_array_equal(mean, x.mean(axis=0))
    assert (axes[np.argmax(np.abs(axes), axis=0), range(5)] > 0).all()


def test_principal_axes_do_not_depend_on_the_number_of_threads(rng):
    """The last digits of LAPACK's eigenvectors do."""
    x = rng.standard_normal((400, 300))
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(PrincipalAxes.of(x).axes)
    np.testing.assert_array_equal(*found)


def test_the_slope_of_a_line_is_that_of_least_squares(rng):
    x, errors = np.arange(6.0), rng.uniform(0.1, 0.3, 6)
    y = 2 - 0.5 * x + errors * rng.standard_normal(6) * 0.1
    slope, error = straight_line(x, y, errors)
    theirs, covariance = optimize.curve_fit(lambda x, a, b: a * x + b, x, y, sigma=errors, absolute_sigma=True)
    assert (slope, error) == pytest.approx((theirs[0], np.sqrt(covariance[0, 0])), rel=1e-5)
