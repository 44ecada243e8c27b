"""The commands train and sample, which for spirals load neither torch nor matplotlib."""

from __future__ import annotations

from undiffuse.cli.answers import Json, announce, answer, explain, say
from undiffuse.studies import sample as sampling
from undiffuse.studies import train as training
from undiffuse.support.progress import progress

ANNOUNCED = training.Before(on_recipe=explain, on_plan=announce, on_cost=say)


def train(settings: training.Settings, *, json: Json = False) -> None:
    """Train a bank into a run folder."""
    with progress("training", "passes") as update:
        result = training.run(settings, update, ANNOUNCED)
    answer(result, json, training_lines(result))


def sample(settings: sampling.Settings, *, json: Json = False) -> None:
    """Generate samples from a trained run into a .npy file of shape (n, dim)."""
    with progress("sampling", "samples") as update:
        result = sampling.run(settings, update, say)
    answer(result, json, [f"{result.n} samples of dimension {result.dim} in {result.out} ({result.seconds} s)"])


def training_lines(result: training.Result) -> list[str]:
    """Lines about a training."""
    check = result.overfit
    return [
        f"{result.networks} networks trained in {result.training_seconds:.1f} s: {result.run}",
        f"mean xi-error per dimension {result.train_error:.4f} training, {result.held_out_error:.4f} held out "
        f"(gap {100 * check.gap:+.1f} +- {100 * check.gap_stderr:.1f} %)",
    ]
