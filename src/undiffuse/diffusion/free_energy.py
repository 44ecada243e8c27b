r"""One energy for all times: the normalising constants of densities that belong together, from Fokker and Planck.

A denoiser whose score is a gradient has ``l_t(x) = log q_t(x) + log Z_t`` at each time, with a constant that it does
not know. If its times are marginals of one diffusion, Fokker-Planck ties them,

    d log q/dtau = N + x.F + s^2 (tr dF + |F|^2)

with score F, and so fixes ``log Z_t`` up to its value at T, where the density is nearly Gaussian. Here it is integrated
along ``x_t = sqrt(alpha_bar) x_0 + s sqrt(Delta) xi`` with x_0 and xi held, over ``l = log(Delta/alpha_bar)/2``:

    d log q/dl = N Delta - s sqrt(Delta) tr(d xi_hat/dx) - xi_hat.(xi - xi_hat)

which is smooth at either end, asks for one evaluation at each time, and for no derivative of the trace (that of a ReLU
network vanishes almost everywhere). Where the times are no marginals of one process, what comes out depends on the
point, and its spread says by how much (Lai et al. 2022 for scores; here for densities).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.support.arrays import Array, Floats, as_samples
from undiffuse.support.errors import UserError, require
from undiffuse.support.stats import exp_rows, stderr
from undiffuse.support.streams import Purpose, stream

_DRAWS = 4096  # of the Gaussian that log Z_T is measured with


class Energy(Protocol):
    """A denoiser that has a density up to a constant: exact ones, and banks of tied weights."""

    forward: ForwardProcess
    dim: int

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise, ``(n, dim)``."""
        ...

    def xi_trace(self, x_t: Array, t: int) -> Floats:
        """Trace of its Jacobian, ``(n,)``."""
        ...

    def log_density(self, x_t: Array, t: int) -> Floats:
        """``log q_t(x_t)`` up to a constant of each time, ``(n,)``."""
        ...


@dataclass(frozen=True)
class FreeEnergy:
    """``log Z_t`` at every time, and how well one diffusion explains all of them. In nats; ``-log Z`` is a free energy.

    Attributes
    ----------
    energy : Energy
    log_Z : (T,) array
        Of t = 1..T: ``log q_t = energy.log_density - log Z_t``.
    stderr : (T,) array
        Its standard error over the points and over the draws at T.
    residual : (T - 1, n) array
        What each step from t to t + 1 says of ``log Z_{t+1} - log Z_t`` at each point: the same at all points if both
        times are marginals of one process, up to the error of the quadrature over the times.
    effective : float
        Effective number of the draws that ``log Z_T`` is from, of 4096.
    """

    energy: Energy
    log_Z: Floats
    stderr: Floats
    residual: Floats
    effective: float

    @property
    def spread(self) -> Floats:
        """Standard deviation of each step's residual over the points, ``(T - 1,)``."""
        return np.asarray(self.residual.std(axis=1, ddof=1))

    @property
    def mismatch(self) -> Floats:
        """Standard deviation over the points of all residuals from t up to T, ``(T,)``, of t = 1..T.

        How far ``log q_t`` of the energy is from what the diffusion makes of it on the way to ``log q_T``.
        """
        return np.asarray(_from_above(self.residual).std(axis=1, ddof=1))

    def log_density(self, x_t: Array, t: int) -> Floats:
        """``log q_t(x_t)`` in nats, normalised, shape ``(n,)``.

        Raises
        ------
        UserError
            If ``t`` is outside 1..T.
        """
        require(1 <= t <= len(self.log_Z), f"t = {t}: wanted a time in 1..{len(self.log_Z)}")
        return np.asarray(self.energy.log_density(x_t, t) - self.log_Z[t - 1])


