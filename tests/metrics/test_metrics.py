import numpy as np
import ot
import pytest
from scipy import stats
from scipy.integrate import quad

from undiffuse import UserError
from undiffuse.datasets import Dataset, Spiral
from undiffuse.datasets.spiral import SpiralDataset
from undiffuse.metrics import (
    energy_distance,
    evaluate,
    sliced_wasserstein2,
    wasserstein2,
)
from undiffuse.support.streams import Purpose, stream


def spiral_data(turns=1.0):
    curve = Spiral(turns)
    rng = np.random.default_rng(1)
    return SpiralDataset(curve.sample(500, rng), curve.sample(500, rng), curve.sample, curve=curve)


def test_exact_w2_equals_optimal_transport_by_linear_programming(rng):
    x, y = rng.standard_normal((60, 2)), rng.standard_normal((60, 2)) + 0.5
    assert wasserstein2(x, y) == pytest.approx(np.sqrt(ot.emd2([], [], ot.dist(x, y))), rel=1e-9)


def test_w2_of_a_shift_is_the_shift(rng):
    x = rng.standard_normal((100, 3))
    assert wasserstein2(x, x + [3.0, 4.0, 0.0]) == pytest.approx(5.0)


def test_sliced_w2_equals_pots_on_the_same_directions(rng):
    x, y = rng.standard_normal((80, 2)), 2 * rng.standard_normal((80, 2))
    axes = stream(0, Purpose.SLICES).standard_normal((2, 128))
    axes /= np.linalg.norm(axes, axis=0)
    assert sliced_wasserstein2(x, y) == pytest.approx(ot.sliced_wasserstein_distance(x, y, projections=axes), rel=1e-9)


def test_energy_distance_equals_scipys_in_one_dimension(rng):
    x, y = rng.standard_normal(90), rng.standard_normal(70) + 0.3
    assert energy_distance(x[:, None], y[:, None]) == pytest.approx(stats.energy_distance(x, y), rel=1e-9)


def test_floor_of_sliced_w2_in_one_dimension_is_its_known_mean():
    """E W2^2 between two samples of n uniform numbers is (2/n) int u(1-u) du = 1/(3n), to leading order."""
    rng, n = np.random.default_rng(8), 2_000
    squares = [sliced_wasserstein2(rng.random((n, 1)), rng.random((n, 1))) ** 2 for _ in range(400)]
    expected = 2 / n * quad(lambda u: u * (1 - u), 0, 1)[0]
    assert abs(np.mean(squares) - expected) < 4.5 * np.std(squares) / np.sqrt(400)


def test_fresh_data_have_ratio_one():
    """40 sets of 300: every ratio within 4.5 of its own standard errors of 1."""
    data = spiral_data()
    found = evaluate(data.fresh(40 * 300, np.random.default_rng(5)), data, 40)
    assert set(found) == {"w2", "sliced_w2", "energy_distance", "distance_to_curve", "coverage_gap"}
    for name, comparison in found.items():
        assert abs(comparison.ratio - 1) < 4.5 * comparison.ratio_stderr, name


def test_noise_has_a_ratio_far_above_one():
    data = spiral_data()
    found = evaluate(np.random.default_rng(5).standard_normal((1200, 2)), data, 4)
    assert all(found[name].ratio > 4 for name in ("w2", "sliced_w2", "energy_distance", "distance_to_curve"))


def test_data_without_a_law_are_judged_against_the_held_out_ones(rng):
    x = rng.standard_normal((400, 3))
    found = evaluate(rng.standard_normal((600, 3)), Dataset(x[:200], x[200:]), 6)
    assert set(found) == {"w2", "sliced_w2", "energy_distance"}
    assert 0.7 < found["w2"].ratio < 1.4


def test_sets_of_different_size_have_no_exact_w2():
    with pytest.raises(UserError, match="equal size, got 3 and 4"):
        wasserstein2(np.zeros((3, 2)), np.zeros((4, 2)))
