"""Classes as Gaussians: closed forms against quadrature, Monte Carlo and one another."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

import undiffuse as ud
from undiffuse.physics import Classes, critical_times
from undiffuse.physics.class_gaussians import TwoGaussians
from undiffuse.physics.class_moments import ClassMoments, GaussianClass, ResampledGaussians
from undiffuse.physics.curie_weiss import cloning_probability
from undiffuse.physics.empirical import over_spread_and_stderr
from undiffuse.physics.transitions import CurveOptions
from undiffuse.support.stats import mean_and_stderr

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.at_ou_times(np.linspace(0.02, 4.0, 200)))


def round_pair(variances, N, gap=0.0):
    """Two classes of one size, round, of the given variances, with means ``gap`` apart in every coordinate."""
    return TwoGaussians(
        *(GaussianClass(0.5, np.full(N, m), v * np.eye(N)) for m, v in zip((gap, 0), variances, strict=True))
    )


@pytest.fixture(scope="module")
def line():
    """Two classes on the line, of unlike shares, means and variances."""
    return TwoGaussians(
        GaussianClass(0.3, np.array([0.5]), np.array([[4.0]])),
        GaussianClass(0.7, np.array([-1.0]), np.array([[0.3]])),
        1.2,
    )


def on_the_line(pair, tau):
    """Densities of both diffused classes on the line, and the ends of where they are."""
    theta, noise = np.exp(-tau), pair.noise_scale**2 * (1 - np.exp(-2 * tau))
    both = (pair.first, pair.second)
    laws = [norm(theta * c.mean[0], np.sqrt(theta**2 * c.covariance[0, 0] + noise)) for c in both]
    return laws, [law.mean() + k * 12 * law.std() for law in laws for k in (-1, 1)]


@pytest.mark.parametrize("tau", [0.02, 0.3, 1.0, 2.5])
def test_moments_of_the_log_odds_on_the_line_are_those_of_quadrature(line, tau):
    laws, ends = on_the_line(line, tau)
    means, variances = line.log_odds(tau)
    for own, other, mean, variance in zip(laws, laws[::-1], means, variances, strict=True):
        odds = lambda x: own.logpdf(x) - other.logpdf(x)  # noqa: E731, B023
        first, second = (
            quad(lambda x: own.pdf(x) * odds(x) ** k, min(ends), max(ends), limit=400, points=[own.mean()])[0]  # noqa: B023
            for k in (1, 2)
        )
        assert mean == pytest.approx(first, rel=1e-7)
        assert variance == pytest.approx(second - first**2, rel=1e-6)


@pytest.mark.parametrize("tau", [0.02, 0.3, 1.0, 2.5])
def test_a_u_turn_on_the_line_keeps_its_class_as_quadrature_says(line, tau):
    (one, two), ends = on_the_line(line, tau)
    a, b = (lambda x: 0.3 * one.pdf(x)), (lambda x: 0.7 * two.pdf(x))
    inside = lambda x: (a(x) ** 2 + b(x) ** 2) / (a(x) + b(x))  # noqa: E731
    expected = quad(inside, min(ends), max(ends), limit=800, points=[one.mean(), two.mean()], epsabs=1e-12)[0]
    assert line.kept(tau) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("tau", [0.02, 0.3, 1.0])
def test_the_likelier_class_on_the_line_is_right_as_often_as_quadrature_says(line, tau):
    """The sharp step is extrapolated: 1e-5."""
    (one, two), ends = on_the_line(line, tau)
    inside = lambda x: max(0.3 * one.pdf(x), 0.7 * two.pdf(x))  # noqa: E731
    grid = np.linspace(min(ends), max(ends), 20_001)
    turns = grid[np.flatnonzero(np.diff(0.3 * one.pdf(grid) > 0.7 * two.pdf(grid)))]
    expected = quad(inside, min(ends), max(ends), limit=800, points=[*turns, one.mean(), two.mean()])[0]
    assert line.accuracy(tau) == pytest.approx(expected, abs=1e-5)


def test_many_dimensions_agree_with_draws_of_the_same_gaussians():
    """Seven dimensions, 200,000 draws of each class at three times; means and shares to 4 standard errors."""
    rng = np.random.default_rng(4)
    roots = rng.standard_normal((2, 7, 7)) * [[[0.7]], [[0.4]]]
    both = [
        GaussianClass(s, 0.6 * rng.standard_normal(7), root @ root.T) for s, root in zip((0.4, 0.6), roots, strict=True)
    ]
    pair = TwoGaussians(*both, 0.8)
    for tau in (0.1, 0.5, 1.2):
        laws = [multivariate_normal(*one.at(tau, 0.8)) for one in both]
        kept, right = [], []
        for own, (mean, variance) in enumerate(zip(*pair.log_odds(tau), strict=True)):
            x = laws[own].rvs(200_000, random_state=rng)
            odds = laws[own].logpdf(x) - laws[1 - own].logpdf(x)
            found, error = mean_and_stderr(odds)
            assert mean == pytest.approx(found, abs=4 * error)
            spread, error = mean_and_stderr((odds - mean) ** 2)
            assert variance == pytest.approx(spread, abs=4 * error)
            odds += np.log(both[own].share / both[1 - own].share)
            kept.append(mean_and_stderr(1 / (1 + np.exp(-odds))))
            right.append(mean_and_stderr(odds > 0))
        for value, parts in ((pair.kept(tau), kept), (pair.accuracy(tau), right)):
            (a, da), (b, db) = parts
            assert value == pytest.approx(0.4 * a + 0.6 * b, abs=4 * np.hypot(0.4 * da, 0.6 * db))


def test_one_covariance_gives_the_normal_log_odds_of_linear_discriminants():
    """Mean ``d^2/2``, variance ``d^2``, the best classifier right with ``Phi(d/2)``, and speciation at d = 2."""
    rng = np.random.default_rng(2)
    root = rng.standard_normal((5, 5))
    apart, covariance = rng.standard_normal(5), root @ root.T / 5
    pair = TwoGaussians(GaussianClass(0.5, 4 * apart, covariance), GaussianClass(0.5, 0 * apart, covariance))

    def distance(tau):
        shared = np.exp(-2 * tau) * covariance + (1 - np.exp(-2 * tau)) * np.eye(5)
        return 4 * np.exp(-tau) * np.sqrt(apart @ np.linalg.solve(shared, apart))

    for tau in (0.05, 0.7, 2.0, 4.0, 6.0):
        d = distance(tau)
        means, variances = pair.log_odds(tau)
        np.testing.assert_allclose(means, d**2 / 2, rtol=1e-9)
        np.testing.assert_allclose(variances, d**2, rtol=1e-9)
        assert pair.accuracy(tau) == pytest.approx(norm.cdf(d / 2), abs=1e-6)
        assert pair.kept(tau) == pytest.approx(cloning_probability(d / 2), abs=1e-7)
    expected = brentq(lambda tau: distance(tau) - 2, 0.01, 5)
    assert pair.speciation() == pytest.approx(expected, abs=1e-5)
    assert pair.kept_at(cloning_probability(1.0)) == pytest.approx(expected, abs=1e-5)


def test_two_widths_without_means_part_at_the_closed_form_and_as_log_n_over_4():
    """Variances 3 and 1 in N dimensions, with ``rho = S_a/S_b``: mean ``N (rho - 1 - log rho)/2`` and variance
    ``N (rho - 1)^2/2`` under the first. The gap to ``log(N/2)/4`` halves as N grows by 4, within a fifth."""

    def ratio(tau, N):
        rho = 1 + 2 * np.exp(-2 * tau)  # (3 theta^2 + 1 - theta^2)/1
        means = [N / 2 * (r - 1 - np.log(r)) for r in (rho, 1 / rho)]
        spreads = [N / 2 * (r - 1) ** 2 for r in (rho, 1 / rho)]
        return np.mean(means) / np.sqrt(np.mean(spreads) + np.var(means))

    gaps = []
    for N in (32, 128, 512):
        pair = round_pair((3.0, 1.0), N)
        expected = brentq(lambda tau: ratio(tau, N) - 1, 1e-3, 6)  # noqa: B023
        assert pair.speciation() == pytest.approx(expected, abs=1e-5)
        assert pair.large_time() == pytest.approx(np.log(N / 2) / 4, abs=1e-12)
        gaps.append(pair.large_time() - expected)
    assert all(0.4 < small / large < 0.6 for large, small in pairwise(gaps))


def test_means_that_differ_part_as_log_n_over_2():
    """The same variance 1, means 0.5 apart in each of N coordinates: exactly ``log(N 0.25/4)/2``."""
    for N in (64, 256):
        assert round_pair((1.0, 1.0), N, 0.5).speciation() == pytest.approx(np.log(N / 16) / 2, abs=1e-5)


def test_one_direction_of_another_width_never_parts_two_classes():
    """Mean over spread stays below ``1/sqrt(2)`` on the line, however wide one of them is."""
    for width in (3.0, 100.0, 1e4):
        pair = round_pair((width, 1.0), 1)
        assert max(pair.ratio(tau) for tau in (0.01, 0.1, 1.0)) < np.sqrt(0.5)
        assert np.isnan(pair.speciation())


def test_a_level_that_is_never_crossed_has_no_time():
    pair = round_pair((2.0, 1.0), 1)
    assert np.isnan(pair.kept_at(0.9))
    assert np.isnan(pair.kept_at(0.5))


def test_merged_moments_are_those_of_the_pooled_samples(rng):
    x, labels = rng.standard_normal((60, 3)) * [1, 2, 3], np.repeat([0, 1, 2], [10, 20, 30])
    x[labels == 1] += 2
    merged = ClassMoments.of(Classes(x, labels)).group([0, 1])
    inside = x[labels < 2]
    assert merged.share == pytest.approx(0.5)
    np.testing.assert_allclose(merged.mean, inside.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(merged.covariance, np.cov(inside.T, bias=True), atol=1e-12)


def test_weights_of_whole_numbers_are_repetitions(rng):
    x, labels, v = rng.standard_normal((40, 3)), np.arange(40) % 2, rng.integers(1, 4, 40)
    weighted = ClassMoments.of(Classes(x, labels), v.astype(float))
    repeated = ClassMoments.of(Classes(np.repeat(x, v, axis=0), np.repeat(labels, v)))
    for name in ("shares", "means", "covariances"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), atol=1e-12)


def test_classes_that_do_not_differ_are_refused(rng):
    x = rng.standard_normal((30, 2))
    twice = Classes(np.vstack([x, x[::-1], x + 1]), np.repeat([0, 1, 2], 30), ("cats", "dogs", "mice"))
    with pytest.raises(ud.UserError, match="classes cats and dogs have the same mean and the same covariance"):
        ResampledGaussians.of(twice, np.ones((90, 2), np.float32))
    same = GaussianClass(0.5, np.zeros(2), np.eye(2))
    with pytest.raises(ud.UserError, match="wanted some difference"):
        TwoGaussians(same, same)


def test_a_class_of_few_points_is_told_of_and_has_finite_times(rng):
    """Four points in ten dimensions: a singular covariance, which noise makes regular."""
    labels = np.repeat([0, 1], [200, 4])
    x = rng.standard_normal((204, 10)) + 3.0 * labels[:, None]
    gaussians = ResampledGaussians.of(Classes(x, labels), np.ones((204, 2), np.float32))
    (note,) = gaussians.notes
    assert note.startswith("class 1 has 4 points for 10 components: its covariance is singular")
    pair = TwoGaussians.of(gaussians.plain, [0], [1], 1.0)
    assert 0 < pair.speciation() < 4
    assert 0.5 < pair.kept(0.01) <= 1


def test_classes_so_wide_that_noise_is_lost_in_the_digits_have_times_all_the_same():
    """Two thin classes 1e10 apart along one axis, in 3 dimensions: they part at ``log(1e10/2)``."""
    thin = 1e20 * np.outer([1.0, 1.0, 0.0], [1.0, 1.0, 0.0])
    apart = np.array([1e10, -1e10, 0.0]) / np.sqrt(2)
    pair = TwoGaussians(GaussianClass(0.5, apart, thin), GaussianClass(0.5, np.zeros(3), thin))
    assert pair.speciation() == pytest.approx(np.log(1e10 / 2), abs=1e-4)
    assert pair.kept(0.01) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("width", [1e2, 1e8])
def test_the_quadrature_holds_for_widths_that_are_far_apart(width):
    """One dimension, variances ``width`` and 1 at tau = 0.5: against quadrature over the narrow class, 1e-6."""
    pair = round_pair((width, 1.0), 1)
    (wide, narrow), _ = on_the_line(pair, 0.5)
    a, b = (lambda x: 0.5 * wide.pdf(x)), (lambda x: 0.5 * narrow.pdf(x))
    lost = quad(lambda x: 2 * a(x) * b(x) / (a(x) + b(x)), -15 * narrow.std(), 15 * narrow.std(), limit=400)[0]
    assert pair.kept(0.5) == pytest.approx(1 - lost, abs=1e-6)


def test_the_law_of_two_widths_parts_where_its_closed_form_says():
    """24 dimensions, variances 4 and 1, no means: 20,000 draws, classes' posterior from MixtureDenoiser; 4 errors."""
    pair, forward = round_pair((4.0, 1.0), 24), FORWARD
    t = int(np.argmin(np.abs(forward.schedule.ou_time(forward.schedule.times) - pair.speciation()))) + 1
    law = ud.MixtureDenoiser(forward, [0.5, 0.5], np.zeros((2, 24)), [4 * np.eye(24), np.eye(24)])
    rng = np.random.default_rng(8)
    own = np.arange(20_000) % 2
    x_0 = rng.standard_normal((len(own), 24)) * np.where(own, 1.0, 2.0)[:, None]
    shares = law.responsibilities(forward.jump(x_0, t, rng.standard_normal(x_0.shape)), t)
    odds = np.log(shares[np.arange(len(own)), own] / shares[np.arange(len(own)), 1 - own])
    found, error = over_spread_and_stderr(odds)
    assert error < 0.01
    assert found == pytest.approx(pair.ratio(float(forward.schedule.ou_time(t))), abs=4 * error)
    assert found == pytest.approx(1, abs=4 * error + 0.02)  # the times lie 0.02 apart
    kept, error = mean_and_stderr(shares[np.arange(len(own)), own])
    assert kept == pytest.approx(pair.kept(float(forward.schedule.ou_time(t))), abs=4 * error)