def free_energy(
    energy: Energy, x: ArrayLike, *, seed: int = 0, on_step: Callable[[int], None] = lambda t: None
) -> FreeEnergy:
    r"""Find ``log Z_t`` of a denoiser that has a density up to a constant, by Fokker-Planck over its own times.

    ``log Z_T = log <e^{l_T}/g>`` over draws of a Gaussian g with the moments of the diffused data. From there
    downwards each point gives the change of ``l_t(x_t)`` along its path less the integral of ``d log q/dl``, by a cubic
    spline through the times; the mean over the points is taken. Averages over points of the energy's own law would give
    its integral, ``d log Z/dtau = <d l/dtau>``, whether or not its times belong together; over points of the data they
    give the constant that fits where the data are.

    Parameters
    ----------
    energy : Energy
        An exact denoiser with ``log_density``, or a bank of tied weights.
    x : array_like, shape (n, dim)
        Data, at t = 0.
    seed : int
        Seed of the noise, one for each point and the same at all times, and of the draws at T.
    on_step : callable
        Called with each time that is done.

    Raises
    ------
    UserError
        If the denoiser has no energy, ``x`` has another dimension or fewer than two rows, there are fewer than two
        times, or the constant at T is infinite.

    Examples
    --------
    An exact density is normalised already:

    >>> import numpy as np, undiffuse as ud
    >>> from undiffuse.diffusion.free_energy import free_energy
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(200, 1e-3, 0.1))
    >>> law = ud.MixtureDenoiser(forward, [0.5, 0.5], [[-2.0], [2.0]], np.full((2, 1, 1), 0.1))
    >>> found = free_energy(law, [[-2.1], [1.8], [2.2]])
    >>> bool(np.abs(found.log_Z).max() < 0.002 and found.mismatch.max() < 0.002)
    True

    See Also
    --------
    undiffuse.Bank.free_energy : the same for a bank, which checks its weights first.
    undiffuse.diffusion.flow.flow_log_density : the density that needs no energy.
    """
    data, forward, N = as_samples(x, energy.dim, "x"), energy.forward, energy.dim
    n, T = len(data), energy.forward.T
    require(n >= 2, f"x has {n} rows: wanted at least two, for a spread to be known")
    require(T >= 2, f"T = {T}: wanted at least two times to tie to one another")
    require(hasattr(energy, "log_density"), f"{type(energy).__name__} has no density, so nothing to normalise")
    from scipy.interpolate import CubicSpline

    xi = stream(seed, Purpose.FREE_ENERGY).standard_normal((n, N))
    logs, slopes = np.empty((T, n)), np.empty((T, n))
    for i, t in enumerate(forward.schedule.times.tolist()):
        x_t, Delta = forward.jump(data, t, xi), float(forward.schedule.Delta(t))
        found = np.asarray(energy.xi_hat(x_t, t), np.float64)
        logs[i] = energy.log_density(x_t, t)
        slopes[i] = N * Delta - forward.noise(t) * energy.xi_trace(x_t, t) - np.sum(found * (xi - found), axis=1)
        on_step(t)
    if not (np.isfinite(logs).all() and np.isfinite(slopes).all()):
        raise UserError("the energy left the finite numbers")
    clock = -0.5 * np.log(forward.schedule.snr(forward.schedule.times))
    residual = np.diff(logs, axis=0) - np.diff(CubicSpline(clock, slopes).antiderivative()(clock), axis=0)
    last, last_stderr, effective = _last(energy, GaussianDenoiser.from_data(forward, data), seed)
    down = _from_above(residual)
    errors = np.sqrt(last_stderr**2 + np.array([stderr(row) for row in down]) ** 2)
    return FreeEnergy(energy, last - down.mean(axis=1), errors, residual, effective)


def _from_above(residual: Floats) -> Floats:
    """Sum of the residuals of the steps from t up to T, for t = 1..T, ``(T, n)``."""
    return np.vstack([np.cumsum(residual[::-1], axis=0)[::-1], np.zeros(residual.shape[1])])


def _last(energy: Energy, law: GaussianDenoiser, seed: int) -> tuple[float, float, float]:
    """``log Z_T`` by importance sampling from the data's Gaussian, its standard error, and the effective draws."""
    T = energy.forward.T
    z = stream(seed, Purpose.FREE_ENERGY_END).standard_normal((_DRAWS, energy.dim))
    at = energy.forward.signal(T) * law.mean + (z * np.sqrt(law.total_variances(T))) @ law.axes.T
    weights = (energy.log_density(at, T) - law.log_density(at, T))[None]
    if not np.isfinite(weights).all():
        raise UserError(f"the energy at T = {T} left the finite numbers")
    top, total = exp_rows(weights)
    effective = float(total[0] ** 2 / np.sum(weights**2))
    return float(top[0] + np.log(total[0] / _DRAWS)), float(np.sqrt(1 / effective - 1 / _DRAWS)), effective
