"""The protocol every denoiser follows, and the three exact ones.

A *denoiser* answers one question: given ``x_t``, which noise is expected to be in it? The trained bank and the exact
answers below reply in the same form, so samplers, bounds, metrics and figures take any of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from undiffuse.errors import require
from undiffuse.files import Arrays
from undiffuse.forward import Array, ForwardProcess, as_samples
from undiffuse.streams import Purpose, stream


@runtime_checkable
class Denoiser(Protocol):
    """Anything that returns the expected noise ``xi_hat`` of shape ``(n, dim)`` for ``x_t`` ``(n, dim)`` and ``t``.

    Subclasses write :meth:`xi_hat`; the other estimates follow from it here and nowhere else.
    """

    forward: ForwardProcess
    dim: int

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise ``E[xi | x_t]``, shape ``(n, dim)``, dimensionless."""
        ...

    def x0_hat(self, x_t: Array, t: int) -> Array:
        """Expected data ``E[x_0 | x_t] = (x_t - s sqrt(Delta) xi_hat)/sqrt(alpha_bar)``."""
        return self.forward.from_xi("x0", self.xi_hat(x_t, t), x_t, t)

    def v_hat(self, x_t: Array, t: int) -> Array:
        """Expected velocity ``sqrt(alpha_bar) xi_hat - sqrt(Delta) x0_hat/s``."""
        return self.forward.from_xi("v", self.xi_hat(x_t, t), x_t, t)

    def along_axes(self) -> tuple[Denoiser, NDArray[np.float64]] | None:
        """Return the same denoiser for ``z = x_t @ axes``, with these orthogonal axes, where that is cheaper.

        White noise is white along any axes, so the reverse process runs there and only its end is turned back.
        """
        return None

    def score(self, x_t: Array, t: int) -> Array:
        """Score ``grad log q_t(x_t) = -xi_hat/(s sqrt(Delta))``, equation (23) with its last equality corrected."""
        return -self.xi_hat(x_t, t) / self.forward.noise(t)

    def potential(self, x_t: Array, t: int, origin: Array) -> NDArray[np.float64]:
        r"""Minus the integral of the score along the straight line from ``origin`` ``(dim,)`` to each point, ``(n,)``.

        ``-log q_t(x_t) + log q_t(origin)`` for an exact denoiser. A learned score need not be a gradient; then this is
        its potential along each line through the origin, and no other way round. Gauss and Legendre's rule of 40
        nodes, unless there is a closed form.
        """
        nodes, weights = np.polynomial.legendre.leggauss(40)
        away = np.asarray(x_t, np.float64) - origin
        out = np.zeros(len(away))
        for share, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            out -= weight * np.sum(self.score(origin + share * away, t) * away, axis=1)
        return out


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

    Raises
    ------
    UserError
        If the covariance is not symmetric positive semi-definite or the shapes disagree.
    """

    def __init__(self, forward: ForwardProcess, mean: ArrayLike, covariance: ArrayLike) -> None:
        self.forward = forward
        self.mean = np.asarray(mean, dtype=np.float64)
        self.covariance = np.asarray(covariance, dtype=np.float64)
        self.dim = self.mean.size
        require(
            self.covariance.shape == (self.dim, self.dim),
            f"covariance has shape {self.covariance.shape}, wanted ({self.dim}, {self.dim})",
        )
        require(np.allclose(self.covariance, self.covariance.T), "covariance is not symmetric")
        variances, self.axes = np.linalg.eigh(self.covariance)
        require(
            variances[0] >= -1e-9 * max(1.0, variances[-1]), f"covariance has a negative eigenvalue {variances[0]:.3g}"
        )
        self.variances = np.maximum(variances, 0.0)

    def to_arrays(self) -> Arrays:
        """Everything it is made of, axes included: found again, they may be turned where variances are equal."""
        return {"mean": self.mean, "covariance": self.covariance, "variances": self.variances, "axes": self.axes}

    @classmethod
    def from_arrays(cls, forward: ForwardProcess, arrays: Arrays) -> GaussianDenoiser:
        """Undo :meth:`to_arrays`, to the same bits."""
        out = cls.__new__(cls)
        out.forward = forward
        out.mean, out.covariance, out.variances, out.axes = (
            np.asarray(arrays[name], np.float64) for name in ("mean", "covariance", "variances", "axes")
        )
        out.dim = out.mean.size
        return out

    @classmethod
    def from_data(cls, x: ArrayLike, forward: ForwardProcess) -> GaussianDenoiser:
        """Take mean and covariance (divided by n) from data of shape ``(n, dim)``."""
        data = as_samples(x)
        centred = data - data.mean(axis=0)
        return cls(forward, data.mean(axis=0), centred.T @ centred / len(data))

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise of Gaussian data, shape ``(n, dim)``."""
        gain = self.forward.noise(t) / self._total_variances(t)
        return (((x_t - self.forward.signal(t) * self.mean) @ self.axes) * gain) @ self.axes.T

    def leading(self, k: int) -> tuple[GaussianDenoiser, NDArray[np.float64]]:
        """Return the denoiser of the ``k`` leading principal coordinates ``(x_0 - mu) @ axes``, and these axes.

        The coordinates are centred and independent, largest variance first; axes have shape ``(dim, k)``.
        """
        axes, variances = self.axes[:, ::-1][:, :k], self.variances[::-1][:k]
        return GaussianDenoiser(self.forward, np.zeros(k), np.diag(variances)), axes

    def along_axes(self) -> tuple[AxisWiener, NDArray[np.float64]]:
        """Return the same filter, axis by axis, and the principal axes, largest variance first."""
        axes = self.axes[:, ::-1]
        return AxisWiener(self.forward, self.mean @ axes, self.variances[::-1]), axes

    def linear_map(self, t: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``(G, g)`` such that ``xi_hat = x_t G - g``: the same answer as one symmetric matrix."""
        gain = (self.axes * (self.forward.noise(t) / self._total_variances(t))) @ self.axes.T
        return gain, self.forward.signal(t) * self.mean @ gain

    def error(self, t: int) -> float:
        """Mean square error in xi per dimension, ``1/N sum_i alpha_bar l_i/(alpha_bar l_i + s^2 Delta)``."""
        return float(np.mean(self.axis_errors(t)))

    def axis_errors(self, t: int, moments: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Mean square error in xi along each principal axis, shape ``(dim,)``.

        ``moments`` are the mean squares of ``(x_0 - mu) @ axes`` of the data it is measured on; by default those it
        was made from, where the error is ``alpha_bar l_i/(alpha_bar l_i + s^2 Delta)``.
        """
        moments = self.variances if moments is None else moments
        noise = self.forward.noise(t)
        gain = noise / self._total_variances(t)
        return (1 - gain * noise) ** 2 + gain**2 * self.forward.signal(t) ** 2 * moments

    def log_density(self, x_t: Array, t: int) -> NDArray[np.float64]:
        """``log q_t(x_t)`` in nats, shape ``(n,)``."""
        total = self._total_variances(t)
        y = (x_t - self.forward.signal(t) * self.mean) @ self.axes
        return -0.5 * np.sum(y**2 / total + np.log(2 * np.pi * total), axis=1)

    def potential(self, x_t: Array, t: int, origin: Array) -> NDArray[np.float64]:
        """``-log q_t(x_t) + log q_t(origin)``, shape ``(n,)``."""
        return self.log_density(origin[None], t) - self.log_density(x_t, t)

    def _total_variances(self, t: int) -> NDArray[np.float64]:
        return self.forward.signal(t) ** 2 * self.variances + self.forward.noise(t) ** 2


class AxisWiener(Denoiser):
    """The exact denoiser of independent Gaussian variables: :class:`GaussianDenoiser` along its principal axes."""

    def __init__(self, forward: ForwardProcess, mean: NDArray[np.float64], variances: NDArray[np.float64]) -> None:
        self.forward = forward
        self.dim = mean.size
        self.mean, self.variances = mean, variances

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise, shape ``(n, dim)``."""
        signal, noise = self.forward.signal(t), self.forward.noise(t)
        out = np.asarray(x_t - signal * self.mean)
        out *= noise / (signal**2 * self.variances + noise**2)
        return out


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
    """

    def __init__(self, forward: ForwardProcess, points: ArrayLike, chunk: int = 1 << 22) -> None:
        self.forward = forward
        self.points = as_samples(points)
        self.dim = self.points.shape[1]
        self._chunk = chunk
        self._norms = np.sum(self.points**2, axis=1)

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise under the empirical distribution, shape ``(n, dim)``."""
        x_t = np.asarray(x_t, dtype=np.float64)
        x0 = np.empty_like(x_t)
        for rows, weights in self.weights(x_t, t):
            x0[rows] = weights @ self.points
        return self.forward.to_xi("x0", x0, x_t, t)

    def weights(self, x_t: Array, t: int) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield rows of ``x_t`` and the probability of each point given them, ``(rows, m)``, a chunk at a time."""
        x_t = np.asarray(x_t, dtype=np.float64)
        for rows in self._row_chunks(len(x_t)):
            weights = self._exponents(x_t[rows], t)
            weights -= weights.max(axis=1, keepdims=True)
            np.exp(weights, out=weights)
            weights /= weights.sum(axis=1, keepdims=True)
            yield rows, weights

    def log_density(self, x_t: Array, t: int) -> NDArray[np.float64]:
        """``log q_t(x_t)`` in nats, shape ``(n,)``: the mean over the points of their Gaussian kernels."""
        x_t = np.asarray(x_t, dtype=np.float64)
        out = np.empty(len(x_t))
        for rows in self._row_chunks(len(x_t)):
            exponents = self._exponents(x_t[rows], t)
            top = exponents.max(axis=1)
            out[rows] = top + np.log(np.exp(exponents - top[:, None]).mean(axis=1))
            out[rows] -= np.sum(x_t[rows] ** 2, axis=1) / (2 * self.forward.noise(t) ** 2)
        return out - self.dim / 2 * np.log(2 * np.pi * self.forward.noise(t) ** 2)

    def potential(self, x_t: Array, t: int, origin: Array) -> NDArray[np.float64]:
        """``-log q_t(x_t) + log q_t(origin)``, shape ``(n,)``."""
        return self.log_density(origin[None], t) - self.log_density(x_t, t)

    def _exponents(self, x_t: Array, t: int) -> NDArray[np.float64]:
        """Exponents of the kernels, up to ``|x_t|^2/(2 s^2 Delta)``, which all points share."""
        signal, variance = self.forward.signal(t), self.forward.noise(t) ** 2
        exponents = x_t @ self.points.T
        exponents *= signal / variance
        exponents -= signal**2 / (2 * variance) * self._norms
        return exponents

    def _row_chunks(self, n: int) -> list[slice]:
        rows = max(1, self._chunk // len(self.points))
        return [slice(start, start + rows) for start in range(0, n, rows)]


class LinearDenoiser(Denoiser):
    r"""A linear model fitted by least squares at each time: what the thesis's Annex II tries and rejects.

    ``xi_hat = B_t (x_t - m_t) + c_t`` minimises the simple loss (20) over ``draws`` noised copies of the data. One set
    of noise serves every time, since the moments of ``(x_t, xi)`` follow from those of ``(x_0, xi)``; with many draws
    it tends to :class:`GaussianDenoiser`.
    """

    def __init__(self, forward: ForwardProcess, x: ArrayLike, draws: int = 8, seed: int = 0) -> None:
        require(draws >= 1, f"draws must be at least 1, got {draws}")
        data = as_samples(x)
        self.forward = forward
        self.dim = data.shape[1]
        rng = stream(seed, Purpose.PASS)
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

    @classmethod
    def from_data(cls, x: ArrayLike, forward: ForwardProcess, draws: int = 8, seed: int = 0) -> LinearDenoiser:
        """Fit on data of shape ``(n, dim)`` with ``draws`` noised copies of it."""
        return cls(forward, x, draws, seed)

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
