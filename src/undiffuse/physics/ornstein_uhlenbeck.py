"""The Ornstein-Uhlenbeck process that the forward chain is, as a kernel and as a Fokker-Planck equation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.sparse import diags_array

from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, require
from undiffuse.support.stats import normal_density


@dataclass(frozen=True)
class OrnsteinUhlenbeck:
    """``dK/dtau = theta d_y(y K) + D d_y^2 K``, equation (2), with ``y`` the variable of arrival; Risken 1989.

    The forward process of noise scale s is ``theta = 1``, ``D = s^2``, at ``tau_t = -log(alpha_bar_t)/2``.

    Attributes
    ----------
    theta : float
        Strength of the pull to 0, per unit of time.
    D : float
        Diffusion constant; the stationary variance is ``D/theta``.

    Examples
    --------
    >>> from undiffuse.physics import OrnsteinUhlenbeck
    >>> mean, variance = OrnsteinUhlenbeck(theta=1.0, D=1.0).moments(1.0, tau=0.5)
    >>> round(float(mean), 4), round(variance, 4)
    (0.6065, 0.6321)

    See Also
    --------
    undiffuse.ForwardProcess : the same process at discrete times.
    undiffuse.physics.fokker_planck : its equation, solved numerically.
    """

    theta: float = 1.0
    D: float = 1.0

    def __post_init__(self) -> None:
        require(np.isfinite(self.theta) and self.theta > 0, f"theta = {self.theta}: wanted a positive pull")
        require(np.isfinite(self.D) and self.D > 0, f"D = {self.D}: wanted a positive diffusion constant")

    def moments(self, x: ArrayLike, tau: float) -> tuple[Floats, float]:
        """Mean ``x e^(-theta tau)`` and variance ``D/theta (1 - e^(-2 theta tau))`` after a time tau from ``x``."""
        require(tau >= 0, f"tau = {tau}: wanted a time >= 0")
        decay = np.exp(-self.theta * tau)
        return np.asarray(x, float) * decay, float(-self.D / self.theta * np.expm1(-2 * self.theta * tau))

    def kernel(self, y: ArrayLike, x: ArrayLike, tau: float) -> Floats:
        """Density of arriving at ``y`` from ``x`` after ``tau > 0``, equation (3)."""
        require(tau > 0, f"tau = {tau}: at tau = 0 the kernel is no density")
        mean, variance = self.moments(x, tau)
        return normal_density(y, mean, variance)

    def stationary(self, y: ArrayLike) -> Floats:
        """Stationary density: normal, of variance ``D/theta``."""
        return normal_density(y, 0.0, self.D / self.theta)

    def drift(self, y: Floats, tau: float) -> Floats:
        """``-theta y``; it does not depend on tau."""
        return -self.theta * y


def fokker_planck(
    y: ArrayLike,
    density: ArrayLike,
    times: ArrayLike,
    drift: Callable[[Floats, float], Floats],
    diffusion: float = 1.0,
    rtol: float = 1e-8,
) -> Floats:
    r"""Solve ``dp/dtau = -d_y(f p) + D d_y^2 p`` in one dimension with walls at both ends of the grid.

    Finite volumes with exponentially fitted fluxes (Scharfetter & Gummel 1969), which keep the density positive and
    its integral to rounding; scipy's implicit integrator (BDF) in time.

    Parameters
    ----------
    y : array_like, shape (m,)
        Evenly spaced grid, whose cells are centred on its points.
    density : array_like, shape (m,)
        Density at the first of ``times``.
    times : array_like, shape (k,)
        Increasing times at which the density is wanted, the first being that of ``density``.
    drift : callable
        ``f(y, tau)`` at points ``y``, per unit of time. A reverse process runs in its own, backward time.
    diffusion : float
        ``D``, in units of ``y^2`` per unit of time.
    rtol : float
        Relative tolerance of the integrator.

    Returns
    -------
    (k, m) array

    Raises
    ------
    UserError
        If the grid is uneven, the density is not one, times do not increase or the integrator fails.
    """
    grid, start, when = (np.asarray(a, float) for a in (y, density, times))
    require(grid.ndim == 1 and grid.size >= 3, f"the grid has shape {grid.shape}, wanted at least three points")
    h = float(grid[1] - grid[0])
    require(h > 0 and np.allclose(np.diff(grid), h, rtol=1e-6), "the grid must be evenly spaced and increasing")
    require(start.shape == grid.shape, f"the density has shape {start.shape}, the grid {grid.shape}")
    require(np.isfinite(start).all() and (start >= 0).all(), "a density is finite and nowhere negative")
    require(when.ndim == 1 and when.size >= 2 and (np.diff(when) > 0).all(), "times must increase, two at least")
    require(np.isfinite(diffusion) and diffusion > 0, f"diffusion = {diffusion}: wanted a positive constant")
    edges = (grid[1:] + grid[:-1]) / 2

    def generator(tau: float):  # type: ignore[no-untyped-def]  # scipy's sparse arrays have no types
        peclet = drift(edges, tau) * h / diffusion
        up = diffusion / h**2 * _bernoulli(-peclet)  # from a cell to the one above it
        down = diffusion / h**2 * _bernoulli(peclet)
        leave = np.zeros_like(grid)
        leave[:-1] -= up
        leave[1:] -= down
        return diags_array([up, leave, down], offsets=[-1, 0, 1], format="csc")

    # In its first steps BDF subtracts from rows of differences that scipy has not filled yet, and overwrites the result
    # before it is used: what lies in that memory may raise a warning. Whatever is not finite is refused below.
    with np.errstate(invalid="ignore", over="ignore"):
        solution = solve_ivp(
            lambda tau, p: generator(tau) @ p,
            (when[0], when[-1]),
            start,
            method="BDF",
            t_eval=when,
            jac=lambda tau, p: generator(tau),
            rtol=rtol,
            atol=rtol * float(start.max()) * 1e-3,
        )
    if not solution.success:
        raise UserError(f"the Fokker-Planck integration stopped: {solution.message}")
    require(bool(np.isfinite(solution.y).all()), "the Fokker-Planck integration left the finite numbers")
    return np.asarray(solution.y.T)


def _bernoulli(x: Floats) -> Floats:
    """``x/(e^x - 1)``, continuous at 0."""
    small = np.abs(x) < 1e-6
    safe = np.where(small, 1.0, np.clip(x, -700, 700))
    return np.where(small, 1 - x / 2, safe / np.expm1(safe))
