"""The forward process, which destroys data, and the algebra that links x_0, x_t and the noise."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np

from undiffuse.diffusion.schedule import GOOD_PRIOR_KL, NoiseSchedule
from undiffuse.support import html
from undiffuse.support.arrays import Array
from undiffuse.support.errors import one_of, require

Prediction = Literal["xi", "x0", "v"]
PREDICTIONS: tuple[str, ...] = get_args(Prediction)


class ForwardProcess:
    r"""Noise added step by step, or in one jump, at noise scale ``s``.

    ``x_t = sqrt(alpha_bar_t) x_0 + s sqrt(Delta_t) xi`` with ``xi ~ N(0, I)`` (the ``eps`` of Ho et al. 2020), equation
    (16) with the row "xi" of the thesis's Table 2 as ``s``. It is the standard process on ``x_0/s``; ``x_T`` is close
    to ``N(0, s^2 I)``. All arrays have shape ``(n, dim)``; times follow :class:`~undiffuse.NoiseSchedule`.

    Parameters
    ----------
    schedule : NoiseSchedule
    noise_scale : float
        ``s``, in units of the data.

    Examples
    --------
    >>> import numpy as np, undiffuse as ud
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(1000), noise_scale=0.1)
    >>> round(forward.signal(500), 3), round(forward.noise(500), 3)
    (0.28, 0.096)
    >>> x0, xi = np.ones((3, 2)), np.random.default_rng(0).standard_normal((3, 2))
    >>> x_t = forward.jump(x0, 500, xi)
    >>> bool(np.allclose(forward.from_xi("x0", xi, x_t, 500), x0))
    True

    See Also
    --------
    undiffuse.NoiseSchedule : its variances.
    undiffuse.physics.OrnsteinUhlenbeck : the same process in continuous time.
    """

    def __init__(self, schedule: NoiseSchedule, noise_scale: float = 1.0) -> None:
        require(np.isfinite(noise_scale) and noise_scale > 0, f"noise_scale must be positive, got {noise_scale}")
        self.schedule = schedule
        self.noise_scale = float(noise_scale)

    def __repr__(self) -> str:
        return f"ForwardProcess({self.schedule!r}, noise_scale={self.noise_scale:g})"

    def _repr_html_(self) -> str:
        return html.card("ForwardProcess", {"noise scale s": self.noise_scale}, self.schedule._repr_html_())

    @property
    def T(self) -> int:
        """Number of diffusion times."""
        return self.schedule.T

    def signal(self, t: int) -> float:
        """``sqrt(alpha_bar_t)``: what is left of the data in x_t."""
        return float(np.sqrt(self.schedule.alpha_bar(t)))

    def noise(self, t: int) -> float:
        """``s sqrt(Delta_t)``: standard deviation of the noise in x_t."""
        return self.noise_scale * float(np.sqrt(self.schedule.Delta(t)))

    # -- going forward ----------------------------------------------------------------------------------------

    def step(self, x: Array, t: int, xi: Array) -> Array:
        """One forward step (15), ``x_t = sqrt(alpha_t) x_{t-1} + s sqrt(beta_t) xi``."""
        return self.diffuse(x, t - 1, t, xi)

    def diffuse(self, x: Array, t: int, later: int, xi: Array) -> Array:
        """``x_later`` from ``x_t`` and a given noise, in one jump: (15) when ``later = t + 1``, (16) when ``t = 0``.

        Parameters
        ----------
        x : (n, dim)
            Samples at time ``t``.
        t, later : int
            Times, ``0 <= t < later <= T``.
        xi : (n, dim)
            Standard normal noise.
        """
        alpha, beta, _ = self.schedule.between(later, t)
        return np.sqrt(alpha) * x + self.noise_scale * np.sqrt(beta) * xi

    def jump(self, x0: Array, t: int, xi: Array) -> Array:
        """``x_t = sqrt(alpha_bar_t) x_0 + s sqrt(Delta_t) xi`` for a given noise ``xi``, equation (16)."""
        return self.signal(t) * x0 + self.noise(t) * xi

    def trajectory(self, x0: Array, rng: np.random.Generator) -> Iterator[tuple[int, Array]]:
        """Yield ``(t, x_t)`` for t = 0..T along one realisation of the chain (7)."""
        x = np.asarray(x0, dtype=np.float64)
        yield 0, x
        for t in range(1, self.T + 1):
            x = self.step(x, t, rng.standard_normal(x.shape))
            yield t, x

    def posterior(self, x_t: Array, x0: Array, t: int) -> tuple[Array, float]:
        r"""Mean and variance of ``q(x_{t-1} | x_t, x_0)`` (thesis, section 3.3).

        ``mu~ = sqrt(alpha_bar_{t-1}) beta_t/Delta_t x_0 + sqrt(alpha_t) Delta_{t-1}/Delta_t x_t`` and variance
        ``s^2 beta~_t`` per dimension, which is 0 at t = 1.
        """
        schedule = self.schedule
        Delta = float(schedule.Delta(t))
        mean = (
            self.signal(t - 1) * float(schedule.beta(t)) / Delta * x0
            + float(np.sqrt(schedule.alpha(t)) * schedule.Delta(t - 1)) / Delta * x_t
        )
        return mean, self.noise_scale**2 * float(schedule.posterior_variance(t))

    # -- the same pair (x_0, xi) written in other variables ---------------------------------------------------

    def target(self, kind: str, x0: Array, xi: Array, t: int) -> Array:
        """Training target of a network that predicts ``kind``: ``xi``, ``x0`` or ``v``.

        ``v = sqrt(alpha_bar) xi - sqrt(Delta) x_0/s`` (Salimans & Ho 2022, with noise scale s).

        Parameters
        ----------
        kind : {"xi", "x0", "v"}
        x0, xi : (n, dim)
            Data and the noise added to them.
        t : int
        """
        if one_of("prediction", kind, PREDICTIONS) == "xi":
            return xi
        if kind == "x0":
            return x0
        return self.signal(t) * xi - self.noise(t) / self.noise_scale**2 * x0

    def to_xi(self, kind: str, prediction: Array, x_t: Array, t: int) -> Array:
        """Turn a prediction of ``xi``, ``x0`` or ``v`` at ``x_t`` into one of ``xi``.

        Parameters
        ----------
        kind : {"xi", "x0", "v"}
            What is predicted.
        prediction, x_t : (n, dim)
        t : int
        """
        if one_of("prediction", kind, PREDICTIONS) == "xi":
            return prediction
        if kind == "x0":
            return (x_t - self.signal(t) * prediction) / self.noise(t)
        return self.signal(t) * prediction + self.noise(t) / self.noise_scale**2 * x_t

    def from_xi(self, kind: str, xi: Array, x_t: Array, t: int) -> Array:
        """Turn a prediction of ``xi`` at ``x_t`` into one of ``xi``, ``x0`` or ``v``: the inverse of :meth:`to_xi`.

        ``x0 = (x_t - s sqrt(Delta) xi)/sqrt(alpha_bar)``.

        Parameters
        ----------
        kind : {"xi", "x0", "v"}
            What is wanted.
        xi, x_t : (n, dim)
        t : int
        """
        if one_of("prediction", kind, PREDICTIONS) == "xi":
            return xi
        x0 = (x_t - self.noise(t) * xi) / self.signal(t)
        return x0 if kind == "x0" else self.target("v", x0, xi, t)

    def xi_per(self, kind: str, t: int) -> float:
        """Size of the error in ``xi`` that an error of one in a prediction of ``kind`` makes at time t."""
        if one_of("prediction", kind, PREDICTIONS) == "xi":
            return 1.0
        return self.signal(t) / self.noise(t) if kind == "x0" else self.signal(t)

    # -- is N(0, s^2 I) a good place to start from? -----------------------------------------------------------

    def prior_kl(self, x0: Array) -> float:
        r"""Mean over ``x0`` of ``KL(q(x_T|x_0) || N(0, s^2 I))`` per dimension, in nats.

        ``1/2 (Delta_T - 1 - log Delta_T + alpha_bar_T x_0^2/s^2)``, the first term of the bound (18).
        """
        return self.prior_kl_of(float(np.mean(np.square(x0, dtype=np.float64))))

    def prior_kl_of(self, second_moment: float) -> float:
        """:meth:`prior_kl` from the mean of ``x_0^2`` over samples and dimensions."""
        alpha_bar, Delta = float(self.schedule.alpha_bar(self.T)), float(self.schedule.Delta(self.T))
        return float(0.5 * (-alpha_bar - np.log(Delta) + alpha_bar * second_moment / self.noise_scale**2))

    def check_prior(self, x0: Array) -> float:
        """Return :meth:`prior_kl`, and warn when it is too large for N(0, s^2 I) to be a good start."""
        kl = self.prior_kl(x0)
        if kl > GOOD_PRIOR_KL:
            warnings.warn(
                f"alpha_bar(T) = {float(self.schedule.alpha_bar(self.T)):.3g} leaves a prior KL of {kl:.3g} nats per "
                f"dimension (good: below {GOOD_PRIOR_KL}): x_T still remembers the data, so sampling from "
                f"N(0, s^2 I) starts wrong; raise T, beta_T or the noise scale",
                stacklevel=2,
            )
        return kl
