"""The steps of a run, each from a run folder to something in it: samples, metrics, figures, report."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import undiffuse
from undiffuse import datasets, metrics, objective, reverse
from undiffuse.config import Config
from undiffuse.datasets import Dataset
from undiffuse.denoiser import EmpiricalDenoiser, GaussianDenoiser
from undiffuse.errors import UserError, require
from undiffuse.model import Diffusion
from undiffuse.reverse import Sampler
from undiffuse.runs import RunFolder, write_file
from undiffuse.streams import Purpose, SampleNoise, stream
from undiffuse.training import overfit, run_errors

Floats = NDArray[np.float64]
OnProgress = Callable[[int, int], None]
_SHOWN = 1_000  # samples kept in the run folder and drawn in figures


def sample_run(
    run: RunFolder, n: int, sampler: Sampler, seed: int, on_progress: OnProgress = lambda done, total: None
) -> Floats:
    """Generate samples from a run's model, counting steps times samples as progress."""
    model = Diffusion.load(run)
    steps = len(sampler.times(model, model.forward.T))
    moved = 0

    def on_step(samples: int) -> None:
        nonlocal moved
        moved += samples
        on_progress(moved // steps, n)

    return reverse.sample(model, n, sampler, seed, on_step)


def write_array(path: str | Path, array: NDArray[Any], overwrite: bool) -> Path:
    """Write a ``.npy`` file atomically; refuse one that exists unless ``overwrite``."""
    path = check_output(path, overwrite)
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return write_file(path, buffer.getvalue())


def check_output(path: str | Path, overwrite: bool) -> Path:
    """Make sure a file may be written to ``path``, before any work is done for it."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the name of a file")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists already: choose another name or give --overwrite")
    if not path.absolute().parent.is_dir():
        raise UserError(f"there is no folder {str(path.parent)!r} to write {path.name} in")
    return path


def training_summary(run: RunFolder) -> dict[str, Any]:
    """Errors of a finished run and how they compare, for ``--json`` and the report."""
    errors = run_errors(run)
    return {
        "run": str(run.path),
        "preset": run.config.name,
        "networks": run.config.diffusion.T,
        "blocks": len(run.blocks),
        "device": run.manifest["device"],
        "engine": run.manifest["engine"],
        "training_seconds": run.manifest["training_seconds"],
        "train_error": float(errors[:, 1].mean()),
        "held_out_error": float(errors[:, 2].mean()),
        "overfit": overfit(errors),
    }


def run_data(run: RunFolder) -> Dataset:
    """Load the data a run was trained on, and make sure it is the same.

    Raises
    ------
    UserError
        If it was an array given in Python, or has changed since.
    """
    data = datasets.load(run.config)
    if datasets.fingerprint(data) != run.manifest["data_sha256"]:
        raise UserError(f"{run.path} was trained on other data than its configuration now gives")
    return data


def evaluate_run(
    run: RunFolder,
    sampler: Sampler,
    seed: int,
    samples: int | None = None,
    replicates: int | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> dict[str, Any]:
    """Generate samples, judge them, and keep ``metrics.json`` and the first samples in the run folder."""
    settings = run.config.evaluation
    size, count = samples or settings.samples, replicates or settings.replicates
    data = run_data(run)
    if data.fresh is None:
        size = min(size, len(data.held_out), len(data.train))
    start = time.monotonic()
    x = sample_run(run, size * count, sampler, seed, on_progress)
    sampled = time.monotonic()
    results = metrics.evaluate(x, data, count, seed)
    summary = {
        "run": str(run.path),
        "samples": size,
        "replicates": count,
        "sampler": sampler.name,
        "steps": sampler.steps or run.config.diffusion.T,
        "seed": seed,
        "metrics": {name: comparison.as_dict() for name, comparison in results.items()},
        "sampling_seconds": round(sampled - start, 2),
        "metrics_seconds": round(time.monotonic() - sampled, 2),
    }
    write_array(run.path / "samples.npy", x[:_SHOWN], overwrite=True)
    run.write_json("metrics.json", summary)
    return summary


# -- figures --------------------------------------------------------------------------------------------------------


def figures_of(run: RunFolder, out: Path) -> list[Path]:
    """Make every figure the run's data allow, as PNG files in ``out``."""
    from undiffuse import figures

    model, data = Diffusion.load(run), run_data(run)
    _make_folder(out)
    made = {"loss_against_time": figures.loss_against_time(model.errors, *references(model, data))}
    if data.dim == 2:
        shown = data.train[: 2 * _SHOWN]
        forward_states = _forward_states(model, shown)
        made["1a_forward_process"] = figures.process(forward_states)
        last = forward_states[-1][1]
        made["2a_histograms"] = figures.histograms(shown, last, model.forward.noise_scale, model.forward.T)
        states = _reverse_states(model)
        made["reverse_trajectory"] = figures.process(states, forward=False)
        made["5_generated"] = figures.generated([(run.config.name, shown[:_SHOWN], states[-1][1])])
    return [figures.save(figure, out / f"{name}.png") for name, figure in sorted(made.items())]


def figures_of_all(runs: list[RunFolder], out: Path) -> list[Path]:
    """Make the figures of several runs, each in a folder of its own, and Figure 5 with a row for each.

    Raises
    ------
    UserError
        If the runs' folders share a name, or one is not two-dimensional.
    """
    from undiffuse import figures

    if len(runs) == 1:
        return figures_of(runs[0], out)
    names = [run.path.resolve().name for run in runs]
    require(len(set(names)) == len(names), f"the runs' folders must have different names, got {', '.join(names)}")
    rows = []
    for run in runs:
        model, data = Diffusion.load(run), run_data(run)
        require(data.dim == 2, f"Figure 5 shows two-dimensional data; {run.path} has dimension {data.dim}")
        rows.append((run.config.name, data.train[:_SHOWN], model.sample(_SHOWN, run.config.seed)))
    made = [path for run, name in zip(runs, names, strict=True) for path in figures_of(run, out / name)]
    return [*made, figures.save(figures.generated(rows), out / "5_generated.png")]


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {path}: {error.strerror}") from None


def references(model: Diffusion, data: Dataset, points: int = 60) -> tuple[Floats, Floats]:
    """Errors of the Gaussian and the empirical denoiser, as rows ``(t, error)``.

    The Gaussian one is closed form; the empirical one is measured on held-out data at ``points`` times.
    """
    exact = GaussianDenoiser.from_data(data.train, model.forward)
    gaussian = np.array([(t, exact.error(t)) for t in model.schedule.times.tolist()])
    times = np.unique(np.geomspace(1, model.forward.T, points).astype(int)).tolist()
    memorised = EmpiricalDenoiser(model.forward, data.train)
    return gaussian, np.column_stack([times, objective.xi_errors(memorised, data.held_out[:500], times)])


def _forward_states(model: Diffusion, x0: Floats) -> list[tuple[int, Floats]]:
    wanted = _moments(model.forward.T)
    walk = model.forward.trajectory(x0, stream(model.config.seed, Purpose.METRIC))
    return [(t, x) for t, x in walk if t in wanted]


def _reverse_states(model: Diffusion) -> list[tuple[int, Floats]]:
    """A trajectory of the samples that ``sample(seed)`` would give."""
    draw = SampleNoise(model.config.seed, _SHOWN, model.dim)
    start = model.forward.noise_scale * draw()
    wanted = _moments(model.forward.T)
    return [state for state in reverse.reverse_trajectory(model, start, noise=draw) if state.t in wanted]


def _moments(T: int) -> list[int]:
    """Times worth showing, as shares of T."""
    return [0, *(max(1, round(share * T)) for share in (0.02, 0.08, 0.2, 0.4, 1))]


# -- report ---------------------------------------------------------------------------------------------------------

_CAPTIONS = {
    "5_generated": "Data, samples drawn by Algorithm 2, and both (the thesis's Figure 5).",
    "reverse_trajectory": "The same samples on their way from noise (t = T) to data (t = 0).",
    "loss_against_time": (
        "Error of each time's network in predicting the noise, beside the best linear denoiser (closed form) and the "
        "exact denoiser of the training set, which memorises. All are mean squares per dimension."
    ),
    "1a_forward_process": "Data diffused by the forward process (Figure 1a).",
    "2a_histograms": "Histograms of each coordinate before and after diffusion (Figure 2a).",
}
_METRIC_NAMES = {
    "w2": "2-Wasserstein distance, exact",
    "sliced_w2": "2-Wasserstein distance, sliced",
    "energy_distance": "energy distance",
    "distance_to_curve": "root mean square distance to the curve",
    "coverage_gap": "coverage gap along the curve (total variation)",
}


def write_report(run: RunFolder) -> Path:
    """Write ``report.html``: one file, figures inside, from what the run folder holds."""
    from jinja2 import Environment

    files = {path.stem: path for path in (run.path / "figures").glob("*.png")}
    figures = [
        {"caption": caption, "image": base64.b64encode(files[name].read_bytes()).decode()}
        for name, caption in _CAPTIONS.items()
        if name in files
    ]
    forward = run.config.forward()
    template = (resources.files("undiffuse") / "report.html.jinja").read_text(encoding="utf-8")
    page = (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(template)
        .render(
            version=undiffuse.__version__,
            config=run.config,
            toml=run.config.to_toml(),
            training=training_summary(run),
            evaluation=run.read_json("metrics.json"),
            metric_names=_METRIC_NAMES,
            figures=figures,
            schedule=schedule_summary(run.config),
            forward=forward,
        )
    )
    return run.write_text("report.html", page)


def schedule_summary(config: Config) -> dict[str, float]:
    """Summarise where the forward process ends: ``alpha_bar(T)`` and the OU time ``tau(T)``."""
    q = config.forward().schedule
    return {"T": q.T, "alpha_bar_T": float(q.alpha_bar(q.T)), "ou_time_T": float(q.ou_time(q.T))}
