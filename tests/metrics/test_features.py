"""Distances between sets of features, against scipy and against their definitions."""

import numpy as np
import pytest
from scipy import linalg, stats

from undiffuse import metrics


def test_frechet_distance_equals_scipys_matrix_root(rng):
    x, y = rng.standard_normal((300, 6)), rng.standard_normal((200, 6)) @ rng.standard_normal((6, 6)) + 1
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(a @ b).real
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a + b - 2 * root)
    assert metrics.frechet_distance(x, y) == pytest.approx(expected)


def test_frechet_distance_of_one_dimension_is_its_closed_form():
    x = stats.norm.ppf((np.arange(1000) + 0.5) / 1000)[:, None]
    assert metrics.frechet_distance(x, 3 * x + 2) == pytest.approx(4 + 4 * x.var(ddof=1), rel=1e-9)


def test_prdc_of_two_sets_of_one_law_is_near_one_and_of_far_sets_zero(rng):
    x, y = rng.standard_normal((400, 3)), rng.standard_normal((400, 3))
    same, far = metrics.prdc(x, y), metrics.prdc(x, y + 100)
    assert same["density"] == pytest.approx(1, abs=0.15)
    assert min(same["precision"], same["recall"], same["coverage"]) > 0.9
    assert far == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_samples_of_one_mode_are_precise_but_do_not_recall_the_other(rng):
    data = np.concatenate([rng.standard_normal((200, 2)), rng.standard_normal((200, 2)) + 50])
    found = metrics.prdc(rng.standard_normal((200, 2)), data)
    assert found["precision"] > 0.9
    assert found["recall"] < 0.55
    assert found["coverage"] < 0.55


def test_prdc_equals_its_definition_point_by_point(rng):
    x, y, k = rng.standard_normal((30, 2)), rng.standard_normal((25, 2)) + 0.5, 3
    ball = [np.sort(np.linalg.norm(y - p, axis=1))[k] for p in y]
    inside = [[np.linalg.norm(a - b) < r for b, r in zip(y, ball, strict=True)] for a in x]
    found = metrics.prdc(x, y, k)
    assert found["precision"] == np.mean([any(row) for row in inside])
    assert found["density"] == pytest.approx(np.mean([sum(row) for row in inside]) / k)


def test_copies_of_training_points_are_memorised_and_fresh_points_are_not(rng):
    training = rng.standard_normal((500, 20))
    assert metrics.memorised_share(training[:50] + 1e-3, training) == 1
    assert metrics.memorised_share(rng.standard_normal((50, 20)), training) == 0
