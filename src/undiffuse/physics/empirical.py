r"""Curves under the exact score of a training set, at one time, for it and for resampled training sets.

All are functions of the posterior weights ``w_a(x_t)`` of the training points. For a training set whose points weigh
``v_a`` they become ``v_a w_a/sum_b v_b w_b``: no new denoiser is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from undiffuse.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.classes import Classes
from undiffuse.physics.crossings import Measured
from undiffuse.physics.resampling import Resampling, means
from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.streams import Purpose, stream

_TINY = 1e-300  # below every probability that matters, and no logarithm of it is infinite


@dataclass(frozen=True)
class ClassValues:
    """What each of n diffused samples says at one time.

    Attributes
    ----------
    cloning, uturn : (n,)
        Posterior probability that two copies, or a copy and the sample, are of one class.
    own : (n,)
        Posterior weight of the training point that a sample came from; zeros where it came from none.
    log_odds : (n,)
        Log odds of the sample's own class less those of its share: the difference of the classes' free entropies.
    information : (n,)
        ``log P(own class|x_t)/P(own class)`` over the classes' entropy; its mean is the mutual information's share.
    shares : (n, K)
        Posterior probability of each class.
    """

    cloning: Floats
    uturn: Floats
    own: Floats
    log_odds: Floats
    information: Floats
    shares: Floats


@dataclass(frozen=True)
class EmpiricalCurves:
    """Curves under the exact score of ``points``, with bootstrap replicas.

    Attributes
    ----------
    forward : ForwardProcess
    points : Classes
        The training set.
    starts : (n,)
        Indices of the training points that are diffused for classes and own-point weights.
    held_out : Classes
        Samples that are diffused for potentials and entropies, and whose class means say where the middle is.
    resampling : Resampling
        Of ``points`` and ``held_out``.
    seed : int
    """

    forward: ForwardProcess
    points: Classes
    starts: NDArray[np.integer]
    held_out: Classes
    resampling: Resampling
    seed: int

    @cached_property
    def exact(self) -> EmpiricalDenoiser:
        """The exact denoiser of the points."""
        return EmpiricalDenoiser(self.forward, self.points.x)

    # -- classes --------------------------------------------------------------------------------------------------

    def class_values(self, t: int) -> ClassValues:
        """Measure cloning, U-turns and own-point weights of the starts at ``t``.

        Under the exact score a trajectory from ``x_t`` ends at each point with the point's posterior probability given
        ``x_t``, so none is walked.
        """
        x_t, own, kinds = self._diffused(t)
        member = (self.points.labels[:, None] == kinds).astype(float)
        share, weight = [], []
        for rows, w in self.exact.weights(x_t, t):
            share.append(w @ member)
            weight.append(w[np.arange(len(w)), self.starts[rows]])
        shares, prior = np.concatenate(share), member.mean(axis=0)
        kept = np.sum(shares * own, axis=1)
        return ClassValues(
            np.sum(shares**2, axis=1),
            kept,
            np.concatenate(weight),
            log_odds(shares, own) - log_odds(prior[None], own),
            np.log(np.maximum(kept, _TINY) / (own @ prior)) / -np.sum(prior * np.log(prior)),
            shares,
        )

    def classes(self, t: int) -> tuple[Measured, Measured, Measured]:
        """Cloning probability, share of U-turns that keep their class, log odds over their spread; with replicas."""
        x_t, own, kinds = self._diffused(t)
        member = (self.points.labels[:, None] == kinds).astype(np.float32)
        v, count = self.resampling.points, self.resampling.points.shape[1]
        # Columns: the plain sums over each class, then those of each class and replica.
        table = np.hstack([member, (member[:, :, None] * v[:, None, :]).reshape(len(v), -1)])
        plain, weighted = [], []
        for _, w in self.exact.weights(x_t, t):
            sums = (_single(w) @ table).astype(np.float64)
            plain.append(sums[:, : len(kinds)])
            weighted.append(sums[:, len(kinds) :].reshape(len(w), len(kinds), count))
        share, shares = np.concatenate(plain), np.concatenate(weighted)
        shares /= shares.sum(axis=1, keepdims=True)
        u, prior = v[self.starts], member.mean(axis=0)
        weighted_prior = member.T @ v.astype(np.float64) / v.sum(axis=0, dtype=np.float64)
        odds = log_odds(shares, own[:, :, None]) - log_odds(weighted_prior[None], own[:, :, None])
        plain_odds = log_odds(share, own) - log_odds(prior[None], own)
        ratio = Measured(
            over_spread(plain_odds[:, None])[0],
            {
                "starts": over_spread(plain_odds[:, None], u),
                "training": over_spread(odds),
                "joint": over_spread(odds, u),
            },
        )
        cloning = means(np.sum(share**2, axis=1), np.sum(shares**2, axis=1), u)
        return cloning, means(np.sum(share * own, axis=1), np.einsum("ncb,nc->nb", shares, own), u), ratio

    def own_weight(self, t: int, n: int) -> Measured:
        """Posterior weight of its own point for the first ``n`` starts, at ``t``, with replicas.

        The own point always weighs 1: it is the other points that would be others.
        """
        x_t, _, _ = self._diffused(t)
        v, starts = self.resampling.points, self.starts[:n]
        plain, resampled = [], []
        for rows, w in self.exact.weights(x_t[:n], t):
            own = w[np.arange(len(w)), starts[rows]]
            others = _single(w) @ v - own[:, None] * v[starts[rows]]
            plain.append(own)
            resampled.append(own[:, None] / np.maximum(own[:, None] + others, 1e-300))
        return means(np.concatenate(plain), np.concatenate(resampled), v[starts])

    @cached_property
    def own(self) -> Floats:
        """Classes of the starts as rows of zeros and a one, ``(n, K)``."""
        return (self.points.labels[self.starts][:, None] == np.unique(self.points.labels)).astype(float)

    def _diffused(self, t: int) -> tuple[Floats, Floats, NDArray[np.integer]]:
        """The starts at ``t``, their classes as rows of zeros and a one, and the names of the classes."""
        x0 = self.points.x[self.starts]
        x_t = self.forward.jump(x0, t, stream(self.seed, Purpose.CLASS_CURVE, t).standard_normal(x0.shape))
        return x_t, self.own, np.unique(self.points.labels)

    # -- potentials -----------------------------------------------------------------------------------------------

    def curvatures(self, t: int, n: int) -> Floats:
        """Curvature of the reverse potential at each of ``n`` held-out samples moved to the middle; shape ``(n,)``."""
        e, middle = self.held_out.direction
        along = (self.points.x - middle) @ e
        moments = np.stack([along, along**2], axis=1)
        found = [
            w @ moments for _, w in self.exact.weights(in_the_middle(self.forward, self.held_out, t, n, self.seed), t)
        ]
        first, second = np.concatenate(found).T
        return self._curvature(second - first**2, t)

    def potential(self, t: int, n: int) -> Measured:
        """Mean of :meth:`curvatures`, with replicas.

        With the held-out samples resampled the line of class means turns and its middle moves. The turn is exact in
        the variance of the posterior along the line; the move is followed to first order, by the third cumulant.
        """
        e, middle = self.held_out.direction
        lines, middles = self._directions
        x_t = in_the_middle(self.forward, self.held_out, t, n, self.seed)
        v, u = self.resampling.points, self.resampling.held_out[:n]
        centred = self.points.x - middle
        along, turned = centred @ e, (centred @ lines).astype(np.float32)
        p = along.astype(np.float32)[:, None]
        table = np.hstack([v, p * v, p**2 * v, turned, turned**2, v * turned, v * turned**2])
        values, training, starts, joint = [], [], [], []
        for rows, w in self.exact.weights(x_t, t):
            powers = np.stack([along**k for k in (1, 2, 3)], axis=1)
            first, second, third = (w @ powers).T
            skewed = (third - 3 * first * second + 2 * first**3)[:, None]
            sums = np.split((_single(w) @ table).astype(np.float64), 7, axis=1)
            signal, noise = self.forward.signal(t), self.forward.noise(t)
            moved = signal * np.sum(middles * lines, axis=0) - x_t[rows] @ lines
            move = signal / noise**2 * skewed * moved
            values.append(second - first**2)
            training.append(sums[2] / sums[0] - (sums[1] / sums[0]) ** 2)
            starts.append(sums[4] - sums[3] ** 2 + move)
            joint.append(sums[6] / sums[0] - (sums[5] / sums[0]) ** 2 + move)
        value, by_training, by_starts, both = (
            self._curvature(np.concatenate(part), t) for part in (values, training, starts, joint)
        )
        out = means(value, by_training, u, both)
        return Measured(out.value, out.replicas | {"starts": means(value, by_starts, u).replicas["joint"]})

    def gaussian_potential(self, gaussian: GaussianDenoiser, t: int) -> Measured:
        """Curvature for a Gaussian, ``-1 + 2 s^2 e.(alpha_bar C + s^2 Delta)^-1 e``, anywhere; with replicas.

        Resampled training sets enter to first order in their covariance, of which ``gaussian`` has the plain one.
        """
        e, _ = self.held_out.direction
        lines, _ = self._directions
        axes, total, v = gaussian.axes, gaussian.total_variances(t), self.resampling.points
        s2 = 2 * self.forward.noise_scale**2
        value = -1 + s2 * float(np.sum((axes.T @ e) ** 2 / total))
        starts = -1 + s2 * np.sum((axes.T @ lines) ** 2 / total[:, None], axis=0)
        pushed = (self.points.x - gaussian.mean) @ (axes @ ((axes.T @ e) / total))
        count = v.sum(axis=0, dtype=np.float64)
        variance = (pushed**2) @ v / count - (pushed @ v / count) ** 2
        training = value - s2 * self.forward.signal(t) ** 2 * (variance - np.var(pushed))
        return Measured(value, {"starts": starts, "training": training, "joint": starts + training - value})

    @cached_property
    def _directions(self) -> tuple[Floats, Floats]:
        """Lines of class means and their middles with the held-out samples resampled, each ``(dim, B)``."""
        x, u = self.held_out.x, self.resampling.held_out
        first, last = (
            x[inside].T @ u[inside] / u[inside].sum(axis=0, dtype=np.float64) for inside in self.held_out.outermost
        )
        return (last - first) / np.linalg.norm(last - first, axis=0), (first + last) / 2

    def _curvature(self, variance: Floats, t: int) -> Floats:
        """``-1 - 2 s^2 e.(grad score).e`` from the posterior variance of ``e.x_0``."""
        signal, noise = self.forward.signal(t), self.forward.noise(t)
        return np.asarray(-1 + 2 * self.forward.noise_scale**2 * (1 - signal**2 * variance / noise**2) / noise**2)

    # -- entropies ------------------------------------------------------------------------------------------------

    def entropies(self, t: int, n: int) -> tuple[Floats, Floats]:
        """Excess entropy and posterior entropy per dimension at each of ``n`` held-out samples, ``(n,)`` each."""
        excess, entropy, _ = entropies(self.exact, *self._held_out_at(t, n), t)
        return excess, entropy

    def excess_entropy(self, t: int, n: int) -> Measured:
        """Mean excess entropy per dimension, with replicas."""
        excess, _, added = entropies(self.exact, *self._held_out_at(t, n), t, self.resampling.points)
        return means(excess, excess[:, None] + added, self.resampling.held_out[:n])

    def _held_out_at(self, t: int, n: int) -> tuple[Floats, Floats]:
        """Diffused held-out samples, and the noise in them."""
        x0 = self.held_out.x[:n]
        xi = stream(self.seed, Purpose.ENTROPY_CURVE, t).standard_normal(x0.shape)
        return self.forward.jump(x0, t, xi), xi

    # -- covariance -----------------------------------------------------------------------------------------------

    def largest_variances(self, axes: Floats) -> Floats:
        """Largest eigenvalue of the covariance of resampled training sets, within the given axes, ``(B,)``."""
        z = self.points.x @ axes
        z = z - z.mean(axis=0)
        out = []
        for v in self.resampling.points.T.astype(np.float64):
            mean = v @ z / v.sum()
            out.append(np.linalg.eigvalsh((z * v[:, None]).T @ z / v.sum() - np.outer(mean, mean))[-1])
        return np.array(out)


def log_odds(shares: Floats, own: Floats) -> Floats:
    """``log P/(1 - P)`` of each sample's own class, the second axis; ``own`` holds zeros and a one there."""
    inside, outside = np.sum(shares * own, axis=1), np.sum(shares * (1 - own), axis=1)
    return np.asarray(np.log(np.maximum(inside, _TINY)) - np.log(np.maximum(outside, _TINY)))


