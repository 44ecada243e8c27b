"""The imputer, against the conditional law of a Gaussian and in scikit-learn's own machinery."""

import copy

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import undiffuse as ud
from undiffuse.sklearn import DiffusionDensity, DiffusionImputer

QUICK = DiffusionDensity(T=12, hidden=8, epochs=3, folds=2)
IRIS = load_iris().data
NAN = np.nan


@pytest.fixture(scope="module")
def gaussian():
    """An imputer of two correlated columns, and the rows it was fitted on."""
    x = np.random.default_rng(0).standard_normal((500, 2)) @ np.array([[3.0, 0.0], [1.6, 1.2]]).T + [5.0, -2.0]
    return DiffusionImputer(DiffusionDensity(T=50, hidden=16, folds=2), n_draws=200, random_state=1).fit(x), x


def conditional(x, known):
    """Mean and standard deviation of the second column given the first, of the Gaussian with the rows' moments."""
    mean, covariance = x.mean(axis=0), np.cov(x.T, bias=True)
    slope = covariance[0, 1] / covariance[0, 0]
    return mean[1] + slope * (known - mean[0]), np.sqrt(covariance[1, 1] - slope * covariance[0, 1])


@pytest.mark.parametrize("known", [2.0, 5.0, 9.0])
def test_the_mean_is_the_conditional_mean_of_gaussian_data(gaussian, known):
    """200 fillings; within 4 standard errors, and 0.15 of the spread for what RePaint leaves at T = 50."""
    imputer, x = gaussian
    mean, spread = conditional(x, known)
    found = imputer.transform([[known, NAN]])[0]
    assert found[0] == known
    assert abs(found[1] - mean) < (4 / np.sqrt(200) + 0.15) * spread


def test_the_draws_have_the_conditional_spread_of_gaussian_data(gaussian):
    """400 fillings; within 4 standard errors, and 15 % for what RePaint and T = 50 leave."""
    imputer, x = gaussian
    _, spread = conditional(x, 4.0)
    drawn = imputer.multiple([[4.0, NAN]], n=400)[:, 0, 1]
    assert abs(drawn.std() / spread - 1) < 4 / np.sqrt(800) + 0.15


@pytest.mark.parametrize("known", [2.0, 9.0])
def test_particles_fill_in_by_the_conditional_law_of_gaussian_data(gaussian, known):
    """200 fillings of 8 particles; within 4 standard errors, and 0.15 of the spread for T = 50 and the bank."""
    imputer, x = gaussian
    mean, spread = conditional(x, known)
    by_particles = copy.copy(imputer).set_params(method="smc", repeats=8)
    drawn = by_particles.multiple([[known, NAN]], n=200)[:, 0]
    assert np.all(drawn[:, 0] == known)
    assert abs(drawn[:, 1].mean() - mean) < (4 / np.sqrt(200) + 0.15) * spread
    assert abs(drawn[:, 1].std() / spread - 1) < 4 / np.sqrt(400) + 0.15


def test_an_unknown_method_is_refused():
    with pytest.raises(ud.UserError, match="did you mean 'smc'"):
        DiffusionImputer(QUICK, method="smcc").fit(IRIS)


def test_a_row_of_which_nothing_is_known_is_drawn_from_the_density(gaussian):
    """400 draws; within 5 standard errors of the mean of the rows, and 5 % of their spread."""
    imputer, x = gaussian
    drawn = imputer.multiple([[NAN, NAN], [1.0, 1.0]], n=400)
    assert np.all(drawn[:, 1] == 1.0)
    assert np.all(np.abs(drawn[:, 0].mean(axis=0) - x.mean(axis=0)) < (5 / 20 + 0.05) * x.std(axis=0))


def test_known_entries_come_back_as_they_are(rng):
    x = np.where(rng.random(IRIS.shape) < 0.2, NAN, IRIS)
    filled = DiffusionImputer(QUICK, n_draws=2, repeats=2, random_state=0).fit(IRIS).transform(x)
    assert np.array_equal(filled[~np.isnan(x)], x[~np.isnan(x)])
    assert np.isfinite(filled).all()


def test_it_is_fitted_on_complete_rows_alone():
    x = IRIS.copy()
    x[:100, 1] = NAN
    imputer = DiffusionImputer(QUICK, random_state=0).fit(x)
    assert imputer.n_complete_ == 50
    alone = DiffusionDensity(**{**QUICK.get_params(), "whiten": False, "random_state": 0}).fit(IRIS[100:])
    assert np.array_equal(imputer.density_.score_samples(IRIS), alone.score_samples(IRIS))


@pytest.mark.parametrize("complete", [0, 1])
def test_too_few_complete_rows_are_refused_in_a_line(complete):
    x = IRIS.copy()
    x[complete:, 2] = NAN
    with pytest.raises(ud.UserError, match=f"^{complete} of 150 rows are complete: wanted at least 2"):
        DiffusionImputer(QUICK).fit(x)


def test_one_draw_is_the_first_of_several():
    x = np.array([[5.1, NAN, 1.4, 0.2]])
    imputer = DiffusionImputer(QUICK, strategy="draw", random_state=0).fit(IRIS)
    assert np.array_equal(imputer.transform(x), imputer.multiple(x, 1)[0])
    assert np.ptp(imputer.multiple(x, 5)[:, 0, 1]) > 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"strategy": "median"}, "unknown strategy 'median'"),
        ({"n_draws": 0}, "n_draws = 0"),
        ({"repeats": 0}, "repeats = 0"),
    ],
)
def test_parameters_out_of_range_are_answered_in_a_line(settings, words):
    with pytest.raises(ud.UserError, match=words):
        DiffusionImputer(QUICK, **settings).fit(IRIS)


def test_it_stands_in_a_pipeline_whose_parameters_are_searched(rng):
    """scikit-learn's splits, clones and nested parameters; the imputer sees complete rows among others."""
    x = np.where((rng.random(IRIS.shape) < 0.2) & (np.arange(4) < 3), NAN, IRIS)
    pipeline = make_pipeline(DiffusionImputer(QUICK, n_draws=2, repeats=2, random_state=0), LinearRegression())
    search = GridSearchCV(pipeline, {"diffusionimputer__density__hidden": [4, 8]}, cv=2)
    search.fit(x[:, :3], IRIS[:, 3])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_what_is_saved_is_loaded_and_fills_in_the_same(tmp_path):
    imputer = DiffusionImputer(QUICK, n_draws=3, random_state=0).fit(IRIS)
    again = DiffusionImputer.load(imputer.save(tmp_path / "imputer"))
    x = [[NAN, 3.0, 1.4, NAN]]
    assert np.array_equal(again.transform(x), imputer.transform(x))
    assert (again.n_draws, again.n_complete_) == (3, 150)
    with pytest.raises(ud.UserError, match="holds a 'DiffusionImputer', wanted a DiffusionDensity"):
        DiffusionDensity.load(tmp_path / "imputer")
