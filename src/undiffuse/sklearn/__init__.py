"""Estimators as scikit-learn has them: a density, and an imputer. Loaded when asked for: ``import undiffuse.sklearn``."""

from undiffuse.sklearn.density import DiffusionDensity
from undiffuse.sklearn.imputer import DiffusionImputer

__all__ = ["DiffusionDensity", "DiffusionImputer"]
