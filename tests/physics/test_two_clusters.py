"""Two clusters: closed forms against minimisation, quadrature and trained networks; the loss against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from scipy.optimize import approx_fprime, minimize

import undiffuse as ud
from undiffuse.physics.two_cluster_network import Loss, TwoClusterBank, generate, train
from undiffuse.physics.two_cluster_sizes import Rate, Size
from undiffuse.physics.two_clusters import Solution, TrainingSet, forward_from
from undiffuse.support.streams import Purpose, stream

CASES = [Solution(4), Solution(9, 0.5, 0.3), Solution(20, 2.0, 0.0), Solution(6, 1.0, 0.5, 3)]
SOLUTIONS = st.builds(
    Solution, st.integers(2, 60), st.floats(0.2, 3), st.floats(0, 2), st.sampled_from([1, 2, 7, float("inf")])
)
STRAIGHT = (lambda s: s, lambda s: 1 - s, lambda s: 1.0, lambda s: -1.0)  # a, b and their rates: the paper's
ROUND = (
    lambda s: np.sin(np.pi * s / 2),
    lambda s: np.cos(np.pi * s / 2),
    lambda s: np.pi / 2 * np.cos(np.pi * s / 2),
    lambda s: -np.pi / 2 * np.sin(np.pi * s / 2),
)


def at(a, b):
    """A forward process whose first time has signal over noise a/b."""
    ratio = a / b
    return ud.ForwardProcess(ud.NoiseSchedule.at_ou_times(0.5 * np.log1p(ratio**-2.0) * np.array([1.0, 2.0])))


def unscaled(solution, a, b):
    """Skip and components where the diffused point is ``a x_0 + b xi`` with any a and b."""
    forward = at(a, b)
    return solution.skip(forward, 1) / np.hypot(a, b), *solution.components(forward, 1)


def limit_loss(solution, a, b, parameters):
    """Loss of one point over dim, expected, for ``w = m mu + z sigma sum z_i + x sum xi_i``, from inner products."""
    c, m, z, x = parameters
    n, s2, over = solution.n, solution.sigma**2, 1 / solution.noises
    fit = (1 - c * a - m) ** 2  # along mu
    fit += s2 * ((1 - c * a - z) ** 2 + (n - 1) * z**2)  # own z_i, and those of the others
    fit += c * c * b * b * (1 - over) + over * ((c * b + x) ** 2 + (n - 1) * x * x)  # noises about their mean, the mean
    return 0.5 * fit + 0.5 * solution.ridge / n * (m * m + n * s2 * z * z + n * over * x * x)


@settings(max_examples=40, deadline=None)
@given(SOLUTIONS, st.floats(0.05, 0.95))
def test_closed_forms_of_skip_and_weights_minimise_the_expected_loss(solution, share):
    a, b = share, 1 - share
    found = minimize(
        lambda p: limit_loss(solution, a, b, p), [0.5, 0.5, 0.1, -0.1], method="BFGS", options={"gtol": 1e-10}
    )
    closed = unscaled(solution, a, b)
    assert limit_loss(solution, a, b, closed) <= found.fun + 1e-12
    slope = approx_fprime(np.array(closed), lambda p: limit_loss(solution, a, b, p), 1e-7)
    np.testing.assert_allclose(slope, 0, atol=1e-5 * (1 + solution.n) * (1 + solution.sigma**2))


def test_skip_and_weights_are_those_of_the_paper_at_one_noise():
    """Result 2.1 as the authors' notebook writes it, whose t multiplies the data."""
    n, sigma, ridge, t = 8, 1.5, 0.1, 0.37
    below = (1 - t) ** 2 * (ridge + n - 1) + t**2 * (ridge * (1 + sigma**2) + (n - 1) * sigma**2)
    c = t * (ridge * (1 + sigma**2) + (n - 1) * sigma**2) / below
    m = (1 - t) ** 2 * n * (ridge + n - 1) / (ridge + n) / below
    wanted = (c, m, m / n, -(1 - t) * c / (ridge + n))
    np.testing.assert_allclose(unscaled(Solution(n, sigma, ridge), t, 1 - t), wanted, rtol=1e-12)


@pytest.mark.parametrize("solution", CASES, ids=str)
@pytest.mark.parametrize("path", [STRAIGHT, ROUND], ids=["straight", "round"])
def test_mean_and_variance_integrate_the_flow_along_any_schedule(solution, path):
    """The paper's scalar equations (Result III.1), solved as an initial value problem."""
    a, b, a_rate, b_rate = path

    def rates(s, y):
        c, *components = unscaled(solution, a(s), b(s))
        push = a_rate(s) - b_rate(s) / b(s) * a(s)
        pull = push * c + b_rate(s) / b(s)
        return [
            pull * y[0],
            *(pull * value + push * component for value, component in zip(y[1:], components, strict=True)),
        ]

    end = solve_ivp(rates, [1e-6, 1 - 1e-6], [1.0, 0, 0, 0], rtol=1e-9, atol=1e-11).y[:, -1]
    spread, m, z, x = end
    error = (m - 1) ** 2 + solution.n * (solution.sigma * z) ** 2 + solution.n / solution.noises * x * x
    assert spread**2 == pytest.approx(solution.variance, rel=1e-5)
    assert error == pytest.approx(solution.mean_error, rel=1e-5)


