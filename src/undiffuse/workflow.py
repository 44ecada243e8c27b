"""The steps of a run, each from a run folder to something in it: samples, metrics, figures, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from undiffuse import datasets, metrics, studies
from undiffuse.baselines import Perceptron, gaussian_samples, mixture_samples
from undiffuse.datasets import Dataset, Images
from undiffuse.diffusion import reverse
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser
from undiffuse.diffusion.inpainting import Inpainting
from undiffuse.diffusion.likelihood import Bound, bound
from undiffuse.diffusion.reverse import Sampler
from undiffuse.model import Diffusion
from undiffuse.runs.config import Config
from undiffuse.runs.folder import RunFolder
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, require
from undiffuse.support.files import write_array
from undiffuse.support.progress import counter
from undiffuse.support.streams import Purpose, stream
from undiffuse.training import overfit, run_errors

if TYPE_CHECKING:  # it needs torch, which spirals do without
    from undiffuse.metrics.readers import Readers

OnProgress = Callable[[int, int], None]
_SHOWN = 1_000  # samples kept in the run folder


def sample_run(
    run: RunFolder, n: int, sampler: Sampler, seed: int, on_progress: OnProgress = lambda done, total: None
) -> Floats:
    """Generate samples from a run's model, counting steps times samples as progress."""
    model = Diffusion.load(run)
    steps = len(sampler.times(model, model.forward.T))
    return reverse.sample(model, n, sampler, seed, counter(on_progress, n, per=steps))


