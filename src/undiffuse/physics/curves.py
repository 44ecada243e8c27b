"""Curvature of any denoiser's reverse potential against diffusion time, from which critical times are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.physics.classes import Classes
from undiffuse.physics.crossings import Curve
from undiffuse.physics.empirical import in_the_middle
from undiffuse.support.arrays import Floats
from undiffuse.support.stats import mean_and_stderr


def potential_curve(
    denoiser: Denoiser, classes: Classes, times: Sequence[int], *, n: int = 200, seed: int = 0
) -> Curve:
    """Curvature of the reverse potential along the line of class means, midway between them.

    Minus the slope of ``e . (x + 2 s^2 score)`` along e, averaged over diffused samples whose coordinate along e is
    moved to that of the middle; positive where the middle attracts, negative where it repels.

    Parameters
    ----------
    denoiser : Denoiser
    classes : Classes
        Their means, and the samples that are diffused.
    times : sequence of int
    n : int
        Samples.
    seed : int
    """
    points = [mean_and_stderr(curvatures(denoiser, classes, t, n=n, seed=seed)) for t in times]
    return Curve.of(denoiser.forward, times, points)


def curvatures(denoiser: Denoiser, classes: Classes, t: int, *, n: int, seed: int) -> Floats:
    """Curvature of the reverse potential at each of ``n`` samples at ``t``, moved to the middle; shape ``(n,)``.

    By a central difference of 0.1 standard deviations of the noise. See :func:`potential_curve`.

    Parameters
    ----------
    denoiser, classes, n, seed
        See :func:`potential_curve`.
    t : int
    """
    forward = denoiser.forward
    e, _ = classes.direction
    x_t = in_the_middle(forward, classes, t, n, seed)
    step = 0.05 * forward.noise(t) * e
    rise = (denoiser.score(x_t + step, t) - denoiser.score(x_t - step, t)) @ e / (0.1 * forward.noise(t))
    return np.asarray(-1 - 2 * forward.noise_scale**2 * rise)
