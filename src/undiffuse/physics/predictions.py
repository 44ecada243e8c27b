r"""What theories say about critical times of data, from the means and covariances of their classes alone.

With ``d`` the distance of the two outermost class means, ``r0 = d^2/(4 s^2)`` and ``w0`` the variance within these
classes along the line of their means in units of ``s^2``, both classes have at OU time tau the squared distance
``r = r0 theta^2`` from the middle and the variance ``Gamma = 1 - theta^2 + w0 theta^2`` along the line, with
``theta = e^-tau``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.mixture import MixtureDenoiser
from undiffuse.physics.classes import Classes
from undiffuse.physics.crossings import NEVER, Curve, Time, locate, scatter, spread_times
from undiffuse.physics.curves import curvatures
from undiffuse.physics.empirical import EmpiricalCurves
from undiffuse.physics.resampling import of_starts
from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.stats import PrincipalAxes, axes_of_covariance, mean_and_stderr
from undiffuse.support.streams import Purpose, stream

_COMPONENTS = 100  # leading principal components in which classes are taken for Gaussians
_DRAWS = 40_000  # samples behind the curve of Gaussian classes
_FEW = 2_000  # of them, those behind the error from the training set
_REPLICAS = 100
_EARLIEST = 0.01  # OU time, far below every crossing


@dataclass(frozen=True)
class Prediction:
    """A theory's critical time.

    Attributes
    ----------
    name : str
        What it assumes, in words.
    of : str
        Criterion of :class:`~undiffuse.physics.CriticalTimes` that it is to be held against.
    time : Time
        Its errors are those of the training set, and of sampling where it is sampled.
    replicas : (B,) array
        OU times for resampled training sets, the same as behind the errors of what is measured; there may be fewer.
    """

    name: str
    of: str
    time: Time
    replicas: Floats

    def as_dict(self) -> dict[str, str | float | None]:
        """Return the name, the criterion and the numbers."""
        return {"name": self.name, "of": self.of, **self.time.as_dict()}


def predictions(
    forward: ForwardProcess, classes: Classes, level: float, weights: Float32, seed: int = 0
) -> dict[str, Prediction]:
    """All predictions, by short names.

    ``bimodality``: the law along the line of class means turns bimodal, ``r = Gamma``, so ``tau = log(r0 - w0 + 1)/2``.
    ``instability``: the potential's fixed point between two *points* turns unstable (Raya & Ambrogioni 2023),
    ``tau = log(r0 + sqrt(r0^2 + 1))/2``; ``instability with variance``: between two Gaussians,
    ``tau = log(r0 + sqrt(r0^2 + (1 - w0)^2))/2``. ``class Gaussians``: the cloning curve, which is the U-turn curve as
    well, of a mixture of Gaussians with the classes' means and covariances (the law behind quadratic discriminant
    analysis, QDA) crosses ``level``.

    Parameters
    ----------
    forward : ForwardProcess
    classes : Classes
        The training set.
    level : float
        Of the cloning probability.
    weights : (n, B)
        Bootstrap weights of the training set.
    seed : int
    """
    r0, w0 = separation(classes, forward.noise_scale)
    r, w = _separations(classes, forward.noise_scale, weights)
    closed = {
        "bimodality": ("class means and one variance along their line: r = Gamma", "cloning", _bimodality),
        "instability": ("two points at the class means", "potential", lambda r, w: _instability(r, 0 * w)),
        "instability with variance": ("class means and one variance along their line", "potential", _instability),
    }
    out = {
        name: Prediction(words, of, _time(float(tau(np.array(r0), np.array(w0))), tau(r, w), forward), tau(r, w))
        for name, (words, of, tau) in closed.items()
    }
    gaussians = _ClassGaussians.of(forward, classes, seed)
    words = "Gaussians with the means and covariances of the classes (QDA)"
    return out | {"class Gaussians": Prediction(words, "cloning", *gaussians.crossing(level, weights))}


def separation(classes: Classes, s: float = 1.0) -> tuple[float, float]:
    """``(r0, w0)``: squared half distance of the outermost class means and variance along it, in units of ``s^2``."""
    r, w = _separations(classes, s, np.ones((len(classes.x), 1), np.float32))
    return float(r[0]), float(w[0])


def _separations(classes: Classes, s: float, weights: Float32) -> tuple[Floats, Floats]:
    """``r0`` and ``w0`` for each column of weights."""
    e, _ = classes.direction
    means, squares, total = [], np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
    for inside in classes.outermost:
        x, v = classes.x[inside], weights[inside]
        count, position = v.sum(axis=0, dtype=np.float64), x @ e
        means.append(x.T @ v / count)
        squares += position**2 @ v - (position @ v) ** 2 / count
        total += count
    return np.sum((means[1] - means[0]) ** 2, axis=0) / (4 * s**2), squares / total / s**2


def _bimodality(r: Floats, w: Floats) -> Floats:
    return np.asarray(0.5 * np.log(np.maximum(r - w + 1, 1e-300)))


def _instability(r: Floats, w: Floats) -> Floats:
    return np.asarray(0.5 * np.log(r + np.sqrt(r**2 + (1 - w) ** 2)))


def _time(tau: float, replicas: Floats, forward: ForwardProcess) -> Time:
    """A closed form's time; none before the data."""
    error = scatter(replicas)
    return NEVER if tau <= 0 else Time.at(tau, error, forward, stderr_training=error)


