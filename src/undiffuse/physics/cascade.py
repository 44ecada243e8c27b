r"""The cascade: one transition for each principal component of the data, along diffusion time and along training.

The gain of component k at time t is ``G_k = sqrt(alpha_bar) Cov(x0_hat_k, x_t_k)/Var(x_t_k)``: how much of the signal
along axis k the denoiser gives back. Whatever the law of the data, the minimiser ``E[x_0|x_t]`` has the gain
``alpha_bar l_k/(alpha_bar l_k + s^2 Delta)`` of the Wiener filter, since ``Cov(E[x_0|x_t], x_t) = Cov(x_0, x_t)``; it
is one half at ``tau_k = log(1 + l_k/s^2)/2``. The mean of the Jacobian is not bound to this: it is
``sqrt(alpha_bar)/(s^2 Delta)`` times a mean posterior variance, and equals the slope for Gaussian data only (Stein's
identity), so that their difference measures what is not Gaussian along the axis.

Along training by gradient descent from small weights, components are learned one after another, in times that go as
``1/l_k``: Saxe, McClelland & Ganguli 2014 (linear networks), Wang & Pehlevan 2025 (linear denoisers); for restricted
Boltzmann machines Decelle, Fissore & Furtlehner 2018 and Bachtis, Biroli, Decelle & Seoane 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require

_EDGE = 1e-3  # gains nearer to 0 or 1 than this are not told apart where a half is looked for


def half_gain_time(variances: ArrayLike, noise_scale: float = 1.0) -> Floats:
    """OU time ``tau_k = log(1 + l_k/s^2)/2`` at which the gain along axes of these variances is one half.

    Examples
    --------
    >>> from undiffuse.physics.cascade import half_gain_time
    >>> half_gain_time([3.0, 1.0]).round(3)
    array([0.693, 0.347])
    """
    return np.asarray(0.5 * np.log1p(np.asarray(variances, np.float64) / noise_scale**2))


def gain_at(tau: ArrayLike, variance: ArrayLike, noise_scale: float = 1.0) -> Floats:
    """Gain ``alpha_bar l/(alpha_bar l + s^2 Delta) = 1/(1 + (e^(2 tau) - 1) s^2/l)`` of the minimiser at OU time."""
    ratio = np.asarray(variance, np.float64) / noise_scale**2
    return np.asarray(ratio / (ratio + np.expm1(2 * np.asarray(tau, np.float64))))


class Moments(NamedTuple):
    """What gradient descent on ``|r(x_t) - x_0|^2`` knows of one axis at one time.

    Attributes
    ----------
    cross : array
        ``Cov(x_0, x_t) = sqrt(alpha_bar) l``.
    total : array
        ``Var(x_t) = alpha_bar l + s^2 Delta``.
    """

    cross: Floats
    total: Floats

    @staticmethod
    def of(forward: ForwardProcess, variances: ArrayLike, t: int) -> Moments:
        """Moments along axes of these variances."""
        signal, spread = forward.signal(t), np.asarray(variances, np.float64)
        return Moments(signal * spread, signal**2 * spread + forward.noise(t) ** 2)

    @property
    def slope(self) -> Floats:
        """Slope that is learned in the end, ``cross/total``."""
        return np.asarray(self.cross / self.total)


def one_layer_slope(steps: ArrayLike, rate: float, moments: Moments) -> Floats:
    """Slope of ``r = m x`` after steps of gradient descent from 0: ``slope (1 - (1 - 2 rate total)^steps)``, exactly.

    Its time is ``1/(2 rate total)``, so with noise it is not quite ``1/l_k``.
    """
    return np.asarray(moments.slope * (1 - (1 - 2 * rate * moments.total) ** np.asarray(steps, np.float64)))


def two_layer_slope(steps: ArrayLike, rate: float, moments: Moments, start: ArrayLike, active: float = 1.0) -> Floats:
    r"""Slope ``m = a . w`` of a network ``r = A h(W x)`` along an axis, by gradient flow from small weights.

    ``dm/dstep = 4 active rate m (cross - m total)``, a logistic curve (Saxe et al. 2014, for balanced weights
    ``a = w``). Small unbalanced weights balance themselves, as ``(w - a)/2`` decays where ``(w + a)/2`` grows; then
    ``start`` is ``active |w + a|^2/4``. For linear units this is exact as the rate tends to 0. ReLU units pass half
    of a signal that is as often positive as negative, so early on the same law holds with ``active = 1/2``; once other
    components are learned it is an approximation.

    Parameters
    ----------
    steps : array_like
    rate : float
        Learning rate; the gradient is that of ``|r - x_0|^2`` summed over variables.
    moments : Moments
        Of one axis, or of several.
    start : array_like
        Slope that the balanced part of the weights starts from.
    active : float
        Share of a signal that the units pass: 1 (linear), 1/2 (ReLU).
    """
    final = moments.slope
    grown = np.exp(-4 * active * rate * moments.cross * np.asarray(steps, np.float64))
    return np.asarray(final / (1 + (final / np.asarray(start) - 1) * grown))


def two_layer_half(rate: float, moments: Moments, start: ArrayLike, active: float = 1.0) -> Floats:
    """Steps until :func:`two_layer_slope` is half learned, ``log(slope/start - 1)/(4 active rate cross)``.

    Parameters
    ----------
    rate, moments, start, active
        See :func:`two_layer_slope`.
    """
    return np.asarray(np.log(moments.slope / np.asarray(start) - 1) / (4 * active * rate * moments.cross))


def regression_slopes(output: Floats, x_t: Floats, axes: Floats) -> Floats:
    """Slope of ``output . u_k`` on ``x_t . u_k`` over samples, for each axis ``u_k``, shape ``(k,)``.

    Parameters
    ----------
    output, x_t : (n, dim)
    axes : (dim, k)
    """
    out, into = (np.asarray(values, np.float64) @ axes for values in (output, x_t))
    into = into - into.mean(axis=0)
    return np.asarray(np.sum(out * into, axis=0) / np.sum(into**2, axis=0))


class Gains(NamedTuple):
    """Gains of a denoiser along axes, each ``(k,)``: by regression, and by the mean Jacobian."""

    regression: Floats
    jacobian: Floats


def gains(denoiser: Denoiser, x0: Floats, t: int, axes: Floats, rng: np.random.Generator) -> Gains:
    """Measure the gains of a denoiser at time t on diffused data.

    Parameters
    ----------
    denoiser : Denoiser
    x0 : (n, dim)
        Data.
    t : int
    axes : (dim, k)
        Orthonormal, one to a column.
    rng : Generator

    Raises
    ------
    UserError
        If there are fewer than three samples.
    """
    require(len(x0) >= 3, f"n = {len(x0)}: wanted at least three samples for a slope")
    forward = denoiser.forward
    signal, width = forward.signal(t), 1e-2 * forward.noise(t)
    x_t = forward.jump(x0, t, rng.standard_normal(x0.shape))
    regression = regression_slopes(denoiser.x0_hat(x_t, t), x_t, axes)
    jacobian = np.empty(axes.shape[1])
    for k, u in enumerate(axes.T):
        there, back = (denoiser.x0_hat(x_t + side * width * u, t) @ u for side in (1, -1))
        jacobian[k] = np.mean(there - back) / (2 * width)
    return Gains(signal * regression, signal * jacobian)


@dataclass(frozen=True)
class HalfGain:
    """Where the gain of one component is one half, in OU time.

    Attributes
    ----------
    variance : float
        Of the data along the axis.
    theory : float
        ``log(1 + l/s^2)/2``.
    regression, jacobian : float or None
        Measured by regression and by the mean Jacobian; None where it does not fall through one half.
    """

    variance: float
    theory: float
    regression: float | None
    jacobian: float | None


@dataclass(frozen=True)
class GainCurves:
    """Gains of a denoiser along diffusion time.

    Attributes
    ----------
    tau : (times,)
        OU times, rising.
    regression, jacobian : (times, k)
    """

    tau: Floats
    regression: Floats
    jacobian: Floats

    def halves(self, variances: Floats, noise_scale: float) -> tuple[HalfGain, ...]:
        """Where they are one half, beside theory for data of these variances ``(k,)``."""
        theory = half_gain_time(variances, noise_scale)
        measured = [[half_time(self.tau, column) for column in part.T] for part in (self.regression, self.jacobian)]
        known = [[None if np.isnan(value) else value for value in row] for row in measured]
        return tuple(
            HalfGain(float(variance), float(tau), *both)
            for variance, tau, *both in zip(variances, theory, *known, strict=True)
        )


def half_time(tau: Floats, gain: Floats) -> float:
    """Latest OU time at which a gain falls through one half; NaN if it never does.

    ``logit G`` is a straight line against ``log(e^(2 tau) - 1)`` where theory holds, so points are joined like that.

    Parameters
    ----------
    tau : (times,)
        Rising.
    gain : (times,)
    """
    x, y = np.log(np.expm1(2 * tau)), _logit(gain)
    falls = np.flatnonzero((y[:-1] > 0) & (y[1:] <= 0))
    if len(falls) == 0:
        return float("nan")
    i = falls[-1]
    at = x[i] + (x[i + 1] - x[i]) * y[i] / (y[i] - y[i + 1])
    return float(0.5 * np.log1p(np.exp(at)))


def gain_between(tau: Floats, gain: Floats, at: float) -> float:
    """Gain at an OU time between measured ones, joined as :func:`half_time` joins them.

    Parameters
    ----------
    tau : (times,)
        Rising.
    gain : (times,)
    at : float
    """
    logit = np.interp(np.log(np.expm1(2 * at)), np.log(np.expm1(2 * tau)), _logit(gain))
    return float(1 / (1 + np.exp(-logit)))


def half_step(steps: Floats, share: Floats) -> float:
    """First step at which a share of what will be learned rises through one half; NaN if it never does.

    Parameters
    ----------
    steps : (records,)
        Rising.
    share : (records,)
        A logistic curve is a straight line in ``logit share``, so points are joined like that.
    """
    y = _logit(share)
    rises = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    if len(rises) == 0:
        return float("nan")
    i = rises[0]
    return float(steps[i] + (steps[i + 1] - steps[i]) * y[i] / (y[i] - y[i + 1]))


def _logit(share: Floats) -> Floats:
    inside = np.clip(share, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(inside / (1 - inside)))
