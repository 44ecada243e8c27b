"""Networks that are trained side by side, as a GPU does it, for the tests of what trains them."""

import numpy as np
import torch

from helpers import TINY
from undiffuse.networks.network import start_weights
from undiffuse.runs import config, toml
from undiffuse.training.state import TrainingState
from undiffuse.training.torch_engine import Way

AS_GPU = Way(recorded=True)
EXACT = Way(whole=torch.float64, recorded=True)
RATES = np.array([0.01, 0.008, 0.006, 0.004, 0.002])  # of 110 samples in minibatches of 25


def tiny(*changes):
    settings = toml.parse(TINY, "tiny")
    for change in changes:
        toml.apply_change(settings, change)
    return config.validate(settings, "tiny")


def problem(rng, dim, times=3, n=110):
    x = rng.standard_normal((times, n, dim))
    return x.astype(np.float32), np.sin(2 * x).astype(np.float32)


def fresh(rng, a, times=3, averaged=False):
    starts = [start_weights(a, rng.standard_normal((64, a.dim)), rng) for _ in range(times)]
    states = [TrainingState.fresh(w.copy(), a) for w in starts]
    return [TrainingState(s.weights, s.first, s.second, 0, s.weights.copy() if averaged else None) for s in states]