def mixture_instability(exact: EmpiricalCurves) -> Prediction:
    """``instability of class Gaussians``: where the exact score of the classes' Gaussians turns repelling.

    It is measured as that of the training set is, by :func:`~undiffuse.physics.transitions.potential_curve` on held-out
    samples, in the leading principal components. Unlike the closed forms it knows that the other coordinates of a
    sample, moved to the middle of the line, still tell its class.
    """
    forward, points, n = exact.forward, exact.points, len(exact.held_out.x)
    _, _, axes = PrincipalAxes.of(points.x)
    z, held_out = (
        points.x @ axes[:, :_COMPONENTS],
        Classes(exact.held_out.x @ axes[:, :_COMPONENTS], exact.held_out.labels),
    )
    kinds = np.unique(points.labels)

    def mixture(v: Floats) -> MixtureDenoiser:
        each = [_Gaussian.of(z[points.labels == c], v[points.labels == c], 1.0) for c in kinds]
        shares = np.array([v[points.labels == c].sum() for c in kinds])
        covariances = [(g.axes * g.variances) @ g.axes.T for g in each]
        return MixtureDenoiser(forward, shares / shares.sum(), [g.mean for g in each], covariances)

    def heights(denoiser: MixtureDenoiser, t: int, n: int) -> Floats:
        return curvatures(denoiser, held_out, t, n=n, seed=exact.seed)

    plain, few, some = mixture(np.ones(len(z))), min(n, 200), min(n, 500)
    times = spread_times(forward, 24)
    coarse = Curve.of(forward, times, [mean_and_stderr(heights(plain, t, few)) for t in times])
    found = locate(lambda t: of_starts(heights(plain, t, some), exact.seed), coarse, 0.0, forward)
    words, time = "Gaussians with the means and covariances of the classes", found.time
    if np.isnan(time.t):
        return Prediction(words, "potential", time, np.empty(0))
    t = int(np.clip(round(time.t), 1, forward.T))
    # As far apart as noise, which is another at each time, does not matter.
    early, late = max(1, t - 1 - forward.T // 40), min(forward.T, t + 1 + forward.T // 40)
    middle, before, after = (float(heights(plain, u, few).mean()) for u in (t, early, late))
    slope = (after - before) / float(forward.schedule.ou_time(late) - forward.schedule.ou_time(early))
    columns = exact.resampling.points[:, :_REPLICAS].T.astype(np.float64)
    shift = -(np.array([heights(mixture(v), t, few).mean() for v in columns]) - middle) / slope
    error = scatter(shift)
    time = replace(time, stderr=float(np.hypot(time.stderr, error)), stderr_training=error)
    return Prediction(words, "potential", time, time.tau + shift)


# -- classes as Gaussians ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Gaussian:
    """A class in principal components: its share, mean, and principal axes."""

    share: float
    mean: Floats
    variances: Floats
    axes: Floats

    @staticmethod
    def of(z: Floats, v: Floats, share: float) -> _Gaussian:
        mean = v @ z / v.sum()
        matrix = (z * v[:, None]).T @ z / v.sum() - np.outer(mean, mean)
        values, axes = axes_of_covariance(matrix)
        return _Gaussian(share, mean, np.maximum(values, 0.0), axes)


@dataclass(frozen=True)
class _ClassGaussians:
    """The mixture of the classes' Gaussians in leading principal components, and noise to draw from it with.

    The same noise serves all times and all resampled classes, so curves are smooth in tau and differences are of the
    classes alone. Draws are turned by the symmetric root of a covariance, which is smooth in it, as principal axes are
    not.
    """

    forward: ForwardProcess
    z: Floats
    labels: NDArray[np.integer]
    noise: Floats

    @staticmethod
    def of(forward: ForwardProcess, classes: Classes, seed: int) -> _ClassGaussians:
        _, _, axes = PrincipalAxes.of(classes.x)
        z = (classes.x - classes.x.mean(axis=0)) @ axes[:, :_COMPONENTS]
        draws = max(_FEW, _DRAWS * 2 // len(np.unique(classes.labels)))
        noise = stream(seed, Purpose.CLASS_GAUSSIANS).standard_normal((draws, z.shape[1]))
        return _ClassGaussians(forward, z, classes.labels, noise)

    def crossing(self, level: float, weights: Float32) -> tuple[Time, Floats]:
        """OU time at which the cloning curve crosses ``level``, and the same for resampled training sets."""
        plain = self._mixture(np.ones(len(self.z)))
        last = float(self.forward.schedule.ou_time(self.forward.T)) + 1.0

        few, step = self.noise[:_FEW], 0.02

        def above(tau: float) -> float:
            return self._cloning(plain, tau, few)[0] - level

        if above(_EARLIEST) <= 0 or above(last) >= 0:
            return NEVER, np.empty(0)
        tau = float(brentq(above, _EARLIEST, last, xtol=1e-4))
        slope = (above(tau + step) - above(tau - step)) / (2 * step)
        for _ in range(2):  # a few draws come close, all of them correct that
            height, error = self._cloning(plain, tau, self.noise)
            tau -= (height - level) / slope
        sampling = error / abs(slope)
        columns = weights[:, :_REPLICAS].T.astype(np.float64)
        rise = np.array([self._cloning(self._mixture(v), tau, few)[0] for v in columns]) - above(tau) - level
        training, total = scatter(rise) / abs(slope), float(np.hypot(sampling, scatter(rise) / abs(slope)))
        time = Time.at(tau, total, self.forward, stderr_starts=sampling, stderr_training=training)
        return time, tau - rise / slope

    def _mixture(self, v: Floats) -> list[_Gaussian]:
        return [
            _Gaussian.of(self.z[self.labels == c], v[self.labels == c], float(v[self.labels == c].sum() / v.sum()))
            for c in np.unique(self.labels)
        ]

    def _cloning(self, mixture: Sequence[_Gaussian], tau: float, noise: Floats) -> tuple[float, float]:
        """``E sum_c P(c|x_tau)^2`` over the mixture, with its error of sampling; as many draws from each class."""
        theta = np.exp(-tau)
        s2 = -np.expm1(-2 * tau) * self.forward.noise_scale**2
        totals = [theta**2 * g.variances + s2 for g in mixture]
        white = [g.axes / np.sqrt(total) for g, total in zip(mixture, totals, strict=True)]
        constants = [np.log(g.share) - np.log(t).sum() / 2 for g, t in zip(mixture, totals, strict=True)]
        value, variance = 0.0, 0.0
        for g, total in zip(mixture, totals, strict=True):
            x = theta * g.mean + noise @ ((g.axes * np.sqrt(total)) @ g.axes.T)
            logs = np.stack(
                [
                    constant - np.sum(((x - theta * other.mean) @ root) ** 2, axis=1) / 2
                    for other, root, constant in zip(mixture, white, constants, strict=True)
                ],
                axis=1,
            )
            logs -= logs.max(axis=1, keepdims=True)
            share = np.exp(logs)
            kept = np.sum((share / share.sum(axis=1, keepdims=True)) ** 2, axis=1)
            value += g.share * float(kept.mean())
            variance += g.share**2 * float(kept.var()) / len(noise)
        # The classes share their noise; taking their errors as fully correlated is on the safe side.
        return value, float(np.sqrt(len(mixture) * variance))
