"""Errors of critical times: against the spread over independent data, and what they are made of."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import undiffuse as ud
from undiffuse.physics import Classes, critical_times
from undiffuse.physics.crossings import Curve, Measured, Time, fine_times, locate, scatter, stretched, unstretched
from undiffuse.physics.empirical import EmpiricalCurves
from undiffuse.physics.resampling import Resampling
from undiffuse.physics.transitions import CurveOptions, cloned_level, potential_curve

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(400, 2.5e-4, 0.05))
HALF, SPREAD = 3.0, 0.5  # half distance and width of the two Gaussians, at noise scale 1


def two_gaussians(n: int, rng: np.random.Generator, dim: int = 3) -> Classes:
    """Samples of two Gaussians at +-3 of width 1/2, each from either at random."""
    labels = rng.integers(2, size=n)
    x = SPREAD * rng.standard_normal((n, dim))
    x[:, 0] += HALF * (2 * labels - 1)
    return Classes(x, labels)


@cache
def independent_data_sets(count: int = 40) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Critical times and their errors on ``count`` independent data sets of 200 training points, 100 of them diffused.

    An array each, by criterion.
    """
    rng = np.random.default_rng(7)
    found: dict[str, list[tuple[float, float]]] = {"cloning": [], "uturn": [], "potential": []}
    for seed in range(count):
        for name, time in times_of(two_gaussians(200, rng), two_gaussians(100, rng), seed).items():
            found[name].append((time.tau, time.stderr))
    return {name: tuple(np.array(pairs).T) for name, pairs in found.items()}


