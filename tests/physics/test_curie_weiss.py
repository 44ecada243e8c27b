"""The Curie-Weiss model: exact laws, exact and approximate scores, critical times, symmetry breaking."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import undiffuse as ud
from undiffuse.physics import CurieWeiss, CurieWeissDenoiser
from undiffuse.physics.breaking import symmetry_breaking
from undiffuse.physics.curie_weiss import cloning_probability
from undiffuse.studies.curie_weiss import score_errors

TAUS = [0.001, 0.1, 0.5, 1.0, 2.0, 3.0]


def diffusion(s: float = 1.0) -> ud.ForwardProcess:
    return ud.ForwardProcess(ud.NoiseSchedule.at_ou_times(TAUS), s)


def configurations(N: int) -> np.ndarray:
    return np.array(list(product([-1.0, 1.0], repeat=N)))


def log_weights(model: CurieWeiss, x: np.ndarray) -> np.ndarray:
    S = x.sum(axis=1)
    return model.beta / (2 * model.N) * S**2 + model.h / model.N * S


@given(
    N=st.integers(2, 10),
    beta=st.floats(0.2, 8.0),
    h=st.floats(-3.0, 3.0),
    s=st.sampled_from([0.3, 1.0]),
    t=st.integers(1, len(TAUS)),
)
def test_exact_score_equals_enumeration(N, beta, h, s, t):
    model, forward, rng = CurieWeiss(N, beta, h), diffusion(s), np.random.default_rng(N)
    x_t = forward.jump(model.sample(6, rng), t, rng.standard_normal((6, N)))
    points = configurations(N)
    distances = ((x_t[:, None] - forward.signal(t) * points) ** 2).sum(axis=2)
    logs = log_weights(model, points) - distances / (2 * forward.noise(t) ** 2)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    x0_hat = weights @ points / weights.sum(axis=1, keepdims=True)
    expected = (forward.signal(t) * x0_hat - x_t) / forward.noise(t) ** 2
    got = CurieWeissDenoiser(forward, model).score(x_t, t)
    np.testing.assert_allclose(got, expected, atol=1e-10 * np.abs(expected).max())


def test_exact_score_of_sixteen_spins_equals_enumeration(rng):
    model, forward, t = CurieWeiss(16, 1.5, 0.4), diffusion(), 4
    x_t = forward.jump(model.sample(4, rng), t, rng.standard_normal((4, 16)))
    exact = ud.EmpiricalDenoiser(forward, configurations(16))
    exponents = exact._exponents(x_t, t) + log_weights(model, exact.points)
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    x0_hat = weights @ exact.points / weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(CurieWeissDenoiser(forward, model).x0_hat(x_t, t), x0_hat, atol=1e-10)


def test_law_of_the_sum_equals_enumeration():
    model = CurieWeiss(9, 1.3, -0.7)
    x = configurations(9)
    weights = np.exp(log_weights(model, x))
    expected = [weights[x.sum(axis=1) == S].sum() / weights.sum() for S in model.sums]
    np.testing.assert_allclose(np.exp(model.log_law), expected, rtol=1e-12)


def test_samples_follow_the_law_of_the_sum(rng):
    """20,000 samples, each probability to 4.5 standard errors."""
    model, n = CurieWeiss(12, 1.2, 0.5), 20_000
    x = model.sample(n, rng)
    law = np.exp(model.log_law)
    counts = np.array([(x.sum(axis=1) == S).mean() for S in model.sums])
    assert (np.abs(counts - law) < 4.5 * np.sqrt(law * (1 - law) / n) + 1e-12).all()
    # Which spins point up is even: each has the same mean.
    assert np.ptp(x.mean(axis=0)) < 6 / np.sqrt(n)


def test_a_million_spins_can_be_drawn(rng):
    model = CurieWeiss(1_000_000, 1.5)
    assert abs(model.sample(1, rng).mean()) == pytest.approx(model.m_star, abs=0.01)


def test_posterior_draws_have_the_exact_means(rng):
    """20,000 draws of 12 spins, to 5 standard errors."""
    model, forward, t = CurieWeiss(12, 1.5, 0.3), diffusion(), 4
    exact = CurieWeissDenoiser(forward, model)
    x_t = forward.jump(model.sample(3, rng), t, rng.standard_normal((3, 12)))
    draws = exact.posterior_samples(x_t, t, 20_000, rng)
    np.testing.assert_allclose(draws.mean(axis=1), exact.x0_hat(x_t, t), atol=5 / np.sqrt(20_000))


def test_approximate_scores_err_with_the_expected_powers_of_N():
    """From 256 to 2048 spins; corrections of the next order move the exponent by up to 0.03."""
    found = score_errors(1.5, 0.0)
    for name, expected in (("two-state", -1.0), ("large-time", -0.5)):
        assert 0 < found.power_stderr[name] < 0.05
        assert abs(found.power[name] - expected) < 0.03 + 3 * found.power_stderr[name]


def test_two_state_score_keeps_the_states_weights_in_a_field(rng):
    """2,000 spins, noise scale 0.7: x0_hat of each spin within 0.02 of the exact one where both states compete."""
    model = CurieWeiss(2000, 1.5, 0.8)
    tau = 0.5 * np.log(2000 * model.m_star**2 / 4)
    forward = ud.ForwardProcess(ud.NoiseSchedule.at_ou_times([tau - np.log(0.7), tau + 1]), 0.7)
    x = forward.jump(model.sample(100, rng), 1, rng.standard_normal((100, 2000)))
    exact, other = (CurieWeissDenoiser(forward, model, m).spin_means(x, 1) for m in ("exact", "two-state"))
    np.testing.assert_allclose(other, exact, atol=0.02)
    assert exact.mean() > 0.2


def test_magnetisation_solves_its_equation():
    for beta in (1.0001, 1.5, 5.0, 40.0):
        m = CurieWeiss(10, beta).m_star
        assert m > 0
        assert np.tanh(beta * m) == pytest.approx(m, rel=1e-9)


def test_field_sets_the_ratio_of_the_states():
    model = CurieWeiss(4000, 1.5, 0.8)
    plus, minus = model.weights
    assert plus / minus == pytest.approx(np.exp(2 * 0.8 * model.m_star), rel=1e-12)
    assert model.plus_share == pytest.approx(plus, abs=2e-3)


def test_potential_is_the_integral_of_the_large_time_drift():
    """V' = -(mu + 2 sum_i F_i/sqrt(N)) by central differences, F from (27)."""
    model, forward, t = CurieWeiss(40, 1.6, 0.5), diffusion(), 4
    tau, denoiser = TAUS[t - 1], CurieWeissDenoiser(forward, model, "large-time")
    mu = np.linspace(-8, 8, 9)
    x = np.repeat(mu[:, None] / np.sqrt(model.N), model.N, axis=1)
    drift = mu + 2 * denoiser.score(x, t).sum(axis=1) / np.sqrt(model.N)
    slope = (model.potential(mu + 1e-4, tau) - model.potential(mu - 1e-4, tau)) / 2e-4
    np.testing.assert_allclose(-slope, drift, rtol=1e-6, atol=1e-6)


