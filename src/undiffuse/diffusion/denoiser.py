"""What every denoiser answers.

A *denoiser* answers one question: given ``x_t``, which noise is expected to be in it? The trained bank and the exact
answers of :mod:`undiffuse.diffusion.exact` reply in the same form, so samplers, bounds, metrics and figures take any of
them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.support.arrays import Array, Float32, Floats
from undiffuse.support.errors import UserError
from undiffuse.support.stats import PrincipalAxes

March = Callable[[Floats, Floats, int], bool]
"""``march(x, noise, first)`` moves x ``(n, dim)`` in place, with the noise ``(n, m)`` from column ``first`` on.

It tells whether x is finite."""


class Denoiser(ABC):
    """The expected noise ``xi_hat`` (``eps_theta`` of Ho et al. 2020) of shape ``(n, dim)`` for ``x_t`` and ``t``.

    A subclass writes :meth:`xi_hat`; the other estimates follow from it here and nowhere else. An object of another
    class that has ``forward``, ``dim`` and ``xi_hat`` is made one by :func:`as_denoiser`.

    Parameters
    ----------
    forward : ForwardProcess
    dim : int
        Number of variables.

    Examples
    --------
    >>> import numpy as np, undiffuse as ud
    >>> class Centred(ud.Denoiser):  # of data that are all zero
    ...     def xi_hat(self, x_t, t):
    ...         return x_t / self.forward.noise(t)
    >>> point = Centred(ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2)), dim=2)
    >>> bool(np.allclose(ud.sample(point, 3), 0))
    True

    See Also
    --------
    undiffuse.GaussianDenoiser, undiffuse.EmpiricalDenoiser, undiffuse.MixtureDenoiser : exact ones.
    undiffuse.PatchDenoiser : exact where each pixel sees a patch.
    undiffuse.Bank : the learned one.
    """

    def __init__(self, forward: ForwardProcess, dim: int) -> None:
        self.forward = forward
        self.dim = dim

    @abstractmethod
    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise ``E[xi | x_t]``, shape ``(n, dim)``, dimensionless."""

    def xi_state(self, x_t: Floats, t: int) -> Floats:
        """:meth:`xi_hat` as steps of the reverse process take it, in float64."""
        return np.asarray(self.xi_hat(x_t, t), dtype=np.float64)

    def x0_hat(self, x_t: Array, t: int) -> Array:
        """Expected data ``E[x_0 | x_t] = (x_t - s sqrt(Delta) xi_hat)/sqrt(alpha_bar)``."""
        return self.forward.from_xi("x0", self.xi_hat(x_t, t), x_t, t)

    def v_hat(self, x_t: Array, t: int) -> Array:
        """Expected velocity ``sqrt(alpha_bar) xi_hat - sqrt(Delta) x0_hat/s``."""
        return self.forward.from_xi("v", self.xi_hat(x_t, t), x_t, t)

    def along_axes(self) -> tuple[AxisDenoiser, Floats] | None:
        """Return the same denoiser for ``z = x_t @ axes``, with these orthogonal axes, where that is cheaper.

        White noise is white along any axes, so the reverse process runs there and only its end is turned back.
        """
        return None

    def linear_theory(self) -> PrincipalAxes | None:
        """Return mean and principal axes of the data it is of, where they are known: what a linear denoiser knows."""
        return None

    def march(self, times: Sequence[int], coefficients: Floats) -> March | None:
        """Return what takes samples through consecutive steps at once, where that is cheaper than one by one.

        Parameters
        ----------
        times : sequence of int
            Time that each step starts from.
        coefficients : (steps, 3)
            ``(p, q, r)`` of each step ``p x + q xi_hat + r z``.
        """
        return None

    def score(self, x_t: Array, t: int) -> Array:
        """Score ``grad log q_t(x_t) = -xi_hat/(s sqrt(Delta))``, equation (23) with its last equality corrected."""
        return -self.xi_hat(x_t, t) / self.forward.noise(t)

    def xi_trace(self, x_t: Array, t: int) -> Floats:
        """Trace of the Jacobian of :meth:`xi_hat` at each point, ``(n,)``: the divergence that a flow needs.

        In closed form for banks, Gaussians and finite sets of points; otherwise by central differences, ``2 dim``
        evaluations with an error of about 1e-9 of the trace.
        """
        x = np.asarray(x_t, np.float64)
        width = 1e-5 * max(self.forward.noise(t), self.forward.signal(t))
        out, moves = np.zeros(len(x)), width * np.eye(self.dim)
        for i in range(self.dim):
            ends = np.asarray(self.xi_hat(np.concatenate([x + moves[i], x - moves[i]]), t), np.float64)[:, i]
            out += (ends[: len(x)] - ends[len(x) :]) / (2 * width)
        return out

    def x0_jacobian(self, x_t: Array, t: int) -> Floats:
        """Jacobian of :meth:`x0_hat`, mean over the points: ``J_ij = <d x0_hat_i/d x_j>``, shape ``(dim, dim)``.

        The sensitivity map: row i says what the estimate of variable i looks at. In closed form for banks, Gaussians
        and finite sets of points; otherwise by central differences, ``2 dim`` evaluations.
        """
        x = np.asarray(x_t, np.float64)
        width = 1e-5 * max(self.forward.noise(t), self.forward.signal(t))
        out, moves = np.empty((self.dim, self.dim)), width * np.eye(self.dim)
        for j in range(self.dim):
            out[:, j] = np.mean(self.x0_hat(x + moves[j], t) - self.x0_hat(x - moves[j], t), axis=0) / (2 * width)
        return out

    def trace_from_variance(self, variance: Floats, t: int) -> Floats:
        """Trace of the Jacobian of an exact ``xi_hat``, from the posterior variance, shape ``(n,)``.

        ``[dim - alpha_bar tr Cov(x_0|x_t)/(s^2 Delta)]/(s sqrt(Delta))``, the derivative of Tweedie's formula.

        Parameters
        ----------
        variance : (n,)
            ``tr Cov(x_0|x_t)`` at each point.
        t : int
        """
        noise = self.forward.noise(t)
        return np.asarray((self.dim - self.forward.signal(t) ** 2 * variance / noise**2) / noise)

    def potential(self, x_t: Array, t: int, origin: Array) -> Floats:
        r"""Minus the integral of the score along the straight line from ``origin`` ``(dim,)`` to each point, ``(n,)``.

        ``-log q_t(x_t) + log q_t(origin)`` for an exact denoiser. A learned score need not be a gradient; the
        integral then depends on the path, which is the straight line. Gauss and Legendre's rule of 40 nodes, unless
        there is a closed form.
        """
        nodes, weights = np.polynomial.legendre.leggauss(40)
        away = np.asarray(x_t, np.float64) - origin
        out = np.zeros(len(away))
        for share, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            out -= weight * np.sum(self.score(origin + share * away, t) * away, axis=1)
        return out


