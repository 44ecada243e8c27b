"""U-turns walked through any denoiser: how often the class is kept, with the error of the steps taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.reverse import reconstruct, reverse_trajectory
from undiffuse.diffusion.samplers import Ancestral, Draw
from undiffuse.physics.classes import Classes, Rule
from undiffuse.physics.crossings import Crossing, Curve
from undiffuse.support.arrays import Floats
from undiffuse.support.stats import mean_and_stderr
from undiffuse.support.streams import Purpose, Streams, stream

STEPS = 60  # reverse steps of a U-turn, of which only the end is used


@dataclass(frozen=True)
class StepError:
    """What walking in few steps does to U-turns: the same walks in twice as many, minus those in few.

    Attributes
    ----------
    t : int
        Time from which they were walked, the nearest to the crossing.
    steps, finer : int
        Reverse steps of both.
    samples : int
    share, stderr : float
        Difference of the shares that keep their class, and its error over samples walked both ways.
    tau, tau_stderr : float
        The same as a shift of the crossing in OU time: over minus the slope of the curve there.
    """

    t: int
    steps: int
    finer: int
    samples: int
    share: float
    stderr: float
    tau: float
    tau_stderr: float


@dataclass(frozen=True)
class Turns:
    """U-turns of samples through a denoiser.

    Attributes
    ----------
    denoiser : Denoiser
    starts : Classes
        Samples, and their classes.
    predict : callable
        Gives the class of what comes back.
    seed : int
    """

    denoiser: Denoiser
    starts: Classes
    predict: Rule
    seed: int

    def kept(self, t: int) -> Floats:
        """1 for each sample whose class a U-turn to ``t``, back in 60 steps at most, keeps; 0 for the others."""
        walk = Streams(self.seed, Purpose.UTURN_WALK, (t,))
        sampler = Ancestral(steps=min(t, STEPS))
        return self._same(reconstruct(self.denoiser, self._diffused(t), t, sampler=sampler, seed=walk))

    def curve(self, times: list[int], kept: Callable[[int], Floats], on_time: Callable[[], None]) -> Curve:
        """Share of samples that keep their class at each time, by ``kept``."""
        points = []
        for t in times:
            points.append(mean_and_stderr(kept(t)))
            on_time()
        return Curve.of(self.denoiser.forward, times, points)

    def step_error(self, curve: Curve, crossing: Crossing) -> StepError | None:
        """Error of the 60 steps at the crossing; None where every step is taken or there is no crossing.

        A coarse step's noise is the sum of the two noises of its halves, over the root of 2, so both walks of a sample
        end alike but for the steps' error, and the error of the difference is small.
        """
        t = round(crossing.time.t) if not np.isnan(crossing.time.t) else 0
        steps, finer = min(t, STEPS), min(t, 2 * STEPS - 1)
        if finer < 2 * steps - 1 or t == 0:
            return None
        x_t, n = self._diffused(t), len(self.starts.x)

        def back(steps: int, halves: int) -> Floats:
            draw = Streams(self.seed, Purpose.UTURN_STEPS, (t,)).noise(n, self.denoiser.dim)

            def noise() -> Floats:
                return np.asarray(sum(draw() for _ in range(halves)) / np.sqrt(halves))

            return self._same(self._walk(x_t, t, steps, noise))

        share, stderr = mean_and_stderr(back(finer, 1) - back(steps, 2))
        tau, value = np.array(curve.tau), np.array(curve.value)
        near = np.argsort(np.abs(tau - crossing.time.tau))[:5]
        fall = max(-float(np.polyfit(tau[near], value[near], 1)[0]), 1e-12)
        return StepError(t, steps, finer, n, share, stderr, share / fall, stderr / fall)

    def _diffused(self, t: int) -> Floats:
        x0 = self.starts.x
        return self.denoiser.forward.jump(x0, t, stream(self.seed, Purpose.UTURN_CURVE, t).standard_normal(x0.shape))

    def _walk(self, x_t: Floats, t: int, steps: int, noise: Draw) -> Floats:
        *_, last = reverse_trajectory(self.denoiser, x_t, t, sampler=Ancestral(steps=steps), noise=noise)
        return last.x

    def _same(self, back: Floats) -> Floats:
        return (self.predict(back) == self.starts.labels).astype(float)
