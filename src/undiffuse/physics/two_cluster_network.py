"""Networks with one hidden unit and a scalar skip for two clusters: as denoisers, their training, what they generate.

The model is that of :mod:`undiffuse.physics.two_clusters`, which has its source and its closed forms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.reverse import reverse_trajectory
from undiffuse.diffusion.samplers import DPMSolver2M
from undiffuse.physics.two_clusters import TrainingSet
from undiffuse.support.arrays import Array, Floats
from undiffuse.support.errors import require

STARTS = 4  # random starts of the first network; the best of them is kept
_MOST = 500  # iterations of a training


class TwoClusterBank(Denoiser):
    """One network ``x0_hat = c x_t + w tanh(w . x_t)`` for each diffusion time.

    Parameters
    ----------
    forward : ForwardProcess
    skips : array_like, shape (T,)
        ``c`` of each time.
    weights : array_like, shape (T, dim)
        ``w`` of each time.

    Raises
    ------
    UserError
        If there are not as many of each as times.
    """

    def __init__(self, forward: ForwardProcess, skips: ArrayLike, weights: ArrayLike) -> None:
        self.skips, self.weights = np.asarray(skips, np.float64), np.asarray(weights, np.float64)
        require(
            self.weights.ndim == 2 and len(self.weights) == len(self.skips) == forward.T,
            f"{self.skips.shape} skips and weights of shape {self.weights.shape}: wanted those of {forward.T} times",
        )
        super().__init__(forward, self.weights.shape[1])

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise that belongs to ``x0_hat``, shape ``(n, dim)``."""
        w = self.weights[t - 1]
        x0 = self.skips[t - 1] * x_t + np.tanh(x_t @ w)[:, None] * w
        return self.forward.to_xi("x0", x0, x_t, t)


class Loss:
    """Loss of one network over ``dim``, and its gradient, as a function of ``(c, w)``.

    ``1/2 sum_i mean_k |x_0^i - c x_t^ik - w tanh(w . x_t^ik)|^2 + ridge/2 |w|^2``, k counting the noises of point i.

    Parameters
    ----------
    given : TrainingSet
    x_t : (noises, n, k)
        Its diffused points.
    ridge : float
    """

    def __init__(self, given: TrainingSet, x_t: Floats, ridge: float) -> None:
        self._dim, self._ridge, self._x0 = given.dim, ridge, given.x0
        self._noises, self._x_t = len(x_t), x_t.reshape(-1, x_t.shape[2])
        self._data, self._states = float(np.sum(given.x0**2)), float(np.sum(x_t**2)) / self._noises
        self._both = float(np.sum(x_t * given.x0)) / self._noises

    def __call__(self, point: Floats) -> tuple[float, Floats]:
        """Loss and gradient at ``(c, w)``, shape ``(1 + k,)``."""
        c, w = point[0], point[1:]
        ahead = self._x_t @ w
        h, target, square = np.tanh(ahead), np.tile(self._x0 @ w, self._noises) - c * ahead, float(w @ w)
        active = float(h @ h) / self._noises
        # |x_0 - c x_t|^2 - 2 h w . (x_0 - c x_t) + h^2 |w|^2, summed
        value = (
            0.5 * (self._data - 2 * c * self._both + c * c * self._states)
            - float(h @ target) / self._noises
            + 0.5 * square * (active + self._ridge)
        )
        by_ahead = (c * h + (square * h - target) * (1 - h * h)) / self._noises
        by_target = h.reshape(self._noises, -1).sum(axis=0) / self._noises
        slope = np.empty_like(point)
        slope[0] = c * self._states - self._both + float(h @ ahead) / self._noises
        slope[1:] = self._x_t.T @ by_ahead - self._x0.T @ by_target + (active + self._ridge) * w
        return value / self._dim, slope / self._dim


@dataclass(frozen=True)
class Trained:
    """Networks of all times, and how their training went.

    Attributes
    ----------
    bank : TwoClusterBank
        In the coordinates of the training set.
    losses : (T,)
        Each network's loss over ``dim``.
    aligned : (T,)
        Share of the diffused training points whose unit has their label's sign (or all have the other).
    """

    bank: TwoClusterBank
    losses: Floats
    aligned: Floats


