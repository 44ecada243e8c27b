"""The noise schedule: how much noise each diffusion time t = 1..T adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from undiffuse.support import html
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, one_of, require
from undiffuse.support.lazy import later

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ScheduleName = Literal["linear", "cosine", "sigmoid", "constant"]
SCHEDULES: tuple[str, ...] = get_args(ScheduleName)
_DRAW = later("figures.portraits", "noise_schedule")
GOOD_PRIOR_KL = 0.01  # nats per dimension; above it a start from N(0, s^2 I) differs visibly from one from q(x_T)


class NoiseSchedule:
    r"""The variances ``beta_t`` of the forward process and everything that follows from them.

    With ``alpha_t = 1 - beta_t`` and ``alpha_bar_t = prod_{s<=t} alpha_s`` (thesis, section 3.2; Ho et al. 2020),
    ``Delta_t = 1 - alpha_bar_t`` is the forward variance and ``tau_t = -log(alpha_bar_t)/2`` the Ornstein-Uhlenbeck
    time (Santos & Lin 2023; the thesis's ``log(beta_t - 1)`` is a slip). Tables are float64, and the products are
    taken as sums of logarithms, so ``Delta_1`` keeps all its digits.

    Every method takes a time ``t`` in ``1..T`` (an integer or an array of integers) and returns numbers of the
    same shape; ``alpha_bar``, ``Delta`` and ``ou_time`` also take ``t = 0``, the data, where ``alpha_bar(0) = 1``.

    Parameters
    ----------
    betas : array_like, shape (T,)
        ``beta_1 .. beta_T``, each strictly between 0 and 1; T at least 2.
    name : str
        What the schedule is called in tables and errors.

    Raises
    ------
    UserError
        If there are fewer than two betas, or one is not strictly between 0 and 1.

    Examples
    --------
    >>> import undiffuse as ud
    >>> schedule = ud.NoiseSchedule.linear(1000)
    >>> schedule
    NoiseSchedule(linear, T=1000, alpha_bar(T)=4.04e-05)
    >>> schedule.ou_time([500, 1000]).round(2)
    array([1.27, 5.06])

    See Also
    --------
    undiffuse.ForwardProcess : the process with these variances.
    """

    def __init__(self, betas: ArrayLike, name: str = "custom") -> None:
        beta = np.array(betas, dtype=np.float64)
        require(beta.ndim == 1 and beta.size >= 2, f"a schedule needs T >= 2 times, got T = {beta.size}")
        bad = np.flatnonzero(~((beta > 0) & (beta < 1)))
        if bad.size:
            t = int(bad[0]) + 1
            raise UserError(f"beta({t}) = {beta[bad[0]]:.6g}: every beta must lie strictly between 0 and 1")
        self.name = name
        self.T = int(beta.size)
        log_alpha_bar = np.concatenate([[0.0], np.cumsum(np.log1p(-beta))])
        # Tables over t = 0..T; entry 0 of the per-step ones is never read.
        self._beta = np.concatenate([[np.nan], beta])
        self._alpha_bar = np.exp(log_alpha_bar)
        self._Delta = -np.expm1(log_alpha_bar)
        self._ou_time = 0.5 * np.abs(log_alpha_bar)

    def __repr__(self) -> str:
        return f"NoiseSchedule({self.name}, T={self.T}, alpha_bar(T)={self._alpha_bar[-1]:.3g})"

    def _repr_html_(self) -> str:
        drawn = html.curve(
            self._alpha_bar.tolist(), "alpha_bar against t: the share of the data's variance that is left"
        )
        return html.card(f"NoiseSchedule: {self.name}", self.end(), drawn)

    def plot(self) -> Figure:
        """Draw ``alpha_bar`` and ``Delta``, the variances of the steps, OU time and signal to noise against t."""
        t = self.times
        names = ("alpha_bar", "Delta", "beta", "posterior_variance", "ou_time", "snr")
        tables = {name: getattr(self, name)(t) for name in names}
        figure: Figure = _DRAW(f"{self.name}, T = {self.T}", {"t": t, **tables})
        return figure

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NoiseSchedule) and np.array_equal(self._beta[1:], other._beta[1:])

    __hash__ = None  # type: ignore[assignment]

    # -- the four families ------------------------------------------------------------------------------------

    @classmethod
    def linear(cls, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> NoiseSchedule:
        """Betas from ``beta_1`` to ``beta_T`` in equal steps: the thesis's Table 2 and Ho et al. 2020.

        They are not rescaled when T is small; ``alpha_bar(T)`` is then far from 0, of which
        :meth:`~undiffuse.ForwardProcess.check_prior` warns.
        """
        return cls(np.linspace(beta_1, beta_T, _count(T)), "linear")

    @classmethod
    def cosine(cls, T: int = 1000, offset: float = 0.008, max_beta: float = 0.999) -> NoiseSchedule:
        """``alpha_bar_t ~ cos^2((t/T + offset)/(1 + offset) pi/2)``, betas capped (Nichol & Dhariwal 2021)."""
        t = np.arange(_count(T) + 1) / T
        alpha_bar = np.cos((t + offset) / (1 + offset) * np.pi / 2) ** 2
        return cls(np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], max_beta), "cosine")

    @classmethod
    def sigmoid(cls, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02, width: float = 6.0) -> NoiseSchedule:
        """Betas that follow a logistic curve from ``beta_1`` towards ``beta_T``.

        Parameters
        ----------
        T : int
            Number of times.
        beta_1, beta_T : float
            Limits of the curve on the left and on the right.
        width : float
            The curve is taken over ``[-width, width]``.
        """
        z = np.linspace(-width, width, _count(T))
        return cls(beta_1 + (beta_T - beta_1) / (1 + np.exp(-z)), "sigmoid")

    @classmethod
    def constant(cls, T: int = 1000, beta: float = 0.01) -> NoiseSchedule:
        """Give every time the same beta: OU time runs evenly, ``tau_t = -t/2 log(1 - beta)``."""
        return cls(np.full(_count(T), beta), "constant")

    @classmethod
    def at_ou_times(cls, taus: ArrayLike) -> NoiseSchedule:
        """Build the schedule whose times t = 1..T have the given Ornstein-Uhlenbeck times, increasing from above 0."""
        tau = np.asarray(taus, dtype=np.float64)
        require(tau.ndim == 1 and tau.size >= 2, f"a schedule needs T >= 2 times, got {tau.size}")
        steps = np.diff(tau, prepend=0.0)
        require((steps > 0).all(), "OU times must increase, the first one above 0")
        return cls(-np.expm1(-2 * steps), "OU times")

    @classmethod
    def named(cls, name: str, T: int, beta_1: float = 1e-4, beta_T: float = 0.02) -> NoiseSchedule:
        """Build a schedule of one of the four families by its name.

        Parameters
        ----------
        name : {"linear", "cosine", "sigmoid", "constant"}
        T : int
            Number of times.
        beta_1, beta_T : float
            First and last beta, for ``sigmoid`` their limits; ``constant`` uses ``beta_T`` only, ``cosine`` neither.
        """
        one_of("schedule", name, SCHEDULES)
        if name == "cosine":
            return cls.cosine(T)
        if name == "constant":
            return cls.constant(T, beta_T)
        return cls.linear(T, beta_1, beta_T) if name == "linear" else cls.sigmoid(T, beta_1, beta_T)

    # -- tables -----------------------------------------------------------------------------------------------

    @property
    def times(self) -> NDArray[np.int64]:
        """The times ``1..T`` in increasing order."""
        return np.arange(1, self.T + 1)

    def beta(self, t: ArrayLike) -> Floats:
        """Variance of one forward step (15), for t in 1..T."""
        return self._look_up(self._beta, t, 1)

    def alpha(self, t: ArrayLike) -> Floats:
        """``1 - beta_t``, for t in 1..T."""
        return 1 - self.beta(t)

    def alpha_bar(self, t: ArrayLike) -> Floats:
        """``prod_{s<=t} alpha_s``, for t in 0..T."""
        return self._look_up(self._alpha_bar, t, 0)

    def Delta(self, t: ArrayLike) -> Floats:
        """Forward variance ``1 - alpha_bar_t``, for t in 0..T."""
        return self._look_up(self._Delta, t, 0)

    def ou_time(self, t: ArrayLike) -> Floats:
        """Ornstein-Uhlenbeck time ``tau_t = -log(alpha_bar_t)/2``, for t in 0..T."""
        return self._look_up(self._ou_time, t, 0)

    def snr(self, t: ArrayLike) -> Floats:
        """Signal-to-noise ratio ``alpha_bar_t/Delta_t``, for t in 1..T."""
        return self._look_up(self._alpha_bar, t, 1) / self._look_up(self._Delta, t, 1)

    def posterior_variance(self, t: ArrayLike) -> Floats:
        """``beta~_t = beta_t Delta_{t-1}/Delta_t``, for t in 1..T; ``beta~_1 = 0``. Times s^2 in a process."""
        t = np.asarray(t)
        return self.beta(t) * self.Delta(t - 1) / self.Delta(t)

    def end(self) -> dict[str, float]:
        """Where the process ends, by name: ``T``, ``alpha_bar_T`` and the OU time ``ou_time_T``."""
        return {"T": self.T, "alpha_bar_T": float(self._alpha_bar[-1]), "ou_time_T": float(self._ou_time[-1])}

    def time_at_ou(self, tau: float) -> int:
        """Return the time t in 1..T whose OU time is nearest to ``tau``."""
        return int(np.argmin(np.abs(self._ou_time[1:] - tau))) + 1

    def _look_up(self, table: Floats, t: Any, first: int) -> Floats:
        if type(t) is int and first <= t <= self.T:
            return np.asarray(table[t])  # most calls: what follows takes ten times as long
        t = np.asarray(t)
        if not np.issubdtype(t.dtype, np.integer):
            raise UserError(f"a diffusion time is an integer in {first}..{self.T}, got {t!r}")
        if t.size and (t.min() < first or t.max() > self.T):
            wrong = t.min() if t.min() < first else t.max()
            raise UserError(f"t = {wrong} is outside {first}..{self.T}")
        return table[t]

    # -- subsets of times -------------------------------------------------------------------------------------

    def between(self, t: int, previous: int) -> tuple[float, float, float]:
        """``(alpha, beta, beta~)`` of the jump ``previous -> t``, from ratios of ``alpha_bar``.

        With ``previous = t - 1`` these are ``alpha_t, beta_t, beta~_t``; with a longer jump they are those of the
        respaced schedule (Nichol & Dhariwal 2021, section 4), never the ``beta_t`` of the full one.
        """
        require(0 <= previous < t, f"a jump goes from an earlier time to a later one, got {previous} -> {t}")
        log_alpha = -2 * float(self.ou_time(t) - self.ou_time(previous))
        beta = -np.expm1(log_alpha)
        return float(np.exp(log_alpha)), float(beta), float(beta * self.Delta(previous) / self.Delta(t))

    def spaced_times(self, steps: int | None = None, start: int | None = None) -> NDArray[np.int64]:
        """``steps`` times from ``start`` (default T) down to 1, as evenly spaced as integers allow.

        Raises
        ------
        UserError
            If there are more steps than times, or fewer than one.
        """
        start = self.T if start is None else start
        require(1 <= start <= self.T, f"start time {start} is outside 1..{self.T}")
        steps = start if steps is None else steps
        require(1 <= steps <= start, f"{steps} steps do not fit between t = {start} and t = 0 (1..{start} do)")
        if steps == 1:
            return np.array([start])
        return np.round(np.linspace(start, 1, steps)).astype(np.int64)

    def respaced(self, times: Sequence[int] | NDArray[np.int64]) -> NoiseSchedule:
        """Build the schedule over a subset of times, its betas recomputed from ratios of ``alpha_bar``."""
        kept = np.unique(np.asarray(times, dtype=np.int64))
        previous = np.concatenate([[0], kept[:-1]])
        log_alpha = -2 * (self.ou_time(kept) - self.ou_time(previous))
        return NoiseSchedule(-np.expm1(log_alpha), f"{self.name}, respaced")


def _count(T: int) -> int:
    require(isinstance(T, (int, np.integer)) and T >= 2, f"T = {T}: a schedule needs at least 2 times")
    return int(T)
