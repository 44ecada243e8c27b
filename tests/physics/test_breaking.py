"""Statistics of symmetry breaking: chi^2 with covariances, the corrected walk, finite-size scaling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.stats import chi2, kstest

import undiffuse as ud
from undiffuse.diffusion.reverse import reverse_trajectory
from undiffuse.physics import CurieWeiss, CurieWeissDenoiser
from undiffuse.physics.agreement import NULLS, Agreement, copies_agreement, drawn_cumulants
from undiffuse.physics.breaking import STEP, Walk, grid, symmetry_breaking, walk_from_noise
from undiffuse.physics.corrected import Corrected
from undiffuse.physics.scaling import LEVEL, SIZES, crossing, crossing_stderr, scaling
from undiffuse.support.stats import Line

TAUS = [0.7, 1.2, 1.8, 2.5]


@pytest.fixture(scope="module")
def small():
    return symmetry_breaking(CurieWeiss(20, 1.5), n=100, points=3)


def test_covariance_of_cumulants_is_that_of_repeated_draws(rng):
    """4,000 sets of 1,000 draws: each correlation within 0.07, four and a half standard errors."""
    model = CurieWeiss(40, 1.5, 0.4)
    expected = model.binder_covariance(TAUS)
    got = np.cov(drawn_cumulants(model, TAUS, 1000, 4000, rng).T) * 1000
    scale = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(got / np.outer(scale, scale), expected / np.outer(scale, scale), atol=0.07, rtol=0.1)


def test_covariance_of_cumulants_has_their_variance_on_its_diagonal():
    model = CurieWeiss(40, 1.5, 0.4)
    scatter = [float(model.binder_scatter(tau)) for tau in TAUS]
    np.testing.assert_allclose(np.sqrt(np.diag(model.binder_covariance(TAUS))), scatter, rtol=1e-9)


def test_p_values_of_correlated_cumulants_are_uniform(rng):
    """200 sets of 100 walkers at four times, each with its own null draws; Kolmogorov-Smirnov at the 1 % level."""
    model, n, p = CurieWeiss(50), 100, []
    exact, covariance = model.binder_exact(TAUS), model.binder_covariance(TAUS) / 100
    for _ in range(200):
        value, null = drawn_cumulants(model, TAUS, n, 1, rng)[0], drawn_cumulants(model, TAUS, n, NULLS, rng)
        p.append(Agreement.of(value - exact, covariance, null - exact).p_value)
    assert kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("which", ["cloning", "uturn", "both"])
def test_p_values_of_copies_are_uniform(which, rng):
    """400 sets of 400 pairs at five times, with an uncertain exact value; Kolmogorov-Smirnov at the 1 % level.

    Magnetisations given x_t are drawn from laws on {-m, 0, m}, unlike anything in the code.
    """
    n, error, p = 400, np.array([0.002, 0.003, 0.004, 0.004, 0.003]), []
    sizes, shares = np.array([0.99, 0.95, 0.9, 0.8, 0.6]), np.array([1.0, 0.95, 0.8, 0.5, 0.2])
    phi = (1 + shares * sizes**2) / 2
    for _ in range(400):
        m = sizes * (rng.random((n, 5)) < shares) * np.where(rng.random((n, 5)) < 0.5, -1, 1)
        s = np.where(rng.random((3, n, 5)) < (1 + m) / 2, 1, -1)
        measured = np.stack([(s[1] == s[2]).mean(axis=0), (s[0] == s[1]).mean(axis=0)])
        found = copies_agreement(measured, phi + error * rng.standard_normal(5), error, n, rng)
        p.append(getattr(found, which).p_value)
    assert kstest(p, "uniform").pvalue > 0.01


def test_times_with_fewer_than_five_expected_differences_are_left_out(rng):
    measured = np.array([[1.0, 0.8], [0.99, 0.8]])
    found = copies_agreement(measured, np.array([0.999, 0.81]), np.array([1e-4, 0.01]), 400, rng)
    assert (found.cloning.degrees, found.uturn.degrees, found.both.degrees) == (1, 1, 2)


def test_without_any_measurement_the_p_value_is_one():
    empty = Agreement.of(np.empty(0), np.empty((0, 0)), np.empty((NULLS, 0)))
    assert (empty.chi2, empty.degrees, empty.p_value) == (0.0, 0, 1.0)


def test_independent_agreements_add_up(rng):
    """Against the chi^2 law: 999 null draws, three standard errors of a share."""
    parts = []
    for degrees in (3, 5):
        residual, null = rng.standard_normal(degrees), rng.standard_normal((NULLS, degrees))
        parts.append(Agreement.of(residual, np.eye(degrees), null))
    both = Agreement.together(parts)
    assert (both.chi2, both.degrees) == (pytest.approx(parts[0].chi2 + parts[1].chi2), 8)
    p = chi2.sf(both.chi2, 8)
    assert both.p_value == pytest.approx(p, abs=3 * np.sqrt(p * (1 - p) / NULLS))


def test_summaries_give_chi2_degrees_and_p_of_each_curve_and_together(small):
    found = small.as_dict()
    for part in (found, found["binder"], found["cloning"], found["uturn"]):
        assert part["degrees"] > 0
        assert 0 < part["p_value"] <= 1
        assert "null" not in part
    assert found["degrees"] == sum(found[name]["degrees"] for name in ("binder", "cloning", "uturn"))


def test_no_standard_error_is_zero_but_those_of_closed_forms(small):
    assert small.plus_stderr > 0
    for curve in (small.binder, small.cloning, small.uturn):
        assert min(curve.stderr) > 0
    for curve in (small.cloning, small.uturn):
        assert min(curve.exact_stderr) > 0
    assert set(small.binder.exact_stderr) == {0.0}


def test_a_score_without_two_states_is_rejected_by_chi2():
    """The Gaussian of the same covariance, 400 walkers: none of 999 exact draws reaches its chi^2."""
    model = CurieWeiss(30, 1.5)
    data = model.sample(4000, np.random.default_rng(0))
    result = symmetry_breaking(model, lambda f: ud.GaussianDenoiser.from_data(f, data), n=400, points=3)
    assert result.agreement.p_value == 1 / (1 + NULLS)


# -- the walk ---------------------------------------------------------------------------------------------------------


def final_variance(sampler: ud.Sampler, steps: int) -> float:
    """Variance at OU time 0.3 of a walk from 2.3 on the exact score of N(0, 9), without sampling.

    The walk is linear in its start and its noise: walker k gets a unit of noise in step k and none in the others.
    """
    taus = np.linspace(0.3, 2.3, steps + 1)
    forward = ud.ForwardProcess(ud.NoiseSchedule.at_ou_times(taus))
    exact = ud.GaussianDenoiser(forward, mean=[0.0], covariance=[[9.0]])
    units = iter(np.eye(steps + 1)[1:, :, None])
    start = np.eye(steps + 1)[0][:, None] * np.sqrt(1 + 8 * np.exp(-2 * 2.3))
    walk = reverse_trajectory(exact, start, sampler=sampler, noise=lambda: next(units))
    return next(float((x**2).sum()) for t, x in walk if t == 1)


@pytest.mark.parametrize(("sampler", "power"), [(ud.Ancestral(), 1), (Corrected(), 2)])
def test_the_corrected_walk_errs_as_the_square_of_the_step(sampler, power):
    exact = 1 + 8 * np.exp(-0.6)
    errors = [abs(final_variance(sampler, steps) - exact) for steps in (80, 160)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(power, abs=0.15)


def test_walkers_end_with_the_magnetisation_of_equilibrium():
    """400 walkers of 100 spins: the mean of magnitudes within 3 standard errors of as many exact draws."""
    model, n = CurieWeiss(100), 400
    exact = CurieWeissDenoiser(ud.ForwardProcess(grid(model, below=STEP)), model)
    ends = np.abs(walk_from_noise(model, exact, n, seed=0)[1].mean(axis=1))
    law, m = np.exp(model.log_law), np.abs(model.sums) / 100
    scatter = np.sqrt(law @ m**2 - (law @ m) ** 2)
    assert ends.mean() == pytest.approx(law @ m, abs=3 * scatter / np.sqrt(n))


# -- finite-size scaling ----------------------------------------------------------------------------------------------


def drawn(n: int, **field):
    return scaling([CurieWeiss(N, 1.5, **field) for N in SIZES], {}, n, seed=3)


def test_error_of_a_crossing_is_that_of_repeated_draws(rng):
    """400 sets of 800 draws: their standard deviation within 15 %, four standard errors."""
    model = CurieWeiss(100)
    tau = model.binder_crossing(LEVEL)
    grid = tau + np.arange(-10, 11) * 0.035
    found = [crossing(Walk(grid, each), LEVEL) for each in drawn_cumulants(model, grid.tolist(), 800, 400, rng)]
    assert np.std(found) == pytest.approx(crossing_stderr(model, tau, 800), rel=0.15)
    assert np.mean(found) == pytest.approx(tau, abs=4 * np.std(found) / 20 + 0.002)


def test_crossing_times_grow_as_half_the_logarithm_of_N():
    """Exact draws, 800 of each of eight sizes: the slope within 3 standard errors, the line's p above 0.001."""
    found = drawn(800)
    assert found.N == SIZES
    assert found.slope.slope == pytest.approx(found.exact_slope, abs=3 * found.slope.stderr)
    assert found.slope.stderr < 0.015
    assert found.slope.p_value > 0.001
    assert found.walks is None


