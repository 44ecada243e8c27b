"""Full-size spiral training against two alternatives, all measured in this run on this machine.

    make bench
    python benchmarks/spiral_training.py --preset spiral-3pi
    python benchmarks/spiral_training.py --set training.epochs=1     a trial

(a) one torch module per time in a Python loop, with DataLoader and Adam: how one would write it first;
(b) batched torch products over many times at once: the package's own torch engine.

The alternatives train a sample of times in full and are projected to T; ours trains the whole bank, twice, since a
machine may change its pace meanwhile. Prints seconds at full size, their ratios to ours, and the memory of the largest
worker. Three minutes on two cores.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

import undiffuse as ud
from timing import JsonFile, seconds
from undiffuse.runs.config import Block, Config
from undiffuse.support.errors import UserError
from undiffuse.training import train_bank
from undiffuse.training.blocks import BlockTrainer


def loop(settings: Config, data: ud.datasets.Dataset, times: Sequence[int]) -> float:
    """Seconds to train ``times`` one module after another."""
    x0, forward = torch.tensor(data.train, dtype=torch.float32), settings.forward()

    def work() -> None:
        for t in times:
            training, network = settings.training_at(t), settings.architecture_at(t, data.dim)
            model = torch.nn.Sequential(
                torch.nn.Linear(data.dim, network.hidden), torch.nn.ReLU(), torch.nn.Linear(network.hidden, data.dim)
            )
            adam = torch.optim.Adam(model.parameters(), lr=training.learning_rate)
            loader = DataLoader(TensorDataset(x0), batch_size=training.batch, shuffle=True)
            for _ in range(training.epochs):
                for (batch,) in loader:
                    xi = torch.randn_like(batch)
                    loss = torch.nn.functional.mse_loss(model(forward.signal(t) * batch + forward.noise(t) * xi), xi)
                    adam.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    adam.step()

    return seconds(work)


def batched(settings: Config, data: ud.datasets.Dataset, at_once: int) -> float:
    """Seconds to train ``at_once`` times side by side on the torch engine."""
    training = settings.training.model_copy(update={"engine": "torch", "at_once": at_once, "block": at_once})
    settings = settings.model_copy(update={"training": training})
    reference = ud.GaussianDenoiser.from_data(settings.forward(), data.train)
    first = settings.diffusion.T // 2
    trainer = BlockTrainer(settings, Block(first, first + at_once - 1), data.train, data.held_out, reference)
    return seconds(trainer.run)


def ours(settings: Config, data: ud.datasets.Dataset, workers: int | None) -> float:
    """Seconds to train the whole bank, worker processes and their start included."""
    return seconds(lambda: train_bank(settings, data, ud.Execution(workers=workers)))


def peak_mebibytes() -> float | None:
    """Largest resident memory of this process's biggest worker; None where it trained without workers."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 or None


def measure(settings: Config, options: argparse.Namespace) -> tuple[dict[str, float], float | None]:
    """Seconds at full size by name, and the memory of the largest worker in MiB, if there was one."""
    data, T = ud.datasets.load(settings), settings.diffusion.T
    rows: dict[str, float] = {}

    def note(name: str, taken: float) -> None:
        rows[name] = taken
        print(f"measured {name}: {taken:.1f} s at full size", file=sys.stderr, flush=True)

    note("ours", ours(settings, data, options.workers))
    memory = peak_mebibytes()
    times = np.linspace(1, T, options.loop_times).astype(int).tolist()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        note(f"loop, {threads} thread(s)", loop(settings, data, times) * T / len(times))
    torch.set_num_threads(1)
    for at_once in options.at_once:
        note(f"batched, {at_once} at once, 1 thread", batched(settings, data, at_once) * T / at_once)
    note("ours, again", ours(settings, data, options.workers))
    return rows, memory


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[JsonFile.options()]
    )
    parser.add_argument("--preset", default="spiral-2pi", help="spiral to train on (%(default)s)")
    parser.add_argument("--set", dest="changes", action="append", metavar="KEY=VALUE", help="replace a setting of it")
    parser.add_argument("--loop-times", type=int, default=4, help="times trained by the loop (%(default)s)")
    parser.add_argument("--at-once", type=int, nargs="+", default=[8, 16], help="sizes of the batches of times (8 16)")
    parser.add_argument("--workers", type=int, help="worker processes of ours (one per core)")
    options = parser.parse_args(argv)
    try:
        file = JsonFile(parser, argv, options)
        settings = ud.config.load(options.preset, options.changes)
        rows, memory = measure(settings, options)
    except UserError as error:
        parser.error(str(error))
    mean = (rows["ours"] + rows["ours, again"]) / 2
    ratios = {name: taken / mean for name, taken in rows.items()}
    print(f"{settings.name}: {settings.diffusion.T} networks at full size")
    for name, taken in rows.items():
        print(f"  {name:34} {taken:8.1f} s   {ratios[name]:7.1f} x ours")
    if memory is not None:
        print(f"  largest worker: {memory:.0f} MiB")
    file.write(
        {
            "preset": settings.name,
            "networks": settings.diffusion.T,
            "seconds": rows,
            "ratio_to_ours": ratios,
            "worker_peak_MiB": memory,
        }
    )


if __name__ == "__main__":
    main()