def times_of(training: Classes, held_out: Classes, seed: int) -> dict[str, Time]:
    """Critical times of one data set; half the training points are diffused."""
    starts = np.random.default_rng(seed).permutation(len(training.x))[: len(training.x) // 2]
    resampling = Resampling.of(len(training.x), len(held_out.x), 2, seed)
    exact = EmpiricalCurves(FORWARD, training, starts, held_out, resampling, seed)
    level, classes = cloned_level(training), cache(exact.classes)

    def located(measure, level: float) -> Time:
        times = list(range(120, 280, 20))
        found = [measure(t) for t in times]
        coarse = Curve.of(FORWARD, times, [(m.value, scatter(m.replicas["starts"])) for m in found])
        return locate(measure, coarse, level, FORWARD).time

    return {
        "cloning": located(lambda t: classes(t)[0], level),
        "uturn": located(lambda t: classes(t)[1], level),
        "potential": located(lambda t: exact.potential(t, len(held_out.x)), 0.0),
    }


@pytest.mark.parametrize("name", ["cloning", "uturn", "potential"])
def test_bootstrap_error_equals_the_spread_over_independent_data_sets(name):
    """40 data sets: the spread is known to 11 %, an error to 6 % of itself; 3 of these together, 40 %."""
    tau, error = independent_data_sets()[name]
    assert np.std(tau, ddof=1) / np.sqrt(np.mean(error**2)) == pytest.approx(1, abs=0.4)


def test_instability_of_two_gaussians_is_where_theory_has_it():
    """40 data sets: mean critical time of the potential to 4 of its standard errors, log(r0 + sqrt(r0^2 + k^2))/2."""
    tau, _ = independent_data_sets()["potential"]
    r0, k = HALF**2, 1 - SPREAD**2
    expected = 0.5 * np.log(r0 + np.sqrt(r0**2 + k**2))
    assert np.mean(tau) == pytest.approx(expected, abs=4 * np.std(tau, ddof=1) / np.sqrt(len(tau)))


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(3)
    training, held_out = two_gaussians(400, rng), two_gaussians(200, rng)
    gaussian = ud.GaussianDenoiser.from_data(FORWARD, training.x)
    return critical_times(gaussian, training, held_out, CurveOptions(20, 200))


def test_every_critical_time_has_an_error_and_its_parts(found):
    for name, time in found.times.items():
        assert time.stderr > 0, name
        assert time.stderr_training > 0, name
        assert time.stderr_starts > 0, name
        assert time.stderr_interpolation < time.stderr, name


def test_theories_agree_with_one_another_where_their_assumptions_hold(found):
    """Two equal round Gaussians: class Gaussians and bimodality within 4 errors, and the instability of both kinds."""
    theory = {name: p.time for name, p in found.predictions.items()}
    a, b = theory["class Gaussians"], theory["bimodality"]
    assert a.tau == pytest.approx(b.tau, abs=4 * np.hypot(a.stderr, b.stderr))
    measured = found.times["potential"]
    assert theory["instability with variance"].tau == pytest.approx(measured.tau, abs=4 * measured.stderr)


def test_error_of_agreement_is_below_that_of_independent_criteria(found):
    """The potential and the covariance share their training set: the ratio is known three times better."""
    covariance, potential = found.covariance.time, found.times["potential"]
    independent = np.hypot(potential.stderr / potential.tau, covariance.stderr / covariance.tau)
    assert found.agreement()["potential"][1] < independent / 3


def test_results_name_every_criterion_and_the_level(found):
    told = found.as_dict()
    assert set(told["names"]) == {"covariance", *told["times"]}
    assert told["level"] == pytest.approx(0.775, abs=0.003)
    assert "r = Gamma" in told["level_assumes"]
    assert {"name", "of", "tau", "stderr"} <= set(told["predictions"]["bimodality"])


def test_exact_curvature_is_the_limit_of_the_difference_quotient(rng):
    """Differences of 0.1 standard deviations err by their square: 1 % of the curvature's size at three times."""
    training, held_out = two_gaussians(300, rng), two_gaussians(60, rng)
    exact = EmpiricalCurves(FORWARD, training, np.arange(50), held_out, Resampling.of(300, 60, 2, 0), 0)
    times = [100, 180, 260]
    quotient = potential_curve(exact.exact, held_out, times, n=60)
    for t, value in zip(times, quotient.value, strict=True):
        assert exact.curvatures(t, 60).mean() == pytest.approx(value, rel=0.01, abs=0.01)
        assert exact.potential(t, 60).value == pytest.approx(exact.curvatures(t, 60).mean(), rel=1e-9)


def test_replicas_are_those_of_denoisers_of_repeated_points(rng):
    """Whole weights are repetitions of points: cloning, potential and excess entropy of such a training set, 1e-4."""
    training, held_out = two_gaussians(60, rng), two_gaussians(50, rng)
    counts = rng.integers(1, 4, size=60)
    weights = Resampling(counts[:, None].astype(np.float32), np.ones((50, 1), np.float32))
    weighed = EmpiricalCurves(FORWARD, training, np.arange(60), held_out, weights, 0)
    again = np.repeat(np.arange(60), counts)
    repeated = Classes(training.x[again], training.labels[again])
    plain = Resampling(np.ones((len(again), 1), np.float32), np.ones((50, 1), np.float32))
    explicit = EmpiricalCurves(FORWARD, repeated, np.arange(len(again)), held_out, plain, 0)
    t = 180
    assert weighed.potential(t, 50).replicas["training"][0] == pytest.approx(explicit.potential(t, 50).value, abs=1e-4)
    excess = weighed.excess_entropy(t, 50).replicas["training"][0]
    # f contains log(m)/N with the number of points, which reweighting leaves alone
    grown = np.log(len(again) / 60) / 3
    assert excess == pytest.approx(explicit.excess_entropy(t, 50).value - grown, abs=1e-4)


def test_parabola_finds_the_crossing_of_a_smooth_curve_within_its_interpolation_error():
    def measure(t: int) -> Measured:
        height = float(np.tanh(1.3 - FORWARD.schedule.ou_time(t)))
        return Measured(height, {"joint": height + np.linspace(-0.01, 0.01, 50)})

    times = list(range(20, 400, 40))
    coarse = Curve.of(FORWARD, times, [(measure(t).value, 0.005) for t in times])
    time = locate(measure, coarse, 0.2, FORWARD).time
    assert time.tau == pytest.approx(1.3 - np.arctanh(0.2), abs=max(1e-4, 2 * time.stderr_interpolation))
    assert time.stderr_interpolation < 0.003


def test_curves_that_cross_close_by_are_measured_at_the_same_times():
    one, other = (set(fine_times(FORWARD, centre, 0.2)) for centre in (1.0, 1.01))
    assert len(one & other) >= len(one) - 1


def test_stretched_time_is_undone():
    tau = np.array([0.001, 0.1, 0.3, 2.0])
    np.testing.assert_allclose(unstretched(stretched(tau)), tau, rtol=1e-12)


@pytest.mark.parametrize(("noise", "crosses"), [(0.1, True), (1.0, False)])
def test_a_curve_that_only_its_noise_takes_across_a_level_has_not_crossed_it(noise, crosses):
    """One of ten points lies 0.5 below the level; the others are 1 above."""
    times = list(range(100, 200, 10))
    points = [(-0.5 if t == 110 else 1.0, noise if t == 110 else 0.01) for t in times]
    assert np.isfinite(Curve.of(FORWARD, times, points).crossing(0.0, FORWARD).tau) == crosses


def test_no_crossing_is_reported_where_a_fit_finds_none_in_its_window():
    """The coarse curve crosses at t = 150, and what is measured there again does not."""
    times = list(range(100, 200, 10))
    coarse = Curve.of(FORWARD, times, [(t - 151.0, 0.01) for t in times])
    replicas = {name: np.full(20, 1.0) for name in ("joint", "starts", "training")}
    found = locate(lambda t: Measured(1.0 + 0.001 * t, replicas), coarse, 0.0, FORWARD)
    assert np.isnan(found.time.tau)
    assert found.replicas.size == 0