class Correction(NamedTuple):
    """``factor * of(z)``, for the variables ``z`` that are seen, ``(n, seen)``."""

    factor: float
    of: Callable[[Floats], Float32]


class AxisDenoiser(Denoiser):
    """A denoiser along axes of which only the leading ones are seen together, the others being linear one by one.

    ``xi_hat_i = gain_i (z_i - sqrt(alpha_bar) mean_i)``, and for the :meth:`seen` leading variables a correction that
    depends on these alone. A chain can leap over all steps at which a variable is not seen:
    :mod:`undiffuse.diffusion.leaps`.

    Attributes
    ----------
    mean : (dim,) array
        Of the data, along the axes.
    """

    mean: Floats

    @abstractmethod
    def gain(self, t: int) -> Floats:
        """Gain of each variable at time ``t``, shape ``(dim,)``."""

    @abstractmethod
    def seen(self, t: int) -> int:
        """Number of leading variables that are seen together at time ``t``."""

    @abstractmethod
    def correction(self, t: int) -> Correction:
        """What is added to the noise in the variables that are seen at time ``t``."""


class HasXiHat(Protocol):
    """What :func:`as_denoiser` makes a :class:`Denoiser` of."""

    forward: ForwardProcess
    dim: int

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise, shape ``(n, dim)``."""
        ...


class _Wrapped(Denoiser):
    """A denoiser around something that answers ``xi_hat``."""

    def __init__(self, inner: HasXiHat) -> None:
        super().__init__(inner.forward, inner.dim)
        self._inner = inner

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """What the inner object answers."""
        return self._inner.xi_hat(x_t, t)


def as_denoiser(thing: HasXiHat) -> Denoiser:
    """Make a :class:`Denoiser` of anything with ``forward``, ``dim`` and ``xi_hat``; a denoiser comes back as it is.

    Raises
    ------
    UserError
        If one of the three is missing.
    """
    if isinstance(thing, Denoiser):
        return thing
    missing = [name for name in ("forward", "dim", "xi_hat") if not hasattr(thing, name)]
    if missing:
        raise UserError(f"{type(thing).__name__} is no denoiser: it has no {', '.join(missing)}")
    return _Wrapped(thing)
