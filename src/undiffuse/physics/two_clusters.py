r"""Two Gaussian clusters and the shallow network that learns them: the case whose learning is solved.

Data are ``x_0 = label mu + sigma z`` with labels +-1, ``|mu|^2 = dim`` and ``z ~ N(0, I)``. One network for each
diffusion time, ``x0_hat = c x_t + w tanh(w . x_t)``: two layers with tied weights and one hidden unit, and a scalar
skip c. Each is trained on n points and ``noises`` draws of noise for each of them, the same draws at every time, with
``ridge/2 |w|^2`` added to half the summed square error. In the limit of many dimensions at a fixed number of points,
weights, skips and what the networks generate have closed forms.

Source: Cui, Krzakala, Vanden-Eijnden & Zdeborova, "Analysis of learning a flow-based generative model from limited
sample complexity", ICLR 2024 (arXiv 2310.03575): the model, and for ``noises = 1`` the weights and skips (Result 2.1,
as in the authors' notebook ``Theory.ipynb``). The paper lets the data's amplitude a and the noise's b run from (0, 1)
to (1, 0) along a straight line; here ``a = sqrt(alpha_bar)`` and ``b = sqrt(Delta)``. Networks that differ by a common
factor of their input are the same, so results depend on ``a/b`` only, and on no schedule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.streams import Purpose, stream
from undiffuse.support.threads import one_thread


def forward_from(dim: int, T: int) -> ForwardProcess:
    """Times evenly spaced in the logarithm of ``a/b``, from ``sqrt(dim)`` at t = 1 down to ``1/sqrt(dim)`` at T.

    At T the centres of the clusters are as far from the origin as the noise is wide, so beyond it nothing is learned; a
    start from pure noise there costs the generated means about ``1/sqrt(dim)`` of their length. Below t = 1 the learned
    w would be so short that its unit no longer saturates; from there the last step leads to ``x0_hat``.

    Raises
    ------
    UserError
        If there are fewer than four times.
    """
    require(T >= 4, f"T = {T}: wanted at least 4 times")
    ratio = np.geomspace(dim**0.5, dim**-0.5, T)
    return ForwardProcess(NoiseSchedule.at_ou_times(0.5 * np.log1p(ratio**-2.0)))


@dataclass(frozen=True)
class Solution:
    r"""Learned networks and generated clusters in closed form, ``dim`` to infinity at fixed n.

    With every hidden unit saturated at its point's label the loss is quadratic in w; at its minimum ``w = sum_i label_i
    (x_0^i - c x_t^i)/(n + ridge)``, where ``x_t^i`` is averaged over the point's noises. Put in, the loss is quadratic
    in c, with ``A = ridge + sigma^2 (n + ridge - 1)`` and ``B = n + ridge - 1/noises``:

        c = a A/(a^2 A + b^2 B).

    Along the probability flow ``d(x/b)/d(a/b) = x0_hat`` a cluster's mean gathers the weights' components; all
    integrals are elementary, see :meth:`mean_error`.

    Attributes
    ----------
    n : int
        Training points.
    sigma : float
        Standard deviation of the clusters.
    ridge : float
        Strength of the penalty on w, ``lambda`` in the paper.
    noises : int
        Draws of noise for each training point; 1 in the paper, infinite where each pass over the data draws afresh.

    Raises
    ------
    UserError
        If n is below 2 or a number is out of range.

    Examples
    --------
    >>> from undiffuse.physics.two_clusters import Solution
    >>> [round(Solution(n, 1.0, 0.1).mean_error * n, 2) for n in (4, 64, 1024)]
    [1.94, 2.0, 2.0]
    """

    n: int
    sigma: float = 1.0
    ridge: float = 0.1
    noises: float = 1

    def __post_init__(self) -> None:
        require(self.n >= 2, f"n = {self.n}: wanted at least two training points")
        require(np.isfinite(self.sigma) and 1e-3 <= self.sigma <= 1e3, f"sigma = {self.sigma:g}: wanted 0.001 to 1000")
        require(np.isfinite(self.ridge) and 0 <= self.ridge <= 1e6, f"ridge = {self.ridge:g}: wanted 0 to 1e6")
        require(self.noises >= 1, f"noises = {self.noises}: wanted at least one draw for each point")

    @property
    def _A(self) -> float:
        return self.ridge + self.sigma**2 * (self.n + self.ridge - 1)

    @property
    def _B(self) -> float:
        return self.n + self.ridge - 1 / self.noises

    def skip(self, forward: ForwardProcess, t: int) -> float:
        """Learned skip c at time t; Result 2.1."""
        a, b = forward.signal(t), forward.noise(t)
        return a * self._A / (a * a * self._A + b * b * self._B)

    def components(self, forward: ForwardProcess, t: int) -> tuple[float, float, float]:
        """Those of w at time t along ``mu``, ``sigma sum_i label_i z_i`` and ``sum_i label_i xi_i``; Result 2.1.

        ``n(1 - c a)/(n + ridge)``, ``(1 - c a)/(n + ridge)`` and ``-c b/(n + ridge)``; ``xi_i`` is the mean of the
        point's noises.
        """
        a, b, c, below = forward.signal(t), forward.noise(t), self.skip(forward, t), self.n + self.ridge
        return self.n * (1 - c * a) / below, (1 - c * a) / below, -c * b / below

    def overlap(self, forward: ForwardProcess, t: int) -> float:
        """Cosine of the angle between w and mu at time t."""
        m, z, xi = self.components(forward, t)
        return m / float(np.sqrt(m * m + self.n * (self.sigma * z) ** 2 + self.n / self.noises * xi * xi))

    @property
    def variance(self) -> float:
        """Variance of a generated cluster in each direction, ``A/B``; ``sigma^2`` for many points."""
        return self._A / self._B

    @property
    def mean_error(self) -> float:
        r"""``|mean - mu|^2/dim`` of a generated cluster.

        ``mean = [n mu + sigma sum_i label_i z_i - sqrt(A/B) sum_i label_i xi_i]/(n + ridge)``, so the error is
        ``[ridge^2 + n sigma^2 + (n/noises) A/B]/(n + ridge)^2``: about ``(1 + 1/noises) sigma^2/n``. The paper's scalar
        equations for the flow (Result III.1) integrate to this for ``noises = 1``.
        """
        above = self.ridge**2 + self.n * self.sigma**2 + self.n / self.noises * self.variance
        return above / (self.n + self.ridge) ** 2

    @property
    def bayes_error(self) -> float:
        """Least expected ``|mean - mu|^2/dim`` of any estimate from the n points, ``sigma^2/(n + sigma^2)``.

        In many dimensions the points give away their labels up to a common sign; what is left is the mean of Gaussians
        under the prior ``mu ~ N(0, I)``.
        """
        return self.sigma**2 / (self.n + self.sigma**2)


@dataclass(frozen=True)
class TrainingSet:
    """Points, labels and noises, in coordinates along an orthonormal basis of what they span together with mu.

    The networks' weights lie in that span (the penalty takes whatever sticks out of it to zero, and no unit sees it),
    so nothing is lost, and ``dim`` may be far larger than what is computed with.

    Attributes
    ----------
    dim : int
        Dimension of the data.
    mu : (k,)
        Centre of the cluster with label 1.
    labels : (n,)
        +-1.
    x0 : (n, k)
        Data points.
    xi : (noises, n, k)
        Noise for each of them.
    """

    dim: int
    mu: Floats
    labels: Floats
    x0: Floats
    xi: Floats

    @staticmethod
    def draw(solution: Solution, dim: int, seed: int, replicate: int = 0) -> TrainingSet:
        """Draw the points and their noises.

        Parameters
        ----------
        solution : Solution
            Names n, sigma and the (finite) number of noises.
        dim : int
            Dimension of the data, at least 2.
        seed, replicate : int
            Of the stream.

        Raises
        ------
        UserError
            If ``dim`` is below 2.
        """
        require(dim >= 2, f"dim = {dim}: wanted at least 2")
        n, noises = solution.n, int(solution.noises)
        rng = stream(seed, Purpose.TWO_CLUSTERS, n, noises, replicate)
        labels = rng.choice([-1.0, 1.0], n)
        rows = rng.standard_normal((1 + n + noises * n, dim))
        rows[0] *= np.sqrt(dim) / np.linalg.norm(rows[0])
        with one_thread():
            along: Floats = np.asarray(np.linalg.qr(rows.T, mode="r")).T
        mu = along[0]
        x0 = labels[:, None] * mu + solution.sigma * along[1 : 1 + n]
        return TrainingSet(dim, mu, labels, x0, along[1 + n :].reshape(noises, n, -1))

    def diffused(self, forward: ForwardProcess, t: int) -> Floats:
        """States ``x_t`` of every point with each of its noises, shape ``(noises, n, k)``; equation (16)."""
        return np.asarray(forward.jump(self.x0, t, self.xi))
