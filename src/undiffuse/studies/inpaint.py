"""``undiffuse inpaint``: a part of held-out images destroyed and filled in again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from cyclopts import Parameter

from undiffuse.datasets import masks
from undiffuse.diffusion.inpainting import Inpainting, Method, inpaint_trajectory
from undiffuse.diffusion.reverse import State
from undiffuse.metrics.reconstruction import Score, inpainting_score
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import DEFAULT_SAMPLER, Flag, N, SamplerOptions
from undiffuse.support.costs import Cost, OnCost, step_seconds
from undiffuse.support.errors import UserError
from undiffuse.support.files import check_memory, check_output, write_npz
from undiffuse.support.progress import OnProgress, silent


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What to destroy, and how to fill it in.

    Attributes
    ----------
    run : path
        Run folder.
    hole : str, optional
        Rectangle to destroy: 14x14 in the middle, or 14x14+TOP+LEFT.
    mask : path, optional
        Mask instead of a hole, .npy or an image: white (nonzero) is destroyed.
    method : {"thesis", "repaint"}
        Reverse process once, or with jumps back up (RePaint, Lugmayr et al. 2022).
    jump : int
        Steps of a jump; repaint only.
    repeats : int
        How often each stretch of jump steps is made; repaint only.
    n : int
        Number of held-out images.
    out : path
        File to write, .npz with `original` (n, dim), `label` (n,), `destroyed` (dim,) and `inpainted` (n, dim).
    sampler : SamplerOptions
    seed : int
        Seed of all noise.
    overwrite : bool
        Replace a file that is there.
    """

    run: RunLike
    _: KW_ONLY
    hole: str | None = None
    mask: Path | None = None
    method: Method = "thesis"
    jump: int = 10
    repeats: int = 10
    n: N = 100
    out: Path
    sampler: SamplerOptions = DEFAULT_SAMPLER
    seed: int = 0
    overwrite: Flag = False


@dataclass(frozen=True, kw_only=True)
class Result(Score):
    """How well images were filled in, and where they are.

    Attributes
    ----------
    kept, pixel_error, spread
        See :class:`~undiffuse.metrics.reconstruction.Score`; pixels count where they were destroyed.
    run, method : str
    n, seed : int
    destroyed_pixels : int
        Number of destroyed pixels of an image.
    out : str
        File written.
    """

    run: str
    method: str
    n: int
    seed: int
    destroyed_pixels: int
    out: str


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Destroy a part of held-out images, fill it in and write them; progress is counted in steps.

    ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If the run is not of images, the hole or mask does not fit, or a number is out of range.
    """
    check_output(settings.out, settings.overwrite, ".npz")
    opened, sampler = OpenRun.of(settings.run), settings.sampler.build()
    if (settings.hole is None) == (settings.mask is None):
        raise UserError("give either --hole, such as 14x14, or --mask FILE")
    how = Inpainting(settings.method, settings.jump, settings.repeats)
    images = opened.held_out_images(settings.n)
    if settings.hole is not None:
        destroyed = masks.hole(settings.hole, images.shape)
    else:
        destroyed = masks.read_mask(str(settings.mask), images.shape)
    made = sampler.steps or opened.config.diffusion.T
    check_memory(8 * made * settings.repeats, f"a way with {settings.repeats} repeats")
    steps = len(how.path(sampler.way(opened.model))) - 1

    def walked() -> Iterator[State]:
        return inpaint_trajectory(opened.model, images.x, destroyed, how=how, sampler=sampler, seed=settings.seed)

    if on_cost is not None:
        work = f"{steps} steps of {settings.n} images"
        on_cost(Cost(steps * step_seconds(walked()), work, "a smaller -n, or --sampler ddim --steps 100"))
    filled = images.x
    for done, state in enumerate(walked()):
        filled = state.x
        on_progress(done, steps)
    found = inpainting_score(images, filled, destroyed, opened.classifiers.strict)
    arrays = {"original": images.x, "label": images.labels, "destroyed": destroyed, "inpainted": filled}
    return Result(
        run=str(opened.path),
        method=how.method,
        n=settings.n,
        seed=settings.seed,
        destroyed_pixels=int(destroyed.sum()),
        out=str(write_npz(settings.out, arrays, settings.overwrite)),
        **found.as_dict(),
    )
