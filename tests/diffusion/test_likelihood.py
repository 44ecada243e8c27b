"""The bound (18): against exact Gaussian likelihoods, quadrature, and its own parts."""

import numpy as np
import pytest
from scipy import stats

import undiffuse as ud
from undiffuse.diffusion.likelihood import _log_mass


@pytest.fixture
def short():
    return ud.ForwardProcess(ud.NoiseSchedule.linear(6, 0.1, 0.7), noise_scale=0.8)


def reverse_chain(denoiser, variance):
    """Mean and covariance of the joint law p(x_0, .., x_T) of one variable, from the linear steps of Algorithm 2."""
    f, q = denoiser.forward, denoiser.forward.schedule
    T, s = q.T, f.noise_scale
    mean, covariance = np.zeros(T + 1), np.zeros((T + 1, T + 1))
    covariance[T, T] = s**2
    for t in range(T, 0, -1):
        at = np.array([[0.0], [1.0]])
        offset, above = denoiser.xi_hat(at, t)[:, 0]
        step = s * q.beta(t) / np.sqrt(q.Delta(t))
        slope, shift = (1 - step * (above - offset)) / np.sqrt(q.alpha(t)), -step * offset / np.sqrt(q.alpha(t))
        sigma2 = s**2 * (q.beta(t) if variance == "beta" or t == 1 else q.posterior_variance(t))
        mean[t - 1] = slope * mean[t] + shift
        covariance[t - 1, t:] = covariance[t:, t - 1] = slope * covariance[t, t:]
        covariance[t - 1, t - 1] = slope**2 * covariance[t, t] + sigma2
    return mean, covariance


def kl_between(m1, C1, m2, C2):
    inverse = np.linalg.inv(C2)
    d = m2 - m1
    return 0.5 * (
        np.trace(inverse @ C1) + d @ inverse @ d - len(d) + np.linalg.slogdet(C2)[1] - np.linalg.slogdet(C1)[1]
    )


@pytest.mark.parametrize("variance", ["beta", "posterior"])
@pytest.mark.parametrize("x0", [-0.7, 1.6])
def test_annex_I_the_gap_of_the_bound_is_the_divergence_of_the_latents(short, variance, x0):
    """-log p(x_0) + KL(q(latents|x_0) || p(latents|x_0)), all exact, against 40,000 draws: 4 standard errors."""
    denoiser = ud.GaussianDenoiser(short, [0.4], [[0.9]])
    mean, covariance = reverse_chain(denoiser, variance)
    evidence = stats.norm.logpdf(x0, mean[0], np.sqrt(covariance[0, 0]))
    gain = covariance[1:, 0] / covariance[0, 0]
    p_mean = mean[1:] + gain * (x0 - mean[0])
    p_covariance = covariance[1:, 1:] - np.outer(gain, covariance[0, 1:])
    q = short.schedule
    times = np.arange(1, q.T + 1)
    signal = np.sqrt(q.alpha_bar(times))
    earlier, later = np.minimum.outer(times, times), np.maximum.outer(times, times)
    q_covariance = 0.8**2 * np.sqrt(q.alpha_bar(later) / q.alpha_bar(earlier)) * q.Delta(earlier)
    gap = kl_between(signal * x0, q_covariance, p_mean, p_covariance)
    found = ud.bound(denoiser, np.full((40_000, 1), x0), variance=variance)
    assert found.total == pytest.approx(-evidence + gap, abs=4 * found.stderr)


def test_terms_on_gaussian_data_have_their_closed_form(forward):
    """Mean over 20,000 samples of each KL_t against w_t N e_t plus the variances' term: 5 standard errors."""
    rng = np.random.default_rng(3)
    denoiser = ud.GaussianDenoiser(forward, [0, 0], [[1.0, 0.3], [0.3, 0.5]])
    x = rng.multivariate_normal([0, 0], denoiser.covariance, 20_000)
    found = ud.bound(denoiser, x)
    q = forward.schedule
    for t in (2, 10, 60, 100):
        beta, posterior = q.beta(t), q.posterior_variance(t)
        weight = beta / (2 * q.alpha(t) * q.Delta(t))
        fixed = posterior / beta - 1 - np.log(posterior / beta)
        expected = weight * 2 * denoiser.error(t) + fixed
        assert found.per_t[t - 2] == pytest.approx(expected, abs=5 * weight * 2 * denoiser.error(t) / np.sqrt(20_000))


def test_bound_of_the_true_gaussian_is_just_above_its_entropy(forward):
    rng = np.random.default_rng(4)
    denoiser = ud.GaussianDenoiser(forward, [0.0], [[1.0]])
    found = ud.bound(denoiser, rng.standard_normal((20_000, 1)))
    entropy = 0.5 * np.log(2 * np.pi * np.e)
    assert entropy - 4 * found.stderr < found.total < entropy + 0.2


def test_masses_of_the_256_levels_sum_to_one():
    levels = np.arange(256)[:, None] / 255
    for mean, sigma in ((0.5, 0.01), (-0.3, 0.01), (1.2, 0.2), (0.4, 1e-4)):
        assert np.exp(_log_mass(levels, np.full((256, 1), mean), sigma, 0, 1)).sum() == pytest.approx(1, abs=1e-12)


def test_masses_far_out_in_either_tail_do_not_cancel():
    """Twenty-odd standard deviations out the mass is about density times width, with the slope across the bin."""
    x, sigma, half = 100 / 255, 0.01, 0.5 / 255
    for mean in (x + 0.25, x - 0.25):
        u = abs(mean - x) / sigma
        z = half / sigma
        # Integral of the density over the bin, with the exponent's linear part exact and its square left out.
        expected = stats.norm.logpdf(u) + np.log(2 * np.sinh(u * z) / u) - z**2 / 6
        found = _log_mass(np.array([[x]]), np.array([[mean]]), sigma, 0, 1)[0]
        assert found == pytest.approx(expected, rel=1e-3)


def test_bits_and_nats_differ_by_ln_2(forward):
    found = ud.bound(ud.GaussianDenoiser(forward, [0.0], [[1.0]]), np.zeros((5, 1)))
    assert found.bits == pytest.approx(found.total / np.log(2))
    assert found.as_dict()["nats"] == pytest.approx(found.prior + found.per_t.sum() + found.decoder)


def test_a_denoiser_along_its_axes_has_the_same_bound(forward, rng):
    """A full covariance, and the same data turned to its axes: two seeds of noise, so 5 standard errors."""
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    x = rng.standard_normal((4_000, 3)) * [1, 0.5, 0.1]
    straight = ud.bound(ud.GaussianDenoiser(forward, np.zeros(3), np.diag([1, 0.25, 0.01])), x)
    turned = ud.bound(ud.GaussianDenoiser(forward, np.zeros(3), turn.T @ np.diag([1, 0.25, 0.01]) @ turn), x @ turn)
    assert turned.total == pytest.approx(straight.total, abs=5 * np.hypot(straight.stderr, turned.stderr))


def test_bound_refuses_what_it_does_not_fit(forward):
    denoiser = ud.GaussianDenoiser(forward, [0.0], [[1.0]])
    with pytest.raises(ud.UserError, match="not 8-bit images"):
        ud.bound(denoiser, [[0.1234]], levels=(0, 1))
    with pytest.raises(ud.UserError, match="unknown variance 'bta'; did you mean 'beta'"):
        ud.bound(denoiser, [[0.0]], variance="bta")
    with pytest.raises(ud.UserError, match="x0 has shape"):
        ud.bound(denoiser, [[0.0, 1.0]])
