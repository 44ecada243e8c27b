"""Cheap generators fitted to the same training data, for samples to be compared with."""

from __future__ import annotations

import warnings

import numpy as np

from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.stats import PrincipalAxes
from undiffuse.support.streams import Purpose, stream
from undiffuse.support.threads import one_thread


def gaussian_samples(train: Floats, n: int, seed: int = 0) -> Floats:
    """``n`` samples of the Gaussian with the mean and covariance of the training data, shape ``(n, dim)``."""
    mean, variances, axes = PrincipalAxes.of(train)
    z = stream(seed, Purpose.GAUSSIAN_SAMPLES).standard_normal((n, len(mean)))
    return mean + (z * np.sqrt(np.maximum(variances, 0))) @ axes.T


def mixture_samples(train: Floats, n: int, components: int = 50, clusters: int = 20, seed: int = 0) -> Floats:
    """``n`` samples of a mixture of Gaussians fitted to the leading principal components, shape ``(n, dim)``.

    The other components are left at their mean, since their variances are small. Fitted by scikit-learn.

    Parameters
    ----------
    train : (m, dim)
        Data to fit.
    n : int
        Number of samples.
    components : int
        Number of principal components, at most.
    clusters : int
        Number of Gaussians.
    seed : int

    Raises
    ------
    UserError
        If there are fewer training samples than clusters.
    """
    from sklearn.mixture import GaussianMixture

    require(len(train) >= clusters, f"{len(train)} samples do not make {clusters} clusters")
    mean, variances, axes = PrincipalAxes.of(train)
    kept = axes[:, : min(components, max(1, int(np.sum(variances > 1e-9))))]
    start = int(stream(seed, Purpose.MIXTURE_FIT).integers(2**31))
    model = GaussianMixture(clusters, reg_covar=1e-4, random_state=start)
    with warnings.catch_warnings(), one_thread():  # products so small that threads only wait for one another
        warnings.simplefilter("ignore")  # of convergence, which a baseline does not need
        model.fit((train - mean) @ kept)
    rng = stream(seed, Purpose.MIXTURE_SAMPLES)
    chosen = rng.choice(clusters, n, p=model.weights_)
    roots = np.linalg.cholesky(model.covariances_)
    z = rng.standard_normal((n, kept.shape[1]))
    return mean + (model.means_[chosen] + np.einsum("nij,nj->ni", roots[chosen], z)) @ kept.T
