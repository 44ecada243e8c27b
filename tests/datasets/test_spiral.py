"""The spiral, and what only a spiral allows to be measured."""

import numpy as np
import pytest
from scipy import stats

from undiffuse import UserError
from undiffuse.datasets import Spiral, spiral
from undiffuse.datasets.spiral import coverage_gap, distance_to_curve


def test_distance_to_the_curve_of_data_is_its_noise(rng):
    """50,000 points; curvature and the ends change the figure by less than 2 per cent."""
    curve = Spiral(1.5, noise=0.01)
    assert distance_to_curve(curve.sample(50_000, rng), curve) == pytest.approx(0.01, rel=0.02)


def test_projection_equals_a_minimisation_over_the_angle(rng):
    from scipy.optimize import minimize_scalar

    curve = Spiral(1.0)
    points = rng.uniform(-1, 1, (20, 2))
    distances, _ = curve.project(points)
    grid = np.linspace(0, 1, 400)
    for point, distance in zip(points, distances, strict=True):
        f = lambda u, p=point: float(np.linalg.norm(curve.curve(np.array([u]))[0] - p))  # noqa: E731
        best = grid[np.argmin([f(u) for u in grid])]
        exact = minimize_scalar(
            f, bounds=(max(0, best - 0.005), min(1, best + 0.005)), method="bounded", options={"xatol": 1e-10}
        ).fun
        assert distance == pytest.approx(exact, abs=2e-5)


def test_spiral_is_uniform_in_the_angle_and_one_wide(rng):
    x = spiral(20_000, turns=1.0, noise=0.0)
    angle = np.arctan2(x[:, 1], x[:, 0]) % (2 * np.pi)
    assert stats.kstest(angle / (2 * np.pi), "uniform").pvalue > 0.001
    radius = np.linalg.norm(x, axis=1)
    np.testing.assert_allclose(radius, angle / (2 * np.pi), atol=1e-9)


def test_spiral_of_one_seed_is_one_spiral():
    np.testing.assert_array_equal(spiral(10, seed=3), spiral(10, seed=3))
    assert not np.array_equal(spiral(10, seed=3), spiral(10, seed=4))


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"n": 5, "turns": -1.0}, {"n": 5, "noise": -0.1}, {"n": 5, "turns": float("nan")}]
)
def test_impossible_spirals_are_refused(options):
    with pytest.raises(UserError):
        spiral(**options)


def test_missing_stretch_is_a_coverage_gap():
    curve = Spiral(1.0, noise=0.0)
    half = curve.curve(np.linspace(0, 0.5, 4001)[:-1])
    assert coverage_gap(half, curve) == pytest.approx(0.5, abs=0.01)
