"""Commands that make runs and say what they are: run, train, sample, evaluate, figures, presets, info."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from undiffuse import pictures, thesis, workflow
from undiffuse.cli.options import (
    SAMPLER,
    TRAINING,
    Flag,
    Json,
    SamplerOptions,
    TrainingOptions,
    answer,
    app,
    metric_lines,
    training_lines,
)
from undiffuse.diffusion.reverse import Sampler
from undiffuse.report import write_report
from undiffuse.runs import config as configuration
from undiffuse.runs.folder import RunFolder
from undiffuse.support import files
from undiffuse.support.progress import progress


@app.command
def run(
    preset: str,
    *,
    out: Path | None = None,
    options: TrainingOptions = TRAINING,
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
    figures = pictures.figures_of(folder, folder.path / "figures")
    report = write_report(folder)
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
    answer(json, summary, [*training_lines(training), *metric_lines(evaluation), f"report: {report}"])


@app.command
def train(
    preset: str,
    *,
    out: Path,
    options: TrainingOptions = TRAINING,
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
    answer(json, summary, training_lines(summary))


@app.command
def sample(
    run: Path,
    *,
    n: Annotated[int, Parameter(name=["-n", "--n"])] = 1000,
    out: Path,
    options: SamplerOptions = SAMPLER,
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
    files.check_output(out, overwrite)
    folder = RunFolder.open(run)
    start = time.monotonic()
    with progress("sampling", "samples") as update:
        x = workflow.sample_run(folder, n, way, seed, update)
    path = files.write_array(out, x, overwrite)
    summary = {
        "out": str(path),
        "n": len(x),
        "dim": x.shape[1],
        "sampler": way.name,
        "steps": way.steps or folder.config.diffusion.T,
        "seed": seed,
        "seconds": round(time.monotonic() - start, 2),
    }
    answer(json, summary, [f"{len(x)} samples of dimension {x.shape[1]} in {path} ({summary['seconds']} s)"])


@app.command
def evaluate(
    run: Path,
    *,
    options: SamplerOptions = SAMPLER,
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
    answer(json, summary, metric_lines(summary))


@app.command
def figures(
    run: Path,
    *more: Path,
    out: Path,
    runs: Annotated[Path, Parameter(help="With thesis and no runs named: where to look for them.")] = Path("runs"),
    json: Json = False,
) -> None:
    """Make the figures of one run or several, or Figures 1 to 10 of the thesis, as PNG files.

    Parameters
    ----------
    run
        Run folder; or the word thesis, for the thesis's figures from the runs that follow.
    more
        Further run folders: each run's figures then get a folder of their own, and Figure 5 shows all runs.
    out
        Folder to put them in; files of the same names are replaced.
    """
    if str(run) == "thesis":
        folders = [RunFolder.open(path) for path in more] if more else thesis.runs_in(runs)
        summary = thesis.thesis_figures(folders, out)
        lines = list(summary["figures"])
        for number, commands in summary["missing"].items():
            lines += [f"Figure {number} is left out; it needs", *(f"  {command}" for command in commands)]
        answer(json, summary, lines)
        return
    folders = [RunFolder.open(path) for path in (run, *more)]
    paths = [str(path) for path in pictures.figures_of_all(folders, out)]
    answer(json, {"figures": paths}, paths)


@app.command
def presets(*, json: Json = False) -> None:
    """List the presets."""
    rows = [{"name": name, "description": configuration.load(name).description} for name in configuration.presets()]
    answer(json, {"presets": rows}, [f"{row['name']:18} {row['description']}" for row in rows])


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
        "package_version": folder.manifest.package_version,
        "state": "trained" if not folder.unfinished else "unfinished",
        "blocks": len(folder.blocks),
        "blocks_done": done,
        "dim": reference.dim,
        **{
            key: getattr(folder.manifest, key)
            for key in ("seed", "device", "engine", "data_sha256", "training_seconds")
        },
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
    answer(json, summary, lines)
