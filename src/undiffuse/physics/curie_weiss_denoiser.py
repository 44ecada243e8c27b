"""The score of the diffused Curie-Weiss model, exact and in the two approximations of the literature."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.curie_weiss import CurieWeiss
from undiffuse.support.arrays import Array, Floats
from undiffuse.support.errors import one_of, require
from undiffuse.support.stats import exp_rows

Method = Literal["exact", "two-state", "large-time"]
METHODS: tuple[str, ...] = get_args(Method)
_SPACING = 0.85  # of the nodes, in units of 1/sqrt(N beta)
_NODES = 1 << 23  # node weights held in memory at once


class CurieWeissDenoiser(Denoiser):
    r"""The denoiser of Curie-Weiss spins, section 6 of the thesis and Biroli & Mezard 2023.

    With ``b_i = sqrt(alpha_bar) x_i/(s^2 Delta)``:

    exact
        Any N. Hubbard and Stratonovich's Gaussian field z makes the spins independent:
        ``x0_hat_i = <tanh(beta z + h/N + b_i)>`` over ``P(z) ~ exp(-N beta z^2/2) prod_i 2 cosh(beta z + h/N + b_i)``,
        by the trapezoidal rule, whose error on these entire functions is 1e-12.
    two-state
        z only takes the values ``+-m*``, with weights ``e^(+-h m*) prod_i cosh(+-beta m* + b_i)``; error O(1/N).
    large-time
        Equation (27): ``x0_hat_i = m* tanh[m* (h + N M sqrt(alpha_bar)/(s^2 Delta))]`` with ``M = mean(x)``, for large
        OU times only; error O(N^-1/2).

    Parameters
    ----------
    forward : ForwardProcess
    model : CurieWeiss
    method : {"exact", "two-state", "large-time"}

    Raises
    ------
    UserError
        If the method is unknown, or is an approximation and the model is no ferromagnet.

    Examples
    --------
    Beside the exact denoiser of the four states of two spins, weighted by equation (26):

    >>> import numpy as np, undiffuse as ud
    >>> from undiffuse.physics import CurieWeiss, CurieWeissDenoiser
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2))
    >>> states = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> weights = np.exp(1.5 / 4 * states.sum(axis=1) ** 2)
    >>> enumerated = ud.MixtureDenoiser(forward, weights / weights.sum(), states, np.zeros((4, 2, 2)))
    >>> exact, x_t = CurieWeissDenoiser(forward, CurieWeiss(2, beta=1.5)), np.array([[0.3, -0.1]])
    >>> bool(np.allclose(exact.xi_hat(x_t, 50), enumerated.xi_hat(x_t, 50), atol=1e-10))
    True

    See Also
    --------
    undiffuse.physics.CurieWeiss : the model.
    """

    def __init__(self, forward: ForwardProcess, model: CurieWeiss, method: Method = "exact") -> None:
        super().__init__(forward, model.N)
        self.model = model
        self.method: Method = method
        one_of("method", method, METHODS)
        if method == "exact":
            # With nodes c/sqrt(N beta) apart the rule's error is exp(-2 pi^2/c^2), here 1e-12. Past |z| = 1 the
            # integrand falls at least as fast as exp(-N beta (|z| - 1)^2/2).
            width = 1 / np.sqrt(model.N * model.beta)
            count = int(np.ceil((1 + np.sqrt(60) * width) / (_SPACING * width)))
            self._z = _SPACING * width * np.arange(-count, count + 1)
        else:
            self._z = model.m_star * np.array([1.0, -1.0])

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise, shape ``(n, N)``."""
        x = np.asarray(x_t, np.float64)
        return self.forward.to_xi("x0", self.spin_means(x, t), x, t)

    def spin_means(self, x_t: Floats, t: int) -> Floats:
        """``E[x_0 | x_t]``, each in [-1, 1], shape ``(n, N)``."""
        model = self.model
        if self.method == "large-time":
            pull = self._bias(t) * x_t.sum(axis=1, keepdims=True)
            return np.broadcast_to(model.m_star * np.tanh(model.m_star * (model.h + pull)), x_t.shape)
        from undiffuse.kernels import curie_weiss as kernel

        out = np.empty_like(x_t)
        up, down = self._factors()
        for rows in self._batches(len(x_t)):
            p, q = self._odds(x_t[rows], t)
            out[rows] = kernel.spin_means(p, q, up, down, self._weights(p, q))
        return out

    def xi_trace(self, x_t: Array, t: int) -> Floats:
        """Trace of the Jacobian, from the variance ``sum_i (1 - <x_i>^2)`` of the spins, shape ``(n,)``.

        The posterior variance of a spin follows from its mean; an approximate mean has the derivative of a difference.
        """
        if self.method != "exact":
            return super().xi_trace(x_t, t)
        variance = np.sum(1 - self.spin_means(np.asarray(x_t, np.float64), t) ** 2, axis=1)
        return self.trace_from_variance(variance, t)

    def log_density(self, x_t: Array, t: int) -> Floats:
        """``log q_t(x_t)`` in nats, shape ``(n,)``, by the same quadrature over the field z; method ``exact`` only."""
        require(self.method == "exact", f"method {self.method!r} has no density: wanted 'exact'")
        x, a = np.asarray(x_t, np.float64), self.model.beta * self._z + self.model.h / self.dim
        bias, noise, signal = self._bias(t), self.forward.noise(t), self.forward.signal(t)
        prior = -0.5 * self.dim * self.model.beta * self._z**2
        # prod_i (e^(a + b_i) + e^(-a - b_i)), times what does not depend on z.
        logs = np.stack([np.logaddexp(z + bias * x, -z - bias * x).sum(axis=1) for z in a], axis=1) + prior
        normal = prior + self.dim * np.logaddexp(a, -a)
        top, total = exp_rows(logs)
        largest, sum_ = exp_rows(normal[None].copy())
        constant = self.dim / 2 * (np.log(2 * np.pi * noise**2) + signal**2 / noise**2)
        quadratic = np.sum(x**2, axis=1) / (2 * noise**2)
        return np.asarray(top + np.log(total) - largest - np.log(sum_) - constant - quadratic)

    def posterior_samples(self, x_t: Floats, t: int, copies: int, rng: np.random.Generator) -> Floats:
        """Draw ``copies`` configurations from ``q(x_0 | x_t)`` for each sample, shape ``(n, copies, N)``.

        First z from its law, then each spin independently. This is the law of the ends of reverse trajectories, without
        simulating them.

        Parameters
        ----------
        x_t : (n, N)
        t : int
        copies : int
            Draws for each sample.
        rng : numpy.random.Generator
        """
        require(self.method != "large-time", "method 'large-time' knows means only: draw with 'exact' or 'two-state'")
        x_t = np.asarray(x_t, np.float64)
        p, q = self._odds(x_t, t)
        up, down = self._factors()
        cumulative = np.cumsum(self._weights(p, q), axis=1)
        out = np.empty((len(x_t), copies, self.dim))
        for i, law in enumerate(cumulative):
            node = np.minimum(np.searchsorted(law, rng.random(copies) * law[-1]), len(law) - 1)
            plus = p[i] * up[node][:, None]
            share = plus / (plus + q[i] * down[node][:, None])
            out[i] = np.where(rng.random((copies, self.dim)) < share, 1.0, -1.0)
        return out

    def _bias(self, t: int) -> float:
        return self.forward.signal(t) / self.forward.noise(t) ** 2

    def _odds(self, x_t: Floats, t: int) -> tuple[Floats, Floats]:
        """``e^b/(e^b + e^-b)`` and ``e^-b/(e^b + e^-b)``, each to full precision."""
        odds = np.exp(np.clip(2 * self._bias(t) * x_t, -700, 700))
        q = 1 / (1 + odds)
        return odds * q, q

    def _factors(self) -> tuple[Floats, Floats]:
        a = self.model.beta * self._z + (self.model.h / self.dim if self.method == "exact" else 0.0)
        return np.exp(a), np.exp(-a)

    def _weights(self, p: Floats, q: Floats) -> Floats:
        """Weights of the nodes given the data, each row summing to one, shape ``(n, nodes)``."""
        from undiffuse.kernels import curie_weiss as kernel

        up, down = self._factors()
        # A product of so many factors, each between e^-max|a| and e^max|a|, neither over- nor underflows.
        chunk = max(1, int(600 / np.abs(np.log(up)).max()))
        if self.method == "two-state":
            prior = self.model.h * np.sign(self._z) * self.model.m_star
            return kernel.node_weights(p, q, up, down, prior, 1, 0.0, chunk)
        prior = -0.5 * self.dim * self.model.beta * self._z**2
        stride = 8
        # The log weight's second derivative is at least -N beta, so between nodes d apart it exceeds the larger of its
        # values there by N beta d^2/8 at most.
        slack = (stride * _SPACING) ** 2 / 8
        return kernel.node_weights(p, q, up, down, prior, stride, slack, chunk)

    def _batches(self, n: int) -> list[slice]:
        rows = max(1, _NODES // len(self._z))
        return [slice(start, start + rows) for start in range(0, n, rows)]
