"""How long reverse processes and exact scores take here, measured on a few steps or one evaluation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.reverse import reverse_trajectory
from undiffuse.diffusion.samplers import Ancestral, Sampler
from undiffuse.networks.bank import Bank
from undiffuse.support import gpu
from undiffuse.support.arrays import Floats
from undiffuse.support.costs import seconds_of, step_seconds
from undiffuse.support.errors import require

_TRIAL = 4  # steps of a chain that is timed on a GPU
_TOGETHER = 4096  # samples that go through the chain together
_PER_POINT = 6.0  # evaluations of the exact score for each point of critical times, 2026-11-25 on MNIST


def of_step(denoiser: Denoiser, n: int) -> float:
    """Seconds of one reverse step of ``n`` states, measured from t = T."""
    require(n >= 1, f"n = {n}: wanted at least one")
    rows = min(n, _TOGETHER)
    x = denoiser.forward.noise_scale * np.random.default_rng(0).standard_normal((rows, denoiser.dim))
    return step_seconds(reverse_trajectory(denoiser, x)) * n / rows


def of_samples(denoiser: Denoiser, n: int, sampler: Sampler | None = None) -> float:
    """Seconds of drawing ``n`` samples if the chain leaps over none of its steps; UserError if these do not fit."""
    steps = len((sampler or Ancestral()).way(denoiser)) - 1
    return of_step(denoiser, n) * steps


def of_device_samples(bank: Bank, n: int, sampler: Sampler) -> float:
    """Seconds of drawing ``n`` samples on a GPU, from a chain of a few steps, which move as many blocks of weights."""
    from undiffuse.networks import on_device  # torch is slow to load

    steps, few = len(sampler.way(bank)) - 1, replace(sampler, steps=_TRIAL)
    if steps <= _TRIAL:
        return 0.0
    home, rows = gpu.home(gpu.CUDA), min(n, _TOGETHER)

    def trial() -> None:
        on_device.sample(bank, rows, home, sampler=few)

    trial()  # the first calls load libraries
    return seconds_of(trial) * steps / _TRIAL * n / rows


def of_critical_times(forward: ForwardProcess, training: Floats, points: int, n: int) -> float:
    """Seconds of the critical times of data, from one evaluation of their exact score.

    Parameters
    ----------
    forward : ForwardProcess
    training : (m, dim)
        The training set, whose score it is.
    points : int
        Times at which curves are measured.
    n : int
        Samples of each point.
    """
    exact, rows = EmpiricalDenoiser(forward, training), min(n, len(training))
    x_t = training[:rows]
    one = seconds_of(lambda: [weights.shape for _, weights in exact.weights(x_t, forward.T)])
    return _PER_POINT * points * one * n / rows
