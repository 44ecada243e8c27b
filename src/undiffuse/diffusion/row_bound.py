"""The bound on the likelihood of each row by itself: the same number whatever other rows it is computed with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import require
from undiffuse.support.streams import Purpose, stream

_AT_ONCE = 1 << 20  # numbers in a part of the rows


def row_bounds(
    denoiser: Denoiser,
    reference: GaussianDenoiser,
    x0: ArrayLike,
    errors: Floats,
    *,
    draws: int = 16,
    seed: int = 0,
) -> Floats:
    r"""Upper bound on ``-log p(x_0)`` of each row, equation (18), in nats, shape ``(n,)``.

    The terms are those of :func:`undiffuse.bound`, with the variance of each reverse step that makes the bound
    tightest (Bao et al. 2022, Analytic-DPM): ``sigma_t^2 = beta~_t + beta_t^2/(alpha_t Delta_t) e_t``, times s^2,
    where ``e_t`` is the mean square error in xi per dimension, and at t = 1 the same for the decoder. For data that
    are Gaussian with equal variances, and their own denoiser, only the mismatch of ``q(x_T)`` and ``N(0, s^2 I)`` is
    left.

    The noise is the same for every row, ``draws`` of it at each time in pairs ``+-xi``, so a row's number does not
    depend on the others. The error of the Gaussian reference, whose expectation is known, is a control variate: only
    the difference that the denoiser makes is estimated.

    Parameters
    ----------
    denoiser : Denoiser
        One that takes stacks ``(n, draws, dim)``, such as :class:`~undiffuse.networks.precise.PreciseBank`.
    reference : GaussianDenoiser
        Of the same forward process.
    x0 : array_like, shape (n, dim)
    errors : (T,) array
        ``e_t`` for t = 1..T, not from these rows.
    draws : int
        Even.
    seed : int
        The noise belongs to ``(seed, t)``.

    Raises
    ------
    UserError
        If ``x0`` has another dimension than the denoiser, or ``draws`` is not even.

    Examples
    --------
    >>> import numpy as np, undiffuse as ud
    >>> from undiffuse.diffusion.row_bound import row_bounds
    >>> exact = ud.GaussianDenoiser(ud.ForwardProcess(ud.NoiseSchedule.linear(50, 1e-3, 0.4)), [0.0], [[1.0]])
    >>> errors = np.array([exact.error(t) for t in exact.forward.schedule.times])
    >>> row_bounds(exact, exact, [[0.0], [1.0]], errors).round(3)  # log(2 pi)/2 and 1/2 more
    array([0.919, 1.419])
    """
    require(draws >= 2 and draws % 2 == 0, f"draws = {draws}: wanted an even number, for pairs of noise")
    data = as_samples(x0, denoiser.dim, "x0")
    forward, schedule = denoiser.forward, denoiser.forward.schedule
    require(len(errors) == schedule.T, f"{len(errors)} errors, wanted one for each of {schedule.T} times")
    N, s2 = denoiser.dim, forward.noise_scale**2
    alpha_bar, Delta = float(schedule.alpha_bar(schedule.T)), float(schedule.Delta(schedule.T))
    total = 0.5 * (N * (-alpha_bar - np.log(Delta)) + alpha_bar * np.sum(data**2, axis=1) / s2)
    for t in schedule.times.tolist():
        beta, posterior = float(schedule.beta(t)), float(schedule.posterior_variance(t))
        unit = beta**2 / float(schedule.alpha(t) * schedule.Delta(t))
        sigma2 = posterior + unit * float(errors[t - 1])
        total += unit / (2 * sigma2) * _square_errors(denoiser, reference, data, t, (draws, seed))
        if t == 1:  # the decoder: a density, so in the units of the data
            total += N / 2 * np.log(2 * np.pi * s2 * sigma2)
        else:
            total += N / 2 * (posterior / sigma2 - 1 - np.log(posterior / sigma2))
    return np.asarray(total)


def _square_errors(
    denoiser: Denoiser, reference: GaussianDenoiser, x: Floats, t: int, noise: tuple[int, int]
) -> Floats:
    """``E|xi - xi_hat(x_t)|^2`` of each row over the noise, ``noise = (draws, seed)``; shape ``(n,)``."""
    draws, seed = noise
    half = stream(seed, Purpose.ROW_BOUND, t).standard_normal((draws // 2, x.shape[1]))
    xi = np.concatenate([half, -half])
    gain, signal = denoiser.forward.noise(t) / reference.total_variances(t), denoiser.forward.signal(t)
    out = np.empty(len(x))
    size = max(1, _AT_ONCE // xi.size)
    for first in range(0, len(x), size):
        # Stacks of sets, never one matrix: products of each row are then its own.
        rows = x[first : first + size, None, :]
        x_t = denoiser.forward.jump(rows, t, xi)
        squares, of_reference = (
            np.mean(np.sum((xi - each.xi_hat(x_t, t)) ** 2, axis=2), axis=1) for each in (denoiser, reference)
        )
        along = ((rows - reference.mean) @ reference.axes)[:, 0, :]
        expected = np.sum((gain * signal * along) ** 2 + (1 - gain * denoiser.forward.noise(t)) ** 2, axis=1)
        out[first : first + size] = squares - of_reference + expected
    return out
