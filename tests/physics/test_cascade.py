"""The cascade: gains against exact denoisers, and learning against networks that are trained."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import undiffuse as ud
from undiffuse import Architecture, Weights
from undiffuse.physics import cascade
from undiffuse.physics.cascade import Moments
from undiffuse.training.engines import build
from undiffuse.training.state import TrainingState

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.1), noise_scale=0.7)


@given(st.floats(0.01, 100), st.floats(0.05, 5))
@settings(max_examples=50)
def test_the_gain_is_one_half_at_the_predicted_time(variance, noise_scale):
    tau = cascade.half_gain_time(variance, noise_scale)
    assert cascade.gain_at(tau, variance, noise_scale) == pytest.approx(0.5)


@given(st.lists(st.floats(0.05, 20), min_size=3, max_size=3), st.floats(0.3, 3))
@settings(max_examples=50)
def test_half_times_of_theorys_gains_are_theirs_whatever_the_grid(variances, noise_scale):
    tau = np.geomspace(1e-4, 6, 9)
    gains = cascade.gain_at(tau[:, None], np.array(variances), noise_scale)
    found = [cascade.half_time(tau, column) for column in gains.T]
    inside = np.abs(np.log(gains / (1 - gains))) < 6.8  # beyond, gains are cut off
    if inside.all():
        np.testing.assert_allclose(found, cascade.half_gain_time(variances, noise_scale), rtol=1e-9)


def test_a_gain_that_never_falls_through_one_half_has_no_time():
    tau = np.array([0.1, 0.2, 0.4])
    assert np.isnan(cascade.half_time(tau, np.array([0.4, 0.3, 0.2])))
    assert np.isnan(cascade.half_step(tau, np.array([0.1, 0.2, 0.4])))


def test_both_gains_of_the_gaussian_denoiser_are_those_of_theory(rng):
    """Linear in its input, so to rounding on any samples: axes are its own."""
    x = rng.standard_normal((2_000, 5)) @ rng.standard_normal((5, 5))
    x -= x.mean(axis=0)
    exact = ud.GaussianDenoiser.from_data(FORWARD, x)
    tau = FORWARD.schedule.ou_time(40)
    found = cascade.gains(exact, x, 40, exact.axes[:, :3], rng)
    theory = cascade.gain_at(tau, exact.variances[:3], FORWARD.noise_scale)
    np.testing.assert_allclose(found.regression, theory, rtol=1e-9)
    np.testing.assert_allclose(found.jacobian, theory, rtol=1e-6)


def test_the_regression_gain_of_any_exact_denoiser_is_linear_theorys_and_the_mean_jacobian_is_not(rng):
    """Two Gaussians 5 apart: 20,000 samples, four standard errors; the Jacobian's mean by quadrature."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.1))
    half, spread, t, n = 2.5, 0.3, 50, 20_000
    exact = ud.MixtureDenoiser(forward, [0.5, 0.5], [[-half], [half]], [[[spread]], [[spread]]])
    x = half * rng.choice([-1, 1], (n, 1)) + np.sqrt(spread) * rng.standard_normal((n, 1))
    found = cascade.gains(exact, x, t, np.eye(1), rng)
    signal, noise = forward.signal(t), forward.noise(t)
    total = signal**2 * spread + noise**2
    grid = np.linspace(-12, 12, 4001)
    density = sum(np.exp(-((grid - c * signal * half) ** 2) / (2 * total)) for c in (-1, 1))
    density /= density.sum()
    inner = signal * spread / total
    slope = inner + (1 - signal * inner) * half * (signal * half / total) / np.cosh(grid * signal * half / total) ** 2
    theory = cascade.gain_at(forward.schedule.ou_time(t), half**2 + spread)
    assert found.regression[0] == pytest.approx(theory, abs=4 * 2 / np.sqrt(n) * theory)
    assert found.jacobian[0] == pytest.approx(signal * float(slope @ density), abs=0.01)
    assert found.jacobian[0] < 0.8 * theory


# -- along training ---------------------------------------------------------------------------------------------------


def white(rng, n, dim):
    """Samples whose covariance is the identity to rounding, about a mean of zero."""
    x = rng.standard_normal((n, dim))
    x -= x.mean(axis=0)
    return x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / n)).T