def test_equation_28_is_the_late_limit_of_the_potential():
    model, mu = CurieWeiss(100, 1.5, 0.3), np.linspace(-10, 10, 5)
    ratios = [
        np.abs(model.potential(mu, tau) / model.potential_large_time(mu, tau) - 1).max() for tau in (2.0, 4.0, 6.0)
    ]
    assert ratios[0] > ratios[1] > ratios[2]
    assert ratios[2] < 2e-4


def test_late_potential_is_centred_at_twice_the_magnetisation():
    model, tau = CurieWeiss(100, 1.5, 0.3), 6.0
    mu = np.linspace(-1, 1, 20_001)
    lowest = mu[np.argmin(model.potential(mu, tau))]
    assert lowest == pytest.approx(mu[np.argmin(model.potential_late(mu, tau))], rel=0.02)


def test_potential_gets_its_second_well_at_its_critical_time():
    model = CurieWeiss(200, 1.5)
    tau, step = model.critical_time("potential"), 1e-3
    curvature = [
        (model.potential(step, x) + model.potential(-step, x) - 2 * model.potential(0, x)) / step**2
        for x in (tau - 0.01, tau, tau + 0.01)
    ]
    assert curvature[0] < 0 < curvature[2]
    assert curvature[1] == pytest.approx(0, abs=1e-4)


def test_marginal_turns_bimodal_at_its_critical_time():
    model = CurieWeiss(200, 1.5)
    tau = model.critical_time("marginal")
    r, Gamma = model.separation(tau)
    assert r == pytest.approx(Gamma, rel=1e-12)
    assert model.cloning(tau) == pytest.approx(cloning_probability(1.0), abs=1e-9)


def test_cloning_at_the_marginal_transition_is_775_thousandths():
    assert cloning_probability(1.0) == pytest.approx(0.775, abs=5e-4)
    assert cloning_probability(0.0) == pytest.approx(0.5, abs=1e-9)
    for ratio in (8.0, 50.0, 1e5):
        assert cloning_probability(ratio) == pytest.approx(1.0, abs=1e-9)