def training_summary(run: RunFolder) -> dict[str, Any]:
    """Errors of a finished run and how they compare, for ``--json`` and the report."""
    errors = run_errors(run)
    return {
        "run": str(run.path),
        "preset": run.config.name,
        "networks": run.config.diffusion.T,
        "blocks": len(run.blocks),
        "device": run.manifest.device,
        "engine": run.manifest.engine,
        "training_seconds": run.manifest.training_seconds,
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
    if datasets.fingerprint(data) != run.manifest.data_sha256:
        raise UserError(f"{run.path} was trained on other data than its configuration now gives")
    return data


def readers_of(run: RunFolder, data: Dataset) -> Readers:
    """Classifiers of a run's images: those kept in its folder, or new ones, which are then kept.

    Raises
    ------
    UserError
        If the data are not labelled images, or are of one class.
    """
    from undiffuse.metrics.readers import Readers

    if data.images is None:
        raise UserError(f"{run.path} was not trained on labelled images, so there are no classes to read")
    readers = Readers.load(run.path)
    if readers is None:
        readers = Readers.train(*data.images, run.config.seed)
        readers.save(run.path)
    return readers


def evaluate_run(
    run: RunFolder,
    sampler: Sampler,
    seed: int,
    samples: int | None = None,
    replicates: int | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> dict[str, Any]:
    """Generate samples, judge them, and keep ``metrics.json``, ``bound.json`` and the first samples in the folder."""
    settings = run.config.evaluation
    size, count = samples or settings.samples, replicates or settings.replicates
    data = run_data(run)
    if data.fresh is None:
        size = min(size, len(data.held_out), len(data.train))
    start = time.monotonic()
    x = sample_run(run, size * count, sampler, seed, on_progress)
    sampled = time.monotonic()
    readers, others = None, {}
    if data.images is not None and len(np.unique(data.images[0].labels)) > 1:
        readers = readers_of(run, data)
        others = {
            "gaussian": gaussian_samples(data.train, len(x), seed),
            "mixture": mixture_samples(data.train, len(x), seed=seed),
        }
    results = metrics.evaluate(x, data, count, seed, readers=readers, baselines=others)
    bounds = bounds_of(run, data, seed)
    summary: dict[str, Any] = {
        "run": str(run.path),
        "samples": size,
        "replicates": count,
        "sampler": sampler.name,
        "steps": sampler.steps or run.config.diffusion.T,
        "seed": seed,
        "metrics": {name: comparison.as_dict() for name, comparison in results.items()},
        "bound": {
            name: {key: value for key, value in b.as_dict().items() if key != "per_t"} for name, b in bounds.items()
        },
    }
    if readers is not None:
        summary["classifiers"] = {"plain": readers.plain.accuracy, "strict": readers.strict.accuracy}
    summary["sampling_seconds"] = round(sampled - start, 2)
    summary["metrics_seconds"] = round(time.monotonic() - sampled, 2)
    write_array(run.path / "samples.npy", x[:_SHOWN], overwrite=True)
    run.write_json("bound.json", {name: b.as_dict() for name, b in bounds.items()})
    run.write_json("metrics.json", summary)
    return summary


def bounds_of(run: RunFolder, data: Dataset, seed: int) -> dict[str, Bound]:
    """Bound (18) of the bank and of both exact denoisers on held-out samples; 8-bit images by probability."""
    levels = None if data.images is None else (data.images[1].low, data.images[1].high)
    # The empirical denoiser is slow, and its bound so far off that a few samples tell.
    samples = {"bank": 200, "gaussian": 200, "empirical": 50}
    return {
        name: bound(denoiser, data.held_out[: samples[name]], levels=levels, seed=seed)
        for name, denoiser in _side_by_side(run, data).items()
    }


def _side_by_side(run: RunFolder, data: Dataset) -> dict[str, Denoiser]:
    """The bank and both exact denoisers of its training data."""
    model = Diffusion.load(run)
    return {"bank": model, "gaussian": run.reference(), "empirical": EmpiricalDenoiser(model.forward, data.train)}


# -- images -----------------------------------------------------------------------------------------------------------


def held_out_images(run: RunFolder, n: int) -> tuple[Dataset, Images]:
    """Data of a run and its first ``n`` held-out images.

    Raises
    ------
    UserError
        If the data are not images or there are not as many.
    """
    data = run_data(run)
    if data.images is None:
        raise UserError(f"{run.path} was not trained on images")
    require(n >= 2, f"n = {n}: wanted at least two images")
    return data, data.images[1].first(n)


def reconstruct_run(
    run: RunFolder, t: int, repeats: int, n: int, sampler: Sampler, seed: int
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Diffuse held-out images to t and bring them back: the arrays, and how well it went."""
    data, images = held_out_images(run, n)
    reader = readers_of(run, data).strict
    diffused, back = studies.reconstructions(Diffusion.load(run), images.x, t, repeats, sampler, seed)
    arrays = {"original": images.x, "label": images.labels, "diffused": diffused, "reconstructed": back}
    summary = {"run": str(run.path), "t": t, "repeats": repeats, "n": n, "seed": seed}
    return arrays, summary | studies.score(images, back, reader).as_dict()


def inpaint_run(
    run: RunFolder, mask: NDArray[np.bool_], how: Inpainting, n: int, sampler: Sampler, seed: int, on_step: OnProgress
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Destroy a part of held-out images and fill it in: the arrays, and how well it went."""
    data, images = held_out_images(run, n)
    reader = readers_of(run, data).strict
    model = Diffusion.load(run)
    steps = len(how.path(sampler.times(model, model.forward.T))) - 1
    step = counter(on_step, steps)
    filled, score = studies.inpainting_score(model, images, mask, how, reader, sampler, seed, step)
    arrays = {"original": images.x, "label": images.labels, "destroyed": mask, "inpainted": filled}
    summary = {"run": str(run.path), "method": how.method, "n": n, "seed": seed, "destroyed_pixels": int(mask.sum())}
    return arrays, summary | score.as_dict()


def uturn_run(
    run: RunFolder, times: list[int], repeats: int, n: int, sampler: Sampler, seed: int, on_time: OnProgress
) -> dict[str, Any]:
    """Class kept, pixel error and spread of reconstructions against t, for the bank and the exact denoisers."""
    data, images = held_out_images(run, n)
    reader = readers_of(run, data).strict
    denoisers = _side_by_side(run, data)
    step = counter(on_time, len(times) * len(denoisers))
    curves = {}
    for name, denoiser in denoisers.items():
        points = studies.reconstruction_curve(denoiser, images, times, repeats, reader, sampler, seed, step)
        curves[name] = {key: [p.as_dict()[key] for p in points.values()] for key in points[times[0]].as_dict()}
    tau = [float(run.config.forward().schedule.ou_time(t)) for t in times]
    return {
        "run": str(run.path),
        "n": n,
        "repeats": repeats,
        "steps": sampler.steps,
        "seed": seed,
        "t": times,
        "ou_time": tau,
        "curves": curves,
    }


def schedule_summary(config: Config) -> dict[str, float]:
    """Summarise where the forward process ends: ``alpha_bar(T)`` and the OU time ``tau(T)``."""
    q = config.forward().schedule
    return {"T": q.T, "alpha_bar_T": float(q.alpha_bar(q.T)), "ou_time_T": float(q.ou_time(q.T))}


# -- Annex II ---------------------------------------------------------------------------------------------------------


def perceptron_study(
    digits: tuple[int, int],
    folder: Path | None,
    orders: int,
    bias: bool,
    max_passes: int,
    seed: int,
    figure: Path | None = None,
) -> dict[str, Any]:
    """Train a perceptron on two digits in the files' order and in random orders; draw its weights."""
    train, test = (datasets.mnist(digits, split, folder) for split in ("train", "test"))
    require(orders >= 0, f"orders = {orders}: wanted at least 0")
    rule = Perceptron(bias=bias, max_passes=max_passes)
    y, y_test = (np.where(images.labels == digits[1], 1, -1) for images in (train, test))
    result = rule.fit(train.x, y)
    shuffled = [rule.fit(train.x, y, stream(seed, Purpose.PERCEPTRON_ORDER, k)) for k in range(orders)]
    if figure is not None:
        from undiffuse import figures

        names = (str(digits[0]), str(digits[1]))
        figures.save(figures.perceptron_weights(result.w, train.shape, names), figure)
    return {
        "digits": list(digits),
        "training_images": len(train.x),
        "test_images": len(test.x),
        "bias": bias,
        "converged": result.converged,
        "passes": len(result.mistakes),
        "mistakes": result.mistakes,
        "test_errors": result.errors(test.x, y_test),
        "random_orders": {
            "passes": [len(r.mistakes) for r in shuffled],
            "test_errors": [r.errors(test.x, y_test) for r in shuffled],
        },
        "figure": None if figure is None else str(figure),
    }
