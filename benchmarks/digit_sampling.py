"""How long a bank takes to draw digits, beside the matrix products that it cannot do without.

    python benchmarks/digit_sampling.py RUN [SAMPLES]

Prints seconds and ratios, all measured in this one run: sampling by the package; the products of the bank's own
networks with everything else left out; those of Table 2's networks (784 pixels, 1700 hidden units); and the obvious
loop over torch modules of that size, with noise and updates, on a tenth of the times.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch

import undiffuse as ud
from undiffuse.networks.network import Architecture


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def products(shapes: list[Architecture], n: int) -> Callable[[], None]:
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


def torch_loop(schedule: ud.NoiseSchedule, times: range, n: int, dim: int, hidden: int = 1700) -> Callable[[], None]:
    """Algorithm 2 as it is usually written, one torch module per time; making them is not counted."""
    nets = [
        torch.nn.Sequential(torch.nn.Linear(dim, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, dim))
        for _ in range(10)
    ]

    def work() -> None:
        x = torch.randn(n, dim)
        with torch.no_grad():
            for t in reversed(times):
                beta, Delta = float(schedule.beta(t)), float(schedule.Delta(t))
                x = (x - beta / Delta**0.5 * nets[t % 10](x)) / (1 - beta) ** 0.5 + beta**0.5 * torch.randn(n, dim)

    return work


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    model, n = ud.Diffusion.load(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    T, schedule = len(model.bank), model.schedule
    own = [model.bank[t].architecture for t in range(1, T + 1)]
    model.sample(2)  # weights into the page cache
    ours = seconds(lambda: model.sample(n))
    rows = {
        "products of the bank's own networks": seconds(products(own, n)),
        "products of Table 2's networks": seconds(products([Architecture(model.dim, 1700)] * T, n)),
        "loop over torch modules of that size": 10 * seconds(torch_loop(schedule, range(1, T // 10 + 1), n, model.dim)),
    }
    print(f"{n} samples, {T} times, {torch.get_num_threads()} threads")
    print(f"{'sampling by the package':40s} {ours:7.1f} s")
    for name, taken in rows.items():
        print(f"{name:40s} {taken:7.1f} s   package/this = {ours / taken:.2f}")


if __name__ == "__main__":
    main()
