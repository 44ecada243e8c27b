"""How time, disk and memory grow with the size of a bank: exponents, a figure, and what two cores train overnight.

    python benchmarks/growth.py --json growth.json --figure docs/images/growth.png

For spirals (the fused kernel) and digits on principal components (matrix products) one setting at a time is changed by
powers of two around a base, a pass of a network is timed three times in turns, and a power law is fitted to the upper
half of the sizes. T only multiplies: networks are trained one by one. Disk is what the weights take; memory is the
peak of a process that trains one network, at the smallest and at the largest size. Four minutes on two cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import undiffuse as ud
from timing import JsonFile
from undiffuse.datasets import Dataset
from undiffuse.figures.style import MODEL, panels, save, styled, ticks_at_round_numbers
from undiffuse.runs.config import Block, Config
from undiffuse.support.errors import UserError
from undiffuse.support.stats import straight_line
from undiffuse.support.threads import one_thread, one_torch_thread
from undiffuse.training.blocks import weight_bytes
from undiffuse.training.cost import pass_costs

NIGHT = 10 * 3600.0  # seconds
TURNS = 3
KINDS = {
    "spirals": ("spiral-2pi", ["diffusion.T=2"]),
    "digits": (
        "mnist-01",
        [
            "diffusion.T=2",
            "times=[]",  # the preset's are of T = 1000
            "network.skip=gaussian",
            "network.prediction=x0",
            "network.components=128",
            "training.batch=100",
        ],
    ),
}
SIZES = {
    ("spirals", "hidden"): [112, 225, 450, 900, 1800, 3600],
    ("spirals", "n"): [1250, 2500, 5000, 10000, 20000],
    ("digits", "hidden"): [128, 256, 512, 1024, 2048, 4096],
    ("digits", "n"): [780, 1560, 3120, 6250, 12500],
    ("digits", "components"): [8, 16, 32, 64, 128, 256, 512],
}
KEYS = {"hidden": "network.hidden", "n": "data.n", "components": "network.components"}
TITLES = {"hidden": "hidden units", "n": "training samples", "components": "components"}


@dataclass(frozen=True)
class Growth:
    """Seconds of a pass of one network against one setting.

    Attributes
    ----------
    kind, setting : str
    sizes, seconds, stderr : list
        Sizes, and the mean over turns with its standard error.
    exponent, exponent_stderr : float
        Of the power law through the upper half of the sizes.
    """

    kind: str
    setting: str
    sizes: list[int]
    seconds: list[float]
    stderr: list[float]
    exponent: float
    exponent_stderr: float


def of_size(kind: str, setting: str, size: int) -> tuple[Config, Dataset]:
    """Configuration and data in which one setting has this size."""
    preset, changes = KINDS[kind]
    config = ud.config.load(preset, [*changes, f"{KEYS[setting]}={size}"])
    return config, ud.datasets.load(config)


def measured(kind: str, setting: str) -> Growth:
    """Time a pass at every size, the sizes in turns, since a machine changes its pace."""
    cases, sizes = [of_size(kind, setting, size) for size in SIZES[kind, setting]], SIZES[kind, setting]
    with one_thread(), one_torch_thread():
        turns = np.array([[pass_costs(*case, "cpu")[0].seconds for case in cases] for _ in range(TURNS)])
    mean, error = turns.mean(axis=0), turns.std(axis=0, ddof=1) / np.sqrt(TURNS)
    upper = slice(len(sizes) // 2, None)
    # Three turns say little of one size's scatter; of all sizes together they say enough.
    relative = np.full(len(sizes), np.sqrt(np.mean((error / mean) ** 2)))
    slope, slope_error = straight_line(np.log(sizes)[upper], np.log(mean)[upper], relative[upper])
    return Growth(kind, setting, sizes, mean.tolist(), error.tolist(), slope, slope_error)


def peak_bytes(kind: str, setting: str, size: int) -> int:
    """Largest memory of a process that trains a network with one setting of this size."""
    preset, changes = KINDS[kind]
    changes = [*changes, f"{KEYS[setting]}={size}"]
    code = (
        "import undiffuse as ud\n"
        "from undiffuse.training.cost import pass_costs\n"
        f"config = ud.config.load({preset!r}, {changes!r}); data = ud.datasets.load(config)\n"
        "pass_costs(config, data, 'cpu')\n"
        # getrusage would give the larger of this process's peak and of the one that started it.
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    return 1024 * int(run.stdout)


def overnight(config: Config, data: Dataset, workers: int) -> dict[str, float]:
    """Hidden units of the largest bank of 1000 networks and 20 passes that the workers train in a night."""
    seconds = pass_costs(config, data, "cpu")[0].seconds
    hidden = config.network.hidden * NIGHT * workers / (1000 * 20 * seconds)  # the time grows linearly with these
    bank = config.model_copy(update={"network": config.network.model_copy(update={"hidden": int(hidden)})})
    return {"hidden": int(hidden), "disk_bytes": 500.0 * weight_bytes(bank, Block(1, 2), data.dim)}


@styled
def drawn(found: Sequence[Growth]) -> Figure:
    """A panel for each setting, with the fitted power laws."""
    figure, axes = panels(1, len(found), 3.0 * len(found), 2.8)
    for axis, one in zip(axes[0], found, strict=True):
        sizes, seconds = np.array(one.sizes, float), np.array(one.seconds)
        axis.errorbar(sizes, 1e3 * seconds, 1e3 * np.array(one.stderr), fmt="o", ms=3.5, color=MODEL)
        upper = len(sizes) // 2
        law = seconds[-1] * (sizes[upper:] / sizes[-1]) ** one.exponent
        axis.plot(sizes[upper:], 1e3 * law, color="#4a4a4a", lw=1)
        axis.set(xscale="log", yscale="log", xlabel=TITLES[one.setting], ylabel="a pass of one network (ms)")
        axis.set_title(f"{one.kind}: power {one.exponent:.2f} ± {one.exponent_stderr:.2f}")
        axis.set_xticks(one.sizes[-1::-2], [f"{size:,}" for size in one.sizes[-1::-2]])
        ticks_at_round_numbers(axis.yaxis)
        axis.minorticks_off()
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[JsonFile.options()]
    )
    parser.add_argument("--figure", type=Path, metavar="FILE", help="also draw the curves here, as PNG")
    options = parser.parse_args(argv)
    try:
        file = JsonFile(parser, argv, options)
        found = [measured(*case) for case in SIZES]
        for one in found:
            print(f"{one.kind:8} {TITLES[one.setting]:17} power {one.exponent:.3f} ± {one.exponent_stderr:.3f}")
        memory = []
        for (kind, setting), sizes in SIZES.items():
            ends = sizes[0], sizes[-1]
            small, large = (peak_bytes(kind, setting, size) for size in ends)
            memory.append({"kind": kind, "setting": setting, "sizes": ends, "bytes": (small, large)})
            print(
                f"{kind:8} {TITLES[setting]:17} {small / 1e6:.0f} MB at {ends[0]}, {large / 1e6:.0f} MB at {ends[1]}: "
                f"{(large - small) / (ends[1] - ends[0]) / 1e3:.1f} kB for each more"
            )
        night = {kind: overnight(*of_size(kind, "n", max(SIZES[kind, "n"])), workers=2) for kind in KINDS}
        for kind in KINDS:
            bank = night[kind]
            print(
                f"{kind}: in ten hours two cores train 1000 networks of {bank['hidden']:.0f} hidden units, 20 passes, "
                f"{bank['disk_bytes'] / 1e9:.1f} GB on disk"
            )
    except UserError as error:
        parser.error(str(error))
    if options.figure is not None:
        save(drawn(found), options.figure)
    file.write({"growth": [one.__dict__ for one in found], "memory": memory, "overnight": night})


if __name__ == "__main__":
    main()
