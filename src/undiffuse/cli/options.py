"""What the commands share: groups of options, and how answers are printed."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from undiffuse import __version__, datasets
from undiffuse.diffusion.reverse import Sampler
from undiffuse.runs import config as configuration
from undiffuse.runs.folder import RunFolder
from undiffuse.support.errors import UserError
from undiffuse.support.progress import progress
from undiffuse.training import train_run

app = App(
    name="undiffuse",
    version=__version__,
    suppress_keyboard_interrupt=False,  # answered in main()
    help="Diffusion models that can be read all the way down: one single-hidden-layer autoencoder per diffusion time.",
    help_epilogue="Every command takes --json: one JSON object on standard output, and nothing else there.",
)

Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object on standard output.")]
Settings = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative=(), help="Replace a setting, such as training.epochs=5; may be repeated."),
]
IdxFolder = Annotated[
    Path | None,
    Parameter(name="--data", help="Folder of IDX files (.gz or not) to take the digits from; for image presets."),
]
Flag = Annotated[bool, Parameter(negative=())]


def changes(settings: tuple[str, ...], data: Path | None) -> list[str]:
    """List what replaces a preset's settings: what --set says, and --data."""
    return [*settings, *([] if data is None else [f"data.folder={json_format.dumps(str(data.absolute()))}"])]


@Parameter(name="*")
@dataclass(frozen=True)
class TrainingOptions:
    """Options of the commands that train."""

    set_: Settings = ()
    seed: Annotated[int | None, Parameter(help="Seed of every random stream; the preset's by default.")] = None
    resume: Annotated[Flag, Parameter(help="Go on with a run that was stopped, to the same bits.")] = False
    overwrite: Annotated[Flag, Parameter(help="Replace a run that is there.")] = False
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Parameter(help="Where to train; auto takes a GPU where it helps.")
    ] = "auto"
    workers: Annotated[int | None, Parameter(help="Worker processes; one per core by default.")] = None
    data: IdxFolder = None

    def train(self, preset: str, out: Path) -> RunFolder:
        """Train a preset or file into a run folder."""
        if self.resume and self.overwrite:
            raise UserError("--resume and --overwrite exclude each other")
        config = configuration.load(preset, changes(self.set_, self.data), self.seed)
        data = datasets.load(config)
        with progress("training", "passes") as update:
            return train_run(
                config, data, out, self.resume, self.overwrite, self.device, self.workers, on_progress=update
            )


@Parameter(name="*")
@dataclass(frozen=True)
class SamplerOptions:
    """Options of the commands that sample."""

    sampler: Annotated[
        Literal["ancestral", "ddim", "ode"], Parameter(help="Algorithm 2, DDIM, or the probability-flow ODE.")
    ] = "ancestral"
    steps: Annotated[int | None, Parameter(help="Reverse steps, spread over the times; all by default.")] = None
    variance: Annotated[
        Literal["beta", "posterior"], Parameter(help="Noise of an ancestral step: beta (thesis) or the posterior's.")
    ] = "beta"
    eta: Annotated[float, Parameter(help="Noise of DDIM, 0 to 1.")] = 0.0

    def build(self) -> Sampler:
        """Return the sampler they describe."""
        return Sampler(self.sampler, self.steps, self.variance, self.eta)


TRAINING, SAMPLER = TrainingOptions(), SamplerOptions()


# -- answers ----------------------------------------------------------------------------------------------------------


def answer(json: bool, summary: dict[str, Any], lines: Sequence[str]) -> None:
    """Print a command's answer: lines for people, or one JSON object."""
    print(json_format.dumps(summary) if json else "\n".join(lines))  # noqa: T201


def training_lines(summary: dict[str, Any]) -> list[str]:
    """Lines about a training."""
    check = summary["overfit"]
    return [
        f"{summary['networks']} networks trained in {summary['training_seconds']:.1f} s: {summary['run']}",
        f"mean xi-error per dimension {summary['train_error']:.4f} training, {summary['held_out_error']:.4f} held out "
        f"(gap {100 * check['gap']:+.1f} +- {100 * check['gap_stderr']:.1f} %)",
    ]


def metric_lines(summary: dict[str, Any]) -> list[str]:
    """Lines of a table: each figure of merit with its floor, their ratio, and what simple generators reach."""
    metrics = summary["metrics"]
    others = list(next(iter(metrics.values()))["baselines"])
    head = f"{'':18} {'samples':>17} {'floor':>17} {'ratio':>13}" + "".join(f"{name:>10}" for name in others)
    lines = [head]
    for name, m in metrics.items():
        ratio = "" if m["ratio"] is None else f"{m['ratio']:6.2f} +- {m['ratio_stderr']:.2f}"
        lines.append(
            f"{name:18} {m['value']:8.4f} +- {m['value_stderr']:.4f} {m['floor']:8.4f} +- {m['floor_stderr']:.4f} "
            f"{ratio:>13}" + "".join(f"{m['baselines'][other]:10.4f}" for other in others)
        )
    for name, b in summary["bound"].items():
        total = f"{b['bits_per_dim']:.4f} bits/dim" if b["kind"] == "discretised" else f"{b['bits']:.3f} bits (density)"
        lines.append(f"bound, {name + ':':10} {total}")
    return lines
