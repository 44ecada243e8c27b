"""The command line: parse, call, print."""

from __future__ import annotations

import json as json_format
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from undiffuse import __version__, datasets, workflow
from undiffuse import config as configuration
from undiffuse.errors import UserError
from undiffuse.progress import progress
from undiffuse.reverse import Sampler
from undiffuse.runs import RunFolder
from undiffuse.training import WorkerError, train_run

app = App(
    name="undiffuse",
    version=__version__,
    suppress_keyboard_interrupt=False,  # answered in main()
    help="Diffusion models that can be read all the way down: one single-hidden-layer autoencoder per diffusion time.",
    help_epilogue="Every command takes --json: one JSON object on standard output, and nothing else there.",
)

Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object on standard output.")]
Flag = Annotated[bool, Parameter(negative=())]


@Parameter(name="*")
@dataclass(frozen=True)
class TrainingOptions:
    """Options of the commands that train."""

    set_: Annotated[
        tuple[str, ...],
        Parameter(name="--set", negative=(), help="Replace a setting, such as training.epochs=5; may be repeated."),
    ] = ()
    seed: Annotated[int | None, Parameter(help="Seed of every random stream; the preset's by default.")] = None
    resume: Annotated[Flag, Parameter(help="Go on with a run that was stopped, to the same bits.")] = False
    overwrite: Annotated[Flag, Parameter(help="Replace a run that is there.")] = False
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Parameter(help="Where to train; auto takes a GPU where it helps.")
    ] = "auto"
    workers: Annotated[int | None, Parameter(help="Worker processes; one per core by default.")] = None

    def train(self, preset: str, out: Path) -> RunFolder:
        """Train a preset or file into a run folder."""
        if self.resume and self.overwrite:
            raise UserError("--resume and --overwrite exclude each other")
        config = configuration.load(preset, list(self.set_), self.seed)
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


_TRAINING, _SAMPLER = TrainingOptions(), SamplerOptions()


@app.command
def run(
    preset: str,
    *,
    out: Path | None = None,
    options: TrainingOptions = _TRAINING,
    json: Json = False,
) -> None:
    """Train, sample, evaluate and report: the main job.

    Parameters
    ----------
    preset
        Name of a preset (see `undiffuse presets`) or a TOML file.
    out
        Run folder to make; runs/PRESET by default.
    """
    folder = options.train(preset, out or Path("runs") / Path(preset).stem)
    with progress("sampling", "samples") as update:
        evaluation = workflow.evaluate_run(folder, Sampler(), folder.config.seed, on_progress=update)
    figures = workflow.figures_of(folder, folder.path / "figures")
    report = workflow.write_report(folder)
    training = workflow.training_summary(folder)
    summary = {
        "run": str(folder.path),
        "preset": folder.config.name,
        "training": training,
        "evaluation": evaluation,
        "metrics": evaluation["metrics"],
        "figures": [str(path) for path in figures],
        "report": str(report),
    }
    _answer(json, summary, [*_training_lines(training), *_metric_lines(evaluation), f"report: {report}"])


@app.command
def train(
    preset: str,
    *,
    out: Path,
    options: TrainingOptions = _TRAINING,
    json: Json = False,
) -> None:
    """Train a bank into a run folder.

    Parameters
    ----------
    preset
        Name of a preset or a TOML file.
    out
        Run folder to make.
    """
    summary = workflow.training_summary(options.train(preset, out))
    _answer(json, summary, _training_lines(summary))


@app.command
def sample(
    run: Path,
    *,
    n: Annotated[int, Parameter(name=["-n", "--n"])] = 1000,
    out: Path,
    options: SamplerOptions = _SAMPLER,
    seed: int = 0,
    overwrite: Flag = False,
    json: Json = False,
) -> None:
    """Generate samples from a trained run into a .npy file of shape (n, dim).

    Parameters
    ----------
    run
        Run folder.
    n
        Number of samples. Sample i is the same whatever n is.
    out
        File to write.
    seed
        Seed of the samples' random streams.
    overwrite
        Replace a file that is there.
    """
    way = options.build()
    workflow.check_output(out, overwrite)
    folder = RunFolder.open(run)
    start = time.monotonic()
    with progress("sampling", "samples") as update:
        x = workflow.sample_run(folder, n, way, seed, update)
    path = workflow.write_array(out, x, overwrite)
    summary = {
        "out": str(path),
        "n": len(x),
        "dim": x.shape[1],
        "sampler": way.name,
        "steps": way.steps or folder.config.diffusion.T,
        "seed": seed,
        "seconds": round(time.monotonic() - start, 2),
    }
    _answer(json, summary, [f"{len(x)} samples of dimension {x.shape[1]} in {path} ({summary['seconds']} s)"])