def test_the_part_of_the_mean_along_mu_is_n_over_n_plus_ridge_by_quadrature():
    solution = CASES[1]
    A, B = solution._A, solution._B
    whole, _ = quad(lambda u: B * np.sqrt(A) / (A * u * u + B) ** 1.5, 0, np.inf)
    assert whole == pytest.approx(1, abs=1e-10)


@given(SOLUTIONS)
def test_no_number_of_noises_beats_bayes_in_its_leading_term(solution):
    large = Solution(10**7, solution.sigma, solution.ridge, solution.noises)
    assert large.mean_error / large.bayes_error == pytest.approx(1 + 1 / solution.noises, rel=1e-4)


def test_bayes_error_is_that_of_the_posterior_mean():
    """400 draws of mu, points and labels in 50 dimensions; four standard errors."""
    rng, n, sigma, dim = np.random.default_rng(0), 5, 1.3, 50
    mu = rng.standard_normal((400, dim))
    folded = mu[:, None] + sigma * rng.standard_normal((400, n, dim))
    errors = np.mean((folded.sum(axis=1) / (n + sigma**2) - mu) ** 2, axis=1)
    assert abs(errors.mean() - Solution(n, sigma).bayes_error) < 4 * errors.std() / 20


@pytest.mark.parametrize("solution", CASES, ids=str)
def test_loss_is_its_definition_and_its_gradient_its_derivative(solution):
    points = TrainingSet.draw(solution, 60, seed=3)
    x_t = points.diffused(forward_from(60, 5), 3)
    loss, rng = Loss(points, x_t, solution.ridge), np.random.default_rng(1)
    parameters = rng.standard_normal(1 + points.x0.shape[1]) * 0.3
    c, w = parameters[0], parameters[1:]
    outputs = c * x_t + np.tanh(x_t @ w)[..., None] * w
    direct = 0.5 * np.sum(np.mean((points.x0 - outputs) ** 2, axis=0).sum()) + solution.ridge / 2 * w @ w
    value, slope = loss(parameters)
    assert value == pytest.approx(direct / 60, rel=1e-10)
    np.testing.assert_allclose(slope, approx_fprime(parameters, lambda p: loss(p)[0], 1e-7), atol=2e-6, rtol=1e-5)


def test_coordinates_in_the_span_keep_every_inner_product():
    solution = Solution(5, 0.8, 0.1, 2)
    small, whole = (TrainingSet.draw(solution, dim, seed=1) for dim in (8, 200))
    assert small.x0.shape == (5, 8)  # as many as there are dimensions
    assert whole.x0.shape == (5, 16)
    for points in (small, whole):
        assert points.mu @ points.mu == pytest.approx(points.dim)
    rng = stream(1, Purpose.TWO_CLUSTERS, 5, 2, 0)
    labels, rows = rng.choice([-1.0, 1.0], 5), rng.standard_normal((16, 200))
    rows[0] *= np.sqrt(200) / np.linalg.norm(rows[0])
    x0 = labels[:, None] * rows[0] + 0.8 * rows[1:6]
    inside = np.concatenate([whole.mu[None], whole.x0, whole.xi.reshape(10, -1)])
    outside = np.concatenate([rows[:1], x0, rows[6:]])
    np.testing.assert_allclose(inside @ inside.T, outside @ outside.T, atol=1e-9 * 200)


def test_training_in_all_dimensions_finds_the_network_of_the_span():
    solution, dim = Solution(4, 1.0, 0.2), 300
    points, forward = TrainingSet.draw(solution, dim, seed=2), forward_from(dim, 5)
    trained = train(points, forward, solution.ridge, np.random.default_rng(0))
    turn, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((dim, points.x0.shape[1])))
    everywhere = TrainingSet(dim, turn @ points.mu, points.labels, points.x0 @ turn.T, points.xi @ turn.T)
    loss = Loss(everywhere, everywhere.diffused(forward, 3), solution.ridge)
    starts = np.random.default_rng(2).standard_normal((6, 1 + dim))
    options = {"ftol": 1e-13, "gtol": 1e-9, "maxiter": 2000}
    best = min((minimize(loss, s, jac=True, method="L-BFGS-B", options=options) for s in starts), key=lambda f: f.fun)
    assert best.fun == pytest.approx(trained.losses[2], rel=1e-7)
    w = best.x[1:]
    assert np.linalg.norm(w - turn @ (turn.T @ w)) < 1e-3 * np.linalg.norm(w)
    np.testing.assert_allclose(np.abs(turn.T @ w), np.abs(trained.bank.weights[2]), atol=0.02)


