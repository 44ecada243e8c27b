"""What each choice of the laptop recipe for digits buys: one network, or a stretch of neighbouring ones, at a time.

    python benchmarks/digit_recipes.py network 10 100 300     one network per time, cold, choice by choice
    python benchmarks/digit_recipes.py neighbours             thirty neighbouring times: restart, sweep, interpolate
    python benchmarks/digit_recipes.py targets 300 400        noise against posterior means as targets
    python benchmarks/digit_recipes.py weights 2 20 200       simple against weighted loss, over seeds
    python benchmarks/digit_recipes.py literal 100 400        Table 2's network after 20 of its 300 passes

Run it with OMP_NUM_THREADS=1. It prints held-out xi-errors per dimension and seconds of one core, the Gaussian and the
empirical reference beside them.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

import undiffuse as ud
from undiffuse import datasets
from undiffuse.diffusion import objective
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.bank import MemoryBlock
from undiffuse.networks.network import Weights
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.runs import config
from undiffuse.training.blocks import BlockTrainer

torch.set_num_threads(1)

BASE = config.load("mnist-01-laptop").model_dump() | {"times": []}
DATA = datasets.load(config.load("mnist-01-laptop"))
REFERENCE = GaussianDenoiser.from_data(config.load("mnist-01-laptop").forward(), DATA.train)
EMPIRICAL = ud.EmpiricalDenoiser(REFERENCE.forward, DATA.train)
COLD = {"order": "independent", "warm_epochs": None, "warm_learning_rate": None, "sweep_from": None, "average": None}
THESIS = {"skip": "none", "components": None, "hidden": 1700, "prediction": "xi", "decoder_scale": 1.0}
SLOW = {"learning_rate": 2e-4, "decay": "none"}


def settings(network=None, seed=0, **training) -> config.Config:
    """Start from the laptop recipe and change some of it, for the whole run."""
    return config.validate(
        BASE | {"network": BASE["network"] | (network or {}), "training": BASE["training"] | training, "seed": seed},
        "recipe",
    )


def train(name: str, what: config.Config, first: int, last: int, before=None):
    """Train a block, print the held-out errors of its times, and return it."""
    start = time.process_time()
    done = BlockTrainer(what, first, last, DATA.train, DATA.held_out, REFERENCE).run(before=before)
    seconds = time.process_time() - start
    for t in sorted({first, last}):
        print(f"t = {t:4d}  {name:58s} {done.held_out[t][-1]:.6f}  {seconds:6.1f} s", flush=True)
    return done


def references(t: int) -> None:
    error = objective.xi_error(EMPIRICAL, DATA.held_out[:500], t)
    print(f"t = {t:4d}  gaussian {REFERENCE.error(t):.6f}, empirical {error:.6f}", flush=True)


def network(times: list[int]) -> None:
    """One cold network, 100,000 samples (8 passes), choice by choice."""
    few = COLD | {"epochs": 8}
    plain = {"skip": "none", "components": None, "hidden": 512}
    for t in times:
        references(t)
        train(
            "thesis: xi, 1700 hidden, lr 2e-4, no decay",
            settings(
                plain | {"hidden": 1700, "prediction": "xi", "decoder_scale": 1.0},
                **few | {"learning_rate": 2e-4, "decay": "none"},
            ),
            t,
            t,
        )
        train("x0, 512 hidden, pixels", settings(plain, **few), t, t)
        train("gaussian skip, 512 hidden, pixels", settings(plain | {"skip": "gaussian"}, **few), t, t)
        for k in (50, 150, 300, 577):
            train(f"gaussian skip, 512 hidden, {k} components", settings({"hidden": 512, "components": k}, **few), t, t)
        for hidden in (1024, 2048):
            train(f"gaussian skip, {hidden} hidden, 150 components", settings({"hidden": hidden}, **few), t, t)
        train("2048 hidden, 150 components, 32 passes", settings(**few | {"epochs": 32}), t, t)


def neighbours() -> None:
    """From one well-trained network at t = 140 down to 125, five passes a time, 1024 hidden."""
    wide = {"hidden": 1024}
    start = train("start: 64 passes", settings(wide, sweep_from=140, epochs=64), 140, 140)
    sweep = {"sweep_from": 140, "warm_epochs": 5}
    for rate in (3e-3, 1e-3, 5e-4):
        train(
            f"one optimiser, averaged, lr {rate:g}",
            settings(wide, **sweep, warm_learning_rate=rate),
            125,
            139,
            start.state,
        )
    for rate in (3e-3, 1e-3):
        again = COLD | {"order": "continuation", "warm_epochs": 5, "epochs": 64, "learning_rate": rate}
        train(f"restarted at each time, lr {rate:g} (its own start, 64 passes)", settings(wide, **again), 125, 140)
    stop = settings(wide, **sweep | {"warm_epochs": 75})
    far = train("75 passes at t = 125 alone", stop, 125, 125, start.state)
    for name, weights in (
        ("weights of t = 140 as they are", start.weights[140]),
        ("weights of t = 125 as they are", far.weights[125]),
        ("half way between the two", halfway(start.weights[140], far.weights[125], 132)),
    ):
        block = MemoryBlock(132, stop.architecture_at(132, DATA.dim), Weights.stack([weights]))
        print(f"t =  132  {name:58s} {held_out_error(block):.6f}", flush=True)


def held_out_error(block: MemoryBlock) -> float:
    """Held-out xi-error of a single network."""
    t, link = block.first, Parametrisation(REFERENCE.forward, block.architecture, REFERENCE)
    xi = np.random.default_rng(0).standard_normal(DATA.held_out.shape)
    x_t = REFERENCE.forward.jump(DATA.held_out, t, xi)
    net = ud.Autoencoder(block.at(t), block.architecture)
    return float(np.mean((link.xi_hat(net(link.inputs(x_t, t)), x_t, t) - xi) ** 2))


def halfway(a: Weights, b: Weights, t: int) -> Weights:
    """Weights of time t between those of 140 and 125, linear in log sigma with sigma^2 = Delta/alpha_bar."""
    log = lambda t: np.log(REFERENCE.forward.noise(t) / REFERENCE.forward.signal(t))  # noqa: E731
    f = np.float32((log(t) - log(140)) / (log(125) - log(140)))
    return Weights(**{n: (1 - f) * x + f * b.arrays()[n] for n, x in a.arrays().items()})


def targets(times: list[int]) -> None:
    """Noise against posterior means as targets, 100 components, 2048 hidden."""
    narrow = {"components": 100}
    for t in times:
        references(t)
        train("noise, 30 passes", settings(narrow, **COLD, epochs=30), t, t)
        for passes, blends in ((15, 0.0), (15, 0.3), (30, 0.3)):
            changes = COLD | {"epochs": passes, "targets": "posterior", "blends": blends}
            train(f"posterior means, {passes} passes, {blends:g} of them blends", settings(narrow, **changes), t, t)


def weights(times: list[int], seeds: int = 5) -> None:
    """Simple against weighted loss, thesis architecture, two passes: held-out error over seeds."""
    few = COLD | SLOW | {"epochs": 2, "batch": 50}
    for t in times:
        errors = {}
        for loss in ("simple", "weighted"):
            runs = [train(f"{loss} loss, seed {s}", settings(THESIS, s, **few, loss=loss), t, t) for s in range(seeds)]
            errors[loss] = np.array([run.held_out[t][-1] for run in runs])
        gap = errors["weighted"] / errors["simple"] - 1
        spread = errors["simple"].std(ddof=1) / errors["simple"].mean()
        weight = objective.bound_weight(REFERENCE.forward.schedule, t)
        print(
            f"t = {t:4d}  weight {weight:.4f}: weighted/simple - 1 = {gap.mean():+.2e} +- "
            f"{gap.std(ddof=1) / np.sqrt(seeds):.1e}; from seed to seed {spread:.1e}",
            flush=True,
        )


def literal(times: list[int]) -> None:
    """Table 2 of the thesis to the letter, but 20 passes instead of 300."""
    for t in times:
        references(t)
        rate = {"learning_rate": 1e-4 if t <= 5 else 2e-4}
        train("Table 2, 20 passes", settings(THESIS, **COLD | SLOW | rate | {"epochs": 20, "batch": 50}), t, t)


def main() -> None:
    choices = {
        "network": network,
        "neighbours": neighbours,
        "targets": targets,
        "weights": weights,
        "literal": literal,
    }
    if len(sys.argv) < 2 or sys.argv[1] not in choices:
        sys.exit(__doc__)
    times = [int(t) for t in sys.argv[2:]]
    choices[sys.argv[1]](*([times] if sys.argv[1] != "neighbours" else []))


if __name__ == "__main__":
    main()