@app.command
def evaluate(
    run: Path,
    *,
    options: SamplerOptions = _SAMPLER,
    samples: Annotated[int | None, Parameter(help="Samples in a set; the run's setting by default.")] = None,
    replicates: Annotated[int | None, Parameter(help="Number of sets; the run's setting by default.")] = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Judge a run's samples by their distances to fresh data, each beside its floor.

    Parameters
    ----------
    run
        Run folder; metrics.json and samples.npy in it are replaced.
    seed
        Seed of the samples and of the fresh data.
    """
    way = options.build()
    folder = RunFolder.open(run)
    with progress("sampling", "samples") as update:
        summary = workflow.evaluate_run(folder, way, seed, samples, replicates, update)
    _answer(json, summary, _metric_lines(summary))


@app.command
def figures(run: Path, *more: Path, out: Path, json: Json = False) -> None:
    """Make the figures of one run or several, as PNG files.

    Parameters
    ----------
    run
        Run folder.
    more
        Further run folders: each run's figures then get a folder of their own, and Figure 5 shows all runs.
    out
        Folder to put them in; files of the same names are replaced.
    """
    folders = [RunFolder.open(path) for path in (run, *more)]
    paths = [str(path) for path in workflow.figures_of_all(folders, out)]
    _answer(json, {"figures": paths}, paths)


@app.command
def presets(*, json: Json = False) -> None:
    """List the presets."""
    rows = [{"name": name, "description": configuration.load(name).description} for name in configuration.presets()]
    _answer(json, {"presets": rows}, [f"{row['name']:18} {row['description']}" for row in rows])


@app.command
def info(run: Path, *, json: Json = False) -> None:
    """Describe a run folder: what it is, how far it is, what its schedule does.

    Parameters
    ----------
    run
        Run folder.
    """
    folder = RunFolder.open(run)
    config, done = folder.config, len(folder.blocks) - len(folder.unfinished)
    reference = folder.reference()
    second_moment = float((reference.variances.sum() + (reference.mean**2).sum()) / reference.dim)
    summary: dict[str, Any] = {
        "run": str(folder.path),
        "preset": config.name,
        "description": config.description,
        "package_version": folder.manifest["package_version"],
        "state": "trained" if not folder.unfinished else "unfinished",
        "blocks": len(folder.blocks),
        "blocks_done": done,
        "dim": reference.dim,
        **{key: folder.manifest[key] for key in ("seed", "device", "engine", "data_sha256", "training_seconds")},
        "schedule": {**workflow.schedule_summary(config), "prior_kl": config.forward().prior_kl_of(second_moment)},
        "config": config.model_dump(mode="json", exclude_none=True),
    }
    schedule = summary["schedule"]
    lines = [
        f"{config.name}: {config.description}",
        f"{summary['state']}, {done} of {len(folder.blocks)} blocks, {summary['training_seconds']:.1f} s of training "
        f"({summary['engine']} engine, {summary['device']})",
        f"T = {schedule['T']}, alpha_bar(T) = {schedule['alpha_bar_T']:.3g}, tau(T) = {schedule['ou_time_T']:.3f}, "
        f"prior KL = {schedule['prior_kl']:.3g} nats per dimension",
        f"dim = {reference.dim}, seed = {summary['seed']}, undiffuse {summary['package_version']}",
    ]
    _answer(json, summary, lines)


# -- shared by the commands -------------------------------------------------------------------------------------------


def _answer(json: bool, summary: dict[str, Any], lines: Sequence[str]) -> None:
    print(json_format.dumps(summary) if json else "\n".join(lines))  # noqa: T201


def _training_lines(summary: dict[str, Any]) -> list[str]:
    check = summary["overfit"]
    return [
        f"{summary['networks']} networks trained in {summary['training_seconds']:.1f} s: {summary['run']}",
        f"mean xi-error per dimension {summary['train_error']:.4f} training, {summary['held_out_error']:.4f} held out "
        f"(gap {100 * check['gap']:+.1f} +- {100 * check['gap_stderr']:.1f} %)",
    ]


def _metric_lines(summary: dict[str, Any]) -> list[str]:
    head = f"{'distance':18} {'to data':>17} {'floor':>17} {'ratio':>13}"
    return [
        head,
        *(
            f"{name:18} {m['value']:8.4f} +- {m['value_stderr']:.4f} {m['floor']:8.4f} +- {m['floor_stderr']:.4f} "
            f"{m['ratio']:6.2f} +- {m['ratio_stderr']:.2f}"
            for name, m in summary["metrics"].items()
        ),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 for a failed job, 2 for a bad argument."""
    tokens = sys.argv[1:] if argv is None else list(argv)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _show_warning
            app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except (UserError, CycloptsError) as error:
        return _complain(str(error), 2)
    except WorkerError as error:
        return _complain(str(error), 1)
    except (OSError, MemoryError) as error:
        return _complain(f"{type(error).__name__}: {error}", 1)
    except KeyboardInterrupt:
        return _complain("stopped; what was trained is kept, and --resume goes on from there", 130)
    return 0


def _complain(message: str, code: int) -> int:
    print(f"undiffuse: {message}", file=sys.stderr)  # noqa: T201
    return code


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"undiffuse: warning: {message}", file=sys.stderr)  # noqa: T201
