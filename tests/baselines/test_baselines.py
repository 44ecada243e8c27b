"""The perceptron of Annex II and the cheap generators."""

import numpy as np
import pytest
from scipy.stats import chi2
from sklearn.linear_model import Perceptron as SkPerceptron

import undiffuse as ud
from undiffuse import UserError, datasets
from undiffuse.baselines import Perceptron, gaussian_samples, mardia, mixture_samples
from undiffuse.studies import linear


@pytest.fixture(scope="module")
def zeros_and_ones():
    train, test = (datasets.mnist((0, 1), split) for split in ("train", "test"))
    return train.x, np.where(train.labels == 1, 1, -1), test.x, np.where(test.labels == 1, 1, -1)


def test_perceptron_needs_fewer_than_20_passes_and_makes_the_thesis_single_test_error(zeros_and_ones):
    x, y, x_test, y_test = zeros_and_ones
    assert (len(x), len(x_test)) == (12_665, 2_115)
    result = Perceptron().fit(x, y)
    assert result.converged
    assert len(result.mistakes) < 20
    assert result.errors(x, y) == 0
    assert result.errors(x_test, y_test) == 1


def plain_perceptron(x, y, passes):
    """The rule as Annex II writes it, sample after sample."""
    w, b, mistakes = np.zeros(x.shape[1]), 0.0, []
    for _ in range(passes):
        mistakes.append(0)
        for xi, yi in zip(x, y, strict=True):
            if (1 if xi @ w + b >= 0 else -1) != yi:
                w, b = w + yi * xi, b + yi
                mistakes[-1] += 1
    return w, b, mistakes


def test_stretches_judged_at_once_change_nothing(rng):
    x, y = rng.standard_normal((700, 5)), rng.choice([-1, 1], 700)
    w, b, mistakes = plain_perceptron(x, y, 3)
    result = Perceptron(max_passes=3).fit(x, y)
    np.testing.assert_allclose(result.w, w, atol=1e-12)
    assert (result.b, result.mistakes) == (b, mistakes)


def test_a_converged_perceptron_agrees_with_scikit_learn_on_separable_data(rng):
    x = rng.standard_normal((400, 6))
    y = np.where(x[:, 0] + 0.5 * x[:, 1] > 0, 1, -1)
    x += 0.5 * y[:, None] * np.eye(6)[0]
    theirs = SkPerceptron(shuffle=False, tol=None, max_iter=100).fit(x, y)
    np.testing.assert_array_equal(Perceptron().fit(x, y).predict(x), theirs.predict(x))


def test_a_perceptron_that_cannot_separate_stops_and_says_so(rng):
    result = Perceptron(max_passes=4).fit(rng.standard_normal((50, 2)), rng.choice([-1, 1], 50))
    assert not result.converged
    assert len(result.mistakes) == 4


def test_a_random_order_is_the_seeds(zeros_and_ones):
    x, y, *_ = zeros_and_ones
    first, same, other = (Perceptron(max_passes=1).fit(x, y, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.w, same.w)
    assert not np.array_equal(first.w, other.w)


@pytest.mark.parametrize("labels", [[1, 1], [0, 1], [1]])
def test_labels_that_are_not_two_signs_are_refused(labels):
    with pytest.raises(UserError, match=r"labels must be \+1 and -1"):
        Perceptron().fit(np.zeros((2, 3)), np.array(labels))


def test_gaussian_samples_have_the_datas_moments(rng):
    """20,000 samples: means and covariances to 5 standard errors."""
    x = rng.standard_normal((500, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 0.1]]) + [1, 2, 3]
    drawn = gaussian_samples(x, 20_000)
    covariance = np.cov(x, rowvar=False, bias=True)
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((drawn.mean(axis=0) - x.mean(axis=0)) / scale, 0, atol=5 / np.sqrt(20_000))
    relative = (np.cov(drawn, rowvar=False) - covariance) / np.outer(scale, scale)
    np.testing.assert_allclose(relative, 0, atol=5 * np.sqrt(2 / 20_000))


def test_mixture_samples_lie_in_the_clusters_of_the_data(rng):
    centres = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0]])
    x = centres[rng.integers(0, 3, 3_000)] + 0.3 * rng.standard_normal((3_000, 3))
    drawn = mixture_samples(x, 1_000, components=3, clusters=3)
    distance = np.linalg.norm(drawn[:, None] - centres, axis=2)
    assert (distance.min(axis=1) < 2).mean() > 0.99
    assert np.bincount(distance.argmin(axis=1)).min() > 250


def test_a_mixture_of_more_clusters_than_samples_is_refused():
    with pytest.raises(UserError, match="5 samples do not make 20 clusters"):
        mixture_samples(np.zeros((5, 2)), 3)


def test_mardias_statistics_are_standard_for_gaussian_samples():
    """300 sets of 500: z has mean 0 and variance 1 to 4 standard errors and O(1/n), 5 % of p lie below 5 %."""
    rng = np.random.default_rng(5)
    mix = rng.standard_normal((4, 4))
    found = [mardia(rng.standard_normal((500, 4)) @ mix) for _ in range(300)]
    z = np.array([m.kurtosis_z for m in found])
    assert z.mean() == pytest.approx(0, abs=4 / np.sqrt(300) + 0.1)
    assert z.std() == pytest.approx(1, abs=4 / np.sqrt(600) + 0.05)
    assert np.mean([m.skewness_p < 0.05 for m in found]) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 300))


def test_mardias_skewness_is_the_norm_of_the_third_moment_tensor():
    rng = np.random.default_rng(6)
    x = rng.exponential(size=(300, 3))
    z = (x - x.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T
    third = np.einsum("ni,nj,nk->ijk", z, z, z) / 300
    assert mardia(x).skewness_p == pytest.approx(chi2.sf(300 * np.sum(third**2) / 6, 10), rel=1e-6)


@pytest.mark.parametrize("data", ["spiral", "digits"])
def test_the_linear_model_gives_gaussians_whatever_the_data(data):
    """1,000 samples: data far too skewed for a Gaussian, samples not."""
    small = ["data.n=1000", "data.held_out=50"] if data == "digits" else []
    preset = "spiral-2pi" if data == "spiral" else "mnist-01-quick"
    found = linear.run(linear.Settings(preset, changes=tuple(small), n=1000, components=10)).normality
    assert found["data"].skewness_p < 1e-12
    assert abs(found["linear model"].kurtosis_z) < 4
    assert found["linear model"].skewness_p > 1e-4


def test_normality_of_too_few_or_flat_samples_is_refused():
    for x, message in ((np.eye(4), "too few"), (np.ones((30, 2)), "do not vary")):
        with pytest.raises(ud.UserError, match=message):
            mardia(x)
