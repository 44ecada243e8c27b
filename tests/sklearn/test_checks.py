"""scikit-learn's own checks of estimators, all of them, with small settings."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from undiffuse.sklearn import DiffusionDensity, DiffusionImputer

SMALL = {"T": 6, "hidden": 4, "epochs": 1, "folds": 2}


@parametrize_with_checks([DiffusionDensity(**SMALL), DiffusionImputer(DiffusionDensity(**SMALL), n_draws=2, repeats=2)])
def test_every_check_of_scikit_learn_passes(estimator, check):
    check(estimator)
