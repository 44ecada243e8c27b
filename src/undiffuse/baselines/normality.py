"""How far a cloud of points is from a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2, norm

from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import require
from undiffuse.support.stats import PrincipalAxes


@dataclass(frozen=True)
class Mardia:
    """Mardia's test of multivariate normality.

    Attributes
    ----------
    kurtosis_z : float
        ``(b_2 - k (k + 2))/sqrt(8 k (k + 2)/n)`` with ``b_2`` the mean fourth power of the Mahalanobis distance:
        standard normal for Gaussian samples, when n is large.
    skewness_p, kurtosis_p : float
        Probabilities of deviations as large, if the samples were Gaussian.
    k : int
        Number of components it was done on.
    """

    kurtosis_z: float
    skewness_p: float
    kurtosis_p: float
    k: int


def mardia(x: ArrayLike, k: int | None = None) -> Mardia:
    """Test normality by multivariate skewness and kurtosis (Mardia 1970).

    Parameters
    ----------
    x : array_like, shape (n, dim)
    k : int, optional
        Leading principal components to do it on; all variables by default.

    Raises
    ------
    UserError
        If there are not more samples than components, or the samples do not vary along all of them.
    """
    data = as_samples(x)
    k = data.shape[1] if k is None else k
    require(1 <= k <= data.shape[1], f"k = {k}: wanted 1..{data.shape[1]} components")
    n = len(data)
    require(n > k + 1, f"{n} samples are too few for {k} components")
    mean, variances, axes = PrincipalAxes.of(data)
    variances, axes = variances[:k], axes[:, :k]
    require(variances[-1] > 1e-12 * variances[0], "the samples do not vary along all components")
    z: Floats = (data - mean) @ axes / np.sqrt(variances)
    fourth = float(np.mean(np.sum(z**2, axis=1) ** 2))
    # b_1 is the squared norm of the third-moment tensor; pairs of samples give the same without forming it.
    skewness = sum(float(np.sum((z[i : i + 1000] @ z.T) ** 3)) for i in range(0, n, 1000)) / n**2
    kurtosis_z = (fourth - k * (k + 2)) / np.sqrt(8 * k * (k + 2) / n)
    freedom = k * (k + 1) * (k + 2) / 6
    return Mardia(float(kurtosis_z), float(chi2.sf(n * skewness / 6, freedom)), float(2 * norm.sf(abs(kurtosis_z))), k)
