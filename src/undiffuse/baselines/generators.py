"""Cheap generators fitted to the same training data, for samples to be compared with."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import require
from undiffuse.streams import Purpose, stream

Floats = NDArray[np.float64]


def principal_axes(x: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean ``(dim,)``, variances ``(dim,)`` and axes ``(dim, dim)`` of data, largest variance first."""
    mean = x.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(x, rowvar=False, bias=True))
    return mean, np.maximum(variances[::-1], 0), axes[:, ::-1]


def gaussian_samples(train: Floats, n: int, seed: int = 0) -> Floats:
    """``n`` samples of the Gaussian with the mean and covariance of the training data, shape ``(n, dim)``."""
    mean, variances, axes = principal_axes(train)
    z = stream(seed, Purpose.BASELINE, 0).standard_normal((n, len(mean)))
    return mean + (z * np.sqrt(variances)) @ axes.T


def mixture_samples(train: Floats, n: int, components: int = 50, clusters: int = 20, seed: int = 0) -> Floats:
    """``n`` samples of a mixture of ``clusters`` Gaussians fitted to the leading principal components.

    The other components are left at their mean, as they are too weak to be seen. Fitted by scikit-learn.

    Raises
    ------
    UserError
        If there are fewer training samples than clusters.
    """
    from sklearn.mixture import GaussianMixture

    require(len(train) >= clusters, f"{len(train)} samples do not make {clusters} clusters")
    mean, variances, axes = principal_axes(train)
    kept = axes[:, : min(components, int(np.sum(variances > 1e-9)))]
    model = GaussianMixture(clusters, reg_covar=1e-4, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence: a baseline need not be the best mixture
        model.fit((train - mean) @ kept)
    rng = stream(seed, Purpose.BASELINE, 1)
    chosen = rng.choice(clusters, n, p=model.weights_)
    roots = np.linalg.cholesky(model.covariances_)
    z = rng.standard_normal((n, kept.shape[1]))
    return mean + (model.means_[chosen] + np.einsum("nij,nj->ni", roots[chosen], z)) @ kept.T
