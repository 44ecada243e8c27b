"""The objective of training, and a denoiser's error in it.

The simple loss (20), ``E|xi - xi_hat|^2``, is denoising score matching (Vincent 2011) with weight ``s^2 Delta_t``; the
weighted one (19) has the weights of the bound.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.support.arrays import Floats
from undiffuse.support.streams import Purpose, stream


def bound_weight(schedule: NoiseSchedule, t: int) -> float:
    """Weight of ``|xi - xi_hat|^2`` in the bound, equation (19) with ``sigma_t^2 = beta_t``, in nats.

    ``w_t = beta_t^2/(2 sigma_t^2 alpha_t Delta_t) = beta_t/(2 alpha_t Delta_t)``; the simple loss (20) has 1.
    """
    return float(schedule.beta(t) / (2 * schedule.alpha(t) * schedule.Delta(t)))


def xi_error(denoiser: Denoiser, x0: Floats, t: int, seed: int = 0) -> float:
    """Mean of ``(xi - xi_hat(x_t, t))^2`` per dimension over data ``x0``, one draw of noise each.

    Parameters
    ----------
    denoiser : Denoiser
    x0 : (n, dim)
    t : int
    seed : int
        The noise belongs to ``(seed, t)``, so two denoisers are compared on the same ``x_t``.
    """
    xi = stream(seed, Purpose.XI_ERROR, t).standard_normal(x0.shape)
    return float(np.mean((xi - denoiser.xi_hat(denoiser.forward.jump(x0, t, xi), t)) ** 2))


def xi_errors(denoiser: Denoiser, x0: Floats, times: Iterable[int], seed: int = 0) -> Floats:
    """:func:`xi_error` at each of several times, shape ``(len(times),)``.

    Parameters
    ----------
    denoiser, x0, seed
        See :func:`xi_error`.
    times : iterable of int
    """
    return np.array([xi_error(denoiser, x0, t, seed) for t in times])
