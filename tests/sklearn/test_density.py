"""The density estimator, against closed forms and in scikit-learn's own machinery."""

import json

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import undiffuse as ud
from undiffuse.sklearn import DiffusionDensity

SMALL = {"T": 12, "hidden": 8, "epochs": 3, "folds": 2, "random_state": 0}
IRIS = load_iris().data


@pytest.fixture(scope="module")
def fitted():
    return DiffusionDensity(**SMALL).fit(IRIS)


def test_of_gaussian_data_the_density_is_nearly_the_gaussians(rng):
    """400 rows of 3 correlated columns in units of 1 to 1000: within 0.05 nats of the Gaussian fitted to them."""
    scale = np.array([1.0, 30.0, 1000.0])
    factors = np.array([[1, 0, 0], [0.9, 0.3, 0], [0.2, -0.5, 0.8]])
    train, test = (rng.standard_normal((400, 3)) @ factors.T * scale + 5 for _ in range(2))
    density = DiffusionDensity(T=30, hidden=16, random_state=0).fit(train)
    fitted = multivariate_normal(train.mean(axis=0), np.cov(train.T, bias=True)).logpdf(test).mean()
    assert abs(density.score(test) - fitted) < 0.05


def test_of_two_clusters_it_is_better_than_the_best_gaussian(rng):
    """By more than half of what the exact density of the two, 2 nats of difference, is better by."""
    train, test = (rng.standard_normal((400, 2)) * 0.1 + rng.choice([-1, 1], (400, 1)) for _ in range(2))
    exact = np.logaddexp(*(multivariate_normal([m, m], 0.01).logpdf(test) for m in (-1, 1))).mean() - np.log(2)
    gaussian = multivariate_normal(train.mean(axis=0), np.cov(train.T)).logpdf(test).mean()
    found = DiffusionDensity(folds=2, random_state=0).fit(train).score(test)
    assert gaussian + (exact - gaussian) / 2 < found < exact + 0.05


def test_a_rows_score_is_the_same_bits_in_any_company(fitted, rng):
    together, order = fitted.score_samples(IRIS), rng.permutation(len(IRIS))
    assert np.array_equal(fitted.score_samples(IRIS[order]), together[order])
    assert np.array_equal(fitted.score_samples(IRIS[7:8]), together[7:8])
    assert np.array_equal(fitted.score_samples(IRIS[3:60]), together[3:60])


def test_the_density_in_other_units_is_that_of_these_units(fitted):
    """Centimetres as millimetres: the density of each of the 4 columns falls by log 10."""
    other = clone(fitted).fit(10 * IRIS)
    assert np.allclose(other.score_samples(10 * IRIS), fitted.score_samples(IRIS) - 4 * np.log(10), atol=1e-3)


def test_samples_have_the_mean_and_spread_of_the_rows(rng):
    """2,000 samples; within 5 standard errors of the rows' own moments, and 2 % for the steps."""
    x = rng.standard_normal((500, 2)) @ np.array([[2.0, 0.0], [1.0, 0.5]]) + [10.0, -3.0]
    drawn = DiffusionDensity(T=50, hidden=16, folds=2, random_state=1).fit(x).sample(2_000, random_state=2)
    spread = x.std(axis=0)
    assert np.all(np.abs(drawn.mean(axis=0) - x.mean(axis=0)) < (5 / np.sqrt(2_000) + 0.02) * spread)
    assert np.all(np.abs(drawn.std(axis=0) / spread - 1) < 5 / np.sqrt(4_000) + 0.02)


def test_the_same_random_state_draws_the_same_rows(fitted):
    assert np.array_equal(fitted.sample(5, random_state=3), fitted.sample(5, random_state=3))
    assert not np.array_equal(fitted.sample(5, random_state=3), fitted.sample(5, random_state=4))


def test_networks_of_all_folds_are_one_bank(fitted):
    assert isinstance(fitted.model_.bank, ud.Bank)
    assert fitted.model_.bank[3].W.shape == (16, 4)


def test_a_grid_is_searched_by_score():
    search = GridSearchCV(DiffusionDensity(**SMALL), {"hidden": [2, 8]}, cv=2).fit(IRIS)
    assert search.best_params_["hidden"] in (2, 8)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_it_ends_a_pipeline():
    pipeline = make_pipeline(FunctionTransformer(np.log), DiffusionDensity(**SMALL)).fit(IRIS)
    assert np.isfinite(pipeline.score_samples(IRIS)).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"folds": 1}, "folds = 1"), ({"T": 1}, "diffusion.T = 1"), ({"hidden": 0}, "network.hidden = 0")],
)
def test_parameters_out_of_range_are_answered_in_a_line(settings, words):
    with pytest.raises(ud.UserError, match=words) as said:
        DiffusionDensity(**{**SMALL, **settings}).fit(IRIS)
    assert len(str(said.value).splitlines()) == 1


def test_constant_and_repeated_columns_are_no_fault(rng):
    x = rng.standard_normal((60, 1)) * [1, 1, 0] + [0, 0, 7.3]
    density = DiffusionDensity(**SMALL).fit(x)
    assert np.isfinite(density.score_samples(x)).all()
    assert np.abs(density.sample(20, random_state=0)[:, 2] - 7.3).max() < 0.05


# -- on disk ----------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_loaded_to_the_same_bits(fitted, tmp_path):
    fitted.save(tmp_path / "density")
    assert sorted(path.name for path in (tmp_path / "density").iterdir()) == ["arrays.safetensors", "estimator.json"]
    again = DiffusionDensity.load(tmp_path / "density")
    assert again.get_params() == fitted.get_params()
    assert np.array_equal(again.score_samples(IRIS), fitted.score_samples(IRIS))
    assert np.array_equal(again.sample(4, random_state=1), fitted.sample(4, random_state=1))


def test_names_of_columns_are_kept(fitted, tmp_path):
    named = clone(fitted).fit(IRIS)
    named.feature_names_in_ = np.array(list("abcd"), dtype=object)
    again = DiffusionDensity.load(named.save(tmp_path / "density"))
    assert again.feature_names_in_.tolist() == list("abcd")


def test_an_estimator_that_is_there_is_replaced_only_when_asked(fitted, tmp_path):
    fitted.save(tmp_path)
    with pytest.raises(ud.UserError, match=r"holds estimator\.json"):
        fitted.save(tmp_path)
    fitted.save(tmp_path, overwrite=True)


def _altered(text):
    content = json.loads(text)
    content["parameters"]["hiden"] = 3
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("estimator.json", lambda content: content[:-20], "is not what save"),
        ("estimator.json", lambda content: b"[1]", "is not what save"),
        ("estimator.json", lambda content: content.replace(b": \"DiffusionDensity\"", b": \"X\""), "holds a 'X'"),
        ("estimator.json", _altered, "does not fit DiffusionDensity"),
        ("arrays.safetensors", lambda content: content[:-4] + b"\0\0\0\0", "is damaged"),
        ("arrays.safetensors", None, "is missing"),
        ("estimator.json", None, "cannot read"),
    ],
)  # fmt: skip
def test_damage_is_said_in_a_line(fitted, tmp_path, name, change, words):
    path = fitted.save(tmp_path / "d") / name
    path.unlink() if change is None else path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ud.UserError, match=words):
        DiffusionDensity.load(tmp_path / "d")
