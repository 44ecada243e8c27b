import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from undiffuse import ForwardProcess, NoiseSchedule, UserError
from undiffuse.support.arrays import as_samples

LINEAR = ForwardProcess(NoiseSchedule.linear(), 0.1)


def test_chain_and_jump_agree_in_law(forward, rng):
    """Mean and variance at each of three times from 40,000 chains, within 4.5 standard errors."""
    n, x0 = 40_000, 1.3
    for t, x in forward.trajectory(np.full((n, 1), x0), rng):
        if t in (5, 40, 100):
            variance = forward.noise(t) ** 2
            assert abs(x.mean() - forward.signal(t) * x0) < 4.5 * np.sqrt(variance / n)
            assert abs(x.var() - variance) < 4.5 * variance * np.sqrt(2 / n)


def test_trajectory_starts_at_the_data_and_makes_T_steps(forward, rng):
    states = list(forward.trajectory(np.ones((3, 2)), rng))
    assert [t for t, _ in states] == list(range(101))
    np.testing.assert_array_equal(states[0][1], np.ones((3, 2)))


def test_last_state_is_the_standard_normal_times_the_noise_scale(rng):
    """20,000 samples at T: mean 0 and standard deviation s within 4.5 standard errors."""
    n = 20_000
    x = LINEAR.jump(np.zeros((n, 1)), 1000, rng.standard_normal((n, 1)))
    assert abs(x.mean()) < 4.5 * 0.1 / np.sqrt(n)
    assert abs(x.std() - 0.1) < 4.5 * 0.1 / np.sqrt(2 * n)


@pytest.mark.parametrize("t", [2, 30, 100])
def test_posterior_is_bayes_rule(forward, t):
    """Mean and variance of q(x_{t-1}|x_t,x_0) by quadrature of q(x_t|x_{t-1}) q(x_{t-1}|x_0)."""
    x0, x_t, s = 0.8, 0.35, forward.noise_scale
    q = forward.schedule

    def joint(x):
        prior = norm.pdf(x, forward.signal(t - 1) * x0, forward.noise(t - 1))
        return prior * norm.pdf(x_t, np.sqrt(q.alpha(t)) * x, s * np.sqrt(q.beta(t)))

    mean, variance = forward.posterior(np.array([[x_t]]), np.array([[x0]]), t)
    around = (float(mean[0, 0]) - 12 * np.sqrt(variance), float(mean[0, 0]) + 12 * np.sqrt(variance))
    mass, first, second = (quad(lambda x, k=k: joint(x) * x**k, *around, epsabs=0, limit=200)[0] for k in range(3))
    assert mean[0, 0] == pytest.approx(first / mass, rel=1e-8)
    assert variance == pytest.approx(second / mass - (first / mass) ** 2, rel=1e-6)


def test_posterior_at_the_first_time_is_the_data(forward):
    mean, variance = forward.posterior(np.array([[5.0]]), np.array([[0.3]]), 1)
    assert (float(mean[0, 0]), variance) == (pytest.approx(0.3), 0.0)


@pytest.mark.parametrize("kind", ["xi", "x0", "v"])
@given(t=st.integers(1, 100), x0=st.floats(-3, 3), xi=st.floats(-4, 4), s=st.floats(0.05, 3))
def test_every_prediction_gives_back_the_noise(kind, t, x0, xi, s):
    forward = ForwardProcess(NoiseSchedule.linear(100, 1e-3, 0.1), s)
    x0, xi = np.array([[x0]]), np.array([[xi]])
    x_t = forward.jump(x0, t, xi)
    target = forward.target(kind, x0, xi, t)
    np.testing.assert_allclose(forward.to_xi(kind, target, x_t, t), xi, atol=1e-9 * (1 + abs(x0).max() / s) / 1e-3)
    np.testing.assert_allclose(forward.from_xi(kind, xi, x_t, t), target, atol=1e-9 * (1 + 1 / s))


@pytest.mark.parametrize("kind", ["xi", "x0", "v"])
@pytest.mark.parametrize("t", [1, 50, 100])
def test_xi_per_is_the_slope_of_to_xi(forward, kind, t):
    x_t = np.zeros((1, 1))
    slope = forward.to_xi(kind, np.ones((1, 1)), x_t, t) - forward.to_xi(kind, np.zeros((1, 1)), x_t, t)
    assert abs(float(slope[0, 0])) == pytest.approx(forward.xi_per(kind, t))


def test_prior_kl_is_the_divergence_between_the_two_gaussians(forward):
    x0 = np.array([[0.9]])
    p, q = norm(0, forward.noise_scale), norm(forward.signal(100) * 0.9, forward.noise(100))
    kl = quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), -8, 8, epsabs=1e-14, limit=200)[0]
    assert forward.prior_kl(x0) == pytest.approx(kl, rel=1e-5, abs=1e-12)


def test_unscaled_linear_betas_at_small_T_are_warned_about():
    short = ForwardProcess(NoiseSchedule.linear(50), 1.0)
    with pytest.warns(UserWarning, match=r"alpha_bar\(T\) = 0.6"):
        short.check_prior(np.ones((10, 2)))


def test_thesis_schedule_is_a_good_start_and_says_nothing(recwarn):
    assert LINEAR.check_prior(np.full((10, 2), 0.5)) < 0.01
    assert not recwarn.list


@pytest.mark.parametrize("s", [0.0, -1.0, float("nan"), float("inf")])
def test_noise_scale_must_be_positive(s):
    with pytest.raises(UserError, match="noise_scale"):
        ForwardProcess(NoiseSchedule.linear(), s)


def test_nan_in_the_data_is_refused_with_its_row():
    with pytest.raises(UserError, match="NaN or infinity, first in row 2"):
        as_samples([[0, 1], [1, 1], [np.nan, 0]])


def test_wrong_dimension_is_refused_with_both_shapes():
    with pytest.raises(UserError, match=r"shape \(4, 3\), wanted \(n, 2\)"):
        as_samples(np.zeros((4, 3)), 2)


def test_words_are_not_data():
    with pytest.raises(UserError, match="wanted real numbers"):
        as_samples([["a", "b"]])
