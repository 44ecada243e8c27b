"""What of a bank is of its task and what of the way it was trained: one optimiser along t against fresh networks.

    python research/training_orders.py

Trains small banks of zeros and ones (``training_orders.toml``) in two orders, ``sweep`` and ``independent``, from
several seeds each, and prints for both, as means over seeds with standard errors: the held-out xi-error, properties
of the networks' Jacobians and weights at three OU times, and the OU time at which the potential between the class
means turns repelling, beside that of the exact empirical score. The last column is the difference of the two orders in
standard errors. Eight minutes on two cores for five seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import undiffuse as ud
from record import Mean, Record, count, json_options
from undiffuse.physics import Classes, transitions, weights

RECIPE = Path(__file__).with_name("training_orders.toml")
SWEEP = ["training.order=sweep", "training.sweep_from=20", "training.epochs=60", "training.warm_epochs=6"]
SWEEP += ["training.warm_learning_rate=0.001", "training.average=0.998"]
ORDERS: dict[str, list[str]] = {"sweep": SWEEP, "independent": []}
TAUS = (0.05, 1.2, 3.0)
QUANTITIES = ("lowest", "asymmetry", "norm_AW", "dead", "overlap_next")


def measured(changes: Sequence[str], seed: int) -> dict[str, float]:
    """Train one bank and say what it is like."""
    config = ud.config.load(RECIPE, list(changes), seed)
    data = ud.datasets.load(config)
    held_out = data.classes()[1]
    model = ud.fit(np.concatenate([data.train, data.held_out]), config, held_out=len(data.held_out) / 4500)
    schedule = model.schedule
    shown = [schedule.time_at_ou(tau) for tau in TAUS]
    rows, _ = weights.follow(model.bank, held_out.x[:200], held_out.direction[1], shown, seed=seed)
    out = {f"{name}, tau = {tau:g}": getattr(r, name) for r, tau in zip(rows, TAUS, strict=True) for name in QUANTITIES}
    errors = {int(t): error for t, _, error in model.errors}
    out |= {f"held-out xi-error, tau = {tau:g}": errors[t] for t, tau in zip(shown, TAUS, strict=True)}
    return out | {"potential turns at tau": turning(model, held_out, seed)}


def turning(denoiser: ud.Denoiser, classes: Classes, seed: int) -> float:
    """OU time at which the potential between the class means turns repelling."""
    times = [t for t in range(1, denoiser.forward.T + 1) if denoiser.forward.schedule.ou_time(t) > 0.8]
    curve = transitions.potential_curve(denoiser, classes, times, n=200, seed=seed)
    return curve.crossing(0.0, denoiser.forward).tau


def main(argv: Sequence[str] | None = None) -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], parents=[json_options()])
    parser.add_argument("--seeds", type=count, default=5, help="banks of each order")
    options = parser.parse_args(argv)
    record = Record(parser, argv, options.json, options.overwrite)
    found = {name: [measured(changes, seed) for seed in range(options.seeds)] for name, changes in ORDERS.items()}
    data = ud.datasets.load(ud.config.load(RECIPE))
    exact = ud.EmpiricalDenoiser(ud.config.load(RECIPE).forward(), data.train)
    truth = Mean.of([turning(exact, data.classes()[1], seed) for seed in range(options.seeds)])
    record.say(f"{'':34} {'sweep':>22} {'independent':>22} {'apart, errors':>14}")
    for name in found["sweep"][0]:
        both = [Mean.of([each[name] for each in found[order]]) for order in ORDERS]
        spread = float(np.sqrt(sum((mean.stderr or np.nan) ** 2 for mean in both)))
        apart = abs(both[0].mean - both[1].mean) / spread if spread else np.nan
        line = f"{name:34} {both[0].text(4):>22} {both[1].text(4):>22} {apart:14.1f}"
        record.add(line, "quantities", name=name, sweep=both[0], independent=both[1], apart=float(apart))
    line = f"potential of the exact score turns at {truth.text(4)} (over seeds of the noise)"
    record.add(line, "exact", turns=truth)


if __name__ == "__main__":
    main()
