"""How a network's output becomes an estimate of the noise (preconditioning), and the training target that follows."""

from __future__ import annotations

import numpy as np

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.networks.network import Architecture
from undiffuse.support.arrays import Array, Floats
from undiffuse.support.errors import UserError

LinearMap = tuple[Floats, Floats]


class Parametrisation:
    r"""The map between a network's output ``r`` and the noise estimate ``xi_hat``, at each time.

    Without a skip, ``r`` *is* the prediction of ``xi``, ``x0`` or ``v``. With one, ``r`` is the error of the linear
    estimate, in units of that error's standard deviation: ``xi_hat = xi_G(x_t) + sign e_t r`` with ``e_t^2`` the mean
    square error of the Gaussian reference. Errors of ``xi``, ``x0`` and ``v`` at one ``x_t`` are proportional, so with
    a skip the prediction fixes only the sign: -1 for ``x0``.

    Elsewhere this is called preconditioning (EDM, Karras et al. 2022). With ``skip = "scalar"`` and
    ``prediction = "x0"`` it is EDM's ``x0_hat = c_skip y + c_out r`` for ``y = x_t/sqrt(alpha_bar)``,
    ``sigma = s sqrt(Delta/alpha_bar)`` and ``sigma_data^2`` the mean variance of the data, about their mean; the input
    is not rescaled (no c_in).

    A network of ``components`` works on the k leading principal coordinates ``y = (x_t - sqrt(alpha_bar) mu) U_k``,
    where the noise is white as well; then ``xi_hat = xi_G(x_t) + sign e_t r(y) U_k^T`` with ``e_t`` the error over
    these coordinates.

    Parameters
    ----------
    forward : ForwardProcess
    architecture : Architecture
    reference : GaussianDenoiser or None
        Built from the training data; needed with a skip.

    Attributes
    ----------
    skip : GaussianDenoiser or None
        Linear estimate in the network's own variables.
    axes : (dim, components) array or None
        ``U_k``.
    """

    def __init__(
        self, forward: ForwardProcess, architecture: Architecture, reference: GaussianDenoiser | None = None
    ) -> None:
        self.forward = forward
        self.kind, self._dim = architecture.prediction, architecture.dim
        self.skip: GaussianDenoiser | None = None
        self.axes: Floats | None = None
        self._last_map: tuple[int, LinearMap] = 0, (np.empty(0), np.empty(0))
        if architecture.skip != "none":
            if reference is None:
                raise UserError(f"skip = {architecture.skip!r} needs the mean and covariance of the data")
            self.skip = self._reference = reference
            if architecture.components is not None:
                self.skip, self.axes = reference.leading(architecture.components)
            elif architecture.skip == "scalar":
                spread = np.full(reference.dim, np.mean(reference.variances))
                isotropic = GaussianDenoiser.from_axes(forward, reference.mean, spread, np.eye(reference.dim))
                self.skip = self._reference = isotropic

    # -- in the variables of the data -------------------------------------------------------------------------

    def inputs(self, x_t: Array, t: int) -> Array:
        """Input of the network at ``x_t``: all variables, or the leading principal coordinates."""
        if self.axes is None:
            return x_t
        return (x_t - self.forward.signal(t) * self._reference.mean) @ self.axes

    def xi_hat(self, output: Array, x_t: Array, t: int) -> Array:
        """Noise estimate from ``x_t`` and the network's output at its :meth:`inputs`."""
        if self.skip is None:
            return self.forward.to_xi(self.kind, output, x_t, t)
        correction = self.correction(output, t)
        return self._reference.xi_hat(x_t, t) + (correction if self.axes is None else correction @ self.axes.T)

    def xi_jacobian(self, jacobian: Floats, t: int) -> Floats:
        """Jacobian of ``xi_hat``, shape ``(n, dim, dim)``, from that of ``r`` in the network's own variables."""
        if self.skip is None:
            return self.forward.to_xi(self.kind, jacobian, np.eye(jacobian.shape[-1]), t)
        correction = self.correction(jacobian, t)
        if self.axes is not None:
            correction = self.axes @ correction @ self.axes.T
        return self._reference.linear_map(t)[0].T + correction

    def xi_trace(self, trace: Floats, t: int) -> Floats:
        """Trace of the Jacobian of ``xi_hat``, shape ``(n,)``, from that of ``r`` in the network's own variables."""
        if self.skip is None:
            return self.forward.to_xi(self.kind, trace, np.full(len(trace), float(self._dim)), t)
        return self._reference.xi_trace(trace, t) + self.correction(trace, t)

    def affine(self, t: int) -> tuple[float, float]:
        """``(c, q)`` with ``xi_hat = c r(y) + q x_t``; with a skip ``xi_hat = xi_G(x_t) + c r(y) U^T`` and q = 0."""
        if self.skip is not None:
            return self._sign * self.xi_unit(t), 0.0
        one, none = np.ones(1), np.zeros(1)
        return tuple(float(self.forward.to_xi(self.kind, *pair, t)[0]) for pair in ((one, none), (none, one)))  # type: ignore[return-value]

    def affine_map(self, t: int) -> tuple[float, Floats, Floats]:
        """``(c, M, k)`` with ``xi_hat = c r(y) U^T + x_t M + k``; ``U`` is 1 without components."""
        c, q = self.affine(t)
        if self.skip is None:
            return c, q * np.eye(self._dim), np.zeros(self._dim)
        G, g = self._reference.linear_map(t)
        return c, G, -g

    def linear_part(self, t: int) -> tuple[float, Floats]:
        """``(shift, gain)`` of the term added to the network, ``((x_t - shift mu) U * gain) U^T``.

        ``mu`` and ``U`` are mean and axes of the reference; ``gain`` has shape ``(dim,)``, or ``(1,)`` where it is the
        same along every axis, so that any axes will do.
        """
        if self.skip is None:
            return 0.0, np.array([self.affine(t)[1]])
        gain = self.forward.noise(t) / self._reference.total_variances(t)
        return self.forward.signal(t), gain

    def linear_potential(self, x_t: Array, t: int, origin: Array) -> Floats:
        """Potential of the term added to the network: minus the log density of the skip, or ``q |x_t|^2/(2 noise)``."""
        if self.skip is not None:
            return self._reference.potential(x_t, t, origin)
        q = self.affine(t)[1]
        return np.asarray(q / (2 * self.forward.noise(t)) * (np.sum(x_t**2, axis=1) - np.sum(origin**2)))

    # -- in the network's own variables -----------------------------------------------------------------------

    def project(self, x0: Array) -> Array:
        """Data in the network's own variables."""
        return x0 if self.axes is None else (x0 - self._reference.mean) @ self.axes

    def correction(self, output: Array, t: int) -> Array:
        """What the network adds to the linear estimate of the noise."""
        return self._sign * self.xi_unit(t) * output

    def xi_unit(self, t: int) -> float:
        """Error in ``xi`` that an error of one in ``r`` makes, never negative: EDM's c_out, in units of xi."""
        return self.forward.xi_per(self.kind, t) if self.skip is None else float(np.sqrt(self.skip.error(t)))

    def target(self, x0: Array, xi: Array, x_t: Array, t: int) -> Array:
        """Training target of ``r(x_t)``, for the pair ``(x0, xi)`` behind ``x_t``.

        Parameters
        ----------
        x0, xi, x_t : (n, width)
            Data, noise and diffused data, in the network's own variables.
        t : int
        """
        if self.skip is None:
            return self.forward.target(self.kind, x0, xi, t)
        # (xi - xi_G)/(sign e_t), with the linear map scaled once instead of its (n, dim) results.
        _, scale, gain, offset = self.target_map(t)
        out = x_t @ gain.astype(x_t.dtype)
        out += offset.astype(x_t.dtype)
        out += x_t.dtype.type(scale) * xi
        return out

    def target_map(self, t: int) -> tuple[float, float, Floats, Floats]:
        """``(a, b, M, m)`` with :meth:`target` = ``a x0 + b xi + x_t M + m``; M and m are empty without a skip."""
        if self.skip is None:
            one, none = np.ones(1), np.zeros(1)
            a, b = (float(self.forward.target(self.kind, *pair, t)[0]) for pair in ((one, none), (none, one)))
            return a, b, np.empty((0, 0)), np.empty(0)
        gain, offset = self._skip_map(t)
        scale = self._sign / max(self.xi_unit(t), 1e-12)
        return 0.0, scale, -scale * gain, scale * offset

    @property
    def _sign(self) -> float:
        return -1.0 if self.kind == "x0" else 1.0

    def _skip_map(self, t: int) -> LinearMap:
        """``(G, g)`` of the skip, ``xi_G = x_t G - g``; kept for the passes that train one time."""
        if self.skip is None:
            raise ValueError("there is no skip here")
        if self._last_map[0] != t:
            self._last_map = t, self.skip.linear_map(t)
        return self._last_map[1]