def train(
    given: TrainingSet,
    forward: ForwardProcess,
    ridge: float,
    rng: np.random.Generator,
    on_step: Callable[[], None] = lambda: None,
) -> Trained:
    """Minimise the loss of each time's network by L-BFGS (Liu & Nocedal 1989).

    The network at equal amplitudes of data and noise starts from random weights, :data:`STARTS` times, of which the
    lowest loss is kept. Every other one starts from its trained neighbour, towards both ends.

    Parameters
    ----------
    given : TrainingSet
    forward : ForwardProcess
    ridge : float
        Strength of the penalty on w.
    rng : Generator
        Of the random starts.
    on_step : callable
        Called after each time.
    """
    k, T = given.x0.shape[1], forward.T
    points, losses, aligned = np.empty((T, 1 + k)), np.empty(T), np.empty(T)

    def fit(t: int, starts: Floats) -> None:
        x_t = given.diffused(forward, t)
        found = [_minimum(Loss(given, x_t, ridge), start) for start in starts]
        points[t - 1], losses[t - 1] = min(found, key=lambda each: each[1])
        agree = float(np.mean(np.sign(x_t @ points[t - 1, 1:]) == given.labels))
        aligned[t - 1] = max(agree, 1 - agree)
        on_step()

    first = 1 + int(np.argmin([abs(forward.signal(t) - forward.noise(t)) for t in range(1, T + 1)]))
    fit(first, np.concatenate([np.full((STARTS, 1), 0.5), rng.standard_normal((STARTS, k))], axis=1))
    for way in (range(first, 0, -1), range(first, T + 1)):
        for before, t in pairwise(way):
            fit(t, points[before - 1][None])
    return Trained(TwoClusterBank(forward, points[:, 0], points[:, 1:]), losses, aligned)


def _minimum(loss: Loss, start: Floats) -> tuple[Floats, float]:
    from scipy.optimize import minimize

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _MOST, "ftol": 1e-12, "gtol": 1e-8})
    return np.asarray(found.x), float(found.fun)


@dataclass(frozen=True)
class Generated:
    """The cluster on mu's side, and minus the other one, of generated samples.

    Attributes
    ----------
    error : float
        ``|mean - mu|^2/dim``, less what the finite number of samples adds.
    cosine : float
        Of the angle between the mean and mu.
    variance : float
        Mean over all directions.
    plus : float
        Share of samples on mu's side.
    """

    error: float
    cosine: float
    variance: float
    plus: float


def generate(bank: TwoClusterBank, given: TrainingSet, samples: int, rng: np.random.Generator) -> Generated:
    """Take pure noise along the probability flow by DPM-Solver++(2M), and measure the two clusters.

    Outside the span of the training set every network is the factor c, so all directions there are like one, which is
    taken along: the mean is zero, and a state at T is multiplied by the same number for every sample.

    Parameters
    ----------
    bank : TwoClusterBank
    given : TrainingSet
        The one it was trained on.
    samples : int
        Number of samples, at least two.
    rng : Generator
        Of the states at T.

    Raises
    ------
    UserError
        If there are fewer than two samples.
    """
    require(samples >= 2, f"samples = {samples}: wanted at least two")
    both = TwoClusterBank(bank.forward, bank.skips, np.pad(bank.weights, ((0, 0), (0, 1))))
    x_T = np.pad(rng.standard_normal((samples, bank.dim)), ((0, 0), (0, 1)), constant_values=1.0)
    *_, end = reverse_trajectory(both, x_T, sampler=DPMSolver2M())
    inside, factor = end.x[:, :-1], float(end.x[0, -1])
    side = np.where(inside @ given.mu >= 0, 1.0, -1.0)
    folded = side[:, None] * inside
    mean = folded.mean(axis=0)
    within = float(folded.var(axis=0, ddof=1).sum())
    error = (np.sum((mean - given.mu) ** 2) - within / samples) / given.dim
    cosine = mean @ given.mu / np.sqrt((mean @ mean) * given.dim)
    variance = (within + (given.dim - bank.dim) * factor**2) / given.dim
    return Generated(float(error), float(cosine), variance, float(np.mean(side > 0)))