@pytest.mark.parametrize("solution", [Solution(8), Solution(16, 0.7, 0.5), Solution(6, 1.0, 0.1, 3)], ids=str)
def test_trained_networks_have_the_skips_and_overlaps_of_theory(solution):
    """20,000 dimensions, from signal over noise 5 to 1/5: deviations of order ``dim^-1/2`` = 0.007, five of them."""
    dim = 20_000
    points, forward = TrainingSet.draw(solution, dim, seed=5), forward_from(dim, 13)
    trained = train(points, forward, solution.ridge, np.random.default_rng(0))
    middle = [t for t in range(1, 14) if 0.2 < forward.signal(t) / forward.noise(t) < 5]
    assert len(middle) >= 3
    for t in middle:
        assert trained.aligned[t - 1] == 1
        assert trained.bank.skips[t - 1] == pytest.approx(solution.skip(forward, t), abs=5 * dim**-0.5)
        w = trained.bank.weights[t - 1]
        overlap = abs(w @ points.mu) / np.linalg.norm(w) / np.linalg.norm(points.mu)
        assert overlap == pytest.approx(solution.overlap(forward, t), abs=5 * dim**-0.5)


def test_a_start_from_random_weights_ends_where_a_trained_neighbour_leads():
    solution, dim = Solution(8), 5_000
    points, forward = TrainingSet.draw(solution, dim, seed=1), forward_from(dim, 14)
    trained = train(points, forward, solution.ridge, np.random.default_rng(0))
    for t in (5, 9):
        loss = Loss(points, points.diffused(forward, t), solution.ridge)
        starts = np.random.default_rng(t).standard_normal((8, 1 + points.x0.shape[1]))
        ends = [minimize(loss, start, jac=True, method="L-BFGS-B").fun for start in starts]
        assert min(ends) == pytest.approx(trained.losses[t - 1], rel=1e-5)


def test_generated_means_err_by_the_closed_form():
    """Eight training sets each; four standard errors, and 3 % for 40 times in 5,000 dimensions."""
    for solution in (Solution(6), Solution(12, 1.0, 0.1, 2)):
        forward, measured = forward_from(5_000, 40), []
        for replicate in range(8):
            points = TrainingSet.draw(solution, 5_000, 7, replicate)
            rng = np.random.default_rng(replicate)
            trained = train(points, forward, solution.ridge, rng)
            measured.append((trained, points, generate(trained.bank, points, 200, rng)))
        size = Size.of(solution, forward, measured)
        rate = Rate.of([size])
        assert rate.slope is None
        assert abs(rate.ratio - 1) < 4 * rate.ratio_stderr + 0.03
        assert size.variance == pytest.approx(solution.variance, rel=0.03)
        assert abs(size.plus - 0.5) < 4 * (0.25 / 1600) ** 0.5


def test_slope_of_exact_errors_is_that_of_the_closed_form():
    forward = forward_from(100, 4)
    points = TrainingSet.draw(Solution(4), 100, 0)
    trained = train(points, forward, 0.1, np.random.default_rng(0))
    generated = generate(trained.bank, points, 10, np.random.default_rng(0))
    sizes = []
    for n in (4, 16, 64):
        size = Size.of(Solution(n), forward, [(trained, points, generated)] * 2)
        exact = size.error_closed_form
        sizes.append(Size(**(size.__dict__ | {"errors": (exact, exact), "error": exact, "error_stderr": exact / 100})))
    rate = Rate.of(sizes)
    assert rate.ratio == pytest.approx(1)
    assert rate.slope == pytest.approx(rate.slope_closed_form)
    assert rate.slope == pytest.approx(-1, abs=0.05)


def test_a_bank_answers_with_its_two_layers_and_its_skip():
    forward, rng = forward_from(50, 4), np.random.default_rng(0)
    bank = TwoClusterBank(forward, rng.random(4), rng.standard_normal((4, 3)))
    x = rng.standard_normal((5, 3))
    wanted = bank.skips[1] * x + np.tanh(x @ bank.weights[1])[:, None] * bank.weights[1]
    np.testing.assert_allclose(bank.x0_hat(x, 2), wanted, atol=1e-12)
    with pytest.raises(ud.UserError, match="wanted those of 4 times"):
        TwoClusterBank(forward, [1.0], rng.standard_normal((4, 3)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 1}, "n = 1: wanted at least two training points"),
        ({"n": 4, "sigma": 0.0}, "sigma = 0"),
        ({"n": 4, "sigma": float("nan")}, "sigma = nan"),
        ({"n": 4, "ridge": -1.0}, "ridge = -1"),
        ({"n": 4, "noises": 0}, "noises = 0"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong, message):
    with pytest.raises(ud.UserError, match=message):
        Solution(**wrong)
