"""Full-size spiral training against two alternatives, all measured in this run on this machine.

(a) one torch module per time in a Python loop, with DataLoader and Adam: how one would write it first;
(b) batched torch products over many times at once: the package's own torch engine.

The alternatives train a sample of times in full and are projected to T; ours trains the whole bank.
Run with ``make bench``, or ``python benchmarks/spiral_training.py --help``.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

import undiffuse as ud
from undiffuse.runs import config
from undiffuse.training import train_bank
from undiffuse.training.blocks import BlockTrainer


def loop(settings: config.Config, data: ud.datasets.Dataset, times: list[int]) -> float:
    """Seconds to train ``times`` one module after another."""
    x0, forward = torch.tensor(data.train, dtype=torch.float32), settings.forward()
    start = time.perf_counter()
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
                loss.backward()
                adam.step()
    return time.perf_counter() - start


def batched(settings: config.Config, data: ud.datasets.Dataset, at_once: int) -> float:
    """Seconds to train ``at_once`` times side by side on the torch engine."""
    training = settings.training.model_copy(update={"engine": "torch", "at_once": at_once, "block": at_once})
    settings = settings.model_copy(update={"training": training})
    reference = ud.GaussianDenoiser.from_data(settings.forward(), data.train)
    trainer = BlockTrainer(settings, 500, 499 + at_once, data.train.astype("f4"), data.held_out.astype("f4"), reference)
    start = time.perf_counter()
    trainer.run()
    return time.perf_counter() - start


def ours(settings: config.Config, data: ud.datasets.Dataset, workers: int | None) -> float:
    """Seconds to train the whole bank, worker processes and their start included."""
    start = time.perf_counter()
    train_bank(settings, data, workers=workers)
    return time.perf_counter() - start


def peak_mebibytes() -> float:
    """Largest resident memory of this process's biggest worker."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Measure, print a table, and with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="spiral-2pi")
    parser.add_argument("--loop-times", type=int, default=4, help="times trained by the loop")
    parser.add_argument("--at-once", type=int, nargs="+", default=[8, 16], help="group sizes of the batched products")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    settings = config.load(options.preset)
    data = ud.datasets.load(settings)
    T = settings.diffusion.T
    rows: dict[str, float] = {}

    def note(name: str, seconds: float) -> None:
        rows[name] = seconds
        print(f"measured {name}: {seconds:.1f} s at full size", file=sys.stderr, flush=True)

    note("ours", ours(settings, data, options.workers))
    memory = peak_mebibytes()
    times = np.linspace(1, T, options.loop_times).astype(int).tolist()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        note(f"loop, {threads} thread(s)", loop(settings, data, times) * T / len(times))
    torch.set_num_threads(1)
    for at_once in options.at_once:
        note(f"batched, {at_once} at once, 1 thread", batched(settings, data, at_once) * T / at_once)
    # Ours again: the machine may have changed pace meanwhile.
    note("ours, again", ours(settings, data, options.workers))

    mean = (rows["ours"] + rows["ours, again"]) / 2
    summary = {
        "preset": options.preset,
        "networks": T,
        "seconds": rows,
        "ratio_to_ours": {name: seconds / mean for name, seconds in rows.items()},
        "worker_peak_MiB": memory,
    }
    if options.json:
        print(json.dumps(summary))
        return
    print(f"{options.preset}: {T} networks at full size")
    for name, seconds in rows.items():
        print(f"  {name:34} {seconds:8.1f} s   {seconds / mean:7.1f} x ours")
    print(f"  largest worker: {memory:.0f} MiB")


if __name__ == "__main__":
    main()
