"""Train on data of several kinds without a preset, and set the samples beside fresh or held-out data.

    python research/own_data.py [--seeds 3] [--minutes 1] [NAME ...]
    python research/own_data.py --images fashion/ --classes 7 9 --minutes 5

Each training is that of ``ud.fit(x)``. Samples of two moons, the Swiss roll, the mixture and the five columns are
compared with fresh draws of the same law, the others with held-out rows; all in standard deviations of the columns.
``--images`` takes the training half of a folder of IDX files, such as Fashion-MNIST's: some classes, held-out rows.
Prints a row of a table for each, with means and standard errors over training seeds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import undiffuse as ud
from sklearn import datasets as sklearn_data
from undiffuse.datasets import ArrayData, idx
from undiffuse.datasets.sources import given_rows
from undiffuse.metrics import evaluate
from undiffuse.recipes import Budget, Wishes, choose
from undiffuse.support.stats import stderr
from undiffuse.training import train_bank

Array = NDArray[np.float64]
Law = Callable[[int, np.random.Generator], Array]
_REPLICATES, _SIZE = 8, 1_000


def moons(n: int, rng: np.random.Generator) -> Array:
    """scikit-learn's two moons, each point's moon drawn by a coin."""
    many, moon = sklearn_data.make_moons(2 * n, noise=0.05, random_state=int(rng.integers(2**31)))
    upper = rng.random(n) < 0.5
    rows: Array = np.where(upper[:, None], many[moon == 0][:n], many[moon == 1][:n])
    return rows


def swiss_roll(n: int, rng: np.random.Generator) -> Array:
    """scikit-learn's Swiss roll in three dimensions."""
    x: Array = sklearn_data.make_swiss_roll(n, noise=0.1, random_state=int(rng.integers(2**31)))[0]
    return x


def mixture(n: int, rng: np.random.Generator) -> Array:
    """Two Gaussians on a line."""
    left = rng.random((n, 1)) < 0.3
    return np.where(left, rng.normal(-2, 0.3, (n, 1)), rng.normal(1, 0.8, (n, 1)))


def five(n: int, rng: np.random.Generator) -> Array:
    """Five columns: two normal ones, a parabola and a sine of them, and a count."""
    a, b = rng.standard_normal((2, n))
    noise = 0.1 * rng.standard_normal((2, n))
    return np.column_stack([a, b, a**2 + noise[0], np.sin(2 * b) + noise[1], rng.poisson(3, n)])


def ising(n: int, rng: np.random.Generator, side: int = 8, beta: float = 0.4, sweeps: int = 300) -> Array:
    """Configurations 0 and 1 of an Ising model on a square, independent chains of Metropolis sweeps."""
    s = rng.choice([-1, 1], (n, side, side))
    for _ in range(sweeps):
        for i in range(side):
            for j in range(side):
                field = s[:, i - 1, j] + s[:, (i + 1) % side, j] + s[:, i, j - 1] + s[:, i, (j + 1) % side]
                s[rng.random(n) < np.exp(-2 * beta * s[:, i, j] * field), i, j] *= -1
    return (s.reshape(n, -1) + 1) / 2


LAWS: dict[str, tuple[int, Law]] = {
    "moons": (2_000, moons),
    "mixture": (1_000, mixture),
    "swiss roll": (2_000, swiss_roll),
    "five columns": (2_000, five),
}
FILES: dict[str, Callable[[], Array]] = {
    "wine": lambda: np.asarray(sklearn_data.load_wine().data),
    "diabetes": lambda: np.asarray(sklearn_data.load_diabetes(scaled=False).data),
    "digits": lambda: np.asarray(sklearn_data.load_digits().images),
    "ising": lambda: ising(2_000, np.random.default_rng(0)),
}


def images(folder: Path, classes: Sequence[int]) -> Array:
    """Training images of some classes of a folder of IDX files."""
    pixels, labels = idx.read_split(folder, "train")
    return np.asarray(pixels[np.isin(labels, classes)], dtype=np.float64)


def measured(name: str, seed: int, minutes: float) -> dict[str, float]:
    """Train once and measure."""
    law = LAWS[name][1] if name in LAWS else None
    x = FILES[name]() if law is None else law(LAWS[name][0], np.random.default_rng(seed))
    start = time.monotonic()
    recipe = choose(given_rows(x), ArrayData(held_out=1), Wishes(budget=Budget(minutes), seed=seed), ud.Execution())
    model = ud.Diffusion(recipe.config, *train_bank(recipe.config, recipe.data))
    seconds = time.monotonic() - start
    data, units = recipe.data, model.units
    assert units is not None  # noqa: S101
    if law is not None:
        data = replace(data, fresh=lambda n, rng: units.to_model(law(n, rng)))
    size = _SIZE if law is not None else min(len(data.held_out), _SIZE)
    samples = units.to_model(model.sample(_REPLICATES * size, seed=seed))
    found = evaluate(samples, data, _REPLICATES, seed=seed)
    rows = data.held_out[:200]
    reference = model.bank.reference
    assert reference is not None  # noqa: S101
    return {
        "seconds": seconds,
        "W2": found["w2"].value / found["w2"].floor,
        "energy": found["energy_distance"].value / found["energy_distance"].floor,
        "gain": (ud.bound(reference, rows).total - ud.bound(model, rows).total) / data.dim,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[*LAWS, *FILES])
    parser.add_argument("--images", type=Path, help="folder of IDX files, in the place of names")
    parser.add_argument("--classes", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=1.0)
    options = parser.parse_args()
    names = options.names
    if options.images is not None:
        names = [f"{options.images.name}, classes {options.classes}"]
        FILES[names[0]] = lambda: images(options.images, options.classes)
    print(
        "| data | fit, s | W2 over its floor | energy distance over its floor | nats per variable below a Gaussian's |"
    )
    print("|---|---|---|---|---|")
    for name in names:
        found = [measured(name, seed, options.minutes) for seed in range(options.seeds)]
        cells = [f"{np.mean([f['seconds'] for f in found]):.0f}"]
        for key in ("W2", "energy", "gain"):
            values = [f[key] for f in found]
            cells.append(f"{np.mean(values):.2f} ± {stderr(values):.2f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
