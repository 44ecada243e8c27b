"""What each ingredient of a recipe buys on a spiral: nats of path divergence, per variant.

    python research/spiral_recipes.py                       the 2-pi spiral
    python research/spiral_recipes.py --preset spiral-3pi

A bank's reverse chain differs from the exact one, step by step, by ``w_t N <(xi_hat - xi*)^2>`` nats. ``w_t`` is the
bound's weight (19) and ``xi*`` the exact denoiser of the data's law, here the empirical denoiser of 100,000 fresh
points. Each variant trains the blocks that hold a few chosen times, and the terms at those times are summed by the
trapezoidal rule. The whole sum bounds how far the samples' law can be from the data's.

Prints a row for each variant: the nats, the seconds that a network took on one core, and the mean square distance to
the exact estimate at each time. With several seeds it prints the mean of the nats and its standard error. Two minutes
of one core for each seed. Run it with OMP_NUM_THREADS=1, so that seconds are those of one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from scipy.integrate import trapezoid

import undiffuse as ud
from record import Mean, Record, count, json_options, positive
from undiffuse.diffusion.objective import bound_weight
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.runs.config import Block, Config
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError
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
Estimates = dict[int, tuple[Floats, Floats]]


def exact_estimates(data: ud.datasets.Dataset, forward: ud.ForwardProcess) -> Estimates:
    """``(x_t, xi*)`` at each chosen time, for 400 fresh points."""
    if data.fresh is None:
        raise UserError("the law of these data is not known: wanted the preset of a spiral")
    rng = np.random.default_rng(1)
    exact = ud.EmpiricalDenoiser(forward, data.fresh(100_000, rng))
    out: Estimates = {}
    for t in TIMES:
        x_t = forward.jump(data.fresh(400, rng), t, rng.standard_normal((400, data.dim)))
        out[t] = x_t, exact.xi_hat(x_t, t)
    return out


def scaled(settings: Config, passes_scale: float) -> Config:
    """Multiply every number of passes."""
    training = settings.training
    passes = {
        name: max(1, round(passes_scale * number))
        for name, number in (("epochs", training.epochs), ("warm_epochs", training.warm_epochs))
        if number is not None
    }
    return settings.model_copy(update={"training": training.model_copy(update=passes)})


def excess(settings: Config, data: ud.datasets.Dataset, exact: Estimates) -> tuple[Floats, float]:
    """Mean square distance to the exact estimate at each time, and seconds a network took on one core."""
    forward = settings.forward()
    reference = ud.GaussianDenoiser.from_data(forward, data.train)
    parametrisation = Parametrisation(forward, settings.architecture_at(1, data.dim), reference)
    errors, start, trained = [], time.perf_counter(), 0
    for t in TIMES:
        # The worst place in a block: the end of its chain, or any time where times are independent.
        length = settings.training.block if settings.training.order == "continuation" else 1
        progress = BlockTrainer(settings, Block(t, t + length - 1), data.train, data.held_out, reference).run()
        trained += length
        net = ud.Autoencoder(progress.weights[t], settings.architecture_at(t, data.dim))
        x_t, xi = exact[t]
        errors.append(np.mean((parametrisation.xi_hat(net(x_t), x_t, t) - xi) ** 2))
    return np.array(errors), (time.perf_counter() - start) / trained


def compare(preset: str, seeds: int, passes_scale: float, record: Record) -> None:
    """Train every variant with every seed, on the same data, and record its excess."""
    base = ud.config.load(preset)
    data, forward = ud.datasets.load(base), base.forward()
    exact = exact_estimates(data, forward)
    weights = np.array([data.dim * bound_weight(forward.schedule, t) for t in TIMES])
    width = 17 if seeds > 1 else 7
    record.say(f"{'variant':36} {'nats':>{width}} {'s/net':>6}   excess at t = {', '.join(map(str, TIMES))}")
    for name, changes in VARIANTS.items():
        settings = [scaled(ud.config.load(preset, changes, seed), passes_scale) for seed in range(seeds)]
        errors, seconds = zip(*(excess(each, data, exact) for each in settings), strict=True)
        taken = float(np.mean(seconds))
        nats = Mean.of([float(trapezoid(weights * each, TIMES)) for each in errors])
        mean = np.mean(errors, axis=0)
        record.add(
            f"{name:36} {nats.text(4):>{width}} {taken:6.3f}   {' '.join(f'{e:.4f}' for e in mean)}",
            "variants",
            variant=name.strip(" +"),
            changes=changes,
            nats=nats,
            seconds_per_network=taken,
            excess=[{"t": t, **vars(Mean.of([each[k] for each in errors]))} for k, t in enumerate(TIMES)],
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Compare the variants on one spiral."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[json_options()]
    )
    parser.add_argument("--preset", default="spiral-2pi", help="spiral to train on (%(default)s)")
    parser.add_argument("--seeds", type=count, default=1, help="trainings of each variant (%(default)s)")
    parser.add_argument(
        "--passes-scale", type=positive, default=1.0, help="factor on every number of passes; below 1 for a trial"
    )
    options = parser.parse_args(argv)
    try:
        record = Record(parser, argv, options.json, options.overwrite)
        compare(options.preset, options.seeds, options.passes_scale, record)
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
