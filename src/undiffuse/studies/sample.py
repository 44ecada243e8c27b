"""``undiffuse sample``: samples from a trained run, into a file."""

from __future__ import annotations

import time
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from cyclopts import Parameter

from undiffuse.diffusion import reverse
from undiffuse.diffusion.samplers import Sampler
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import DEFAULT_SAMPLER, Flag, N, SamplerOptions
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.files import check_memory, check_output, write_array
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
        File to write, a .npy array of shape (n, dim).
    sampler : SamplerOptions
    seed : int
        Seed of the samples' random streams.
    overwrite : bool
        Replace a file that is there.
    """

    run: RunLike
    _: KW_ONLY
    n: N = 1000
    out: Path
    sampler: SamplerOptions = DEFAULT_SAMPLER
    seed: int = 0
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
    sampler : str
    steps, seed : int
    seconds : float
        Of sampling.
    """

    out: str
    n: int
    dim: int
    sampler: str
    steps: int
    seed: int
    seconds: float


def run(settings: Settings, on_progress: OnProgress = silent) -> Result:
    """Generate samples and write them.

    Raises
    ------
    UserError
        If the run is unfinished, the sampler does not fit its schedule, or the file cannot be written.
    """
    sampler = settings.sampler.build()
    check_output(settings.out, settings.overwrite, ".npy")
    opened = OpenRun.of(settings.run)
    start = time.monotonic()
    # The states, their noise and what is written stand in memory at once.
    check_memory(3 * 8 * settings.n * opened.reference.dim, f"n = {settings.n}: so many samples")
    x = draw(opened, settings.n, sampler, settings.seed, on_progress)
    path = write_array(settings.out, x, settings.overwrite)
    return Result(
        out=str(path),
        n=len(x),
        dim=x.shape[1],
        sampler=sampler.name,
        steps=sampler.steps or opened.config.diffusion.T,
        seed=settings.seed,
        seconds=round(time.monotonic() - start, 2),
    )


def draw(opened: OpenRun, n: int, sampler: Sampler, seed: int, on_progress: OnProgress = silent) -> Floats:
    """Generate ``n`` samples of a run's model, shape ``(n, dim)``; progress is counted in samples.

    Parameters
    ----------
    opened : OpenRun
    n : int
    sampler : Sampler
    seed : int
    on_progress : callable
    """
    steps = len(sampler.times(opened.model, opened.model.forward.T))
    return reverse.sample(opened.model, n, sampler=sampler, seed=seed, on_step=counter(on_progress, n, per=steps))
