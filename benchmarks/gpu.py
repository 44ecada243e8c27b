"""What training and sampling take on a GPU, beside the memory traffic that they cannot do without.

    python benchmarks/gpu.py --json gpu.json
    python benchmarks/gpu.py slice --precision tf32 --engine triton

- *slice*: Table 2's ``mnist-01`` to the letter, a block of it or as many networks of one as fit, a few of the 300
  passes after others that warm up; the whole bank is projected from it. Its floor is the bytes that each step cannot
  but move: a weight is read for the products, then read and written with both moments, 28 bytes, at the rate of a copy
  on this GPU in this run. With ``torch`` gradients are written out and read again, with ``triton`` they are not.
- *laptop*: ``mnist-01-laptop`` from start to end, after a pass at each time in which kernels are compiled.
- *sampling*: 1,000 digits of 1,000 steps from the bank that *laptop* trained.

The file is written after each job. What fails is told in a line, and the others are measured. Without a GPU it says so
and measures nothing.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import product
from pathlib import Path

import torch

import undiffuse as ud
from timing import JsonFile, seconds
from undiffuse.datasets import Dataset
from undiffuse.networks import on_device
from undiffuse.recipes.vary import with_share_of_passes
from undiffuse.runs.config import Block, Config
from undiffuse.support import gpu
from undiffuse.support.errors import UserError
from undiffuse.training import room, train_bank, train_run
from undiffuse.training.blocks import BlockTrainer, total_passes

BYTES = 28  # of each weight, that a step of Adam cannot but move
WARM, TIMED = 2, 3  # passes of a slice
COPIES = 10  # between two looks at the clock
JOBS = ("slice", "laptop")
ENGINES = ("torch", "triton")


@dataclass(frozen=True)
class Row:
    """A job by one engine in one precision: seconds that it takes, and its floor where it has one."""

    job: str
    engine: str
    precision: str
    seconds: float
    floor: float | None = None
    networks: int | None = None  # side by side


def copy_rate(device: torch.device, count: int) -> float:
    """Bytes a second that copies of so many float32 read and write, the best of ten times ten."""
    source, target = torch.ones(count, device=device), torch.empty(count, device=device)

    def copy() -> None:
        for _ in range(COPIES):
            target.copy_(source)
        _ = target[:1].cpu()  # which waits for them

    return COPIES * 2 * 4 * count / min(seconds(copy) for _ in range(10))


def changed(config: Config, **changes: object) -> Config:
    """The configuration with its training changed."""
    training = config.training.model_copy(update=changes)
    return config.model_copy(update={"training": training})


def slice_of(config: Config, data: Dataset, engine: str, precision: str, rate: float) -> Row:
    """The whole bank, projected from a few passes of networks that have the settings of most times."""
    t = config.diffusion.T
    short = changed(config, engine=engine, precision=precision, epochs=WARM + TIMED)
    training, a = short.training_at(t), short.architecture_at(t, data.dim)
    last = config.blocks()[-1]
    count = room.at_once(training, a, last, (len(data.train), len(data.held_out)), gpu.CUDA)
    reference = ud.GaussianDenoiser.from_data(config.forward(), data.train)
    block = BlockTrainer(short, Block(t - count + 1, t), data.train, data.held_out, reference, gpu.CUDA)
    ends: list[tuple[float, int]] = []
    block.run(on_pass=lambda networks: ends.append((time.perf_counter(), networks)) if networks else None)
    count = ends[-1][1]  # of the group that was trained last, if memory has become less
    each = (ends[-1][0] - ends[-1 - TIMED][0]) / TIMED / count  # seconds of a pass of one network
    passes, steps = total_passes(config), -(-len(data.train) // training.batch)
    floor = passes * steps * a.size * BYTES / rate
    return Row(f"training {config.name}", engine, precision, passes * each, floor, count)


def whole(config: Config, data: Dataset, engine: str, precision: str, n: int) -> list[Row]:
    """The training from start to end, once its kernels are compiled, and samples of the bank it makes."""
    config = changed(config, engine=engine, precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        execution = ud.Execution(device="cuda", workers=1)
        train_bank(with_share_of_passes(config, 1e-6), data, execution)  # one pass at each time
        training = seconds(lambda: train_run(config, data, run, execution=execution))
        bank, home = ud.Diffusion.load(run).bank, gpu.home(gpu.CUDA)
        on_device.sample(bank, n, home, sampler=ud.DDIM(steps=5))  # libraries are loaded
        sampling = seconds(lambda: on_device.sample(bank, n, home))
    return [
        Row(f"training {config.name}", engine, precision, training),
        Row(f"{n} samples of {config.name}", engine, precision, sampling),
    ]


def versions(home: torch.device) -> dict[str, str | None]:
    """The device, and what drives it."""
    device = torch.cuda.get_device_name() if home.type == "cuda" else "none"
    triton = importlib.metadata.version("triton") if importlib.util.find_spec("triton") else None
    return {"device": device, "torch": torch.__version__, "CUDA": torch.version.cuda, "triton": triton}


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    print(f"{'seconds':34} {'engine':>7} {'precision':>9} {'networks':>8} {'floor':>8} {'ours':>8} {'ratio':>6}")
    for row in rows:
        floor, ratio = ("", "") if row.floor is None else (f"{row.floor:.1f}", f"{row.seconds / row.floor:.2f}")
        print(f"{row.job:34} {row.engine:>7} {row.precision:>9} {row.networks or '':>8} ", end="")
        print(f"{floor:>8} {row.seconds:8.1f} {ratio:>6}")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[JsonFile.options()]
    )
    parser.add_argument("jobs", nargs="*", choices=[*JOBS, []], help="which (all)", metavar="JOB")
    parser.add_argument(
        "--precision", action="append", choices=["float32", "tf32", "bfloat16"], help="of products (all three)"
    )
    parser.add_argument("--engine", action="append", choices=ENGINES, help="that makes the steps (both)")
    options = parser.parse_args(argv)
    rows: list[Row] = []
    failed: list[str] = []
    try:
        file = JsonFile(parser, argv, options)
        if not gpu.is_there():
            print("gpu.py: torch sees no GPU here, so nothing is measured", file=sys.stderr)
            raise SystemExit(2)
        home = gpu.home(gpu.CUDA)
        rate = copy_rate(home, 1 << 28)
        about = {"measured": date.today().isoformat(), "bytes a second": rate, **versions(home)}
        for name in options.jobs or JOBS:
            config = ud.config.load("mnist-01" if name == "slice" else "mnist-01-laptop")
            data = ud.datasets.load(config)
            ways = product(options.engine or ENGINES, options.precision or ("float32", "tf32", "bfloat16"))
            for engine, precision in ways:
                what = f"{name} by {engine} in {precision}"
                print(f"measuring {what}", file=sys.stderr, flush=True)
                try:
                    found = [slice_of(config, data, engine, precision, rate)] if name == "slice" else []
                    rows += found or whole(config, data, engine, precision, 1000)
                except (UserError, RuntimeError) as error:  # RuntimeError is what CUDA and Triton raise
                    failed.append(f"{what}: {error}")
                    print(failed[-1], file=sys.stderr, flush=True)
                file.write(about | {"rows": [asdict(row) for row in rows], "failed": failed})
    except UserError as error:
        parser.error(str(error))
    show(rows)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