def over_spread(values: Floats, weights: Float32 | None = None) -> Floats:
    """Mean over standard deviation of each column of ``(n, B)`` values, ``(B,)``; weights have the same columns."""
    if weights is None:
        return np.asarray(values.mean(axis=0) / np.maximum(values.std(axis=0), _TINY))
    total = weights.sum(axis=0, dtype=np.float64)
    mean = np.sum(values * weights, axis=0) / total
    variance = np.sum((values - mean) ** 2 * weights, axis=0) / total
    return np.asarray(mean / np.maximum(np.sqrt(variance), _TINY))


def over_spread_and_stderr(values: Floats) -> tuple[float, float]:
    """Mean over standard deviation of ``(n,)`` values, and its standard error, to first order in 1/n."""
    mean, spread = float(values.mean()), max(float(values.std()), _TINY)
    z = (values - mean) / spread
    return mean / spread, float(np.std(z - mean / spread * (z**2 - 1) / 2) / np.sqrt(len(values)))


def _single(w: Floats) -> Float32:
    """Weights in single precision, those too small to matter as 0: products with denormal numbers are slow."""
    return np.where(w > 1e-30, w, 0.0).astype(np.float32)


def in_the_middle(forward: ForwardProcess, classes: Classes, t: int, n: int, seed: int) -> Floats:
    """Diffuse the first ``n`` samples and move them along the line of class means to its middle; shape ``(n, dim)``.

    Parameters
    ----------
    forward : ForwardProcess
    classes : Classes
    t, n, seed : int
    """
    e, middle = classes.direction
    x0 = classes.x[:n]
    x_t = forward.jump(x0, t, stream(seed, Purpose.POTENTIAL_CURVE, t).standard_normal(x0.shape))
    return np.asarray(x_t + np.outer(forward.signal(t) * (middle @ e) - x_t @ e, e))


