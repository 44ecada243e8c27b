"""The exact denoiser of a mixture of Gaussians."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.support.arrays import Array, Floats
from undiffuse.support.errors import require
from undiffuse.support.stats import PrincipalAxes, axes_of_covariance, exp_rows


class MixtureDenoiser(Denoiser):
    r"""The exact denoiser of a mixture of Gaussians, ``q(x_0) = sum_k w_k N(x_0; mu_k, C_k)``.

    A diffused mixture is a mixture with the same weights, ``q_t = sum_k w_k N(sqrt(alpha_bar) mu_k, alpha_bar C_k +
    s^2 Delta)``, so ``xi_hat = sum_k r_k xi_hat_k``, where ``xi_hat_k`` is that of component k alone and
    ``r_k = w_k N_k(x_t)/q_t(x_t)`` is the probability that x_t came from it. With points instead of Gaussians it is
    :class:`~undiffuse.EmpiricalDenoiser`.

    Parameters
    ----------
    forward : ForwardProcess
    weights : array_like, shape (k,)
        Positive, of sum 1.
    means : array_like, shape (k, dim)
    covariances : array_like, shape (k, dim, dim)

    Raises
    ------
    UserError
        If the weights are no probabilities, shapes disagree, or a covariance is none.

    Examples
    --------
    Two wells of width 0.1, on the line:

    >>> import numpy as np, undiffuse as ud
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2))
    >>> wells = ud.MixtureDenoiser(forward, [0.5, 0.5], [[-1.0], [1.0]], np.full((2, 1, 1), 0.01))
    >>> x = ud.sample(wells, 500, seed=1)
    >>> bool(abs(np.abs(x).mean() - 1) < 0.02)
    True

    See Also
    --------
    undiffuse.GaussianDenoiser, undiffuse.EmpiricalDenoiser
    """

    def __init__(self, forward: ForwardProcess, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> None:
        self.weights, self.means = np.asarray(weights, np.float64), np.asarray(means, np.float64)
        require(
            self.weights.ndim == 1 and (self.weights > 0).all() and np.isclose(self.weights.sum(), 1),
            f"weights {self.weights}: wanted positive numbers of sum 1",
        )
        k, shapes = len(self.weights), np.shape(covariances)
        require(
            self.means.ndim == 2 and len(self.means) == k and shapes == (k, *[self.means.shape[-1]] * 2),
            f"{k} weights, means of shape {self.means.shape} and covariances of shape {shapes} do not belong together: "
            "wanted (k,), (k, dim) and (k, dim, dim)",
        )
        super().__init__(forward, self.means.shape[1])
        self.components = [
            GaussianDenoiser(forward, mean, C) for mean, C in zip(self.means, np.asarray(covariances), strict=True)
        ]

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise under the mixture, shape ``(n, dim)``."""
        each = np.stack([component.xi_hat(x_t, t) for component in self.components], axis=1)
        return np.einsum("nk,nkd->nd", self.responsibilities(x_t, t), each)

    def linear_theory(self) -> PrincipalAxes:
        """Mean and principal axes of the mixture."""
        mean = self.weights @ self.means
        away = self.means - mean
        within = sum(w * one.covariance for w, one in zip(self.weights, self.components, strict=True))
        return PrincipalAxes(mean, *axes_of_covariance(within + (away.T * self.weights) @ away))

    def responsibilities(self, x_t: Array, t: int) -> Floats:
        """Probability that each sample came from each component, shape ``(n, k)``."""
        weights = self._log_terms(x_t, t)
        _, total = exp_rows(weights)
        return np.asarray(weights / total[:, None])

    def log_density(self, x_t: Array, t: int) -> Floats:
        """``log q_t(x_t)`` in nats, shape ``(n,)``."""
        top, total = exp_rows(self._log_terms(x_t, t))
        return np.asarray(top + np.log(total))

    def potential(self, x_t: Array, t: int, origin: Array) -> Floats:
        """``-log q_t(x_t) + log q_t(origin)``, shape ``(n,)``."""
        return self.log_density(origin[None], t) - self.log_density(x_t, t)

    def _log_terms(self, x_t: Array, t: int) -> Floats:
        """``log(w_k N_k(x_t))``, shape ``(n, k)``."""
        logs = np.stack([component.log_density(x_t, t) for component in self.components], axis=1)
        return np.asarray(logs + np.log(self.weights))
