"""Banks on Curie-Weiss spins against the exact score: what is predicted, and how weights are tied.

    python research/spin_banks.py

Trains banks on the preset ``curie-weiss`` with 60 times instead of 200, from several seeds each, in three kinds: untied
and predicting the noise (the thesis), ``A = W^T diag(+1 .. -1)``, and ``A = W^T`` predicting the data. Prints, as means
over seeds with standard errors, the held-out xi-error and the OU time at which the potential between the two states
gets its second well, beside those of the exact score. Ten minutes on two cores for five seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

import undiffuse as ud
from record import Mean, Record, count, json_options
from undiffuse.diffusion.objective import xi_errors
from undiffuse.physics import CurieWeiss, transitions

FEWER_TIMES = ["diffusion.T=60", "diffusion.beta_1=0.002", "diffusion.beta_T=0.3", "training.epochs=10", "data.n=10000"]
KINDS: dict[str, list[str]] = {
    "untied, noise": [],
    "signed ties, noise": ["network.tying=signed"],
    "tied, data": ["network.tying=tied", "network.prediction=x0"],
}


def second_well(denoiser: ud.Denoiser, data: ud.datasets.Dataset, seed: int) -> float:
    """OU time at which the potential between the states gets its second well."""
    schedule = denoiser.forward.schedule
    times = [t for t in schedule.times.tolist() if schedule.ou_time(t) > 0.8]
    curve = transitions.potential_curve(denoiser, data.classes()[1], times, n=200, seed=seed)
    return curve.crossing(0.0, denoiser.forward).tau


def main(argv: Sequence[str] | None = None) -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], parents=[json_options()])
    parser.add_argument("--seeds", type=count, default=5, help="banks of each kind")
    options = parser.parse_args(argv)
    record = Record(parser, argv, options.json, options.overwrite)
    for kind, changes in KINDS.items():
        wells, errors = [], []
        for seed in range(options.seeds):
            config = ud.config.load("curie-weiss", [*FEWER_TIMES, *changes], seed)
            data = ud.datasets.load(config)
            x = np.concatenate([data.train, data.held_out])
            model = ud.fit(x, config, held_out=len(data.held_out) / len(x))
            wells.append(second_well(model, data, seed))
            errors.append(float(model.errors[:, 2].mean()))
        well, error = Mean.of(wells), Mean.of(errors)
        record.add(
            f"{kind:20} xi-error {error.text(4)}, second well at tau = {well.text(3)}",
            "banks",
            kind=kind,
            well=well,
            error=error,
        )
    wells, errors = [], []
    for seed in range(options.seeds):
        config = ud.config.load("curie-weiss", FEWER_TIMES, seed)
        data = ud.datasets.load(config)
        _, exact = data.exact(config.forward())
        wells.append(second_well(exact, data, seed))
        errors.append(float(np.mean(xi_errors(exact, data.held_out, config.forward().schedule.times.tolist(), seed))))
    theory = CurieWeiss(64, 1.5).critical_time("potential")
    well, error = Mean.of(wells), Mean.of(errors)
    line = f"{'exact score':20} xi-error {error.text(4)}, second well at tau = {well.text(3)} (large N: {theory:.3f})"
    record.add(line, "exact", well=well, error=error, theory=theory)


if __name__ == "__main__":
    main()
