"""Densities by importance sampling and by the probability flow, against enumeration and closed forms."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import undiffuse as ud
from undiffuse import datasets
from undiffuse.diffusion.flow import flow_log_density
from undiffuse.diffusion.samplers import Ancestral, Step
from undiffuse.diffusion.work import work
from undiffuse.physics import CurieWeiss, CurieWeissDenoiser

SHORT = ud.ForwardProcess(ud.NoiseSchedule.linear(6, 0.1, 0.5), 0.8)
LINE = ud.GaussianDenoiser(SHORT, [0.4], [[0.5]])


def joints(denoiser, x0):
    """Means and covariances of (x_1 .. x_T) under q, given x_0, and of (x_0 .. x_T) under p; one variable."""
    forward, T = denoiser.forward, denoiser.forward.T
    schedule, s2 = forward.schedule, forward.noise_scale**2
    a = np.sqrt(np.concatenate([[1.0], schedule.alpha_bar(schedule.times)]))
    Delta = np.concatenate([[0.0], schedule.Delta(schedule.times)])
    C_q = np.array(
        [[s2 * a[max(t, u)] / a[min(t, u)] * Delta[min(t, u)] for u in range(1, T + 1)] for t in range(1, T + 1)]
    )
    m_p, C_p = np.zeros(T + 1), np.zeros((T + 1, T + 1))
    C_p[T, T] = s2
    for t in range(T, 0, -1):
        at = Step(t, t - 1)
        c = Ancestral().coefficients(forward, at)
        shift, slope = (denoiser.xi_hat(np.array([[v]]), t)[0, 0] for v in (0.0, 1.0))
        factor, offset = c.p + c.q * (slope - shift), c.q * shift
        added = s2 * (schedule.beta(1) if t == 1 else c.r**2 / s2)
        m_p[t - 1] = factor * m_p[t] + offset
        C_p[t - 1, t:] = factor * C_p[t, t:]
        C_p[t:, t - 1] = C_p[t - 1, t:]
        C_p[t - 1, t - 1] = factor**2 * C_p[t, t] + added
    return a[1:] * x0, C_q, m_p, C_p


def test_e_to_minus_work_averages_to_the_density_of_the_chain():
    """20,000 trajectories of three points, 4.5 standard errors; the density from the chain's Gaussian moments."""
    x = np.array([[-0.8], [0.4], [1.3]])
    found = work(LINE, x, trajectories=20_000, seed=1)
    _, _, m, C = joints(LINE, 0.0)
    exact = multivariate_normal(m[0], C[0, 0]).pdf(x[:, 0])
    weights = np.exp(-found.total)
    assert np.all(np.abs(weights.mean(axis=1) - exact) < 4.5 * weights.std(axis=1) / np.sqrt(20_000))
    np.testing.assert_allclose(found.log_density, np.log(weights.mean(axis=1)))


def test_the_work_lost_is_the_divergence_of_the_latent_variables():
    """Annex I's identity, by conditioning Gaussians; 20,000 trajectories, 4.5 standard errors."""
    x0 = 0.9
    m_q, C_q, m, C = joints(LINE, x0)
    gain = C[1:, 0] / C[0, 0]
    m_p, C_p = m[1:] + gain * (x0 - m[0]), C[1:, 1:] - np.outer(gain, C[0, 1:])
    inverse = np.linalg.inv(C_p)
    away = m_p - m_q
    logs = np.linalg.slogdet(C_p)[1] - np.linalg.slogdet(C_q)[1]
    divergence = 0.5 * (np.trace(inverse @ C_q) + away @ inverse @ away - len(m_q) + logs)
    found = work(LINE, [[x0]], trajectories=20_000, seed=2)
    log_p = multivariate_normal(m[0], C[0, 0]).logpdf(x0)
    stderr = found.total.std() / np.sqrt(20_000)
    assert abs(found.bound[0] + log_p - divergence) < 4.5 * stderr
    assert divergence > 10 * stderr  # there is something to see


