"""``undiffuse sample``: samples from a trained run, into a file."""

from __future__ import annotations

import time
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

import numpy as np
from cyclopts import Parameter

from undiffuse.datasets.tables import table_bytes
from undiffuse.datasets.units import made_up
from undiffuse.diffusion import reverse
from undiffuse.diffusion.samplers import Sampler
from undiffuse.diffusion.starts import GaussianStart
from undiffuse.studies import rates
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import (
    DEFAULT_BACKEND,
    DEFAULT_SAMPLER,
    HERE,
    PURE_NOISE,
    BackendOptions,
    Flag,
    N,
    Place,
    SampleDevice,
    SamplerOptions,
    Start,
    started,
)
from undiffuse.support import gpu, results
from undiffuse.support.arrays import Floats
from undiffuse.support.backend import LOCAL
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.files import check_output, write_array, write_file
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, counter, silent


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What to generate.

    Attributes
    ----------
    run : path
        Run folder.
    n : int
        Number of samples. Sample i is the same for every n.
    out : path
        File to write: a .npy array of shape (n, dim), or a .csv table. Samples are in the units of the data.
    sampler : SamplerOptions
    start : str
        Where the reverse process starts: noise (at T), or gaussian[:TAU], the data's Gaussian at OU time TAU, their
        speciation time by default.
    seed : int
        Seed of the samples' random streams.
    device : {"cpu", "cuda", "auto"}
        Where to sample; a GPU has other noise for the same seed, so it has to be asked for. auto uses one if there is.
    backend : BackendOptions
    overwrite : bool
        Replace a file that is there.
    """

    run: RunLike
    _: KW_ONLY
    n: N = 1000
    out: Path
    sampler: SamplerOptions = DEFAULT_SAMPLER
    start: Start = PURE_NOISE
    seed: int = 0
    device: SampleDevice = "cpu"
    backend: BackendOptions = DEFAULT_BACKEND
    overwrite: Flag = False


@dataclass(frozen=True)
class Result(results.Result):
    """Where the samples are, and how they were made.

    Attributes
    ----------
    out : str
        File written.
    n, dim : int
        Its shape.
    sampler, device : str
    steps, seed : int
    start_t : int
        Time that the reverse process started at.
    seconds : float
        Of sampling.
    """

    out: str
    n: int
    dim: int
    sampler: str
    steps: int
    start_t: int
    seed: int
    device: str
    seconds: float


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Generate samples and write them; ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If the run is unfinished, the sampler does not fit its schedule, or the file cannot be written.
    """
    sampler, place = settings.sampler.build(), Place.of(settings.backend.build(), settings.device)
    table = settings.out.suffix == ".csv"
    check_output(settings.out, settings.overwrite, ".csv" if table else ".npy")
    opened = OpenRun.of(settings.run)
    sampler = started(sampler, settings.start, lambda: opened.reference)
    way = sampler.way(opened.model)
    begun = time.monotonic()
    # The states, their noise and what is written stand in memory at once.
    check_memory(3 * 8 * settings.n * opened.reference.dim, f"n = {settings.n}: so many samples")
    if on_cost is not None and place.backend == LOCAL:
        on_cost(cost(opened, settings.n, sampler, place))
    x = opened.to_user(draw(opened, settings.n, sampler, settings.seed, on_progress, place))
    path = _write_table(settings.out, opened, x) if table else write_array(settings.out, x, settings.overwrite)
    return Result(
        out=str(path),
        n=len(x),
        dim=x.shape[1],
        sampler=sampler.name,
        steps=len(way) - 1,
        start_t=way[0],
        seed=settings.seed,
        device=place.device,
        seconds=round(time.monotonic() - begun, 2),
    )


def cost(opened: OpenRun, n: int, sampler: Sampler, place: Place = HERE) -> Cost:
    """What ``n`` samples will take.

    Parameters
    ----------
    opened : OpenRun
    n : int
    sampler : Sampler
    place : Place
    """
    steps = len(sampler.way(opened.model)) - 1
    if place.device == gpu.CUDA:
        seconds = rates.of_device_samples(opened.model.bank, n, sampler)
    else:
        seconds = rates.of_samples(opened.model, n, sampler)
    return Cost(
        seconds, f"{n} samples in {steps} steps", "a smaller -n, or --sampler dpmpp-2m --steps 50", at_most=True
    )


def _write_table(path: Path, opened: OpenRun, x: Floats) -> Path:
    """Write samples in the user's units as a table with the names of its columns."""
    units, dim = opened.model.units, opened.reference.dim
    names, whole = (made_up(dim), []) if units is None else (units.columns(dim), units.whole_of(dim))
    return write_file(path, table_bytes(x, names, whole))


def draw(
    opened: OpenRun, n: int, sampler: Sampler, seed: int, on_progress: OnProgress = silent, place: Place = HERE
) -> Floats:
    """Generate ``n`` samples of a run's model, shape ``(n, dim)``; progress is counted in samples.

    Parameters
    ----------
    opened : OpenRun
    n : int
    sampler : Sampler
    seed : int
    on_progress : callable
    place : Place
        Processes of this machine share memory, so they are threads of this one.
    """
    backend = place.backend
    if backend != LOCAL:
        backend.check()
        cut = reverse.pieces(n, opened.model.dim)
        # The law of a start is in the run's folder, and need not travel with every piece.
        t = None if sampler.start is None else sampler.start.t
        calls = [(str(opened.path), count, first, replace(sampler, start=None), t, seed) for first, count in cut]
        made = backend.map(_piece, calls, on_progress=lambda done, total: on_progress(n * done // total, n))
        return np.concatenate(made)
    steps = len(sampler.way(opened.model))
    if place.device == gpu.CUDA:
        from undiffuse.networks import on_device  # torch is slow to load

        on_step = counter(on_progress, n, per=steps)
        return on_device.sample(opened.model.bank, n, gpu.home(gpu.CUDA), sampler=sampler, seed=seed, on_step=on_step)
    return reverse.sample(opened.model, n, sampler=sampler, seed=seed, on_step=counter(on_progress, n, per=steps))


def _piece(path: str, n: int, first: int, sampler: Sampler, start: int | None, seed: int) -> Floats:
    """Samples ``first`` to ``first + n`` of a run's model, from any process, of a Gaussian ``start`` by its time."""
    opened = OpenRun.of(path)
    if start is not None:
        sampler = replace(sampler, start=GaussianStart(opened.reference, start))
    return reverse.sample(opened.model, n, sampler=sampler, seed=seed, first=first)
