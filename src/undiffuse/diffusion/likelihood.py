"""The bound on the likelihood, equation (18): the negative ELBO (also called VLB), with every term of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.objective import bound_weight
from undiffuse.diffusion.reverse import Frame
from undiffuse.diffusion.samplers import VARIANCES, Variance
from undiffuse.support import html
from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import one_of, require
from undiffuse.support.stats import stderr
from undiffuse.support.streams import Purpose, stream


@dataclass(frozen=True)
class Bound:
    r"""Terms of the bound on ``-log p(x_0)``, in nats per sample, each a mean over samples.

    Attributes
    ----------
    prior : float
        ``KL(q(x_T|x_0) || N(0, s^2 I))``.
    per_t : (T - 1,) array
        ``KL(q(x_{t-1}|x_t, x_0) || p(x_{t-1}|x_t))`` for t = 2..T.
    decoder : float
        ``E[-log p(x_0|x_1)]``.
    stderr : float
        Standard error of the total over samples.
    kind : {"gaussian", "discretised"}
        A *density* of continuous data, or the *probability* of 8-bit images; totals of the two are not comparable.
    dim : int

    Examples
    --------
    >>> import numpy as np, undiffuse as ud
    >>> terms = ud.Bound(prior=0.1, per_t=np.array([0.5, 0.4]), decoder=1.0, stderr=0.05, kind="gaussian", dim=2)
    >>> round(terms.total, 3), round(terms.bits, 3)
    (2.0, 2.885)

    See Also
    --------
    undiffuse.bound : computes it.
    """

    prior: float
    per_t: Floats
    decoder: float
    stderr: float
    kind: str
    dim: int

    @property
    def total(self) -> float:
        """The bound, in nats per sample."""
        return self.prior + float(self.per_t.sum()) + self.decoder

    @property
    def bits(self) -> float:
        """The bound, in bits per sample."""
        return self.total / float(np.log(2))

    @property
    def bits_per_dim(self) -> float:
        """The bound, in bits per variable; 8-bit images coded pixel by pixel, without any model, take 8."""
        return self.bits / self.dim

    def _repr_html_(self) -> str:
        return html.described(self)

    def as_dict(self) -> dict[str, float | str | list[float]]:
        """Return everything by name; ``per_t`` starts at t = 2."""
        return {
            "kind": self.kind,
            "nats": self.total,
            "nats_stderr": self.stderr,
            "bits": self.bits,
            "bits_per_dim": self.bits_per_dim,
            "prior": self.prior,
            "kl": float(self.per_t.sum()),
            "decoder": self.decoder,
            "per_t": self.per_t.tolist(),
        }


def bound(
    denoiser: Denoiser,
    x0: ArrayLike,
    *,
    variance: Variance = "beta",
    levels: tuple[float, float] | None = None,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda t: None,
) -> Bound:
    r"""Upper bound on ``-log p(x_0)`` under Algorithm 2, equation (18): the negative ELBO (VLB), all terms.

    The noise is drawn once for each sample and time.

    For t >= 2, ``KL_t = w_t |xi - xi_hat|^2 + N/2 (beta~/sigma^2 - 1 - ln(beta~/sigma^2))`` with
    ``w_t = beta_t^2/(2 sigma_t^2 alpha_t Delta_t)`` (19). The thesis takes no noise at t = 1, which would make the
    likelihood infinite; here the decoder is explicit, around ``mu_1 = x0_hat(x_1)`` with variance ``s^2 beta_1``.

    Parameters
    ----------
    denoiser : Denoiser
    x0 : array_like, shape (n, dim)
    variance : {"beta", "posterior"}
        ``sigma_t^2`` of the reverse steps.
    levels : (low, high), optional
        Range of 8-bit images: the decoder is then the Gaussian's mass on each of 256 bins. Without it, its density.
    seed : int
        The noise belongs to ``(seed, t)``: two denoisers are compared on the same ``x_t``, unless one of them works
        along axes of its own.
    on_step : callable
        Called with each time t when its term is done.

    Raises
    ------
    UserError
        If ``x0`` has another dimension than the denoiser, or images are not 8-bit in that range.

    Examples
    --------
    The exact denoiser of a Gaussian; the bound is above the entropy of the data, 1.419 nats:

    >>> import numpy as np, undiffuse as ud
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2))
    >>> exact = ud.GaussianDenoiser(forward, mean=[0.0], covariance=[[1.0]])
    >>> found = ud.bound(exact, np.random.default_rng(0).standard_normal((1_000, 1)))
    >>> found.per_t.shape, bool(1.4 < found.total < 1.5)
    ((99,), True)

    See Also
    --------
    undiffuse.Bound : its terms and units.
    undiffuse.diffusion.objective.xi_error : the error that the simple loss (20) measures.
    """
    one_of("variance", variance, VARIANCES)
    data = as_samples(x0, denoiser.dim, "x0")
    forward, schedule = denoiser.forward, denoiser.forward.schedule
    _check_levels(data, levels)
    s2, N = forward.noise_scale**2, denoiser.dim
    frame = Frame.of(denoiser)
    x = frame.enter(data)

    def diffused(t: int) -> tuple[Floats, Floats, Floats]:
        xi = stream(seed, Purpose.BOUND, t).standard_normal(x.shape)
        x_t = forward.jump(x, t, xi)
        return xi, x_t, np.asarray(frame.denoiser.xi_hat(x_t, t), np.float64)

    terms = np.empty((schedule.T + 1, len(x)))
    alpha_bar, Delta = float(schedule.alpha_bar(schedule.T)), float(schedule.Delta(schedule.T))
    terms[0] = 0.5 * (N * (-alpha_bar - np.log(Delta)) + alpha_bar * np.sum(x**2, axis=1) / s2)
    for t in range(schedule.T, 1, -1):
        xi, _, xi_hat = diffused(t)
        beta, posterior = float(schedule.beta(t)), float(schedule.posterior_variance(t))
        sigma2 = beta if variance == "beta" else posterior
        terms[t] = bound_weight(schedule, t) * beta / sigma2 * np.sum((xi - xi_hat) ** 2, axis=1)
        terms[t] += N / 2 * (posterior / sigma2 - 1 - np.log(posterior / sigma2))
        on_step(t)
    _, x_1, xi_hat = diffused(1)
    mean = frame.leave(forward.from_xi("x0", xi_hat, x_1, 1))
    sigma = forward.noise_scale * float(np.sqrt(schedule.beta(1)))
    terms[1] = -(_log_density(data, mean, sigma) if levels is None else _log_mass(data, mean, sigma, *levels))
    on_step(1)
    means = terms.mean(axis=1)
    return Bound(
        prior=float(means[0]),
        per_t=means[2:],
        decoder=float(means[1]),
        stderr=stderr(terms.sum(axis=0)),
        kind="gaussian" if levels is None else "discretised",
        dim=N,
    )


def _log_density(x: Floats, mean: Floats, sigma: float) -> Floats:
    residual = np.sum(((x - mean) / sigma) ** 2, axis=1)
    return -0.5 * residual - x.shape[1] * np.log(sigma * np.sqrt(2 * np.pi))


def _log_mass(x: Floats, mean: Floats, sigma: float, low: float, high: float) -> Floats:
    """Log of the mass that ``N(mean, sigma^2)`` puts on the bin of each pixel; the end bins reach to infinity."""
    from scipy.special import log_ndtr

    half = (high - low) / 255 / 2
    upper = np.where(x > high - half, np.inf, (x + half - mean) / sigma)
    lower = np.where(x < low + half, -np.inf, (x - half - mean) / sigma)
    # Far out in the upper tail the difference of distribution functions loses its digits: use the mirror image.
    flip = lower > 0
    lower, upper = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    top = log_ndtr(upper)
    return np.sum(top + np.log1p(-np.exp(log_ndtr(lower) - top)), axis=1)


def _check_levels(x: Floats, levels: Sequence[float] | None) -> None:
    if levels is None:
        return
    low, high = levels
    steps = (x - low) / (high - low) * 255
    off = np.abs(steps - np.rint(steps)).max()
    require(
        steps.min() > -1e-6 and steps.max() < 255 + 1e-6 and off < 1e-6,
        f"these are not 8-bit images between {low:g} and {high:g}: give no levels for continuous data",
    )
