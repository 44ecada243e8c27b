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
from scipy.optimize import brentq

from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.mixture import MixtureDenoiser
from undiffuse.physics.class_gaussians import EARLIEST, ResampledPair, TwoGaussians
from undiffuse.physics.class_moments import ClassMoments, GaussianClass, ResampledGaussians
from undiffuse.physics.classes import Classes
from undiffuse.physics.crossings import NEVER, Curve, Time, closed_form, locate, scatter, spread_times
from undiffuse.physics.curves import curvatures
from undiffuse.physics.empirical import EmpiricalCurves
from undiffuse.physics.resampling import of_starts
from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.stats import axes_of_covariance, exp_rows, mean_and_stderr
from undiffuse.support.streams import Purpose, stream

_DRAWS = 40_000  # samples behind the curve of Gaussian classes
_FEW = 2_000  # of them, those behind the error from the training set
_QDA = "Gaussians with the means and covariances of the classes (QDA)"


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
    forward: ForwardProcess,
    classes: Classes,
    gaussians: ResampledGaussians,
    level: float,
    weights: Float32,
    seed: int = 0,
) -> dict[str, Prediction]:
    """All predictions, by short names.

    ``bimodality``: ``r = Gamma``, so ``tau = log(r0 - w0 + 1)/2``, where the law along the line of class means turns
    bimodal if both classes are as large; unequal ones do so at a larger r, so at a smaller tau.
    ``instability``: the potential's fixed point between two *points* turns unstable (Raya & Ambrogioni 2023),
    ``tau = log(r0 + sqrt(r0^2 + 1))/2``; ``instability with variance``: between two Gaussians,
    ``tau = log(r0 + sqrt(r0^2 + (1 - w0)^2))/2``. ``class Gaussians``: the cloning curve, which is the U-turn curve as
    well, of a mixture of Gaussians with the classes' means and covariances (the law behind quadratic discriminant
    analysis, QDA) crosses ``level``. Of two classes that curve is a quadrature, and there are two more predictions:
    ``free entropy of class Gaussians``, where the log odds of these Gaussians have a mean equal to their standard
    deviation, and ``free entropy at large times``, to leading order in theta; see
    :class:`~undiffuse.physics.class_gaussians.TwoGaussians`. Of more classes the curve is sampled.

    Parameters
    ----------
    forward : ForwardProcess
    classes : Classes
        The training set.
    gaussians : ResampledGaussians
        Its classes as Gaussians.
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
        name: Prediction(words, of, closed_form(float(tau(np.array(r0), np.array(w0))), tau(r, w), forward), tau(r, w))
        for name, (words, of, tau) in closed.items()
    }
    if len(gaussians.plain.shares) == 2:
        return out | _of_two(forward, gaussians, level)
    sampled = _SampledGaussians.of(forward, gaussians, seed)
    return out | {"class Gaussians": Prediction(_QDA, "cloning", *sampled.crossing(level))}


def _of_two(forward: ForwardProcess, gaussians: ResampledGaussians, level: float) -> dict[str, Prediction]:
    """What Gaussians of two classes predict without samples: the errors are of the training set alone."""
    pair = ResampledPair.of(forward, gaussians, [0], [1])
    kept = pair.crossing(TwoGaussians.kept, pair.plain.kept_at(level))
    parted = pair.crossing(TwoGaussians.ratio, pair.plain.speciation())
    words = "the same to leading order at large times, where log N/2 and log N/4 come from"
    return {
        "class Gaussians": Prediction(_QDA, "cloning", *kept),
        "free entropy of class Gaussians": Prediction(_QDA, "free entropy", *parted),
        "free entropy at large times": Prediction(words, "free entropy", *pair.large_time()),
    }


def gaussian_curves(
    forward: ForwardProcess, gaussians: ResampledGaussians, times: Sequence[int], seed: int
) -> dict[str, Curve]:
    """Curves of Gaussians with the classes' means and covariances, by the names of the predictions.

    ``class Gaussians`` is the probability that a U-turn, or two copies, end in one class. For two classes it is a
    quadrature and has no error, and there is ``free entropy of class Gaussians`` as well, mean over standard deviation.

    Parameters
    ----------
    forward : ForwardProcess
    gaussians : ResampledGaussians
    times : sequence of int
    seed : int
        Of the draws for more than two classes.
    """
    taus = [float(forward.schedule.ou_time(t)) for t in times]
    if len(gaussians.plain.shares) == 2:
        pair = TwoGaussians.of(gaussians.plain, [0], [1], forward.noise_scale)
        return {
            "class Gaussians": Curve.of(forward, times, [(pair.kept(tau), 0.0) for tau in taus]),
            "free entropy of class Gaussians": Curve.of(forward, times, [(pair.ratio(tau), 0.0) for tau in taus]),
        }
    sampled = _SampledGaussians.of(forward, gaussians, seed)
    return {"class Gaussians": Curve.of(forward, times, [sampled.kept(tau) for tau in taus])}


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


def mixture_instability(exact: EmpiricalCurves, gaussians: ResampledGaussians) -> Prediction:
    """``instability of class Gaussians``: where the exact score of the classes' Gaussians turns repelling.

    It is measured as that of the training set is, by :func:`~undiffuse.physics.transitions.potential_curve` on held-out
    samples, in the leading principal components. Unlike the closed forms it knows that the other coordinates of a
    sample, moved to the middle of the line, still tell its class.
    """
    forward, held_out, n = exact.forward, gaussians.project(exact.held_out), len(exact.held_out.x)

    def mixture(moments: ClassMoments) -> MixtureDenoiser:
        return MixtureDenoiser(forward, moments.shares, moments.means, moments.covariances)

    def heights(denoiser: MixtureDenoiser, t: int, n: int) -> Floats:
        return curvatures(denoiser, held_out, t, n=n, seed=exact.seed)

    plain, few, some = mixture(gaussians.plain), min(n, 200), min(n, 500)
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
    shift = -(np.array([heights(mixture(v), t, few).mean() for v in gaussians.replicas]) - middle) / slope
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
    def of(one: GaussianClass) -> _Gaussian:
        values, axes = axes_of_covariance(one.covariance)
        return _Gaussian(one.share, one.mean, np.maximum(values, 0.0), axes)


@dataclass(frozen=True)
class _SampledGaussians:
    """The mixture of three or more classes' Gaussians, and noise to draw from it with.

    The same noise serves all times and all resampled classes, so curves are smooth in tau and differences are of the
    classes alone. Draws are turned by the symmetric root of a covariance, which is smooth in it, as principal axes are
    not.
    """

    forward: ForwardProcess
    gaussians: ResampledGaussians
    noise: Floats

    @staticmethod
    def of(forward: ForwardProcess, gaussians: ResampledGaussians, seed: int) -> _SampledGaussians:
        draws = max(_FEW, _DRAWS * 2 // len(gaussians.plain.shares))
        noise = stream(seed, Purpose.CLASS_GAUSSIANS).standard_normal((draws, gaussians.axes.shape[1]))
        return _SampledGaussians(forward, gaussians, noise)

    def kept(self, tau: float) -> tuple[float, float]:
        """Height of the cloning curve and its error, from a few draws."""
        return self._cloning(self._mixture(self.gaussians.plain), tau, self.noise[:_FEW])

    def crossing(self, level: float) -> tuple[Time, Floats]:
        """OU time at which the cloning curve crosses ``level``, and the same for resampled training sets."""
        plain = self._mixture(self.gaussians.plain)
        last = float(self.forward.schedule.ou_time(self.forward.T)) + 1.0

        few, step = self.noise[:_FEW], 0.02

        def above(tau: float) -> float:
            return self._cloning(plain, tau, few)[0] - level

        if above(EARLIEST) <= 0 or above(last) >= 0:
            return NEVER, np.empty(0)
        tau = float(brentq(above, EARLIEST, last, xtol=1e-4))
        slope = (above(tau + step) - above(tau - step)) / (2 * step)
        for _ in range(2):  # a few draws come close, all of them correct that
            height, error = self._cloning(plain, tau, self.noise)
            tau -= (height - level) / slope
        sampling = error / abs(slope)
        others = [self._cloning(self._mixture(v), tau, few)[0] for v in self.gaussians.replicas]
        rise = np.array(others) - above(tau) - level
        training, total = scatter(rise) / abs(slope), float(np.hypot(sampling, scatter(rise) / abs(slope)))
        time = Time.at(tau, total, self.forward, stderr_starts=sampling, stderr_training=training)
        return time, tau - rise / slope

    @staticmethod
    def _mixture(moments: ClassMoments) -> list[_Gaussian]:
        return [_Gaussian.of(moments.group([k])) for k in range(len(moments.shares))]

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
            _, sums = exp_rows(logs)
            kept = np.sum((logs / sums[:, None]) ** 2, axis=1)
            value += g.share * float(kept.mean())
            variance += g.share**2 * float(kept.var()) / len(noise)
        # The classes share their noise; taking their errors as fully correlated is on the safe side.
        return value, float(np.sqrt(len(mixture) * variance))
