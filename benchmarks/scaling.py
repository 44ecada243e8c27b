"""Two workers against one, and Dask against processes, for each order of training; what saving costs."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import undiffuse as ud
from timing import JsonFile, seconds
from undiffuse import datasets
from undiffuse.support.backend import Backend
from undiffuse.support.stats import stderr
from undiffuse.training import Execution, train_run

_DIGITS = Path(__file__).parents[1] / "research" / "training_orders.toml"
_ORDERS: dict[str, tuple[str | Path, list[str]]] = {
    "independent": ("spiral-2pi", []),
    "continuation": ("spiral-2pi-best", []),
    "sweep": (
        _DIGITS,
        [
            'training.order="sweep"', "training.sweep_from=30", "training.epochs=50", "training.warm_epochs=50",
            "training.warm_learning_rate=0.001", "training.average=0.99", "training.block=5",
        ],
    ),
}  # fmt: skip
_EVERY = 30.0  # seconds between saves, as a training has it by default


def _seconds(config: ud.Config, data: datasets.Dataset, execution: Execution) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return seconds(lambda: train_run(config, data, Path(folder) / "run", execution=execution))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure in turns, so that a machine that changes its pace changes all of them alike."""
    parser = argparse.ArgumentParser(description=__doc__, parents=[JsonFile.options()])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--order", action="append", choices=[*_ORDERS], help="only this one; may be repeated")
    options = parser.parse_args(argv)
    file = JsonFile(parser, argv, options)
    found = {}
    ways = {
        "one worker": Execution(workers=1, save_every=np.inf),
        "two workers": Execution(workers=2, save_every=np.inf),
        "two workers, saving each second": Execution(workers=2, save_every=1.0),
        "dask": Execution(workers=2, backend=Backend("dask"), save_every=np.inf),
    }
    for order in options.order or _ORDERS:
        source, changes = _ORDERS[order]
        config = ud.config.load(source, changes)
        data = datasets.load(config)
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.repeats):
            for way, execution in ways.items():
                taken[way].append(_seconds(config, data, execution))
        found[order] = {
            "seconds": taken,
            "one worker over two": _ratio(taken["one worker"], taken["two workers"]),
            "dask over two workers": _ratio(taken["dask"], taken["two workers"]),
            "saving, in percent": _percent(taken["two workers, saving each second"], taken["two workers"]),
        }
        print(order, {name: value for name, value in found[order].items() if name != "seconds"})
    file.write(found)


def _ratio(above: list[float], below: list[float]) -> tuple[float, float]:
    """Mean of the ratios of each turn, and its standard error."""
    ratios = np.array(above) / np.array(below)
    return round(float(ratios.mean()), 3), round(stderr(ratios), 3)


def _percent(saving: list[float], never: list[float]) -> tuple[float, float]:
    """Share of the time that saves take as often as a training makes them, from one that makes them each second."""
    ratio, error = _ratio(saving, never)
    return round(100 * (ratio - 1) / _EVERY, 2), round(100 * error / _EVERY, 2)


if __name__ == "__main__":
    main()
