"""The reverse walk of weak second order in its step, at one evaluation of the score for each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.samplers import Draw, Sampler, Step
from undiffuse.support.arrays import Floats


@dataclass(frozen=True)
class Corrected(Sampler):
    r"""The ancestral step with the posterior variance, corrected at its end: a stochastic Heun rule.

    With ``c = sqrt(alpha_bar_p) beta/Delta_t`` the coefficient of ``x0_hat`` in the posterior mean of the jump p -> t,

    - predict ``y = posterior mean(x_t, x0_hat) + s sqrt(beta~) z``,
    - correct ``x_p = y + c/2 (x0_hat(y, p) - x0_hat)``.

    The noise is additive, so its expectations err as the square of the step (Kloeden & Platen 1992, section 15.1),
    where the ancestral step's err as the step itself: it gives the reverse kernel the variance ``beta`` or ``beta~``
    whatever ``Cov(x_0|x_t)`` is, which between two states is too little, so that walkers decide too early. The next
    step starts with ``x0_hat(y, p)`` instead of evaluating at the corrected ``x_p`` (the PEC mode of multistep rules);
    they differ by a power of the step more than matters.
    """

    name: ClassVar[str] = "corrected"

    def step(self, denoiser: Denoiser, x: Floats, at: Step, noise: Draw, memory: Any = None) -> tuple[Floats, Any]:
        """Take one step.

        Parameters
        ----------
        denoiser, x, at, noise
            See :meth:`undiffuse.diffusion.samplers.Sampler.step`.
        memory : (n, dim) array, optional
            ``x0_hat`` at the end of the step before.
        """
        forward, schedule = denoiser.forward, denoiser.forward.schedule
        alpha, beta, posterior = schedule.between(*at)
        before, after = (float(schedule.Delta(t)) for t in at)
        x0 = self._x0_hat(denoiser, x, at.t) if memory is None else memory
        share = forward.signal(at.previous) * beta / before
        y = np.sqrt(alpha) * after / before * x + share * x0
        y += forward.noise_scale * np.sqrt(posterior) * noise()
        ahead = self._x0_hat(denoiser, y, at.previous)
        y += share / 2 * (ahead - x0)
        return y, ahead

    def _x0_hat(self, denoiser: Denoiser, x: Floats, t: int) -> Floats:
        return denoiser.forward.from_xi("x0", self.xi_hat(denoiser, x, t), x, t)
