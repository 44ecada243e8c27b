"""What each ingredient of a recipe buys on a spiral: nats of path divergence, per variant.

A bank's reverse chain differs from the exact one, step by step, by ``w_t N <(xi_hat - xi*)^2>`` nats. ``w_t`` is the
bound's weight (19) and ``xi*`` the exact denoiser of the data's law, here the empirical denoiser of 100,000 fresh
points. Each variant trains the blocks that hold a few chosen times, and the terms at those times are summed by the
trapezoidal rule. The whole sum bounds how far the samples' law can be from the data's.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from numpy.typing import NDArray

import undiffuse as ud
from undiffuse.diffusion.objective import bound_weight
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.runs import config
from undiffuse.training.blocks import BlockTrainer

TIMES = [30, 60, 110, 160, 230, 310, 410, 520, 700, 900]
THESIS: list[str] = []
START = ["network.start=data", "training.decay=cosine"]
COLD = [*START, "network.skip=gaussian"]
WARM = [*COLD, "training.order=continuation", "training.epochs=200", "training.warm_epochs=25", "training.block=50"]
VARIANTS = {
    "thesis": THESIS,
    "+ kinks in the data, cosine decay": START,
    "+ gaussian skip": COLD,
    "  300 hidden, 60 epochs": [*COLD, "network.hidden=300", "training.epochs=60"],
    "  100 hidden, 180 epochs": [*COLD, "network.hidden=100", "training.epochs=180"],
    "+ continuation, 300 hidden": [*WARM, "network.hidden=300"],
    "  learning rate 0.005": [*WARM, "network.hidden=300", "training.learning_rate=0.005"],
    "  learning rate 0.002": [*WARM, "network.hidden=300", "training.learning_rate=0.002"],
    "  200 hidden, 30 epochs, 0.002": [
        *WARM,
        "network.hidden=200",
        "training.warm_epochs=30",
        "training.learning_rate=0.002",
    ],
}


def exact_estimates(data: ud.datasets.Dataset, forward: ud.ForwardProcess) -> dict[int, tuple[NDArray, NDArray]]:
    """``(x_t, xi*)`` at each chosen time, for 400 fresh points."""
    rng = np.random.default_rng(1)
    exact = ud.EmpiricalDenoiser(forward, data.fresh(100_000, rng))
    out = {}
    for t in TIMES:
        x_t = forward.jump(data.fresh(400, rng), t, rng.standard_normal((400, 2)))
        out[t] = x_t, exact.xi_hat(x_t, t)
    return out


def excess(settings: config.Config, data: ud.datasets.Dataset, exact: dict) -> tuple[NDArray, float]:
    """Mean square distance to the exact estimate at each time, and seconds a network took on one core."""
    forward = settings.forward()
    reference = ud.GaussianDenoiser.from_data(forward, data.train)
    parametrisation = Parametrisation(forward, settings.architecture_at(1, data.dim), reference)
    errors, start, trained = [], time.perf_counter(), 0
    for t in TIMES:
        # The worst place in a block: the end of its chain, or any time where times are independent.
        length = settings.training.block if settings.training.order == "continuation" else 1
        samples = data.train.astype("f4"), data.held_out.astype("f4")
        progress = BlockTrainer(settings, t, t + length - 1, *samples, reference).run()
        trained += length
        net = ud.Autoencoder(progress.weights[t], settings.architecture_at(t, data.dim))
        x_t, xi = exact[t]
        errors.append(np.mean((parametrisation.xi_hat(net(x_t), x_t, t) - xi) ** 2))
    return np.array(errors), (time.perf_counter() - start) / trained


def main() -> None:
    """Print one row for each variant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="spiral-2pi")
    options = parser.parse_args()
    base = config.load(options.preset)
    data, forward = ud.datasets.load(base), base.forward()
    exact = exact_estimates(data, forward)
    weights = np.array([data.dim * bound_weight(forward.schedule, t) for t in TIMES])
    print(f"{'variant':36} {'nats':>7} {'s/net':>6}   excess at t = {', '.join(map(str, TIMES))}")
    for name, changes in VARIANTS.items():
        errors, seconds = excess(config.load(options.preset, changes), data, exact)
        nats = np.trapezoid(weights * errors, TIMES)
        print(f"{name:36} {nats:7.4f} {seconds:6.3f}   {' '.join(f'{e:.4f}' for e in errors)}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
