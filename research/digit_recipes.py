"""What each choice of the laptop recipe for digits buys: one network, or a stretch of neighbouring ones, at a time.

    python research/digit_recipes.py network 10 100 300     one network per time, cold, choice by choice
    python research/digit_recipes.py neighbours             neighbouring times: restart, sweep, interpolate
    python research/digit_recipes.py targets 300 400        noise against posterior means as targets
    python research/digit_recipes.py weights 2 20 200       simple against weighted loss, over five seeds
    python research/digit_recipes.py literal 100 400        Table 2's network after 20 of its 300 passes
    python research/digit_recipes.py capacity 120 --data DIR     hidden units and passes, of all ten digits

Prints, as each training ends, the held-out xi-error per dimension and the seconds of one core that it took; the
Gaussian and the empirical reference stand beside them. With several seeds it prints means and their standard errors.
One to two minutes for each time and seed, and four for the neighbours. Run it with OMP_NUM_THREADS=1, so that seconds
are those of one core.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

import undiffuse as ud
from record import Mean, Record, count, json_options, positive
from undiffuse.diffusion import objective
from undiffuse.networks.network import Architecture, Weights
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.recipes.vary import with_share_of_passes
from undiffuse.runs.config import Block, Config
from undiffuse.support.errors import UserError
from undiffuse.training.blocks import BlockTrainer
from undiffuse.training.progress import Progress

PRESET = "mnist-01-laptop"
Changes = dict[str, Any]

COLD: Changes = {
    "order": "independent",
    "warm_epochs": None,
    "warm_learning_rate": None,
    "sweep_from": None,
    "average": None,
}
THESIS: Changes = {"skip": "none", "components": None, "hidden": 1700, "prediction": "xi", "decoder_scale": 1.0}
SLOW: Changes = {"learning_rate": 2e-4, "decay": "none"}


class Recipe(NamedTuple):
    """What replaces the laptop recipe's settings of the network and of its training."""

    name: str
    network: Changes
    training: Changes


class Trials:
    """Trains recipes on zeros and ones, or on all digits, each with every seed, and records the errors.

    The data are those of seed 0 whatever the seed of a training, so only weights, noise and order differ.

    Parameters
    ----------
    record : Record
    seeds : int
        Trainings of each recipe.
    passes_scale : float
        Factor on every number of passes.
    folder : str, optional
        IDX files of all digits, for the recipe of all ten in the place of that of zeros and ones.
    """

    def __init__(self, record: Record, seeds: int, passes_scale: float, folder: str | None) -> None:
        base = ud.config.load(*(("mnist-laptop", [f"data.folder={folder}"]) if folder else (PRESET, [])))
        self.record, self.seeds, self._scale = record, seeds, passes_scale
        self.data = ud.datasets.load(base)
        self.reference = ud.GaussianDenoiser.from_data(base.forward(), self.data.train)
        self.empirical = ud.EmpiricalDenoiser(self.reference.forward, self.data.train)
        # The preset's ranges of times would replace what a recipe says.
        self._base = base.model_dump() | {"times": []}

    def settings(self, recipe: Recipe, seed: int) -> Config:
        """Start from the laptop recipe and change some of it, for all times alike."""
        training, network = self._base["training"] | recipe.training, self._base["network"] | recipe.network
        config = ud.config.validate(self._base | {"network": network, "training": training, "seed": seed}, recipe.name)
        return with_share_of_passes(config, self._scale)

    def train(self, recipe: Recipe, block: Block, before: Sequence[Progress] | None = None) -> list[Progress]:
        """Train a block with every seed, record the held-out errors of its first and last time, and return all.

        ``before`` is what a sweep goes on from, one for each seed.
        """
        done: list[Progress] = []
        seconds: list[float] = []
        for seed in range(self.seeds):
            state = None if before is None else before[seed].state
            settings = self.settings(recipe, seed)
            start = time.process_time()
            trainer = BlockTrainer(settings, block, self.data.train, self.data.held_out, self.reference)
            done.append(trainer.run(before=state))
            seconds.append(time.process_time() - start)
        for t in sorted(set(block)):
            self.note(t, recipe.name, held_out_errors(done, t), seconds)
        return done

    def note(self, t: int, name: str, errors: Sequence[float], seconds: Sequence[float] = ()) -> None:
        """Record the errors at a time over the seeds, and how long a training took on the average."""
        error, taken = Mean.of(errors), float(np.mean(seconds)) if seconds else None
        line = f"t = {t:4d}  {name:60s} {error.text(6)}" + ("" if taken is None else f"  {taken:6.1f} s")
        self.record.add(line, "errors", t=t, recipe=name, held_out_error=error, seconds=taken)

    def note_references(self, t: int) -> None:
        """Record the errors of the best linear denoiser and of the one that knows its training images by heart."""
        gaussian = self.reference.error(t)
        empirical = objective.xi_error(self.empirical, self.data.held_out[:500], t)
        line = f"t = {t:4d}  gaussian {gaussian:.6f}, empirical {empirical:.6f}"
        self.record.add(line, "references", t=t, gaussian=gaussian, empirical=empirical)

    def held_out_error(self, weights: Weights, architecture: Architecture, t: int) -> float:
        """Held-out xi-error of a single network at a time that it need not have been trained for."""
        link = Parametrisation(self.reference.forward, architecture, self.reference)
        xi = np.random.default_rng(0).standard_normal(self.data.held_out.shape)
        x_t = self.reference.forward.jump(self.data.held_out, t, xi)
        net = ud.Autoencoder(weights, architecture)
        return float(np.mean((link.xi_hat(net(link.inputs(x_t, t)), x_t, t) - xi) ** 2))


