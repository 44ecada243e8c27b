"""Denoisers that are known exactly: of a Gaussian, of a finite set of points, and the best linear one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.denoiser import AxisDenoiser, Correction, Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.support.arrays import Array, Arrays, Floats, as_samples
from undiffuse.support.errors import require
from undiffuse.support.stats import PrincipalAxes, axes_of_covariance, covariance, exp_rows
from undiffuse.support.streams import Purpose, stream


class GaussianDenoiser(Denoiser):
    r"""The exact denoiser of Gaussian data: the Wiener filter.

    ``xi_hat = s sqrt(Delta) (alpha_bar C + s^2 Delta)^{-1} (x_t - sqrt(alpha_bar) mu)``. For any data with mean
    ``mu`` and covariance ``C`` it is the best *linear* denoiser (thesis, Annex II), and it keeps every Gaussian
    Gaussian.

    Parameters
    ----------
    forward : ForwardProcess
    mean : array_like, shape (dim,)
    covariance : array_like, shape (dim, dim)

    Attributes
    ----------
    variances : (dim,) array
        Eigenvalues of the covariance, largest first.
    axes : (dim, dim) array
        Its eigenvectors, one to a column, in the same order.

    Raises
    ------
    UserError
        If the covariance is not symmetric positive semi-definite or the shapes disagree.

    Examples
    --------
    >>> import numpy as np, undiffuse as ud
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2))
    >>> exact = ud.GaussianDenoiser(forward, mean=[0.0, 0.0], covariance=np.diag([4.0, 1.0]))
    >>> exact.variances
    array([4., 1.])
    >>> exact.xi_hat(np.ones((3, 2)), 50).shape
    (3, 2)

    See Also
    --------
    undiffuse.EmpiricalDenoiser, undiffuse.LinearDenoiser, undiffuse.MixtureDenoiser
    """

    def __init__(self, forward: ForwardProcess, mean: ArrayLike, covariance: ArrayLike) -> None:
        self.mean = np.asarray(mean, dtype=np.float64)
        super().__init__(forward, self.mean.size)
        given = np.asarray(covariance, dtype=np.float64)
        require(
            given.shape == (self.dim, self.dim),
            f"covariance has shape {given.shape}, wanted ({self.dim}, {self.dim})",
        )
        require(np.allclose(given, given.T), "covariance is not symmetric")
        variances, self.axes = axes_of_covariance(given)
        require(
            variances[-1] >= -1e-9 * max(1.0, variances[0]), f"covariance has a negative eigenvalue {variances[-1]:.3g}"
        )
        self.variances = np.maximum(variances, 0.0)

    @cached_property
    def covariance(self) -> Floats:
        """Covariance ``(dim, dim)`` of the data."""
        return np.asarray((self.axes * self.variances) @ self.axes.T)

    @classmethod
    def from_axes(cls, forward: ForwardProcess, mean: Floats, variances: Floats, axes: Floats) -> GaussianDenoiser:
        """Make it from principal axes.

        Parameters
        ----------
        forward : ForwardProcess
        mean : (dim,)
        variances : (dim,)
            Along the axes, largest first.
        axes : (dim, dim)
            Orthonormal, one to a column.
        """
        out = cls.__new__(cls)
        Denoiser.__init__(out, forward, mean.size)
        out.mean, out.variances, out.axes = mean, variances, axes
        return out

    @classmethod
    def from_data(cls, forward: ForwardProcess, x: ArrayLike) -> GaussianDenoiser:
        """Take mean and covariance (divided by n) from data of shape ``(n, dim)``."""
        data = as_samples(x)
        return cls(forward, data.mean(axis=0), covariance(data))

    def to_arrays(self) -> Arrays:
        """Mean, variances and axes. Axes of equal variance are not unique, so they are kept and not recomputed."""
        return {"mean": self.mean, "variances": self.variances, "axes": self.axes}

    @classmethod
    def from_arrays(cls, forward: ForwardProcess, arrays: Arrays) -> GaussianDenoiser:
        """Undo :meth:`to_arrays`, to the same bits."""
        return cls.from_axes(forward, *(np.asarray(arrays[n], np.float64) for n in ("mean", "variances", "axes")))

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise of Gaussian data, shape ``(n, dim)``."""
        gain = self.forward.noise(t) / self.total_variances(t)
        return (((x_t - self.forward.signal(t) * self.mean) @ self.axes) * gain) @ self.axes.T

    def xi_trace(self, x_t: Array, t: int) -> Floats:
        """Trace of the Jacobian, ``sum_i s sqrt(Delta)/(alpha_bar l_i + s^2 Delta)`` at every point, ``(n,)``."""
        return np.full(len(x_t), float(np.sum(self.forward.noise(t) / self.total_variances(t))))

    def x0_jacobian(self, x_t: Array, t: int) -> Floats:
        """Wiener matrix ``sqrt(alpha_bar) C (alpha_bar C + s^2 Delta)^{-1}``, the same everywhere, ``(dim, dim)``."""
        gain = self.forward.signal(t) * self.variances / self.total_variances(t)
        return np.asarray((self.axes * gain) @ self.axes.T)

    def leading(self, k: int) -> tuple[GaussianDenoiser, Floats]:
        """Return the denoiser of the ``k`` leading principal coordinates ``(x_0 - mu) @ axes``, and these axes.

        The coordinates are centred and independent, largest variance first; axes have shape ``(dim, k)``.
        """
        leading = GaussianDenoiser.from_axes(self.forward, np.zeros(k), self.variances[:k], np.eye(k))
        return leading, np.ascontiguousarray(self.axes[:, :k])

    def along_axes(self) -> tuple[AxisWiener, Floats]:
        """Return the same filter, axis by axis, and the principal axes, largest variance first."""
        return AxisWiener(self.forward, self.mean @ self.axes, self.variances), self.axes

    def linear_theory(self) -> PrincipalAxes:
        """Its own mean and axes."""
        return PrincipalAxes(self.mean, self.variances, self.axes)

    def linear_map(self, t: int) -> tuple[Floats, Floats]:
        """``(G, g)`` such that ``xi_hat = x_t G - g``: the same answer as one symmetric matrix."""
        gain = (self.axes * (self.forward.noise(t) / self.total_variances(t))) @ self.axes.T
        return gain, self.forward.signal(t) * self.mean @ gain

    def error(self, t: int) -> float:
        """Mean square error in xi per dimension, ``1/N sum_i alpha_bar l_i/(alpha_bar l_i + s^2 Delta)``."""
        return float(np.mean(self.axis_errors(t)))

    def axis_errors(self, t: int, moments: Floats | None = None) -> Floats:
        """Mean square error in xi along each principal axis, shape ``(dim,)``.

        ``moments`` are the mean squares of ``(x_0 - mu) @ axes`` of the data it is measured on; by default those it
        was made from, where the error is ``alpha_bar l_i/(alpha_bar l_i + s^2 Delta)``.
        """
        moments = self.variances if moments is None else moments
        noise = self.forward.noise(t)
        gain = noise / self.total_variances(t)
        return (1 - gain * noise) ** 2 + gain**2 * self.forward.signal(t) ** 2 * moments

    def log_density(self, x_t: Array, t: int) -> Floats:
        """``log q_t(x_t)`` in nats, shape ``(n,)``."""
        total = self.total_variances(t)
        y = (x_t - self.forward.signal(t) * self.mean) @ self.axes
        return -0.5 * np.sum(y**2 / total + np.log(2 * np.pi * total), axis=1)

    def potential(self, x_t: Array, t: int, origin: Array) -> Floats:
        """``-log q_t(x_t) + log q_t(origin)``, shape ``(n,)``."""
        return self.log_density(origin[None], t) - self.log_density(x_t, t)

    def total_variances(self, t: int) -> Floats:
        """Variances ``alpha_bar l_i + s^2 Delta`` of ``x_t`` along the axes, shape ``(dim,)``, largest first."""
        return self.forward.signal(t) ** 2 * self.variances + self.forward.noise(t) ** 2


