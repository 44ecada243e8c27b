"""The samplers: each takes ``x_t`` to ``x_p`` at an earlier time p, through ``xi_hat`` and the ``x0_hat`` it implies.

| sampler | step | network evaluations (NFE) a step |
|---|---|---|
| :class:`Ancestral` | posterior mean given ``x0_hat``, plus noise: Algorithm 2, Ho et al. 2020 | 1 |
| :class:`DDIM` | the same ``xi_hat`` at the new noise level; Song, Meng & Ermon 2021 | 1 |
| :class:`ProbabilityFlow` | Heun's rule for the probability flow; Karras et al. 2022 | 2 |
| :class:`DPMSolver2M` | second order from the step before, DPM-Solver++(2M); Lu et al. 2022 | 1 |

A new one is a frozen dataclass with a ``name`` and a :meth:`Sampler.step`, and a line in :data:`SAMPLERS`. A multistep
sampler returns what its next step needs as a *memory*, which is passed to that step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.diffusion.starts import Beginning, GaussianStart, pure_noise
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, one_of, require

Draw = Callable[[], Floats]
Variance = Literal["beta", "posterior"]
VARIANCES: tuple[str, ...] = get_args(Variance)


@dataclass(frozen=True)
class Sampler(ABC):
    """A rule for the steps of the reverse process; ``Sampler.named("ddim", steps=50)`` makes one by name.

    Parameters
    ----------
    steps : int, optional
        Number of steps, spread evenly over the times; all of them by default.
    clip : (low, high), optional
        Range that ``x0_hat`` is clipped to, with ``xi_hat`` recomputed from it; for bounded data only, off by default.
    start : GaussianStart, optional
        Where samples start from, keyword only: pure noise at T by default. The steps are then spread over the times
        below. Not for states that are given, such as those of a reconstruction.

    Attributes
    ----------
    name : str
        Name in :data:`SAMPLERS` and on the command line.
    evaluations : int
        Evaluations of the network in a step; times the steps, the number of function evaluations (NFE), one less for
        ``ode``.

    Examples
    --------
    >>> import undiffuse as ud
    >>> ud.Sampler.named("ddim", steps=50, eta=1.0)
    DDIM(steps=50, clip=None, eta=1.0)

    See Also
    --------
    undiffuse.sample, undiffuse.Ancestral, undiffuse.DDIM, undiffuse.ProbabilityFlow, undiffuse.DPMSolver2M
    """

    steps: int | None = None
    clip: tuple[float, float] | None = None
    start: GaussianStart | None = field(default=None, kw_only=True, repr=False)

    name: ClassVar[str] = ""
    evaluations: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require(self.clip is None or self.clip[0] < self.clip[1], f"clip range {self.clip} is empty")

    @staticmethod
    def named(name: str, **options: Any) -> Sampler:
        """Make a sampler by its name in :data:`SAMPLERS`; options that are None are left at their defaults.

        Raises
        ------
        UserError
            If there is no such sampler, or it has no such option.
        """
        kind = SAMPLERS[one_of("sampler", name, SAMPLERS)]
        given = {option: value for option, value in options.items() if value is not None}
        for option, value in given.items():
            if option not in {field.name for field in fields(kind)}:
                owners = [n for n, other in SAMPLERS.items() if option in {field.name for field in fields(other)}]
                whose = f" is an option of {' and '.join(owners)}; sampler {name!r} has none"
                raise UserError(f"{option} = {value!r}{whose if owners else ' is no option of any sampler'}")
        return kind(**given)

    @abstractmethod
    def step(self, denoiser: Denoiser, x: Floats, at: Step, noise: Draw, memory: Any = None) -> tuple[Floats, Any]:
        """Take ``x`` through one step.

        Parameters
        ----------
        denoiser : Denoiser
        x : (n, dim)
        at : Step
            The time ``x`` is at and the earlier one it is taken to, never 0.
        noise : callable
            Returns fresh standard normal numbers ``(n, dim)`` at each call.
        memory : object, optional
            What the step before returned; None after a start or a jump back up.

        Returns
        -------
        x : (n, dim)
        memory : object
        """

    def move(self, denoiser: Denoiser, x: Floats, at: Step, noise: Draw, memory: Any = None) -> tuple[Floats, Any]:
        """Take one step of any kind: :meth:`step`, or to ``x0_hat`` where it leads to t = 0, without noise (22).

        Parameters
        ----------
        denoiser, x, at, noise, memory
            See :meth:`step`; here the earlier time may be 0.
        """
        if at.previous == 0:
            return denoiser.forward.from_xi("x0", self.xi_hat(denoiser, x, at.t), x, at.t), None
        return self.step(denoiser, x, at, noise, memory)

    def coefficients(self, forward: ForwardProcess, at: Step) -> Coefficients | None:
        """Those of a step ``p x_t + q xi_hat + r z``, also of the one to t = 0; None if the steps are of another form.

        Parameters
        ----------
        forward : ForwardProcess
        at : Step
        """
        return None

    def all_coefficients(self, forward: ForwardProcess, times: Sequence[int]) -> list[tuple[Step, Coefficients]] | None:
        """All steps from one time to the next with their coefficients, or None if one has none or is clipped.

        Parameters
        ----------
        forward : ForwardProcess
        times : sequence of int
            From the last down to 0.
        """
        found = [(at, self.coefficients(forward, at)) for at in map(Step._make, pairwise(times))]
        whole = [(at, each) for at, each in found if each is not None]
        return whole if len(whole) == len(found) and self.clip is None else None

    def times(self, denoiser: Denoiser, start: int) -> list[int]:
        """List the times visited from given states, from ``start`` down to 0."""
        return [*denoiser.forward.schedule.spaced_times(self.steps, start).tolist(), 0]

    def way(self, denoiser: Denoiser) -> list[int]:
        """List the times that samples visit, from their start down to 0.

        Raises
        ------
        UserError
            If there are more steps than times.
        """
        return self.times(denoiser, denoiser.forward.T if self.start is None else self.start.t)

    def beginning(self, denoiser: Denoiser, axes: Floats | None) -> Beginning:
        """Return what makes the first states of samples along ``axes`` (None for the data's) from normal numbers."""
        forward, dim = denoiser.forward, denoiser.dim
        return pure_noise(forward, dim) if self.start is None else self.start.beginning(forward, dim, axes)

    def refuse_start(self) -> None:
        """Raise a :class:`UserError` if there is a start, where the states to start from are given."""
        require(self.start is None, f"{self.start} is for samples: here the states to start from are given")

    def xi_hat(self, denoiser: Denoiser, x: Floats, t: int) -> Floats:
        """Noise estimate; with ``clip``, the one that belongs to the clipped ``x0_hat``."""
        xi = denoiser.xi_state(x, t)
        if self.clip is None:
            return xi
        x0 = denoiser.forward.from_xi("x0", xi, x, t).clip(*self.clip)
        return denoiser.forward.to_xi("x0", x0, x, t)


class Step(NamedTuple):
    """One step of the reverse process, from time ``t`` to the earlier time ``previous``."""

    t: int
    previous: int


def left_the_numbers(at: Step) -> UserError:
    """What is said of a chain that became infinite."""
    return UserError(f"the reverse process left the finite numbers between t = {at.t} and t = {at.previous}")


class Coefficients(NamedTuple):
    """A step ``p x_t + q xi_hat + r z`` with z standard normal."""

    p: float
    q: float
    r: float

    def __call__(self, x: Floats, xi: Floats, noise: Draw) -> Floats:
        """Take the step; ``noise`` is drawn only where there is some."""
        out = self.p * x
        out += self.q * xi
        if self.r:
            out += self.r * noise()
        return out


@dataclass(frozen=True)
class _NoisySampler(Sampler):
    """``signal_p x0_hat + s sqrt(kept) xi_hat + s sqrt(added) z``: the same ``xi_hat`` at the new noise level."""

    @abstractmethod
    def variances(self, schedule: NoiseSchedule, at: Step) -> tuple[float, float]:
        """``(kept, added)``, in units of ``s^2``."""

    def coefficients(self, forward: ForwardProcess, at: Step) -> Coefficients:
        """Those of a step, with ``x0_hat`` written out."""
        if at.previous == 0:
            return Coefficients(1 / forward.signal(at.t), -forward.noise(at.t) / forward.signal(at.t), 0.0)
        kept, added = self.variances(forward.schedule, at)
        shrink = forward.signal(at.previous) / forward.signal(at.t)
        q = forward.noise_scale * np.sqrt(kept) - shrink * forward.noise(at.t)
        return Coefficients(shrink, float(q), float(forward.noise_scale * np.sqrt(added)))

    def step(self, denoiser: Denoiser, x: Floats, at: Step, noise: Draw, memory: Any = None) -> tuple[Floats, Any]:
        """Take one step.

        Parameters
        ----------
        denoiser, x, at, noise, memory
            See :meth:`Sampler.step`.
        """
        return self.coefficients(denoiser.forward, at)(x, self.xi_hat(denoiser, x, at.t), noise), None


@dataclass(frozen=True)
class Ancestral(_NoisySampler):
    """DDPM, Algorithm 2: posterior mean of ``x_p`` given ``x0_hat``, plus ``s sigma z``; equation (21), Ho et al. 2020.

    Parameters
    ----------
    steps, clip, start
        See :class:`Sampler`.
    variance : {"beta", "posterior"}
        ``sigma^2``: ``beta_t`` (thesis) or ``beta~_t``, those of the jump ``p -> t``.
    """

    variance: Variance = "beta"

    name: ClassVar[str] = "ancestral"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("variance", self.variance, VARIANCES)

    def variances(self, schedule: NoiseSchedule, at: Step) -> tuple[float, float]:
        """Around ``xi_hat`` at the noise level of ``p`` less ``beta~``: the posterior mean, written as DDIM's."""
        _, beta, posterior = schedule.between(*at)
        kept = float(schedule.Delta(at.previous)) - posterior
        return kept, beta if self.variance == "beta" else posterior


@dataclass(frozen=True)
class DDIM(_NoisySampler):
    """``sqrt(abar_p) x0_hat + s sqrt(Delta_p - sigma^2) xi_hat + s sigma z``; Song, Meng & Ermon 2021.

    With ``sigma = eta sqrt(beta~)``. ``eta = 1`` is the ancestral sampler with the posterior variance, ``eta = 0``
    Euler's rule for the probability flow.

    Parameters
    ----------
    steps, clip, start
        See :class:`Sampler`.
    eta : float
        Noise, from 0 (none) to 1.
    """

    eta: float = 0.0

    name: ClassVar[str] = "ddim"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.eta <= 1, f"eta = {self.eta}: wanted 0..1")

    def variances(self, schedule: NoiseSchedule, at: Step) -> tuple[float, float]:
        """What is added is ``eta^2 beta~``, the rest is kept."""
        added = self.eta**2 * schedule.between(*at)[2]
        return float(schedule.Delta(at.previous)) - added, added


