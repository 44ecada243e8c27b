r"""The likelihood under the probability flow, with the exact trace of the denoiser's Jacobian.

With ``l = log(Delta/abar)/2`` the flow ``dy/dsigma = xi_hat`` (Karras et al. 2022) is

    dx/dl = s sqrt(Delta) xi_hat - Delta x
    log p_t(x_t) = log N(x_T; 0, s^2) + int_t^T (s sqrt(Delta) tr(d xi_hat/dx) - N Delta) dl

along the flow from ``x_t`` up to ``x_T`` (Song et al. 2021). Both right-hand sides are smooth in l at either end,
as they are not in t. Others estimate the trace by random projections (Hutchinson); a single hidden layer has it in
closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import UserError, require


def flow_log_density(
    denoiser: Denoiser,
    x: ArrayLike,
    t: int = 1,
    *,
    stride: int = 1,
    on_step: Callable[[int], None] = lambda u: None,
) -> Floats:
    """``log p_t(x)`` in nats under the probability flow from ``N(0, s^2 I)`` at T, shape ``(n,)``.

    By Heun's rule over the times of the schedule. Not the density of Algorithm 2, which has noise in each step: the two
    agree for an exact score as steps get small, and differ for a learned one.

    Parameters
    ----------
    denoiser : Denoiser
    x : array_like, shape (n, dim)
        Points at time ``t``.
    t : int
        In 1..T-1. At t = 0 there need be no density.
    stride : int
        Visit every so many of the times; what 2 changes tells the error of the steps.
    on_step : callable
        Called with each time that is reached.

    Raises
    ------
    UserError
        If ``x`` has another dimension than the denoiser, ``t`` is not in 1..T-1, ``stride`` is below 1, or the flow
        leaves the finite numbers.

    Examples
    --------
    >>> import numpy as np, undiffuse as ud
    >>> from undiffuse.diffusion.flow import flow_log_density
    >>> exact = ud.GaussianDenoiser(ud.ForwardProcess(ud.NoiseSchedule.linear(1000)), [0.5], [[0.3]])
    >>> x = np.array([[0.2], [1.0]])
    >>> bool(np.abs(flow_log_density(exact, x) - exact.log_density(x, 1)).max() < 0.01)
    True

    See Also
    --------
    undiffuse.Denoiser.xi_trace : the trace.
    undiffuse.diffusion.work.work : the density of Algorithm 2.
    """
    forward, T, N = denoiser.forward, denoiser.forward.T, denoiser.dim
    state = as_samples(x, denoiser.dim, "x")
    require(1 <= t < T, f"t = {t}: wanted a time in 1..{T - 1}")
    require(stride >= 1, f"stride = {stride}: wanted at least 1")
    times = [*range(t, T, stride), T]
    volume = np.zeros(len(state))

    def slopes(at: Floats, u: int) -> tuple[Floats, Floats]:
        noise, Delta = forward.noise(u), float(forward.schedule.Delta(u))
        moved = noise * np.asarray(denoiser.xi_hat(at, u), np.float64) - Delta * at
        return moved, noise * denoiser.xi_trace(at, u) - N * Delta

    for here, there in pairwise(times):
        step = -0.5 * float(np.log(forward.schedule.snr(there) / forward.schedule.snr(here)))
        slope, trace = slopes(state, here)
        slope_end, trace_end = slopes(state + step * slope, there)
        state = state + step * (slope + slope_end) / 2
        volume += step * (trace + trace_end) / 2
        if not np.isfinite(state).all():
            raise UserError(f"the probability flow left the finite numbers between t = {here} and t = {there}")
        on_step(there)
    s2 = forward.noise_scale**2
    return np.asarray(volume - 0.5 * np.sum(state**2, axis=1) / s2 - N / 2 * np.log(2 * np.pi * s2))