def held_out_errors(done: Sequence[Progress], t: int) -> list[float]:
    """Held-out error after the last pass at a time, for each seed."""
    return [progress.held_out[t][-1] for progress in done]


# -- the comparisons --------------------------------------------------------------------------------------------------


def network(trials: Trials, times: Sequence[int]) -> None:
    """One cold network per time after 100,000 samples (8 passes), choice by choice; 2 minutes a time."""
    few = COLD | {"epochs": 8}
    pixels: Changes = {"skip": "none", "components": None, "hidden": 512}
    recipes = [
        Recipe("thesis: xi, 1700 hidden, lr 2e-4, no decay", THESIS, few | SLOW),
        Recipe("x0, 512 hidden, pixels", pixels, few),
        Recipe("gaussian skip, 512 hidden, pixels", pixels | {"skip": "gaussian"}, few),
        *(
            Recipe(f"gaussian skip, 512 hidden, {k} components", {"hidden": 512, "components": k}, few)
            for k in (50, 150, 300, 577)
        ),
        *(Recipe(f"gaussian skip, {h} hidden, 150 components", {"hidden": h}, few) for h in (1024, 2048)),
        Recipe("2048 hidden, 150 components, 32 passes", {}, few | {"epochs": 32}),
    ]
    for t in times:
        trials.note_references(t)
        for recipe in recipes:
            trials.train(recipe, Block(t, t))


def neighbours(trials: Trials, times: Sequence[int]) -> None:
    """From a well-trained network of t = 140 down to 125, five passes a time, 1024 hidden; 4 minutes."""
    wide: Changes = {"hidden": 1024}
    top, bottom = 140, 125
    start = trials.train(Recipe("start: 64 passes", wide, {"sweep_from": top, "epochs": 64}), Block(top, top))
    sweep: Changes = {"sweep_from": top, "warm_epochs": 5}
    for rate in (3e-3, 1e-3, 5e-4):
        recipe = Recipe(f"one optimiser, averaged, lr {rate:g}", wide, sweep | {"warm_learning_rate": rate})
        trials.train(recipe, Block(bottom, top - 1), start)
    for rate in (3e-3, 1e-3):
        again = COLD | {"order": "continuation", "warm_epochs": 5, "epochs": 64, "learning_rate": rate}
        recipe = Recipe(f"restarted at each time, lr {rate:g} (its own start, 64 passes)", wide, again)
        trials.train(recipe, Block(bottom, top))
    stop = Recipe(f"75 passes at t = {bottom} alone", wide, sweep | {"warm_epochs": 75})
    far = trials.train(stop, Block(bottom, bottom), start)
    ends = [(above.weights[top], below.weights[bottom]) for above, below in zip(start, far, strict=True)]
    # In log sigma, with sigma^2 = Delta/alpha_bar.
    middle, forward = 132, trials.reference.forward
    at = {t: np.log(forward.noise(t) / forward.signal(t)) for t in (top, middle, bottom)}
    towards_bottom = float((at[middle] - at[top]) / (at[bottom] - at[top]))
    architecture = trials.settings(stop, 0).architecture_at(middle, trials.data.dim)
    for name, share in (
        (f"weights of t = {top} as they are", 0.0),
        (f"weights of t = {bottom} as they are", 1.0),
        ("half way between the two", towards_bottom),
    ):
        mixed = [between(*pair, share) for pair in ends]
        trials.note(middle, name, [trials.held_out_error(weights, architecture, middle) for weights in mixed])