def entropies(
    exact: EmpiricalDenoiser, x_t: Floats, xi: Floats, t: int, weights: Float32 | None = None
) -> tuple[Floats, Floats, Floats]:
    """Excess and posterior entropy per dimension at each sample, and what resampling the points adds to the excess.

    ``f = s_sep - s`` (Biroli et al. 2024) with ``s_sep = log(m)/N + log(2 pi e s^2 Delta)/2`` the entropy of m separate
    Gaussians on the training points and ``s`` that of the diffused data, estimated by ``-log P_empirical(x_t)/N`` at
    held-out ``x_t``. At training points f would be the posterior's entropy itself, ``H(a|x_t)/N``. In nats.

    Parameters
    ----------
    exact : EmpiricalDenoiser
    x_t, xi : (n, dim)
        Diffused samples and the noise in them.
    t : int
    weights : (m, B), optional
        Of resampled points; without them nothing is added.

    Returns
    -------
    excess, entropy : (n,)
    added : (n, B)
    """
    variance = exact.forward.noise(t) ** 2
    v = np.ones((len(exact.points), 1), np.float32) if weights is None else weights
    excess, entropy, added = [], [], []
    for rows, w in exact.weights(x_t, t):
        # The nearest point's kernel over its weight is the sum of all kernels.
        nearest = np.argmax(w, axis=1)
        gap = np.sum((x_t[rows] - exact.forward.signal(t) * exact.points[nearest]) ** 2, axis=1) / variance
        # |xi|^2/2 of the noise drawn instead of its mean, N/2: the same on average, with far less scatter.
        excess.append((np.sum(xi[rows] ** 2, axis=1) - gap) / 2 - np.log(w[np.arange(len(w)), nearest]))
        entropy.append(-np.sum(w * np.log(np.maximum(w, 1e-300)), axis=1))
        added.append(np.log((_single(w) @ v).astype(np.float64)) - np.log(v.mean(axis=0)))
    N = exact.dim
    return np.concatenate(excess) / N, np.concatenate(entropy) / N, np.concatenate(added) / N