def test_moments_of_the_diffused_magnetisation_equal_enumeration_and_quadrature():
    model, tau = CurieWeiss(6, 1.4, 0.5), 0.7
    x = configurations(6)
    weights = np.exp(log_weights(model, x))
    nodes, at = np.polynomial.hermite_e.hermegauss(20)
    mu = np.exp(-tau) * x.sum(axis=1)[:, None] / np.sqrt(6) + np.sqrt(1 - np.exp(-2 * tau)) * nodes
    for order in (2, 3, 4, 8):
        expected = (weights @ mu**order @ at) / weights.sum() / at.sum()
        assert model.moment(order, tau) == pytest.approx(expected, rel=1e-10)


def test_scatter_of_the_cumulant_is_that_of_repeated_draws(rng):
    """1,000 sets of 2,000 draws: their standard deviation within 10 %, four and a half standard errors."""
    model, tau, n = CurieWeiss(40), 1.9, 2_000
    law = np.exp(model.log_law)
    mu = np.exp(-tau) * rng.choice(model.sums, (1000, n), p=law / law.sum()) / np.sqrt(40)
    mu += np.sqrt(1 - np.exp(-2 * tau)) * rng.standard_normal(mu.shape)
    cumulants = 1 - np.mean(mu**4, axis=1) / (3 * np.mean(mu**2, axis=1) ** 2)
    assert cumulants.std() == pytest.approx(float(model.binder_scatter(tau)) / np.sqrt(n), rel=0.1)


def test_cumulant_of_finite_N_tends_to_theory():
    gaps = [abs(CurieWeiss(N).binder_exact(tau) - CurieWeiss(N).binder(tau)) for N, tau in ((50, 1.5), (5000, 3.8))]
    assert gaps[1] < gaps[0] / 10


def test_reverse_trajectories_break_the_symmetry_as_exact_draws_do():
    """400 walkers of 30 spins with a field: 12 points within 4 standard errors, chi^2 with p above 0.001."""
    result = symmetry_breaking(CurieWeiss(30, 1.5, 0.3), n=400, points=4)
    for curve in (result.binder, result.cloning, result.uturn):
        assert np.abs(curve.deviations).max() < 4
    assert result.agreement.p_value > 0.001
    assert result.plus == pytest.approx(result.plus_exact, abs=4 * result.plus_stderr)


def test_a_denoiser_without_two_states_breaks_nothing():
    """The Gaussian of the same covariance ends between the states, where equilibrium hardly ever is."""
    model = CurieWeiss(30, 1.5)
    data = model.sample(4000, np.random.default_rng(0))
    result = symmetry_breaking(model, lambda f: ud.GaussianDenoiser.from_data(f, data), n=400, points=3)
    between = np.exp(model.log_law)[np.abs(model.sums) <= 3].sum()
    share = np.mean(np.abs(result.magnetisation) <= 3.5 / 30)
    assert share > between + 5 * np.sqrt(between / 400)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CurieWeiss(1), "N = 1: wanted a whole number of spins"),
        (lambda: CurieWeiss(2.5), "N = 2.5: wanted a whole number"),
        (lambda: CurieWeiss(10, -1.0), "wanted an inverse temperature above 0"),
        (lambda: CurieWeiss(10, float("nan")), "wanted an inverse temperature above 0"),
        (lambda: CurieWeiss(10, 0.9).m_star, "needs beta > 1"),
        (lambda: CurieWeiss(10, 1.5, 20.0).require_two_states(), "leaves one of the two states a share of"),
        (lambda: CurieWeiss(10, 1.5, 0.2).critical_time("marginal"), "known at h = 0 only"),
        (
            lambda: CurieWeissDenoiser(diffusion(), CurieWeiss(10), "large-time").posterior_samples(None, 1, 2, None),
            "knows means only",
        ),
        (lambda: CurieWeiss(10).critical_time("binder"), "unknown criterion 'binder'"),
        (lambda: CurieWeiss(2, 1.05).critical_time("marginal"), "too few spins"),
        (lambda: CurieWeissDenoiser(diffusion(), CurieWeiss(10), "mean"), "unknown method 'mean'"),
        (lambda: CurieWeissDenoiser(diffusion(), CurieWeiss(10, 0.5), "two-state"), "needs beta > 1"),
        (lambda: symmetry_breaking(CurieWeiss(10), n=10), "wanted at least 100 walkers"),
    ],
)
def test_wrong_models_are_refused(make, message):
    with pytest.raises(ud.UserError, match=message):
        make()