def regression_problem(rng, moments, n=64):
    """Inputs and targets with exactly these moments along each variable, and nothing between variables."""
    z = white(rng, n, 2 * len(moments.total))
    k = len(moments.total)
    x = np.sqrt(moments.total) * z[:, :k]
    y = moments.slope * x + z[:, k:]
    return x.astype(np.float32)[None], y.astype(np.float32)[None]


MOMENTS = Moments(np.array([2.0, 0.7, 0.2]), np.array([2.5, 1.1, 0.6]))


def test_one_layer_learns_by_the_closed_form(rng):
    """Gradient descent on a matrix, written out: exact at any learning rate."""
    x, y = (part[0].astype(float) for part in regression_problem(rng, MOMENTS))
    m, rate = np.zeros((3, 3)), 0.05
    for _ in range(40):
        m -= rate * 2 * (m @ x.T - y.T) @ x / len(x)
    np.testing.assert_allclose(np.diag(m), cascade.one_layer_slope(40, rate, MOMENTS), rtol=1e-5)


def test_balanced_linear_networks_under_sgd_learn_by_the_logistic_law(rng):
    """Full batches and a small rate; the law is that of gradient flow, so to the first order in the rate."""
    x, y = regression_problem(rng, MOMENTS)
    a = Architecture(3, 3, prediction="x0", activation="linear")
    start, rate = np.array([1e-3, 2e-3, 3e-3]), 2e-3
    W = np.diag(np.sqrt(start)).astype(np.float32)
    weights = Weights(W, np.zeros(3, np.float32), W.copy(), np.zeros(3, np.float32))
    engine = build("torch", a, [TrainingState.fresh(weights, a)], optimiser="sgd")
    for steps in (300, 600, 2_000):
        done = engine.states()[0].step
        for _ in range(steps - done):
            engine.run_pass(x, y, x.shape[1], np.array([rate]), [1.0])
        w = engine.states()[0].weights
        found = np.diag(w.A @ w.W)
        np.testing.assert_allclose(found, cascade.two_layer_slope(steps, rate, MOMENTS, start), rtol=0.04)


def test_half_of_the_logistic_law_is_where_it_says():
    start = np.array([1e-3, 1e-3, 1e-3])
    half = cascade.two_layer_half(0.01, MOMENTS, start, 0.5)
    found = np.diag(cascade.two_layer_slope(half[:, None], 0.01, MOMENTS, start, 0.5))
    np.testing.assert_allclose(found, MOMENTS.slope / 2)
    steps = np.linspace(1, 2 * half[0], 7)
    share = cascade.two_layer_slope(steps, 0.01, Moments(MOMENTS.cross[0], MOMENTS.total[0]), 1e-3, 0.5)
    assert cascade.half_step(steps, share / MOMENTS.slope[0]) == pytest.approx(half[0])


def test_relu_units_begin_at_half_the_rate_of_linear_ones_on_symmetric_data(rng):
    """Growth of the balanced part of small weights over one step, against ``1 + rate cross``, on x and -x."""
    x, y = regression_problem(rng, MOMENTS)
    x, y = np.concatenate([x, -x], axis=1), np.concatenate([y, -y], axis=1)
    grown = {}
    for kind in ("linear", "relu"):
        a = Architecture(3, 400, prediction="x0", activation=kind)
        W = (1e-4 * np.random.default_rng(1).standard_normal((400, 3))).astype(np.float32)
        weights = Weights(W, np.zeros(400, np.float32), W.T.copy(), np.zeros(3, np.float32))
        engine = build("torch", a, [TrainingState.fresh(weights, a)], optimiser="sgd")
        engine.run_pass(x, y, x.shape[1], np.array([0.01]), [1.0])
        after = engine.states()[0].weights
        both = (after.W + after.A.T) / 2
        grown[kind] = np.sum(both * W, axis=0) / np.sum(W * W, axis=0) - 1
    np.testing.assert_allclose(grown["linear"], 2 * 0.01 * MOMENTS.cross, rtol=1e-3)
    np.testing.assert_allclose(grown["relu"], 0.01 * MOMENTS.cross, rtol=0.15)
