"""Critical times: closed forms, walked trajectories, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import undiffuse as ud
from undiffuse.diffusion import reverse
from undiffuse.physics import Classes, CurieWeiss, critical_times, transitions
from undiffuse.physics.curie_weiss import cloning_probability
from undiffuse.physics.empirical import EmpiricalCurves
from undiffuse.physics.resampling import Resampling
from undiffuse.support.stats import mean_and_stderr

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(400, 2.5e-4, 0.05))


def two_clusters(n, rng, distance=3.0, dim=6, spread=0.5):
    labels = np.arange(n) % 2
    x = spread * rng.standard_normal((n, dim))
    x[:, 0] += distance * (2 * labels - 1)
    return Classes(x, labels)


def exact_curves(points, held_out):
    n = len(points.x)
    return EmpiricalCurves(FORWARD, points, np.arange(n), held_out, Resampling.of(n, len(held_out.x), 2, 0), 0)


def test_covariance_criterion_is_half_the_log_of_the_largest_variance(rng):
    """4,000 points of two clusters: Lambda = 9.25 to 4 standard errors, its axis through both."""
    found = transitions.covariance_criterion(FORWARD, two_clusters(4000, rng))
    assert found.eigenvalue == pytest.approx(9.25, abs=4 * found.eigenvalue_stderr)
    assert found.time.tau == pytest.approx(0.5 * np.log(found.eigenvalue), rel=1e-12)
    assert found.overlap > 0.99
    assert found.applies


def test_noise_scale_shifts_the_covariance_time(rng):
    classes, half = two_clusters(1000, rng), ud.ForwardProcess(FORWARD.schedule, 0.5)
    gap = (
        transitions.covariance_criterion(half, classes).time.tau
        - transitions.covariance_criterion(FORWARD, classes).time.tau
    )
    assert gap == pytest.approx(np.log(2), rel=1e-9)


def test_low_overlap_is_reported(rng):
    """Clusters apart along one axis, larger variance along another: the criterion does not apply."""
    classes = two_clusters(1000, rng, distance=1.0)
    classes.x[:, 3] *= 10
    found = transitions.covariance_criterion(FORWARD, classes)
    assert not found.applies
    assert "too little" in found.why_not


def test_class_curves_agree_with_walked_trajectories(rng):
    """400 points, 2,000 U-turns with all steps at two times: shares to 4 standard errors of the walk and the curve."""
    points = two_clusters(400, rng, distance=1.5)
    curves = exact_curves(points, points)
    exact = ud.EmpiricalDenoiser(FORWARD, points.x)
    x0, labels = np.tile(points.x, (5, 1)), np.tile(points.labels, 5)
    for t in (150, 250):
        value, stderr = mean_and_stderr(curves.class_values(t).uturn)
        x_t = FORWARD.jump(x0, t, rng.standard_normal(x0.shape))
        back = reverse.reconstruct(exact, x_t, t)
        kept = np.mean((back[:, 0] > 0) == labels)
        assert kept == pytest.approx(value, abs=4 * np.hypot(stderr, 0.5 / np.sqrt(2000)) + 0.01)


def test_two_far_clusters_clone_as_two_gaussians_do(rng):
    points = two_clusters(2000, rng, distance=4.0, spread=0.05)
    curves = exact_curves(points, points)
    for t in (200, 280, 330):
        value, stderr = mean_and_stderr(curves.class_values(t).cloning)
        ratio = FORWARD.signal(t) * 4.0 / np.hypot(FORWARD.noise(t), FORWARD.signal(t) * 0.05)
        assert value == pytest.approx(cloning_probability(ratio), abs=4 * stderr + 0.01)


def test_gaussian_potential_turns_at_its_closed_form(rng):
    """One Gaussian: curvature -1 + 2 s^2/(alpha_bar lambda + s^2 Delta) along an axis, so no second class is needed."""
    classes = two_clusters(500, rng)
    gaussian = ud.GaussianDenoiser(FORWARD, np.zeros(6), np.diag([9.0, 1, 1, 1, 1, 1]))
    e = Classes(np.vstack([np.eye(6)[:1], -np.eye(6)[:1]]), np.array([0, 1]))
    curve = transitions.potential_curve(gaussian, e, [100, 300], n=2)
    for t, value in zip(curve.t, curve.value, strict=True):
        total = 9 * FORWARD.signal(t) ** 2 + FORWARD.noise(t) ** 2
        assert value == pytest.approx(-1 + 2 / total, rel=1e-9)
    assert classes.direction[0] == pytest.approx(np.eye(6)[0], abs=0.05)


def test_excess_entropy_at_training_points_is_the_posterior_entropy(rng):
    """f = H(a|x_t)/N exactly, up to the scatter of |xi|^2 which is taken out: 2,000 draws, 4 standard errors."""
    points = rng.standard_normal((50, 3))
    starts = np.tile(points, (40, 1))
    curves = exact_curves(*(Classes(x, np.arange(len(x)) % 2) for x in (points, starts)))
    for t in (60, 200):
        (f, a), (h, b) = (mean_and_stderr(values) for values in curves.entropies(t, 2000))
        assert f == pytest.approx(h, abs=4 * np.hypot(a, b))


def test_a_straight_curve_crosses_where_it_does():
    taus = np.array([FORWARD.schedule.ou_time(t) for t in range(100, 300, 20)])
    curve = transitions.Curve(
        tuple(range(100, 300, 20)), tuple(taus), tuple(1.0 - 0.3 * taus), tuple(np.full(10, 0.01))
    )
    time = curve.crossing(0.6, FORWARD)
    assert time.tau == pytest.approx(0.4 / 0.3, rel=1e-9)
    assert 0 < time.stderr < 0.05
    assert np.isnan(curve.crossing(5.0, FORWARD).tau)


def test_error_of_a_crossing_is_that_of_repeated_curves(rng):
    """2,000 noisy lines: the scatter of their crossings within 40 % of an error that allows for shared samples."""
    times = tuple(range(150, 250, 10))
    taus = np.array([float(FORWARD.schedule.ou_time(t)) for t in times])
    found, stated = [], []
    for _ in range(2000):
        values = 1.0 - 0.3 * taus + 0.005 * rng.standard_normal(10)
        time = transitions.Curve(times, tuple(taus), tuple(values), (0.005,) * 10).crossing(0.75, FORWARD)
        found.append(time.tau)
        stated.append(time.stderr)
    assert np.std(found) == pytest.approx(np.mean(stated), rel=0.4)


def test_curie_weiss_spins_decide_where_theory_says(rng):
    """100 spins: cloning of 4,000 configurations crosses 0.775 within 4 errors and 5 % of the marginal criterion."""
    model = CurieWeiss(100)
    x = model.sample(4000, rng)
    classes = Classes(x, (x.sum(axis=1) > 0).astype(int))
    found = critical_times(
        ud.GaussianDenoiser.from_data(FORWARD, x), classes, classes, transitions.CurveOptions(24, 400)
    )
    expected = model.critical_time("marginal")
    for name in ("cloning", "uturn"):
        time = found.times[name]
        assert time.tau == pytest.approx(expected, abs=4 * time.stderr + 0.05 * expected)


def test_noise_larger_than_the_data_leaves_no_covariance_time():
    found = transitions.covariance_criterion(FORWARD, Classes(0.1 * np.eye(4), np.array([0, 1, 0, 1])))
    assert set(found.time.as_dict().values()) == {None}
    assert not found.applies


def test_small_data_whose_axis_is_that_of_the_classes_are_not_said_to_overlap_too_little(rng):
    found = transitions.covariance_criterion(FORWARD, two_clusters(400, rng, distance=0.3, spread=0.05))
    assert found.overlap > 0.99
    assert not found.applies
    assert "noise is larger" in found.why_not


def test_classes_of_one_mean_lie_along_the_first_principal_axis():
    """Two crosses around the origin, one of them three times as large along the second axis."""
    cross = np.vstack([np.eye(2), -np.eye(2)])
    classes = Classes(np.vstack([cross, cross * [1, 3]]), np.repeat([0, 1], 4))
    e, middle = classes.direction
    np.testing.assert_allclose(np.abs(e), [0, 1], atol=1e-12)
    np.testing.assert_allclose(middle, 0, atol=1e-12)
    first, last = classes.outermost
    assert not np.any(first & last)


def test_a_single_class_is_refused():
    with pytest.raises(ud.UserError, match="hold a single class, 1"):
        Classes(np.zeros((4, 2)), np.ones(4, int))
