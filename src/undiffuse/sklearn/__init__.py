"""Estimators as scikit-learn has them: a density and an imputer; not loaded unless asked for."""

from undiffuse.sklearn.density import DiffusionDensity
from undiffuse.sklearn.imputer import DiffusionImputer

__all__ = ["DiffusionDensity", "DiffusionImputer"]