def test_classes_of_unlike_covariances_are_measured_where_their_gaussians_part():
    """Two dimensions, 3,000 points, 1,000 samples: free entropy, cloning and their curves to 4.5 errors."""
    rng = np.random.default_rng(8)
    labels = np.arange(3_000) % 2
    widths, means = np.array([[1.0, 2.0], [0.5, 0.3]]), np.array([[-2.0, 0.0], [2.0, 1.0]])
    both = [
        Classes(means[labels] + widths[labels] * rng.standard_normal((3_000, 2)), labels, ("wide", "narrow"))
        for _ in range(2)
    ]
    options = CurveOptions(points=10, n=1_000)
    found = critical_times(ud.GaussianDenoiser.from_data(FORWARD, both[0].x), *both, options)
    for name, theory in (("free entropy", "free entropy of class Gaussians"), ("cloning", "class Gaussians")):
        measured, expected = found.times[name], found.predictions[theory].time
        assert measured.tau == pytest.approx(expected.tau, abs=4.5 * np.hypot(measured.stderr, expected.stderr))
        assert measured.stderr < 0.08
        curve, gaussian = found.curves[name], found.curves[theory]
        late = np.array(curve.tau) > 0.5
        gap = np.abs(np.array(curve.value) - np.array(gaussian.value))[late]
        assert np.all(gap < 4.5 * np.array(curve.stderr)[late] + 0.02)
    assert found.tree is None
    assert found.notes == ()


def test_classes_of_one_law_are_said_not_to_part():
    """Labels drawn by a coin, 400 points: Gaussians of the halves overlap at all times."""
    rng = np.random.default_rng(9)
    both = [Classes(rng.standard_normal((400, 2)), np.arange(400) % 2) for _ in range(2)]
    options = CurveOptions(points=8, n=200)
    found = critical_times(ud.GaussianDenoiser.from_data(FORWARD, both[0].x), *both, options)
    (note,) = found.notes
    assert note.startswith("the classes do not part")