def test_exact_crossings_approach_slope_one_half_from_small_N():
    found = drawn(100)
    gaps = np.abs(np.array(found.exact_local) - 0.5)
    assert (np.diff(gaps) < 0).all()
    assert gaps[-1] < 1e-3


def test_corrections_to_scaling_fall_as_one_over_N():
    assert drawn(100).correction == pytest.approx(-1.0, abs=0.05)


def test_collapse_is_as_good_as_chance_for_large_sizes_and_seen_to_fail_for_small_ones():
    """50,000 draws: sizes from 500 up agree (p above 0.01), those from 20 up do not (smallest possible p)."""
    large, every = (scaling([CurieWeiss(N) for N in sizes], {}, 50_000, seed=1) for sizes in (SIZES[4:], SIZES))
    assert large.collapse.p_value > 0.01
    assert every.collapse.p_value == 1 / (1 + NULLS)
    assert every.excess > 10 * large.excess


def test_too_few_large_sizes_give_no_scaling():
    assert scaling([CurieWeiss(N) for N in (5, 10, 50, 100)], {}, 100) is None


def test_a_weighted_line_equals_scipys(rng):
    x, errors = rng.standard_normal(9), rng.uniform(0.1, 1, 9)
    y = 0.3 + 2 * x + errors * rng.standard_normal(9)
    (slope, height), covariance = curve_fit(lambda x, a, b: a * x + b, x, y, sigma=errors, absolute_sigma=True)
    line = Line.through(x, y, errors)
    assert (line.slope, line.stderr) == pytest.approx((slope, np.sqrt(covariance[0, 0])), rel=1e-6)
    assert line.chi2 == pytest.approx(np.sum(((y - slope * x - height) / errors) ** 2), rel=1e-6)
    assert line.p_value == pytest.approx(chi2.sf(line.chi2, 7), rel=1e-9)
