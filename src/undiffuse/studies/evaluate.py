"""``undiffuse evaluate``: a run's samples against data, and the bound on the likelihood."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any

from cyclopts import Parameter

from undiffuse import metrics
from undiffuse.baselines import gaussian_samples, mixture_samples
from undiffuse.datasets import ImageDataset, can_be_classified
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.likelihood import Bound, bound
from undiffuse.metrics import Comparison
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import (
    DEFAULT_BACKEND,
    DEFAULT_SAMPLER,
    PURE_NOISE,
    BackendOptions,
    Place,
    SampleDevice,
    SamplerOptions,
    Start,
    started,
)
from undiffuse.studies.sample import cost, draw
from undiffuse.support import results
from undiffuse.support.costs import Cost, OnCost, seconds_of, stages
from undiffuse.support.errors import require
from undiffuse.support.files import json_bytes, npy_bytes
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, counter, silent
from undiffuse.support.threads import PartThreads, one_thread

_KEPT = 1_000  # samples kept in the run folder
_BOUND_SAMPLES = {"empirical": 50}  # it is slow, and its bound is so much larger that a few samples suffice
_MOST_BOUND_SAMPLES = 200


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """How to evaluate a run's samples.

    Attributes
    ----------
    run : path
        Run folder; metrics.json and samples.npy in it are replaced.
    sampler : SamplerOptions
    start : str
        Where the reverse process starts: noise (at T), or gaussian[:TAU], the data's Gaussian at OU time TAU, their
        speciation time by default.
    samples : int, optional
        Samples in a set; the run's setting by default.
    replicates : int, optional
        Number of sets; the run's setting by default.
    seed : int
        Seed of the samples and of the fresh data.
    device : {"cpu", "cuda", "auto"}
        Where to sample, with other noise on a GPU; measures are taken on the processor.
    backend : BackendOptions
        Of the sampling; measures are taken in this process.
    """

    run: RunLike
    _: KW_ONLY
    sampler: SamplerOptions = DEFAULT_SAMPLER
    start: Start = PURE_NOISE
    samples: int | None = None
    replicates: int | None = None
    seed: int = 0
    device: SampleDevice = "cpu"
    backend: BackendOptions = DEFAULT_BACKEND


@dataclass(frozen=True)
class Result(results.Result):
    """Measures of samples, and the bound.

    Attributes
    ----------
    run : path
    samples, replicates : int
        Size and number of the sets.
    sampler, steps, start_t, seed, device
        How they were made, from which time on and where.
    metrics : dict of Comparison
        Distances in units of the data, each beside its floor.
    bound : dict
        Bound (18), the negative ELBO, of the bank and of the exact denoisers, in nats and bits, without the terms of
        each time.
    classifiers : dict, optional
        Accuracy of the two classifiers on held-out images.
    sampling_seconds, metrics_seconds : float
    """

    run: str
    samples: int
    replicates: int
    sampler: str
    steps: int
    start_t: int
    seed: int
    device: str
    metrics: Mapping[str, Comparison]
    bound: Mapping[str, Mapping[str, Any]]
    sampling_seconds: float
    metrics_seconds: float
    classifiers: Mapping[str, float] | None = None


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Generate samples, measure them, and keep ``metrics.json``, ``bound.json`` and the first samples in the folder.

    Progress is told in percent; ``on_cost`` is told before what the work will take.

    Raises
    ------
    UserError
        If the run is unfinished, its data cannot be loaded, or a number is out of range.
    """
    for name in ("samples", "replicates"):
        value = getattr(settings, name)
        require(value is None or value >= 2, f"{name} = {value}: wanted at least 2")
    opened, sampler, seed = OpenRun.of(settings.run), settings.sampler.build(), settings.seed
    sampler = started(sampler, settings.start, lambda: opened.reference)
    way = sampler.way(opened.model)
    data, defaults = opened.data, opened.config.evaluation
    size, count = settings.samples or defaults.samples, settings.replicates or defaults.replicates
    if (largest := data.largest_set()) is not None:
        size = min(size, largest)
    states = 3 * 8 * size * count * data.dim
    check_memory(states + metrics.memory_needed(size), f"evaluating {count} sets of {size} samples")
    place, classifiers, others = Place.of(settings.backend.build(), settings.device), None, {}
    if can_be_classified(data):
        classifiers = opened.classifiers
        others = {
            "gaussian": gaussian_samples(data.train, size * count, seed),
            "mixture": mixture_samples(data.train, size * count, seed=seed),
        }
    evaluation = metrics.Evaluation(data, count, seed, classifiers, others)
    seconds = (1.0, 1.0, 1.0)
    if on_cost is not None:
        drawing = cost(opened, size * count, sampler, place).seconds
        seconds = (drawing, evaluation.seconds(size), _of_bounds(opened))
        work = f"{count} sets of {size} samples in {len(way) - 1} steps, their distances, and the bound"
        on_cost(Cost(sum(seconds), work, "smaller --replicates or --samples", at_most=True))
    sampling, measuring, bounding = stages(on_progress, seconds)
    start = time.monotonic()
    x = draw(opened, size * count, sampler, seed, sampling, place)
    sampled = time.monotonic()
    compared = replace(evaluation, on_progress=measuring).of(x)
    bounds = bounds_of(opened, seed, bounding)
    result = Result(
        run=str(opened.path),
        samples=size,
        replicates=count,
        sampler=sampler.name,
        steps=len(way) - 1,
        start_t=way[0],
        seed=seed,
        device=place.device,
        metrics=compared,
        bound={
            name: {key: value for key, value in b.as_dict().items() if key != "per_t"} for name, b in bounds.items()
        },
        classifiers=classifiers.accuracies() if classifiers else None,
        sampling_seconds=round(sampled - start, 2),
        metrics_seconds=round(time.monotonic() - sampled, 2),
    )
    opened.folder.keep(
        {
            "samples.npy": npy_bytes(opened.to_user(x[:_KEPT])),
            "bound.json": json_bytes({name: b.as_dict() for name, b in bounds.items()}),
            "metrics.json": json_bytes(result.as_dict()),
        }
    )
    return result


def _of_bounds(opened: OpenRun) -> float:
    """Seconds of the bounds, which are made side by side, from one time of each denoiser."""
    x, t = opened.data.held_out, opened.config.diffusion.T
    parts = {name: x[: _BOUND_SAMPLES.get(name, _MOST_BOUND_SAMPLES)] for name in opened.denoisers}
    with one_thread():
        return t * max(seconds_of(partial(d.xi_hat, parts[name], t)) for name, d in opened.denoisers.items())


def bounds_of(opened: OpenRun, seed: int, on_progress: OnProgress = silent) -> dict[str, Bound]:
    """Bound (18) of the bank and of both exact denoisers on held-out samples; 8-bit images by their probability."""
    data, levels = opened.data, None
    if isinstance(data, ImageDataset) and data.images[1].eight_bits:
        levels = data.images[1].low, data.images[1].high
    step = counter(on_progress, len(opened.denoisers) * opened.config.diffusion.T)

    def of(named: tuple[str, Denoiser]) -> Bound:
        name, denoiser = named
        x = data.held_out[: _BOUND_SAMPLES.get(name, _MOST_BOUND_SAMPLES)]
        return bound(denoiser, x, levels=levels, seed=seed, on_step=lambda _: step())

    with PartThreads(len(opened.denoisers)) as threads:
        return dict(zip(opened.denoisers, threads.map(of, opened.denoisers.items()), strict=True))