@dataclass(frozen=True)
class ProbabilityFlow(Sampler):
    """Heun's rule for the probability flow ``dy/dsigma = xi_hat``; Karras et al. 2022.

    With ``y = x/sqrt(abar)`` and ``sigma = s sqrt(Delta/abar)``. No noise, two evaluations a step.
    """

    name: ClassVar[str] = "ode"
    evaluations: ClassVar[int] = 2

    def step(self, denoiser: Denoiser, x: Floats, at: Step, noise: Draw, memory: Any = None) -> tuple[Floats, Any]:
        """Take one step.

        Parameters
        ----------
        denoiser, x, at, noise, memory
            See :meth:`Sampler.step`.
        """
        forward = denoiser.forward
        start, end = (forward.noise(p) / forward.signal(p) for p in at)
        xi, y = self.xi_hat(denoiser, x, at.t), x / forward.signal(at.t)
        predicted = (y + (end - start) * xi) * forward.signal(at.previous)
        xi_end = self.xi_hat(denoiser, predicted, at.previous)
        return (y + (end - start) * (xi + xi_end) / 2) * forward.signal(at.previous), None


@dataclass(frozen=True)
class DPMSolver2M(Sampler):
    r"""DPM-Solver++(2M): second order in the log signal-to-noise ratio, one evaluation a step; Lu et al. 2022, Alg. 2.

    With ``lambda = log(sqrt(abar)/(s sqrt(Delta)))``, ``h = lambda_p - lambda_t`` and r the ratio of the step before
    to this one, ``x_p = noise_p/noise_t x - signal_p (e^-h - 1) D`` where
    ``D = (1 + 1/(2r)) x0_hat(t) - 1/(2r) x0_hat(t')`` and ``t'`` is the time of the step before. The first step is of
    first order. No noise.
    """

    name: ClassVar[str] = "dpmpp-2m"

    def step(self, denoiser: Denoiser, x: Floats, at: Step, noise: Draw, memory: Any = None) -> tuple[Floats, Any]:
        """Take one step.

        Parameters
        ----------
        denoiser, x, at, noise
            See :meth:`Sampler.step`.
        memory : (float, (n, dim) array), optional
            ``(lambda, x0_hat)`` of the step before.
        """
        forward = denoiser.forward
        here, there = (float(np.log(forward.signal(p) / forward.noise(p))) for p in at)
        x0 = forward.from_xi("x0", self.xi_hat(denoiser, x, at.t), x, at.t)
        estimate = x0
        if memory is not None:
            before, x0_before = memory
            weight = (there - here) / (2 * (here - before))  # 1/(2r)
            estimate = (1 + weight) * x0 - weight * x0_before
        shrink = forward.noise(at.previous) / forward.noise(at.t)
        out = shrink * x - forward.signal(at.previous) * float(np.expm1(here - there)) * estimate
        return out, (here, x0)


SAMPLERS: dict[str, type[Sampler]] = {kind.name: kind for kind in (Ancestral, DDIM, ProbabilityFlow, DPMSolver2M)}
