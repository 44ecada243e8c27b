"""Exact conditional laws of simple models of the training data."""

import numpy as np
import pytest

from undiffuse import UserError
from undiffuse.baselines.conditionals import by_class_gaussians, by_training_set

HALF = np.array([True, False])


def test_training_points_are_drawn_as_often_as_their_kernels_say():
    """Points at 0 and 1 a hundred times each, seen at 0: all draws are of the near ones; known values stay."""
    rng = np.random.default_rng(0)
    train = np.repeat([[5.0, 0.0], [7.0, 1.0]], 100, axis=0) + 0.01 * rng.standard_normal((200, 2))
    found = by_training_set(train, np.tile([9.0, 0.02], (300, 1)), HALF, rng)
    assert np.all(found.x[:, 1] == 0.02)
    assert np.abs(found.x[:, 0] - 5).max() < 0.1


def test_the_conditional_of_one_gaussian_class_is_that_of_its_moments():
    """20,000 training points, 2,000 draws: mean and variance within 4 standard errors, and 3 % for the ridge."""
    rng = np.random.default_rng(1)
    root = np.linalg.cholesky([[1.0, 0.8], [0.8, 1.0]])
    train = rng.standard_normal((20_000, 2)) @ root.T
    found = by_class_gaussians(train, np.zeros(len(train), int), np.tile([0.0, 1.0], (2_000, 1)), HALF, rng).x[:, 0]
    assert abs(found.mean() - 0.8) < 4 * 0.6 / np.sqrt(2_000) + 0.03
    assert abs(found.var() / 0.36 - 1) < 4 * np.sqrt(2 / 2_000) + 0.03


def test_a_class_is_drawn_with_its_probability_given_what_is_known():
    """Two classes one apart in what is seen, of variance 1: at x = 0.5 + 1 the odds are e; 3,000 draws, 4 errors."""
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], 20_000)
    train = np.stack([10.0 * labels, labels + 0.0], axis=1) + rng.standard_normal((40_000, 2))
    found = by_class_gaussians(train, labels, np.tile([0.0, 1.5], (3_000, 1)), HALF, rng).x[:, 0]
    share = np.e / (1 + np.e)
    assert abs(np.mean(found > 5) - share) < 4 * np.sqrt(share * (1 - share) / 3_000) + 0.01


def test_too_few_training_samples_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="wanted at least 3"):
        by_training_set(np.zeros((2, 2)), np.zeros((1, 2)), HALF, rng)
    with pytest.raises(UserError, match="class 1 has 1"):
        by_class_gaussians(np.zeros((4, 2)), np.array([0, 0, 0, 1]), np.zeros((1, 2)), HALF, rng)
