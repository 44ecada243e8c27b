"""Curves against diffusion time from which critical times are read: of any denoiser, and of exact empirical scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.classes import Classes
from undiffuse.physics.crossings import Curve
from undiffuse.physics.empirical import entropies
from undiffuse.support.arrays import Floats
from undiffuse.support.stats import mean_and_stderr
from undiffuse.support.streams import Purpose, stream


def class_curves(
    forward: ForwardProcess, points: Classes, starts: Classes, times: Sequence[int], seed: int = 0
) -> tuple[Curve, Curve]:
    """Cloning and U-turn curves of the exact empirical score of ``points``, each of ``starts`` diffused to each time.

    Under that score a trajectory from ``x_t`` ends at each point with the point's posterior probability given ``x_t``,
    so no trajectory is simulated; the average is over the noise of ``x_t`` alone.

    Parameters
    ----------
    forward : ForwardProcess
    points : Classes
        Data of the empirical score.
    starts : Classes
        Samples that are diffused.
    times : sequence of int
    seed : int
    """
    exact = EmpiricalDenoiser(forward, points.x)
    kinds = np.unique(points.labels)
    member, own = ((labels[:, None] == kinds).astype(float) for labels in (points.labels, starts.labels))
    cloning, uturn = [], []
    for t in times:
        x_t = forward.jump(starts.x, t, stream(seed, Purpose.CLASS_CURVE, t).standard_normal(starts.x.shape))
        share = np.concatenate([weights @ member for _, weights in exact.weights(x_t, t)])
        cloning.append(mean_and_stderr(np.sum(share**2, axis=1)))
        uturn.append(mean_and_stderr(np.sum(share * own, axis=1)))
    return Curve.of(forward, times, cloning), Curve.of(forward, times, uturn)


def potential_curve(
    denoiser: Denoiser, classes: Classes, times: Sequence[int], *, n: int = 200, seed: int = 0
) -> Curve:
    """Curvature of the reverse potential along the line of class means, midway between them.

    Minus the slope of ``e . (x + 2 s^2 score)`` along e, averaged over diffused samples whose coordinate along e is
    moved to that of the middle; positive for one well, negative for two.

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
    e, middle = classes.direction
    x0 = classes.x[:n]
    x_t = forward.jump(x0, t, stream(seed, Purpose.POTENTIAL_CURVE, t).standard_normal(x0.shape))
    x_t += np.outer(forward.signal(t) * (middle @ e) - x_t @ e, e)
    step = 0.05 * forward.noise(t) * e
    rise = (denoiser.score(x_t + step, t) - denoiser.score(x_t - step, t)) @ e / (0.1 * forward.noise(t))
    return np.asarray(-1 - 2 * forward.noise_scale**2 * rise)


def entropy_curves(
    forward: ForwardProcess, training: Floats, held_out: Floats, times: Sequence[int], *, n: int = 500, seed: int = 0
) -> tuple[Curve, Curve]:
    r"""Excess entropy f and entropy of the empirical posterior, per dimension in nats, on held-out samples.

    ``f = s_sep - s`` (Biroli et al. 2024) with ``s_sep = log(m)/N + log(2 pi e s^2 Delta)/2`` the entropy of m separate
    Gaussians on the training points and ``s`` that of the diffused data, estimated by
    ``-log P_empirical(x_t)/N`` at held-out ``x_t``. At training points f would be the posterior's entropy itself,
    ``H(a|x_t)/N``.

    Parameters
    ----------
    forward : ForwardProcess
    training, held_out : (n, dim)
    times : sequence of int
    n : int
        Held-out samples.
    seed : int
    """
    exact, x0 = EmpiricalDenoiser(forward, training), held_out[:n]
    excess, entropy = [], []
    for t in times:
        xi = stream(seed, Purpose.ENTROPY_CURVE, t).standard_normal(x0.shape)
        f, H, _ = entropies(exact, forward.jump(x0, t, xi), xi, t)
        excess.append(mean_and_stderr(f))
        entropy.append(mean_and_stderr(H))
    return Curve.of(forward, times, excess), Curve.of(forward, times, entropy)
