"""``undiffuse reconstruct``: held-out images diffused to a time and brought back."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from cyclopts import Parameter

from undiffuse.diffusion.reverse import uturn_trajectory
from undiffuse.metrics.reconstruction import Score, score
from undiffuse.studies import rates
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import DEFAULT_SAMPLER, Flag, N, SamplerOptions
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.files import check_output, write_npz
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What to reconstruct, and from where.

    Attributes
    ----------
    run : path
        Run folder.
    t : int
        Time to diffuse to, 1..T.
    repeats : int
        Reconstructions of each diffused image.
    n : int
        Number of held-out images.
    out : path
        File to write, .npz with `original` (n, dim), `label` (n,), `diffused` (n, dim) and `reconstructed` (n,
        repeats, dim).
    sampler : SamplerOptions
    seed : int
        Seed of all noise.
    overwrite : bool
        Replace a file that is there.
    """

    run: RunLike
    _: KW_ONLY
    t: int
    repeats: int = 10
    n: N = 100
    out: Path
    sampler: SamplerOptions = DEFAULT_SAMPLER
    seed: int = 0
    overwrite: Flag = False


@dataclass(frozen=True, kw_only=True)
class Result(Score):
    """How well images were reconstructed, and where they are.

    Attributes
    ----------
    kept, pixel_error, spread
        See :class:`~undiffuse.metrics.reconstruction.Score`.
    run : str
    t, repeats, n, seed : int
        As in the settings.
    out : str
        File written.
    """

    run: str
    t: int
    repeats: int
    n: int
    seed: int
    out: str


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Reconstruct held-out images and write them; progress is counted in steps.

    ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If the run is not of images, or a number is out of range.
    """
    check_output(settings.out, settings.overwrite, ".npz")
    opened, sampler = OpenRun.of(settings.run), settings.sampler.build()
    images = opened.held_out_images(settings.n)
    t, repeats, seed = settings.t, settings.repeats, settings.seed
    check_memory(4 * 8 * images.x.size * repeats, f"reconstructing {settings.n} images {repeats} times")
    diffused, walk = uturn_trajectory(opened.model, images.x, t, repeats, sampler=sampler, seed=seed)
    steps = min(t, sampler.steps or t)
    if on_cost is not None:
        seconds = steps * rates.of_step(opened.model, settings.n * repeats)
        work = f"{steps} steps of {settings.n} images, {repeats} times each"
        on_cost(Cost(seconds, work, "smaller -n or --repeats, or --sampler ddim --steps 50"))
    for done, state in enumerate(walk):
        back = state.x
        on_progress(done, steps)
    back = back.reshape(*images.x.shape[:1], repeats, images.x.shape[1])
    found = score(images, back, opened.classifiers.strict)
    arrays = {"original": images.x, "label": images.labels, "diffused": diffused, "reconstructed": back}
    path = write_npz(settings.out, arrays, settings.overwrite)
    return Result(run=str(opened.path), t=t, repeats=repeats, n=settings.n, seed=seed, out=str(path), **found.as_dict())
