"""Training and sampling beside what they cannot do without on this machine, all measured in this run.

    make bench
    python benchmarks/floors.py --json docs/speed.json --overwrite
    python benchmarks/floors.py spiral-sampling digit-sampling
    python benchmarks/floors.py digit-training --set training.precision=float32

The floor of a job is the sum of three things, each timed by itself:

- *products*: for digits the matrix products at the recipe's own shapes, for sampling with the bank's own weights. For
  spirals, whose networks stay in the cache, multiplications of whole vectors, counted by hand, at the highest rate that
  this processor reaches in registers;
- *normals*: the standard normal numbers of the job;
- *bytes*: in training, reading and writing each weight and its two moments once a step (28 bytes).

Training is counted in seconds of one core for the whole bank, from a pass of each range of times; sampling in seconds
of all cores. Banks are untrained unless a run is named. Five minutes on two cores.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numba import njit

import undiffuse as ud
from timing import JsonFile, seconds
from undiffuse.kernels import LANES, lanes
from undiffuse.networks.bank import MemoryBlock
from undiffuse.networks.network import start_weights
from undiffuse.runs.config import Config
from undiffuse.support import normals
from undiffuse.support.errors import UserError
from undiffuse.support.processor import instruction_sets
from undiffuse.support.threads import cores, one_thread
from undiffuse.training import engines
from undiffuse.training.blocks import total_passes
from undiffuse.training.cost import block_seconds, pass_costs

vectors: Any = lanes
CHAINS = 10  # independent multiplications in flight, more than a processor takes to finish one
TRAINING_OPERATIONS, SAMPLING_OPERATIONS = 13, 5  # vector operations for a point and LANES hidden units, in the plane


@dataclass(frozen=True)
class Row:
    """One job: its floor in three parts, and the time it takes; seconds of ``of`` cores."""

    job: str
    of: int
    products: float
    normals: float
    bytes: float
    ours: float

    @property
    def floor(self) -> float:
        """Sum of the parts."""
        return self.products + self.normals + self.bytes


def best(work: Callable[[], object], times: int = 3) -> float:
    """Least seconds of several turns, which is what a floor is made of."""
    return min(seconds(work) for _ in range(times))


def shared(work: Callable[[int], object], parts: int) -> Callable[[], None]:
    """``work`` of each part, on as many threads as there are cores."""

    def run() -> None:
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(work, range(parts)))

    return run


# -- pieces ------------------------------------------------------------------------------------------------------------


@njit(nogil=True)
def _multiply(numbers: Any, repeats: int) -> None:
    """Ten chains of ``x <- c x + d`` in registers."""
    c, d = vectors.load(numbers, 0, (0,)), vectors.load(numbers, LANES, (0,))
    x0, x1, x2, x3, x4, x5, x6, x7, x8, x9 = c, d, c, d, c, d, c, d, c, d
    for _ in range(repeats):
        x0, x1, x2 = vectors.affine(c, d, x0), vectors.affine(c, d, x1), vectors.affine(c, d, x2)
        x3, x4, x5 = vectors.affine(c, d, x3), vectors.affine(c, d, x4), vectors.affine(c, d, x5)
        x6, x7, x8 = vectors.affine(c, d, x6), vectors.affine(c, d, x7), vectors.affine(c, d, x8)
        x9 = vectors.affine(c, d, x9)
    for i, x in enumerate((x0, x1, x2, x3, x4, x5, x6, x7, x8, x9)):
        vectors.store(numbers, (2 + i) * LANES, x)


def vector_rate() -> float:
    """Multiplications of ``LANES`` numbers that one core makes in a second."""
    numbers, repeats = np.full((2 + CHAINS) * LANES, 0.5, np.float32), 20_000_000
    _multiply(numbers, 1)
    return CHAINS * repeats / best(lambda: _multiply(numbers, repeats))


def normal_seconds() -> float:
    """Seconds of one standard normal number in single precision, drawn many at a time."""
    count, rng = 3_000_000, np.random.Generator(np.random.SFC64(0))
    return best(lambda: rng.standard_normal(count, np.float32)) / count


def stream_normal_seconds() -> float:
    """The same in double precision from the streams of samples."""
    streams, out = normals.states(0, (0,), 0, 1_000), np.empty((1_000, 3_000))
    return best(lambda: normals.fill(streams, out, 0)) / out.size


def step_seconds(a: ud.Architecture, batch: int, precision: torch.dtype) -> float:
    """Seconds of the five products of a minibatch: two forwards, three for the gradients."""
    shapes = (batch, a.width), (a.hidden, a.width), (a.width, a.hidden)
    x, W, A = (torch.randn(shape).to(precision) for shape in shapes)

    def steps() -> None:
        for _ in range(20):
            h = x @ W.T
            out = h @ A.T
            _ = out.T @ h
            _ = (out @ A).T @ x

    return best(steps) / 20


def posterior_seconds(width: int, points: int) -> float:
    """Seconds of the two products behind the posterior mean of one input over so many points."""
    rows, data = np.ones((512, width), np.float32), np.ones((points, width), np.float32)
    return best(lambda: (rows @ data.T) @ data) / 512


def move_seconds(count: int) -> float:
    """Seconds of reading and writing so many weights and their moments: 28 bytes each, by copies of 8."""
    source, target = np.ones(count, np.float32), np.empty(count, np.float32)

    def copies() -> None:
        for _ in range(20):
            target[...] = source

    return 3.5 * best(copies) / 20


# -- jobs --------------------------------------------------------------------------------------------------------------


def spiral_training(config: Config, run: Path | None) -> Row:
    """The whole bank on one core; spirals have the same settings at all times."""
    data, training = ud.datasets.load(config), config.training
    passes = total_passes(config)
    visits = passes * data.train.shape[0] * config.network.hidden / LANES
    with one_thread():
        ours = sum(block_seconds(config, pass_costs(config, data, "cpu")))
    return Row(
        f"training {config.name}",
        1,
        visits * TRAINING_OPERATIONS / vector_rate(),
        passes * data.train.size * normal_seconds(),
        passes * -(-len(data.train) // training.batch) * move_seconds(5 * config.network.hidden),
        ours,
    )


def digit_training(config: Config, run: Path | None) -> Row:
    """The whole bank on one core, from a pass of each range of times."""
    data = ud.datasets.load(config)
    torch.set_num_threads(1)
    products = normals = moved = 0.0
    with one_thread():
        normal = normal_seconds()
        for block in config.blocks():
            training, a = config.training_at(block.last), config.architecture_at(block.last, data.dim)
            lower = engines.choose(training, a, "cpu") == engines.TORCH["bfloat16"]
            key = (a, training.batch, lower, training.posterior_share)
            if key not in _measured:
                step = step_seconds(a, training.batch, torch.bfloat16 if lower else torch.float32)
                _measured[key] = (
                    step,
                    move_seconds(a.hidden * (2 * a.width + 1)),
                    posterior_seconds(a.width, int(training.posterior_share * len(data.train))),
                )
            step, move, posterior = _measured[key]
            passes, n = total_passes(config, [block]), len(data.train)
            steps = passes * -(-n // training.batch)
            share = training.blends if training.targets == "sample" else 1.0
            products += steps * step + passes * n * share * posterior
            normals += passes * n * a.width * normal
            moved += steps * move
        ours = sum(block_seconds(config, pass_costs(config, data, "cpu")))
    return Row(f"training {config.name}", 1, products, normals, moved, ours)


_measured: dict[tuple[ud.Architecture, int, bool, float], tuple[float, float, float]] = {}


def bank_of(config: Config, run: Path | None) -> ud.Bank:
    """The bank of a run, or an untrained one."""
    if run is not None:
        return ud.Diffusion.load(run).bank
    data, forward, rng = ud.datasets.load(config), config.forward(), np.random.default_rng(0)
    blocks = []
    for first, last in config.blocks():
        a = config.architecture_at(last, data.dim)
        some = [start_weights(a, data.train[: max(a.hidden, 1), : a.width], rng)] * (last - first + 1)
        blocks.append(MemoryBlock(first, a, ud.Weights.stack(some)))
    return ud.Bank(forward, blocks, ud.GaussianDenoiser.from_data(forward, data.train))


def spiral_sampling(config: Config, run: Path | None, n: int = 100_000) -> Row:
    """Points through all steps of Algorithm 2."""
    bank, T = bank_of(config, run), config.diffusion.T
    ud.sample(bank, 2)
    visits = n * T * config.network.hidden / LANES
    return Row(
        f"{n} samples of {config.name}",
        cores(),
        visits * SAMPLING_OPERATIONS / vector_rate() / cores(),
        n * T * bank.dim * stream_normal_seconds() / cores(),
        0.0,
        seconds(lambda: ud.sample(bank, n)),
    )


def digit_sampling(config: Config, run: Path | None, n: int = 1000) -> Row:
    """Digits through all steps of Algorithm 2; products with the bank's own weights, which have to be read as well."""
    bank, T = bank_of(config, run), config.diffusion.T
    ud.sample(bank, 2)
    widths = [bank.architecture(t).width for t in range(1, T + 1)]
    inputs = {a: np.ones((n, a), np.float32) for a in set(widths)}
    hidden = {h: np.ones((n, h), np.float32) for h in {bank.architecture(t).hidden for t in range(1, T + 1)}}

    def products() -> None:
        for t in range(T, 0, -1):
            net = bank.kept(t)
            _ = inputs[net.architecture.width] @ net.W.T
            _ = hidden[net.architecture.hidden] @ net.A.T

    products()
    turns = [(seconds(products), seconds(lambda: ud.sample(bank, n))) for _ in range(3)]
    product, ours = np.mean(turns, axis=0)
    normals = n * sum(widths) * stream_normal_seconds() / cores()
    return Row(f"{n} samples of {config.name}", cores(), float(product), normals, 0.0, float(ours))