def between(a: Weights, b: Weights, share: float) -> Weights:
    """Weights ``(1 - share) a + share b``."""
    f = np.float32(share)
    return Weights(**{name: (1 - f) * x + f * b.arrays()[name] for name, x in a.arrays().items()})


def targets(trials: Trials, times: Sequence[int]) -> None:
    """Noise against posterior means as targets, 100 components, 2048 hidden; 4 minutes a time."""
    narrow: Changes = {"components": 100}
    for t in times:
        trials.note_references(t)
        trials.train(Recipe("noise, 30 passes", narrow, COLD | {"epochs": 30}), Block(t, t))
        for passes, blends in ((15, 0.0), (15, 0.3), (30, 0.3)):
            changes = COLD | {"epochs": passes, "targets": "posterior", "blends": blends}
            name = f"posterior means, {passes} passes, {blends:g} of them blends"
            trials.train(Recipe(name, narrow, changes), Block(t, t))
        for targets, share in itertools.product(("posterior", "stable"), (0.02, 0.5)):
            changes = COLD | {"epochs": 15, "targets": targets, "posterior_share": share}
            trials.train(Recipe(f"{targets}, share {share:g}, 15 passes", narrow, changes), Block(t, t))


def weights(trials: Trials, times: Sequence[int]) -> None:
    """Simple against weighted loss, the thesis's network after two passes, over seeds; a minute a time."""
    if trials.seeds < 2:
        raise UserError("the two losses are compared over seeds: give at least two")
    few = COLD | SLOW | {"epochs": 2, "batch": 50}
    for t in times:
        errors = {}
        for loss in ("simple", "weighted"):
            done = trials.train(Recipe(f"{loss} loss", THESIS, few | {"loss": loss}), Block(t, t))
            errors[loss] = np.array(held_out_errors(done, t))
        gap = Mean.of(errors["weighted"] / errors["simple"] - 1)
        spread = float(errors["simple"].std(ddof=1) / errors["simple"].mean())
        weight = objective.bound_weight(trials.reference.forward.schedule, t)
        trials.record.add(
            f"t = {t:4d}  weight {weight:.4f}: weighted/simple - 1 = {gap.mean:+.2e} +- {gap.stderr:.1e}; "
            f"from seed to seed {spread:.1e}",
            "losses",
            t=t,
            weight=weight,
            weighted_over_simple_minus_1=gap,
            seed_to_seed=spread,
        )


def literal(trials: Trials, times: Sequence[int]) -> None:
    """Table 2 of the thesis to the letter, but 20 passes instead of 300; 1.5 minutes a time."""
    for t in times:
        trials.note_references(t)
        changes: Changes = {"epochs": 20, "batch": 50, "learning_rate": 1e-4 if t <= 5 else 2e-4}
        trials.train(Recipe("Table 2, 20 passes", THESIS, COLD | SLOW | changes), Block(t, t))


def capacity(trials: Trials, times: Sequence[int]) -> None:
    """Hidden units and passes, 200 components, cold; with all ten digits 4 minutes a time."""
    for t in times:
        trials.note_references(t)
        for hidden, passes in ((1024, 15), (1024, 30), (2048, 15), (2048, 30), (4096, 15)):
            changes = COLD | {"epochs": passes}
            recipe = Recipe(f"{hidden} hidden, {passes} passes", {"hidden": hidden, "components": 200}, changes)
            trials.train(recipe, Block(t, t))


COMPARISONS = {each.__name__: each for each in (network, neighbours, targets, weights, literal, capacity)}
SEEDS = {"weights": 5}  # where one training would say nothing


def main(argv: Sequence[str] | None = None) -> None:
    """Make one of the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="comparison", required=True, metavar="COMPARISON")
    for name, compare in COMPARISONS.items():
        command = commands.add_parser(name, help=compare.__doc__, description=compare.__doc__, parents=[json_options()])
        if compare is neighbours:
            command.set_defaults(times=())
        else:
            command.add_argument("times", nargs="+", type=count, metavar="t", help="diffusion times, of 1..1000")
        command.add_argument("--data", metavar="DIR", help="all ten digits, from the IDX files of a folder")
        seeds = SEEDS.get(name, 1)
        command.add_argument("--seeds", type=count, default=seeds, help="trainings of each recipe (%(default)s)")
        command.add_argument(
            "--passes-scale", type=positive, default=1.0, help="factor on every number of passes; below 1 for a trial"
        )
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        record = Record(parser, argv, options.json, options.overwrite)
        COMPARISONS[options.comparison](
            Trials(record, options.seeds, options.passes_scale, options.data), options.times
        )
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