class AxisWiener(AxisDenoiser):
    """The exact denoiser of independent Gaussian variables: :class:`GaussianDenoiser` along its principal axes."""

    def __init__(self, forward: ForwardProcess, mean: Floats, variances: Floats) -> None:
        super().__init__(forward, mean.size)
        self.mean, self.variances = mean, variances

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise, shape ``(n, dim)``."""
        out = np.asarray(x_t - self.forward.signal(t) * self.mean)
        out *= self.gain(t)
        return out

    def gain(self, t: int) -> Floats:
        """``s sqrt(Delta)/(alpha_bar l + s^2 Delta)`` of each variable."""
        signal, noise = self.forward.signal(t), self.forward.noise(t)
        return np.asarray(noise / (signal**2 * self.variances + noise**2))

    def seen(self, t: int) -> int:
        """None: all are linear."""
        return 0

    def correction(self, t: int) -> Correction:
        """Nothing is added."""
        return Correction(0.0, lambda z: np.zeros(z.shape, np.float32))


class EmpiricalDenoiser(Denoiser):
    r"""The exact denoiser of a finite set of points, which memorises it.

    ``x0_hat = sum_a w_a x^a`` with ``w = softmax(-|x_t - sqrt(alpha_bar) x^a|^2/(2 s^2 Delta))``: the minimiser of
    the training loss over all functions. Sampling with it returns the training points (Biroli et al. 2024).

    Parameters
    ----------
    forward : ForwardProcess
    points : array_like, shape (m, dim)
    chunk : int
        Number of weights held in memory at once.

    Examples
    --------
    >>> import numpy as np, undiffuse as ud
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2))
    >>> two = ud.EmpiricalDenoiser(forward, [[-1.0], [1.0]])
    >>> np.unique(ud.sample(two, 20, seed=1).round(3))
    array([-1.,  1.])

    See Also
    --------
    undiffuse.MixtureDenoiser : Gaussians of some width instead of points.
    undiffuse.PatchDenoiser : each pixel sees the patch around it only.
    """

    def __init__(self, forward: ForwardProcess, points: ArrayLike, chunk: int = 1 << 22) -> None:
        self.points = as_samples(points, what="points")
        super().__init__(forward, self.points.shape[1])
        self._chunk = chunk
        self._norms = np.sum(self.points**2, axis=1)

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise under the empirical distribution, shape ``(n, dim)``."""
        x_t = np.asarray(x_t, dtype=np.float64)
        x0 = np.empty_like(x_t)
        for rows, weights in self.weights(x_t, t):
            x0[rows] = weights @ self.points
        return self.forward.to_xi("x0", x0, x_t, t)

    def linear_theory(self) -> PrincipalAxes:
        """Mean and principal axes of the points."""
        return PrincipalAxes.of(self.points)

    def weights(self, x_t: Array, t: int) -> Iterator[tuple[slice, Floats]]:
        """Yield rows of ``x_t`` and the probability of each point given them, ``(rows, m)``, a chunk at a time."""
        x_t = np.asarray(x_t, dtype=np.float64)
        for rows in self._row_chunks(len(x_t)):
            weights = self._exponents(x_t[rows], t)
            weights /= exp_rows(weights)[1][:, None]
            yield rows, weights

    def xi_trace(self, x_t: Array, t: int) -> Floats:
        """Trace of the Jacobian, from the variance of the points under their weights, shape ``(n,)``."""
        variance = np.empty(len(x_t))
        for rows, weights in self.weights(x_t, t):
            mean = weights @ self.points
            variance[rows] = weights @ self._norms - np.sum(mean**2, axis=1)
        return self.trace_from_variance(variance, t)

    def x0_jacobian(self, x_t: Array, t: int) -> Floats:
        """Mean Jacobian of ``x0_hat``, ``sqrt(alpha_bar)/(s^2 Delta) <Cov_w(x_0)>``, shape ``(dim, dim)``."""
        total, means = np.zeros(len(self.points)), np.zeros((self.dim, self.dim))
        for _, weights in self.weights(x_t, t):
            total += weights.sum(axis=0)
            mean = weights @ self.points
            means += mean.T @ mean
        spread = (self.points.T * total) @ self.points - means
        return np.asarray(spread * self.forward.signal(t) / self.forward.noise(t) ** 2 / len(x_t))

    def log_density(self, x_t: Array, t: int) -> Floats:
        """``log q_t(x_t)`` in nats, shape ``(n,)``: the mean over the points of their Gaussian kernels."""
        x_t = np.asarray(x_t, dtype=np.float64)
        out = np.empty(len(x_t))
        for rows in self._row_chunks(len(x_t)):
            top, total = exp_rows(self._exponents(x_t[rows], t))
            out[rows] = top + np.log(total / len(self.points))
            out[rows] -= np.sum(x_t[rows] ** 2, axis=1) / (2 * self.forward.noise(t) ** 2)
        return out - self.dim / 2 * np.log(2 * np.pi * self.forward.noise(t) ** 2)

    def potential(self, x_t: Array, t: int, origin: Array) -> Floats:
        """``-log q_t(x_t) + log q_t(origin)``, shape ``(n,)``."""
        return self.log_density(origin[None], t) - self.log_density(x_t, t)

    def _exponents(self, x_t: Array, t: int) -> Floats:
        """Exponents of the kernels, up to ``|x_t|^2/(2 s^2 Delta)``, which all points share."""
        signal, variance = self.forward.signal(t), self.forward.noise(t) ** 2
        exponents = x_t @ self.points.T
        exponents *= signal / variance
        exponents -= signal**2 / (2 * variance) * self._norms
        return np.asarray(exponents)

    def _row_chunks(self, n: int) -> list[slice]:
        rows = max(1, self._chunk // len(self.points))
        return [slice(start, start + rows) for start in range(0, n, rows)]


class LinearDenoiser(Denoiser):
    r"""A linear model fitted by least squares at each time: what the thesis's Annex II tries and rejects.

    ``xi_hat = B_t (x_t - m_t) + c_t`` minimises the simple loss (20) over ``draws`` noised copies of the data. All
    times use the same draws of noise, since the moments of ``(x_t, xi)`` follow from those of ``(x_0, xi)``. With many
    draws it tends to :class:`GaussianDenoiser`.

    Parameters
    ----------
    forward : ForwardProcess
    x : array_like, shape (n, dim)
        Data.
    draws : int
        Noised copies of it.
    seed : int

    Examples
    --------
    >>> import numpy as np, undiffuse as ud
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2))
    >>> x = ud.datasets.spiral(500)
    >>> fitted, limit = ud.LinearDenoiser(forward, x, draws=100), ud.GaussianDenoiser.from_data(forward, x)
    >>> bool(np.allclose(fitted.xi_hat(x, 50), limit.xi_hat(x, 50), atol=0.05))
    True

    See Also
    --------
    undiffuse.GaussianDenoiser : the limit of many draws, in closed form.
    undiffuse.studies.linear : the samples that such a model generates.
    """

    def __init__(self, forward: ForwardProcess, x: ArrayLike, *, draws: int = 8, seed: int = 0) -> None:
        require(draws >= 1, f"draws must be at least 1, got {draws}")
        data = as_samples(x)
        super().__init__(forward, data.shape[1])
        rng = stream(seed, Purpose.LINEAR_FIT)
        pairs = np.zeros((2 * self.dim, 2 * self.dim))
        total = np.zeros(2 * self.dim)
        for _ in range(draws):
            both = np.hstack([data, rng.standard_normal(data.shape)])
            pairs += both.T @ both
            total += both.sum(axis=0)
        count = draws * len(data)
        self._mean = total / count
        self._moments = pairs / count - np.outer(self._mean, self._mean)
        self._coefficients = lru_cache(maxsize=16)(self._solve)

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Linear estimate of the noise, shape ``(n, dim)``."""
        slope, centre, offset = self._coefficients(t)
        return (x_t - centre) @ slope + offset

    def _solve(self, t: int) -> tuple[Array, Array, Array]:
        # x_t = (x_0, xi) M with M = [signal I; noise I], so Cov(x_t) and Cov(x_t, xi) are linear in the moments.
        mix = np.vstack([self.forward.signal(t) * np.eye(self.dim), self.forward.noise(t) * np.eye(self.dim)])
        cross = mix.T @ self._moments
        slope = np.linalg.solve(cross @ mix, cross[:, self.dim :])
        return slope, self._mean @ mix, self._mean[self.dim :]