JOBS = {
    "spiral-training": ("spiral-2pi", spiral_training),
    "spiral-sampling": ("spiral-2pi", spiral_sampling),
    "digit-training": ("mnist-01-laptop", digit_training),
    "digit-sampling": ("mnist-01-laptop", digit_sampling),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[JsonFile.options()]
    )
    parser.add_argument("jobs", nargs="*", choices=[*JOBS, []], help="which (all)", metavar="JOB")
    parser.add_argument("--run", type=Path, metavar="RUN", help="a finished run to sample from, for one sampling job")
    parser.add_argument("--set", dest="changes", action="append", metavar="KEY=VALUE", help="replace a setting")
    options = parser.parse_args(argv)
    rows = []
    try:
        file = JsonFile(parser, argv, options)
        for name in options.jobs or JOBS:
            preset, job = JOBS[name]
            print(f"measuring {name}", file=sys.stderr, flush=True)
            rows.append(job(ud.config.load(preset, options.changes), options.run))
    except UserError as error:
        parser.error(str(error))
    print(
        f"{'seconds':32} {'cores':>5} {'products':>9} {'normals':>8} {'bytes':>6} {'floor':>7} {'ours':>7} {'ratio':>6}"
    )
    for row in rows:
        parts = f"{row.products:9.1f} {row.normals:8.1f} {row.bytes:6.1f} {row.floor:7.1f} {row.ours:7.1f}"
        print(f"{row.job:32} {row.of:5} {parts} {row.ours / row.floor:6.2f}")
    numbers = [asdict(row) | {"floor": row.floor, "ratio": row.ours / row.floor} for row in rows]
    sets = instruction_sets() & {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}
    processor = f"{cores()} cores, {', '.join(sorted(sets)) or 'no vector extension known'}"
    file.write({"measured": date.today().isoformat(), "processor": processor, "rows": numbers})


if __name__ == "__main__":
    main()
