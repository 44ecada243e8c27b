import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

import undiffuse as ud
from undiffuse import Denoiser, EmpiricalDenoiser, ForwardProcess, GaussianDenoiser, LinearDenoiser, NoiseSchedule
from undiffuse.diffusion.objective import bound_weight, xi_error
from undiffuse.support.errors import UserError

MEAN, COVARIANCE = np.array([0.4, -0.2]), np.array([[0.9, 0.35], [0.35, 0.4]])


@pytest.fixture
def gaussian(forward):
    return GaussianDenoiser(forward, MEAN, COVARIANCE)


def brute_x0(points, forward, x_t, t):
    """Posterior mean over a finite set, one softmax at a time."""
    out = []
    for x in x_t:
        w = np.exp(-np.sum((x - forward.signal(t) * points) ** 2, axis=1) / (2 * forward.noise(t) ** 2))
        out.append(w @ points / w.sum())
    return np.array(out)


@pytest.mark.parametrize("t", [1, 20, 100])
def test_gaussian_posterior_mean_equals_quadrature(forward, t):
    """One dimension: E[x_0|x_t] by integrating over x_0."""
    mu, var, x_t = 0.4, 0.5, 0.9
    d = GaussianDenoiser(forward, [mu], [[var]])

    def weight(x0):
        return norm.pdf(x0, mu, np.sqrt(var)) * norm.pdf(x_t, forward.signal(t) * x0, forward.noise(t))

    centre = float(d.x0_hat(np.array([[x_t]]), t)[0, 0])
    around = (centre - 8, centre + 8)
    options = {"points": [centre], "epsabs": 0, "limit": 400}
    expected = quad(lambda x: x * weight(x), *around, **options)[0] / quad(weight, *around, **options)[0]
    assert centre == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("t", [1, 50, 100])
def test_gaussian_score_is_the_gradient_of_the_log_density(gaussian, forward, rng, t):
    """Against autograd through torch's multivariate normal."""
    x = torch.tensor(rng.standard_normal((5, 2)), requires_grad=True)
    cov = forward.signal(t) ** 2 * COVARIANCE + forward.noise(t) ** 2 * np.eye(2)
    law = torch.distributions.MultivariateNormal(torch.tensor(forward.signal(t) * MEAN), torch.tensor(cov))
    law.log_prob(x).sum().backward()
    np.testing.assert_allclose(gaussian.score(x.detach().numpy(), t), x.grad.numpy(), rtol=1e-8, atol=1e-10)


def test_gaussian_log_density_equals_torchs(gaussian, forward, rng):
    x = rng.standard_normal((4, 2))
    cov = forward.signal(30) ** 2 * COVARIANCE + forward.noise(30) ** 2 * np.eye(2)
    law = torch.distributions.MultivariateNormal(torch.tensor(forward.signal(30) * MEAN), torch.tensor(cov))
    np.testing.assert_allclose(gaussian.log_density(x, 30), law.log_prob(torch.tensor(x)).numpy(), rtol=1e-10)


@pytest.mark.parametrize("t", [3, 40, 100])
def test_gaussian_error_is_what_it_makes_on_gaussian_data(gaussian, rng, t):
    """40,000 samples; the square errors' own spread gives the standard error, tolerance 4.5 of them."""
    x0 = rng.multivariate_normal(MEAN, COVARIANCE, 40_000)
    spread = gaussian.error(t) * np.sqrt(2 / x0.size) * 2
    assert abs(xi_error(gaussian, x0, t) - gaussian.error(t)) < 4.5 * spread


def test_linear_map_gives_the_same_answer(gaussian, rng):
    x = rng.standard_normal((6, 2))
    G, g = gaussian.linear_map(60)
    np.testing.assert_allclose(x @ G - g, gaussian.xi_hat(x, 60), rtol=1e-10)


@pytest.mark.parametrize("covariance", [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.0, 1.0]], [[1.0]]])
def test_impossible_covariances_are_refused(forward, covariance):
    with pytest.raises(UserError, match="covariance"):
        GaussianDenoiser(forward, [0.0, 0.0], covariance)


@pytest.mark.parametrize("t", [5, 50, 100])
def test_empirical_denoiser_equals_brute_force(forward, rng, t):
    points, x_t = rng.standard_normal((40, 3)), rng.standard_normal((7, 3))
    d = EmpiricalDenoiser(forward, points)
    np.testing.assert_allclose(d.x0_hat(x_t, t), brute_x0(points, forward, x_t, t), rtol=1e-9)


