"""How long a bank takes to draw digits, beside the matrix products that it cannot do without.

    python benchmarks/digit_sampling.py RUN
    python benchmarks/digit_sampling.py RUN -n 4000

Prints seconds and ratios, all measured in this one run: sampling by the package; the products of the bank's own
networks with everything else left out; those of Table 2's networks (784 pixels, 1700 hidden units); and the obvious
loop over torch modules of that size, with noise and updates, on a tenth of the times.

Two minutes on two cores for a bank of 1000 networks and 1,000 samples.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

import undiffuse as ud
from timing import JsonFile, seconds
from undiffuse.support.errors import UserError

TABLE_2 = 1700  # hidden units


def products(shapes: Sequence[ud.Architecture], n: int) -> Callable[[], None]:
    """Both matrix products of each network, in float32, with nothing between them."""
    rng = np.random.default_rng(0)
    made = {
        (a.width, a.hidden): [
            rng.standard_normal(shape, dtype=np.float32)
            for shape in ((n, a.width), (a.width, a.hidden), (n, a.hidden), (a.hidden, a.width))
        ]
        for a in shapes
    }

    def work() -> None:
        for a in shapes:
            x, W, u, A = made[a.width, a.hidden]
            x @ W
            u @ A

    return work


def torch_loop(schedule: ud.NoiseSchedule, times: range, n: int, dim: int) -> Callable[[], None]:
    """Algorithm 2 as it is usually written, one torch module per time; making them is not counted."""
    nets = [
        torch.nn.Sequential(torch.nn.Linear(dim, TABLE_2), torch.nn.ReLU(), torch.nn.Linear(TABLE_2, dim))
        for _ in range(10)
    ]

    def work() -> None:
        x = torch.randn(n, dim)
        with torch.no_grad():
            for t in reversed(times):
                beta, Delta = float(schedule.beta(t)), float(schedule.Delta(t))
                x = (x - beta / Delta**0.5 * nets[t % 10](x)) / (1 - beta) ** 0.5 + beta**0.5 * torch.randn(n, dim)

    return work


def measure(run: Path, n: int) -> tuple[int, float, dict[str, float]]:
    """Number of times, seconds of sampling by the package, and those of the alternatives by name."""
    model = ud.Diffusion.load(run)
    T = len(model.bank)
    own = [net.architecture for net in model.bank]
    table_2 = [ud.Architecture(model.dim, TABLE_2)] * T
    tenth = range(1, max(1, T // 10) + 1)
    model.sample(2)  # weights into the page cache
    ours = seconds(lambda: model.sample(n))
    others = {
        "products of the bank's own networks": seconds(products(own, n)),
        "products of Table 2's networks": seconds(products(table_2, n)),
    }
    loop = seconds(torch_loop(model.schedule, tenth, n, model.dim))
    others["loop over torch modules of that size"] = loop * T / len(tenth)
    return T, ours, others


def main(argv: Sequence[str] | None = None) -> None:
    """Measure one run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[JsonFile.options()]
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument("-n", "--samples", type=int, default=1000, help="samples to draw (%(default)s)")
    options = parser.parse_args(argv)
    try:
        file = JsonFile(parser, argv, options)
        T, ours, others = measure(options.run, options.samples)
        threads = torch.get_num_threads()
        print(f"{options.samples} samples, {T} times, {threads} threads")
        print(f"{'sampling by the package':40s} {ours:7.1f} s")
        for name, taken in others.items():
            print(f"{name:40s} {taken:7.1f} s   package/this = {ours / taken:.2f}")
        file.write(
            {
                "samples": options.samples,
                "networks": T,
                "threads": threads,
                "package_seconds": ours,
                "seconds": others,
                "package_over_this": {name: ours / taken for name, taken in others.items()},
            }
        )
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
