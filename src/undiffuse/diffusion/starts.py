"""Where the reverse process starts: from pure noise at T, or from the data's Gaussian at an earlier time.

Above the speciation time the diffused data have little structure beyond their mean and covariance, so little is lost by
starting there, and steps are saved for where structure comes into being (Raya & Ambrogioni 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.threads import one_thread


@dataclass(frozen=True)
class Beginning:
    """``mean + z root``, the first state of a chain from standard normal numbers ``z`` ``(n, dim)`` along some axes.

    Attributes
    ----------
    mean : (dim,) array or 0
    root : (dim,) or (dim, dim) array
        Standard deviations of independent variables, or the symmetric root of a covariance.
    """

    mean: Floats
    root: Floats

    @property
    def independent(self) -> bool:
        """Whether the variables are independent along these axes."""
        return self.root.ndim < 2

    def __call__(self, z: Floats) -> Floats:
        """Turn normal numbers into states, shape ``(n, dim)``."""
        if self.independent:
            return np.asarray(self.mean + z * self.root)
        with one_thread():
            return np.asarray(self.mean + z @ self.root)


def pure_noise(forward: ForwardProcess, dim: int) -> Beginning:
    """``x_T ~ N(0, s^2 I)``, along any axes."""
    return Beginning(np.zeros(dim), np.full(dim, forward.noise_scale))


@dataclass(frozen=True, eq=False)
class GaussianStart:
    """Start from ``x_t ~ N(sqrt(alpha_bar) mu, alpha_bar C + s^2 Delta)`` at time ``t``, not from noise at T.

    That is the law of diffused data as far as their mean and covariance go. Raya & Ambrogioni (2023) start there to
    save steps: until the speciation time ``log(Lambda/s^2)/2`` (Biroli et al. 2024) little else is known of the data.
    Where the law is turned from normal numbers it is by the symmetric root of the covariance, so the same noise gives
    the same start along any axes.

    Attributes
    ----------
    law : GaussianDenoiser
        Of the data's mean and covariance.
    t : int
        Time of the start, in 1..T.

    Raises
    ------
    UserError
        If ``t`` is outside 1..T.

    Examples
    --------
    >>> import undiffuse as ud
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(1000))
    >>> law = ud.GaussianDenoiser(forward, mean=[1.0, 0.0], covariance=[[9.0, 0.0], [0.0, 0.1]])
    >>> start = ud.GaussianStart.of(law)  # at the speciation time, log(9)/2
    >>> start.t, round(start.tau, 2)
    (464, 1.1)
    >>> ud.sample(law, 5, sampler=ud.DDIM(steps=10, start=start)).shape
    (5, 2)

    See Also
    --------
    undiffuse.Sampler : takes it as ``start``.
    undiffuse.physics.critical_times : when the classes of data part.
    """

    law: GaussianDenoiser
    t: int

    def __post_init__(self) -> None:
        T = self.law.forward.T
        require(1 <= self.t <= T, f"start at t = {self.t}: wanted a time in 1..{T}")

    def __repr__(self) -> str:
        return f"GaussianStart(t={self.t}, tau={self.tau:.3f})"

    @staticmethod
    def of(law: GaussianDenoiser, tau: float | None = None) -> GaussianStart:
        """Start at the time nearest to the OU time ``tau``, by default at :func:`speciation`.

        Raises
        ------
        UserError
            If ``tau`` lies outside the OU times of 1..T, or without it there is no speciation time among them.
        """
        schedule = law.forward.schedule
        first, last = (float(schedule.ou_time(t)) for t in (1, schedule.T))
        wanted = f"wanted an OU time in {first:.3g}..{last:.4g}"
        if tau is None:
            tau = speciation(law)
            require(
                tau >= first,
                f"the largest variance of the data, {law.variances[0]:.3g}, is not above that of the noise, so there "
                f"is no speciation time to start at; {wanted}, such as gaussian:{(first + last) / 2:.2g}",
            )
            tau = min(tau, last)
        require(first <= tau <= last, f"start at tau = {tau:g}: {wanted}")
        return GaussianStart(law, schedule.time_at_ou(tau))

    @property
    def tau(self) -> float:
        """OU time of the start."""
        return float(self.law.forward.schedule.ou_time(self.t))

    def beginning(self, forward: ForwardProcess, dim: int, axes: Floats | None) -> Beginning:
        """Return the law of the start along ``axes`` (None for those of the data).

        Raises
        ------
        UserError
            If it is of other data or of another forward process than the denoiser.
        """
        law, t = self.law, self.t
        require(law.dim == dim, f"the start is of {law.dim} variables, the denoiser of {dim}")
        here, there = ((process.T, process.signal(t), process.noise(t)) for process in (law.forward, forward))
        require(np.allclose(here, there, rtol=1e-9), "the start and the denoiser have different forward processes")
        mean, deviations = law.forward.signal(t) * law.mean, np.sqrt(law.total_variances(t))
        if axes is not None and (axes is law.axes or np.array_equal(axes, law.axes)):
            return Beginning(mean @ axes, deviations)
        turned = law.axes if axes is None else axes.T @ law.axes
        with one_thread():
            return Beginning(mean if axes is None else mean @ axes, np.asarray((turned * deviations) @ turned.T))


def speciation(law: GaussianDenoiser) -> float:
    """OU time ``log(Lambda/s^2)/2`` with Lambda the largest variance of the data (Biroli et al. 2024).

    Zero or less where the noise is larger than the data.
    """
    return float(0.5 * np.log(max(law.variances[0] / law.forward.noise_scale**2, 1e-300)))
