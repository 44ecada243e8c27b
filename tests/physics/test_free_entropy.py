"""Speciation by free entropy, and class information, against closed forms."""

from itertools import product

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import undiffuse as ud
from undiffuse.physics import Classes, CurieWeiss, critical_times
from undiffuse.physics.empirical import EmpiricalCurves, over_spread, over_spread_and_stderr
from undiffuse.physics.resampling import Resampling
from undiffuse.physics.transitions import CurveOptions

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.at_ou_times(np.linspace(0.02, 4.0, 200)))


def times_of(draw, n=2_000):
    rng = np.random.default_rng(5)
    labels = np.arange(n) % 2
    both = [Classes(draw(labels, rng), labels) for _ in range(2)]
    return critical_times(ud.GaussianDenoiser.from_data(FORWARD, both[0].x), *both, CurveOptions(points=12, n=1_000))


@pytest.fixture(scope="module")
def separated():
    """Two normal classes of variance 1 around -2 and 2."""
    return times_of(lambda labels, rng: (4.0 * labels - 2)[:, None] + rng.standard_normal((len(labels), 1)))


def test_two_gaussians_of_one_covariance_part_where_their_mixture_turns_bimodal(separated):
    """``r = 4 e^-2tau`` equals ``Gamma = 1`` at log 2; 1,000 samples under the score of 2,000 points, 4 errors."""
    found = separated.times["free entropy"]
    assert abs(found.tau - np.log(2)) < 4 * found.stderr
    assert found.stderr < 0.05


def test_class_information_is_that_of_two_gaussians(separated):
    """By quadrature, in shares of log 2; 1,000 samples, 4.5 standard errors and 0.015 for the 2,000 points."""
    curve = separated.curves["class information"]

    def information(tau):
        m = 2 * np.exp(-tau)
        mixture = lambda x: (norm.pdf(x - m) + norm.pdf(x + m)) / 2  # noqa: E731
        inside = lambda x: norm.pdf(x - m) * np.log(norm.pdf(x - m) / mixture(x))  # noqa: E731
        return quad(inside, m - 12, m + 12)[0] / np.log(2)

    for tau, value, stderr in zip(curve.tau, curve.value, curve.stderr, strict=True):
        if tau > 0.3:
            assert abs(value - information(tau)) < 4.5 * stderr + 0.015


def test_spins_of_two_temperatures_have_the_log_odds_of_enumeration():
    """No means differ. Eight spins, 6,000 configurations for points; ratios at 2,000 of them against all 256 states and
    4,000 other draws, 4.5 standard errors of both and 3 per cent for the finite set of points."""
    models = [CurieWeiss(8, beta=2.0), CurieWeiss(8, beta=0.01)]
    states = np.array(list(product([-1.0, 1.0], repeat=8)))
    logs = np.stack([m.beta / 16 * states.sum(axis=1) ** 2 for m in models], axis=1)
    logs -= np.logaddexp.reduce(logs, axis=0)
    rng = np.random.default_rng(7)
    labels = np.arange(6_000) % 2
    x = np.where(labels[:, None] == 0, models[0].sample(6_000, rng), models[1].sample(6_000, rng))
    points = Classes(x, labels)
    curves = EmpiricalCurves(
        FORWARD, points, rng.permutation(6_000)[:2_000], points, Resampling.of(6_000, 6_000, 2, 0), 0
    )
    seen = []
    for t in (8, 20, 40, 70):
        fresh = labels[:4_000]
        x0 = np.where(fresh[:, None] == 0, models[0].sample(4_000, rng), models[1].sample(4_000, rng))
        x_t = FORWARD.jump(x0, t, rng.standard_normal(x0.shape))
        kernel = FORWARD.signal(t) / FORWARD.noise(t) ** 2 * x_t @ states.T
        densities = np.stack([np.logaddexp.reduce(kernel + logs[:, c], axis=1) for c in (0, 1)], axis=1)
        exact, error = over_spread_and_stderr(np.where(fresh == 0, 1, -1) * (densities[:, 0] - densities[:, 1]))
        found, own_error = over_spread_and_stderr(curves.class_values(t).log_odds)
        assert abs(found - exact) < 4.5 * np.hypot(error, own_error) + 0.03 * exact
        seen.append(exact)
    assert seen[0] > 2 * seen[-1]  # there is something to see


def test_the_ratio_has_the_error_that_repeats_have():
    """2,000 repeats of 400 numbers: their standard deviation within 10 per cent."""
    repeats = np.random.default_rng(0).gamma(2.0, size=(400, 2_000)) - 0.5
    ratios = over_spread(repeats)
    assert abs(ratios.std() / over_spread_and_stderr(repeats[:, 0])[1] - 1) < 0.1


def test_equal_weights_change_nothing():
    values = np.random.default_rng(1).normal(1.0, 2.0, (50, 3))
    np.testing.assert_allclose(over_spread(values, np.ones((50, 3), np.float32)), over_spread(values))