def test_empirical_score_is_the_gradient_of_its_log_density(forward, rng):
    d = EmpiricalDenoiser(forward, rng.standard_normal((30, 2)))
    x, h = rng.standard_normal((4, 2)), 1e-5
    numeric = [(d.log_density(x + h * e, 40) - d.log_density(x - h * e, 40)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(d.score(x, 40), np.stack(numeric, axis=1), rtol=1e-6)


def test_empirical_denoiser_survives_far_away_points():
    """At t = 1 of the thesis's spiral every kernel underflows; the nearest point has to win."""
    forward = ForwardProcess(NoiseSchedule.linear(), 0.1)
    points = np.array([[0.0, 0.0], [1.0, 0.0]])
    x0 = EmpiricalDenoiser(forward, points).x0_hat(np.array([[30.0, 0.0], [-30.0, 1.0]]), 1)
    np.testing.assert_allclose(x0, points[::-1], atol=1e-9)


def test_chunks_change_nothing(forward, rng):
    points, x = rng.standard_normal((50, 2)), rng.standard_normal((33, 2))
    whole, cut = EmpiricalDenoiser(forward, points), EmpiricalDenoiser(forward, points, chunk=120)
    np.testing.assert_allclose(cut.xi_hat(x, 20), whole.xi_hat(x, 20), rtol=1e-12)


def test_linear_model_tends_to_the_wiener_filter(forward, rng):
    """4,000 points, 200 noised copies each: slopes agree to 2 per cent of the largest."""
    x = rng.multivariate_normal(MEAN, COVARIANCE, 4_000)
    linear, exact = LinearDenoiser(forward, x, draws=200), GaussianDenoiser.from_data(forward, x)
    grid = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 2.0]])
    for t in (5, 50, 100):
        expected = exact.xi_hat(grid, t)
        np.testing.assert_allclose(linear.xi_hat(grid, t), expected, atol=0.02 * abs(expected).max())


def test_linear_model_equals_lstsq_on_the_same_pairs(forward, rng):
    """One draw of noise: the moments' solution is the least-squares one."""
    from undiffuse.support.streams import Purpose, stream

    x = rng.standard_normal((300, 2)) ** 3
    xi = stream(4, Purpose.LINEAR_FIT).standard_normal(x.shape)
    x_t = forward.jump(x, 30, xi)
    design = np.hstack([x_t, np.ones((300, 1))])
    solution = np.linalg.lstsq(design, xi, rcond=None)[0]
    np.testing.assert_allclose(
        LinearDenoiser(forward, x, draws=1, seed=4).xi_hat(x_t, 30), design @ solution, atol=1e-9
    )


@pytest.mark.parametrize("make", [GaussianDenoiser.from_data, LinearDenoiser])
def test_estimates_derive_from_the_noise_in_one_way(forward, rng, make):
    x = rng.standard_normal((200, 2))
    d, t = make(forward, x), 35
    x_t = forward.jump(x, t, rng.standard_normal(x.shape))
    xi, x0 = d.xi_hat(x_t, t), d.x0_hat(x_t, t)
    np.testing.assert_allclose(forward.jump(x0, t, xi), x_t, rtol=1e-10, atol=1e-12)
    score = (forward.signal(t) * x0 - x_t) / forward.noise(t) ** 2
    np.testing.assert_allclose(d.score(x_t, t), score, rtol=1e-9, atol=1e-10)
    v = forward.signal(t) * xi - np.sqrt(float(forward.schedule.Delta(t))) * x0 / forward.noise_scale
    np.testing.assert_allclose(d.v_hat(x_t, t), v, rtol=1e-10)


def test_exact_denoisers_follow_the_protocol(forward, gaussian):
    assert isinstance(gaussian, Denoiser)
    assert isinstance(EmpiricalDenoiser(forward, np.zeros((2, 2))), Denoiser)


def test_bound_weight_is_that_of_equation_19():
    q = NoiseSchedule.linear()
    t = 100
    beta, alpha, Delta = float(q.beta(t)), float(q.alpha(t)), float(q.Delta(t))
    assert bound_weight(q, t) == pytest.approx(beta**2 / (2 * beta * alpha * Delta), rel=1e-12)


# -- the protocol ----------------------------------------------------------------------------------------------------


def test_a_denoiser_without_xi_hat_cannot_be_made(forward):
    class Forgetful(Denoiser):
        pass

    with pytest.raises(TypeError, match="xi_hat"):
        Forgetful(forward, 2)


class Least:
    """No subclass, but enough of a denoiser."""

    def __init__(self, inner):
        self.forward, self.dim, self.xi_hat = inner.forward, inner.dim, inner.xi_hat


def test_what_answers_xi_hat_is_wrapped_in_one_call(forward):
    inner = GaussianDenoiser(forward, [0.5], [[0.3]])
    wrapped = ud.as_denoiser(Least(inner))
    steps = ud.Streams(1)  # a wrapped denoiser has no axes to leap along
    np.testing.assert_array_equal(ud.sample(wrapped, 5, seed=steps), ud.sample(inner, 5, seed=steps))
    assert ud.as_denoiser(inner) is inner


def test_what_is_no_denoiser_is_named(forward):
    with pytest.raises(ud.UserError, match="dict is no denoiser: it has no forward, dim, xi_hat"):
        ud.as_denoiser({})
