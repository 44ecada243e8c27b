"""The two classifiers of digits, and scores by them."""

import numpy as np
import pytest

from undiffuse import UserError, datasets
from undiffuse.metrics.classifiers import Classifier, Classifiers
from undiffuse.metrics.reconstruction import score


def test_both_classifiers_know_held_out_digits(classifiers):
    assert classifiers.plain.accuracy > 0.99
    assert classifiers.strict.accuracy > 0.99


def test_only_the_strict_classifier_doubts_an_overlaid_zero_and_one(classifiers):
    test = datasets.mnist((0, 1), "test")
    zeros, ones = (test.x[test.labels == label][:300] for label in (0, 1))
    overlaid = np.maximum(zeros, ones)
    assert (classifiers.strict.probabilities(overlaid).max(axis=1) > 0.9).mean() < 0.05
    assert (classifiers.plain.probabilities(overlaid).max(axis=1) > 0.9).mean() > 0.5
    assert (classifiers.strict.probabilities(test.x).max(axis=1) > 0.9).mean() > 0.97


def test_a_classifier_comes_back_from_its_file_and_from_its_seed(classifiers):
    test = datasets.mnist((0, 1), "test")
    again = Classifiers.from_files(classifiers.to_files())
    np.testing.assert_array_equal(again.strict.probabilities(test.x), classifiers.strict.probabilities(test.x))
    assert again.plain.accuracy == classifiers.plain.accuracy
    few = datasets.mnist((0, 1)).first(500)
    first, second = (Classifier.train(few, test.first(50), strict=True, epochs=1) for _ in range(2))
    np.testing.assert_array_equal(first.features(test.x[:20]), second.features(test.x[:20]))


def test_votes_do_not_depend_on_the_pixel_scale(classifiers):
    unit = datasets.mnist((0, 1), "test").first(50)
    symmetric = datasets.mnist((0, 1), "test", pixels="symmetric").first(50)
    plain = classifiers.plain
    other = Classifier(plain.network, plain.labels, plain.shape, symmetric.low, symmetric.high, plain.accuracy)
    np.testing.assert_allclose(other.features(symmetric.x), plain.features(unit.x), atol=1e-4)


def test_one_class_cannot_be_told_apart():
    zeros = datasets.mnist((0,)).first(200)
    with pytest.raises(UserError, match="at least two classes"):
        Classifier.train(zeros, zeros, strict=False)


def test_the_spread_of_a_score_is_the_unbiased_standard_deviation(classifiers, rng):
    images = datasets.mnist((0, 1), "test").first(40)
    back = images.x[:, None] + 0.1 * rng.standard_normal((40, 6, 784))
    found = score(images, back, classifiers.strict)
    assert found.pixel_error == pytest.approx(0.1, rel=0.01)
    assert found.spread == pytest.approx(0.1, rel=0.01)
    assert found.kept > 0.95
