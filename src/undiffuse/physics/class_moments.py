"""Classes as Gaussians: their moments in leading principal components, merged, diffused, and of resampled data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from undiffuse.physics.classes import Classes
from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.errors import require
from undiffuse.support.stats import PrincipalAxes
from undiffuse.support.threads import one_thread

COMPONENTS = 100  # leading principal components in which classes are taken for Gaussians
_ROUNDING = 1e-12  # relative differences of moments that are none
_REPLICAS = 100  # resampled training sets behind an error, at most


@dataclass(frozen=True)
class GaussianClass:
    """A class, or several merged, as one Gaussian.

    Attributes
    ----------
    share : float
    mean : (dim,)
    covariance : (dim, dim)
        It may be singular: diffusion makes it regular.
    """

    share: float
    mean: Floats
    covariance: Floats

    def at(self, tau: float, s: float) -> tuple[Floats, Floats]:
        """Mean and covariance of the diffused class at OU time ``tau`` with noise scale ``s``."""
        square = np.exp(-2 * tau)
        noise = s**2 * -np.expm1(-2 * tau)
        return np.exp(-tau) * self.mean, square * self.covariance + noise * np.eye(len(self.mean))


@dataclass(frozen=True)
class ClassMoments:
    """Shares, means and covariances of all classes, one row to each.

    Attributes
    ----------
    shares : (K,)
    means : (K, dim)
    covariances : (K, dim, dim)
        Divided by the number of points, as those of :class:`~undiffuse.GaussianDenoiser` are.
    """

    shares: Floats
    means: Floats
    covariances: Floats

    @staticmethod
    def of(classes: Classes, weights: Floats | None = None) -> ClassMoments:
        """Moments of samples, each of which may weigh ``weights`` instead of 1."""
        v = np.ones(len(classes.x)) if weights is None else weights
        shares, means, covariances = [], [], []
        with one_thread():
            for kind in np.unique(classes.labels):
                inside = classes.labels == kind
                z, u = classes.x[inside], v[inside]
                mean = u @ z / u.sum()
                centred = z - mean
                shares.append(u.sum() / v.sum())
                means.append(mean)
                covariances.append((centred * u[:, None]).T @ centred / u.sum())
        return ClassMoments(np.array(shares), np.stack(means), np.stack(covariances))

    def group(self, members: Sequence[int]) -> GaussianClass:
        """Classes of the given places in one: the moments of their mixture, within and between them."""
        at = list(members)
        share = float(self.shares[at].sum())
        weights = self.shares[at] / share
        mean = weights @ self.means[at]
        away = self.means[at] - mean
        within = np.tensordot(weights, self.covariances[at], axes=1)
        return GaussianClass(share, mean, within + (away.T * weights) @ away)


@dataclass(frozen=True)
class ResampledGaussians:
    """Classes as Gaussians in the leading principal components of all of them, and those of resampled training sets.

    Attributes
    ----------
    mean : (dim,)
    axes : (dim, k)
        At most 100 of them.
    training : Classes
        The training set in these components, about its mean.
    plain : ClassMoments
    replicas : tuple of ClassMoments
        With bootstrap weights on the points; axes and mean are held fixed.
    """

    mean: Floats
    axes: Floats
    training: Classes
    plain: ClassMoments
    replicas: tuple[ClassMoments, ...]

    @staticmethod
    def of(training: Classes, weights: Float32) -> ResampledGaussians:
        """Take the classes of a training set for Gaussians; ``weights`` are ``(n, B)``, of which 100 are used."""
        mean, _, axes = PrincipalAxes.of(training.x)
        leading = axes[:, :COMPONENTS]
        inside = Classes((training.x - mean) @ leading, training.labels, training.names)
        columns = weights[:, :_REPLICAS].T.astype(np.float64)
        plain = ClassMoments.of(inside)
        _check_different(inside, plain)
        replicas = tuple(ClassMoments.of(inside, v) for v in columns)
        return ResampledGaussians(mean, leading, inside, plain, replicas)

    def project(self, classes: Classes) -> Classes:
        """Other samples in the same components."""
        return Classes((classes.x - self.mean) @ self.axes, classes.labels, classes.names)

    @property
    def notes(self) -> tuple[str, ...]:
        """A line for each class that has too few points for a regular covariance, and what becomes of it."""
        dim, lines = self.axes.shape[1], []
        kinds, counts = np.unique(self.training.labels, return_counts=True)
        for kind, count in zip(kinds, counts, strict=True):
            if count <= dim:
                lines.append(
                    f"class {self.training.name(kind)} has {count} points for {dim} components: its covariance is "
                    "singular until noise is added, and times from class Gaussians come out too large"
                )
        return tuple(lines)


def _check_different(classes: Classes, moments: ClassMoments) -> None:
    """Raise a :class:`UserError` if two classes have the same moments, up to rounding."""
    kinds, scale = np.unique(classes.labels), np.abs(moments.covariances).max() + np.abs(moments.means).max() ** 2
    for a, b in combinations(range(len(kinds)), 2):
        gap = np.abs(moments.covariances[a] - moments.covariances[b]).max()
        apart = np.abs(moments.means[a] - moments.means[b]).max() ** 2
        require(
            max(gap, apart) > _ROUNDING * scale,
            f"classes {classes.name(int(kinds[a]))} and {classes.name(int(kinds[b]))} have the same mean and the same "
            "covariance: wanted classes that differ in one of them",
        )