@pytest.mark.parametrize("t", [0, 1, 20])
def test_nothing_is_lost_where_the_reverse_process_is_exact(t):
    """Data of the noise's own variance: every trajectory has the work -log p, to 1e-9."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(200), 0.7)
    exact = ud.GaussianDenoiser(forward, np.zeros(3), 0.49 * np.eye(3))
    x = np.random.default_rng(0).normal(size=(5, 3))
    found = work(exact, x, t, trajectories=8)
    truth = multivariate_normal(np.zeros(3), 0.49 * np.eye(3)).logpdf(x)
    np.testing.assert_allclose(found.total, np.repeat(-truth[:, None], 8, axis=1), atol=1e-9)
    np.testing.assert_allclose(found.effective, 8)


def test_terms_of_the_work_are_those_of_the_bound():
    """Means of 40 trajectories of 300 points beside independent noise at each time, 4.5 standard errors of each."""
    x = np.random.default_rng(1).normal(0.4, np.sqrt(0.5), (300, 1))
    found = work(LINE, x, trajectories=40, seed=3)
    bound = ud.bound(LINE, np.repeat(x, 40, axis=0), seed=4)
    stderr = 2 * np.sqrt((found.variance_per_t + 0.01) / (300 * 40))
    ours = np.concatenate([found.per_t, [found.per_t.sum()]])
    theirs = np.concatenate([[bound.decoder], bound.per_t, [bound.prior], [bound.total]])
    assert np.all(np.abs(ours - theirs) < 4.5 * np.concatenate([stderr, [2 * bound.stderr]]))


def test_results_do_not_depend_on_the_batches(monkeypatch):
    x = np.array([[0.1], [0.5], [-0.3]])
    whole = work(LINE, x, trajectories=5, seed=6)
    monkeypatch.setattr("undiffuse.diffusion.work._NUMBERS", 5)
    np.testing.assert_array_equal(work(LINE, x, trajectories=5, seed=6).total, whole.total)


# -- sixteen spins ------------------------------------------------------------------------------------------------


def enumerated(model, forward, x, t):
    """Log density of diffused spins, by all 2^N configurations."""
    states = np.array(list(product([-1.0, 1.0], repeat=model.N)))
    logs = model.beta / (2 * model.N) * states.sum(axis=1) ** 2 + model.h / model.N * states.sum(axis=1)
    logs -= np.logaddexp.reduce(logs)
    variance = forward.noise(t) ** 2
    kernel = -((x[:, None, :] - forward.signal(t) * states) ** 2).sum(axis=2) / (2 * variance)
    return np.logaddexp.reduce(kernel + logs, axis=1) - model.N / 2 * np.log(2 * np.pi * variance)


@pytest.fixture(scope="module")
def spins():
    model = CurieWeiss(16, beta=1.5, h=0.3)
    forward = ud.ForwardProcess(ud.NoiseSchedule.at_ou_times(np.linspace(0.3, 6.0, 250)))
    x0 = model.sample(12, np.random.default_rng(3))
    x = forward.jump(x0, 1, np.random.default_rng(4).standard_normal(x0.shape))
    return CurieWeissDenoiser(forward, model), x, enumerated(model, forward, x, 1)


def test_the_density_of_diffused_spins_is_that_of_enumeration(spins):
    exact, x, truth = spins
    np.testing.assert_allclose(exact.log_density(x, 1), truth, atol=1e-9)


def test_the_flow_gives_sixteen_spins_the_density_of_enumeration(spins):
    """12 configurations, 0.003 nats for its steps."""
    exact, x, truth = spins
    np.testing.assert_allclose(flow_log_density(exact, x, 1), truth, atol=0.003)


def test_importance_sampling_gives_sixteen_spins_the_density_of_enumeration(spins):
    """12 configurations, 400 trajectories each: the mean within 4.5 standard errors, and 0.02 nats for the steps."""
    exact, x, truth = spins
    found = work(exact, x, 1, trajectories=400, seed=5)
    errors = 1 / np.sqrt(found.effective)
    assert found.effective.min() > 20
    assert abs(np.mean(found.log_density - truth)) < 4.5 * np.sqrt(np.sum(errors**2)) / len(x) + 0.02
    assert np.mean(found.bound + truth) > 0.01


# -- the flow ------------------------------------------------------------------------------------------------------


def test_the_flow_of_a_gaussian_has_its_density_with_an_error_of_second_order():
    covariance = [[0.6, 0.25], [0.25, 0.3]]
    exact = ud.GaussianDenoiser(ud.ForwardProcess(ud.NoiseSchedule.linear(2000, 5e-5, 0.01)), [0.5, -0.3], covariance)
    forward, x = exact.forward, np.array([[0.2, 0.1], [1.5, -0.9]])
    # The flow of a Gaussian is affine along its axes; it ends in N(0, 1) here, not in the data's own law at T.
    start, end = exact.total_variances(1), exact.total_variances(2000)
    centre = exact.mean @ exact.axes
    z = (x @ exact.axes - forward.signal(1) * centre) * np.sqrt(end / start) + forward.signal(2000) * centre
    truth = np.sum(-(z**2) / 2 - np.log(2 * np.pi) / 2 + np.log(end / start) / 2, axis=1)
    fine, coarse = (np.abs(flow_log_density(exact, x, 1, stride=k) - truth).max() for k in (1, 2))
    assert fine < 2e-4
    assert 2.5 < coarse / fine < 6


def test_the_density_of_a_diffused_spiral_has_the_mass_one():
    data = datasets.load(ud.config.load("spiral-2pi", ["data.n=100", "data.held_out=10"]))
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2), 0.3)
    grid = np.linspace(-2.5, 2.5, 401)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    for t in (10, 60):
        density = np.exp(data.log_density(forward, points, t))
        assert abs(density.sum() * (grid[1] - grid[0]) ** 2 - 1) < 1e-6


@pytest.mark.parametrize("t", [3, 9])
def test_traces_are_those_of_the_jacobian(tiny_run_path, digits_run_path, t):
    for path in (tiny_run_path, digits_run_path):
        bank = ud.Diffusion.load(path).bank
        x = np.random.default_rng(t).normal(size=(3, bank.dim))
        jacobian = bank.xi_jacobian(x, t)
        np.testing.assert_allclose(bank.xi_trace(x, t), np.trace(jacobian, axis1=1, axis2=2), rtol=1e-6)


def test_traces_of_exact_denoisers_are_those_of_differences(rng):
    points = rng.normal(size=(7, 3))
    for exact in (
        ud.EmpiricalDenoiser(SHORT, points),
        ud.GaussianDenoiser.from_data(SHORT, points),
        CurieWeissDenoiser(SHORT, CurieWeiss(3, beta=1.2, h=0.2)),
    ):
        x = rng.normal(size=(4, 3))
        np.testing.assert_allclose(exact.xi_trace(x, 3), ud.Denoiser.xi_trace(exact, x, 3), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: work(LINE, [[0.0]], 6), r"t = 6: wanted a time in 0..5"),
        (lambda: work(LINE, [[0.0]], trajectories=1), "trajectories = 1: wanted at least 2"),
        (lambda: flow_log_density(LINE, [[0.0]], 0), r"t = 0: wanted a time in 1..5"),
    ],
)
def test_wrong_numbers_are_one_line(make, words):
    with pytest.raises(ud.UserError, match=words):
        make()
