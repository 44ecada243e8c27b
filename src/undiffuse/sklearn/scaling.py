"""Data in the units that a bank is trained in: columns of variance one, or white."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from undiffuse.support.arrays import Floats
from undiffuse.support.stats import axes_of_covariance, covariance

_LEAST = 1e-6  # least variance along an axis, where that of a column is 1; GaussianMixture's reg_covar


@dataclass(frozen=True)
class Scaling:
    """The linear map ``z = (x - mean) @ matrix`` and its inverse.

    Attributes
    ----------
    mean : (dim,)
    matrix, inverse : (dim, dim)
    log_volume : float
        Log of the volume that a unit of volume in ``x`` has in ``z``, in nats.
    """

    mean: Floats
    matrix: Floats
    inverse: Floats
    log_volume: float

    @staticmethod
    def of(x: Floats, whiten: bool) -> Scaling:
        """Columns of variance one; with ``whiten`` the principal axes of these, each of variance one, at 1e-6 least.

        A constant column keeps its unit.
        """
        spread = x.std(axis=0)
        # A column of one value may have a spread of rounding errors.
        spread = np.where(spread > 1e-12 * np.maximum(1.0, np.abs(x).max(axis=0)), spread, 1.0)
        mean, matrix, inverse = x.mean(axis=0), np.diag(1 / spread), np.diag(spread)
        log_volume = -float(np.log(spread).sum())
        if whiten:
            variances, axes = axes_of_covariance(covariance((x - mean) / spread))
            root = np.sqrt(np.maximum(variances, _LEAST))
            matrix, inverse = matrix @ axes / root, (axes * root).T @ inverse
            log_volume -= float(np.log(root).sum())
        return Scaling(mean, matrix, inverse, log_volume)

    def enter(self, x: Floats) -> Floats:
        """``z`` of each row; as a stack of single rows, so that none depends on its neighbours."""
        return np.asarray(((x - self.mean)[:, None, :] @ self.matrix)[:, 0, :])

    def leave(self, z: Floats) -> Floats:
        """``x`` of each row."""
        return np.asarray(z @ self.inverse + self.mean)
