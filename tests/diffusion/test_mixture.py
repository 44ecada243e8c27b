"""The mixture's denoiser against quadrature and against its limits."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import undiffuse as ud

WEIGHTS, MEANS, DEVIATIONS = [0.3, 0.7], [-1.0, 0.8], [0.2, 0.5]


@pytest.fixture
def line(forward):
    return ud.MixtureDenoiser(forward, WEIGHTS, np.array(MEANS)[:, None], np.square(DEVIATIONS)[:, None, None])


def density(x):
    return sum(w * norm.pdf(x, m, s) for w, m, s in zip(WEIGHTS, MEANS, DEVIATIONS, strict=True))


@pytest.mark.parametrize("t", [1, 20, 60, 100])
@pytest.mark.parametrize("x_t", [-2.1, -0.3, 0.1, 1.7])
def test_data_estimate_and_density_are_the_integrals_over_the_data(line, forward, t, x_t):
    def joint(x0):
        return density(x0) * norm.pdf(x_t, forward.signal(t) * x0, forward.noise(t))

    around = sorted({*MEANS, x_t / forward.signal(t)} & set(np.clip([*MEANS, x_t / forward.signal(t)], -6, 6)))
    whole = quad(joint, -6, 6, points=around, limit=400, epsabs=0, epsrel=1e-11)[0]
    mean = quad(lambda x0: x0 * joint(x0), -6, 6, points=around, limit=400, epsabs=1e-13, epsrel=1e-11)[0] / whole
    at = np.array([[x_t]])
    assert line.x0_hat(at, t)[0, 0] == pytest.approx(mean, rel=1e-7, abs=1e-9)
    assert line.log_density(at, t)[0] == pytest.approx(np.log(whole), rel=1e-8, abs=1e-8)


def test_the_score_is_the_gradient_of_the_log_density(line, forward):
    x, step = np.linspace(-3, 3, 13)[:, None], 1e-5
    slope = (line.log_density(x + step, 40) - line.log_density(x - step, 40)) / (2 * step)
    np.testing.assert_allclose(line.score(x, 40)[:, 0], slope, rtol=1e-6, atol=1e-8)
    potential = line.potential(x, 40, np.zeros(1))
    np.testing.assert_allclose(potential, ud.Denoiser.potential(line, x, 40, np.zeros(1)), rtol=1e-6, atol=1e-8)


def test_one_component_is_the_gaussian_denoiser(forward, rng):
    mean, covariance = np.array([0.3, -1.0]), np.array([[0.6, 0.2], [0.2, 0.4]])
    one, x = ud.MixtureDenoiser(forward, [1.0], mean[None], covariance[None]), rng.standard_normal((20, 2))
    np.testing.assert_allclose(one.xi_hat(x, 30), ud.GaussianDenoiser(forward, mean, covariance).xi_hat(x, 30))


def test_components_of_no_width_are_the_empirical_denoiser(forward, rng):
    points, x = rng.standard_normal((5, 3)), rng.standard_normal((20, 3))
    narrow = ud.MixtureDenoiser(forward, np.full(5, 0.2), points, np.zeros((5, 3, 3)))
    for t in (5, 50, 100):
        np.testing.assert_allclose(narrow.xi_hat(x, t), ud.EmpiricalDenoiser(forward, points).xi_hat(x, t), atol=1e-9)


def test_far_from_every_component_nothing_overflows(line):
    assert np.isfinite(line.xi_hat(np.array([[1e6], [-1e6]]), 1)).all()


@pytest.mark.parametrize(
    ("weights", "means", "covariances", "message"),
    [
        ([0.5, 0.6], np.zeros((2, 1)), np.ones((2, 1, 1)), "positive numbers of sum 1"),
        ([1.5, -0.5], np.zeros((2, 1)), np.ones((2, 1, 1)), "positive numbers of sum 1"),
        ([0.5, 0.5], np.zeros((3, 1)), np.ones((2, 1, 1)), "do not belong together"),
        ([0.5, 0.5], np.zeros((2, 2)), np.ones((2, 1, 1)), "do not belong together"),
        ([1.0], np.zeros((1, 2)), [[[1.0, 0.5], [0.0, 1.0]]], "not symmetric"),
        ([1.0], np.zeros((1, 1)), [[[-1.0]]], "negative eigenvalue"),
    ],
)
def test_what_is_no_mixture_is_refused(forward, weights, means, covariances, message):
    with pytest.raises(ud.UserError, match=message):
        ud.MixtureDenoiser(forward, weights, means, covariances)
