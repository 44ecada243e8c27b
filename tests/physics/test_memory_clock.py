"""When a denoiser in training generalises and memorises, read off curves that are known in closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

import undiffuse as ud
from undiffuse.physics.memory_clock import Reached, generalisation_step, memorisation_step, power

STEPS = np.unique(np.rint(np.geomspace(1, 20_000, 100)))


class LeastSquares:
    """Gradient flow on least squares from zero weights, ``w(t) = V (1 - e^(-2 rate l t)) V^T w_n``, and its errors.

    Training error from the n points; held-out error over the law of the data, N(0, 1) inputs and a noisy linear answer.
    """

    def __init__(self, n=200, dim=150, noise=0.5, rate=1e-3, seed=0):
        rng = np.random.default_rng(seed)
        self.truth, self.noise, self.rate = rng.standard_normal(dim) / np.sqrt(dim), noise, rate
        self.X = rng.standard_normal((n, dim))
        self.y = self.X @ self.truth + noise * rng.standard_normal(n)
        self.spectrum, self.axes = np.linalg.eigh(self.X.T @ self.X / n)
        self.end = self.axes.T @ np.linalg.lstsq(self.X, self.y, rcond=None)[0]

    def weights(self, step):
        return self.axes @ ((1 - np.exp(-2 * self.rate * self.spectrum * step)) * self.end)

    def training(self, step):
        return float(np.mean((self.X @ self.weights(step) - self.y) ** 2))

    def held_out(self, step):
        return float(np.sum((self.weights(step) - self.truth) ** 2) + self.noise**2)


@pytest.mark.parametrize("seed", range(4))
def test_memorisation_begins_where_the_ratio_of_gradient_flow_crosses_the_threshold(seed):
    flow = LeastSquares(seed=seed)
    training, held_out = (np.array([each(s) for s in STEPS]) for each in (flow.training, flow.held_out))
    found = memorisation_step(STEPS, held_out, training, 1.5)
    exact = brentq(lambda s: flow.held_out(s) / flow.training(s) - 1.5, 1, 20_000)
    assert found == pytest.approx(exact, rel=2e-3)


@pytest.mark.parametrize("seed", range(4))
def test_generalisation_is_reached_where_the_error_of_gradient_flow_is_near_its_minimum(seed):
    flow = LeastSquares(seed=seed)
    held_out = np.array([flow.held_out(s) for s in STEPS])
    lowest = STEPS[held_out.argmin()]
    exact = brentq(lambda s: flow.held_out(s) - 1.1 * held_out.min(), 1, lowest)
    assert generalisation_step(STEPS, held_out, 0.1) == pytest.approx(exact, rel=2e-3)


def test_an_error_that_still_falls_has_no_generalisation_step():
    assert np.isnan(generalisation_step(STEPS, STEPS**-0.5, 0.1))
    assert generalisation_step(STEPS, 1 + 10 / STEPS, 0.1) == pytest.approx(100, rel=0.02)


def test_errors_that_never_part_have_no_memorisation_step():
    assert np.isnan(memorisation_step(STEPS, 1.4 / STEPS, 1 / STEPS, 1.5))


@given(st.floats(1e-6, 1e6), st.integers(0, 1000))
def test_neither_clock_depends_on_the_unit_of_the_errors(unit, seed):
    rng = np.random.default_rng(seed)
    held_out, training = 1 + rng.random((2, len(STEPS)))
    for clock, curves in ((memorisation_step, (held_out, training)), (generalisation_step, (held_out,))):
        one, other = clock(STEPS, *curves), clock(STEPS, *(unit * curve for curve in curves))
        assert one == pytest.approx(other, rel=1e-6, nan_ok=True)


def test_the_power_of_steps_that_go_as_a_power_of_n_is_found():
    """Five seeds, 5 % scatter: within three standard errors, over 200 draws on average without bias."""
    n, found = np.array([50, 100, 200, 400]), []
    for seed in range(200):
        scatter = np.exp(0.05 * np.random.default_rng(seed).standard_normal((4, 5)))
        found.append(power(n, 3 * n[:, None] ** 1.2 * scatter, 1.1).exponent)
    assert np.mean(found) == pytest.approx(1.2, abs=3 * np.std(found) / 200**0.5)


def test_a_size_at_which_one_training_did_not_get_there_is_left_out_of_the_power():
    n = np.array([50, 100, 200, 400])
    steps = np.repeat(1.0 * n[:, None], 5, axis=1)
    steps[3] = [900, 900, 900, 900, np.nan]
    found = power(n, steps)
    assert found.sizes == (50, 100, 200)
    assert found.exponent == pytest.approx(1)
    assert power(n[1:], steps[1:]) is None


def test_a_mean_over_trainings_is_given_only_where_all_got_there():
    assert Reached.of(np.array([10.0, np.nan, 20.0])) == Reached(None, None, 2)
    found = Reached.of(np.array([10.0, 40.0]))
    assert found.steps == pytest.approx(20)
    assert found.stderr == pytest.approx(20 * np.log(2))


@pytest.mark.parametrize("threshold", [1.0, 0.5, np.inf, np.nan])
def test_a_threshold_that_is_no_ratio_above_one_is_refused(threshold):
    with pytest.raises(ud.UserError, match="wanted a ratio above 1"):
        memorisation_step(STEPS, STEPS, STEPS, threshold)


@pytest.mark.parametrize("within", [0.0, -0.1, np.inf, np.nan])
def test_a_fraction_that_is_not_above_zero_is_refused(within):
    with pytest.raises(ud.UserError, match="wanted a fraction above 0"):
        generalisation_step(STEPS, STEPS, within)


def private_directions(n, seed, own=0.1, rate=0.01, noise=0.5):
    """Both errors of kernel gradient flow where points share ten features and each has one of its own, closed form."""
    rng = np.random.default_rng((n, seed))
    x, truth = rng.standard_normal((n, 10)), rng.standard_normal(10) / 10**0.5
    y = x @ truth + noise * rng.standard_normal(n)
    U, size, V = np.linalg.svd(x, full_matrices=False)
    shared = U.T @ y
    steps = np.unique(np.rint(np.geomspace(1, 3e6, 150)))
    left = np.exp(-2 * rate / n * steps[:, None] * (size**2 + own)) * shared
    rest = (np.sum(y**2) - np.sum(shared**2)) * np.exp(-4 * rate / n * own * steps)
    learned = (shared - left) * size / (size**2 + own) @ V
    return steps, np.sum((learned - truth) ** 2, axis=1) + noise**2, (np.sum(left**2, axis=1) + rest) / n


def test_what_points_have_of_their_own_is_memorised_in_proportion_to_n_and_what_they_share_is_not():
    """Five sets for each of four n; the correction of the power at n = 100 is 0.07."""
    sizes = (100, 400, 1600, 6400)
    curves = [[private_directions(n, seed) for seed in range(5)] for n in sizes]
    memorised = power(sizes, np.array([[memorisation_step(*curve) for curve in row] for row in curves]))
    generalised = power(sizes, np.array([[generalisation_step(*curve[:2]) for curve in row] for row in curves]))
    assert memorised.exponent == pytest.approx(1.04, abs=0.06)
    assert abs(generalised.exponent) < 3 * generalised.stderr
