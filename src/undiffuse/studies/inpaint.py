"""``undiffuse inpaint``: a part of held-out images destroyed and filled in again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from undiffuse.baselines.conditionals import by_class_gaussians, by_training_set
from undiffuse.datasets import Images, masks
from undiffuse.diffusion.inpainting import Inpainting, Method, inpaint_trajectory
from undiffuse.diffusion.particles import Cloud, clouds
from undiffuse.diffusion.reverse import State
from undiffuse.metrics.reconstruction import Score, inpainting_score
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import DEFAULT_SAMPLER, Flag, N, SamplerOptions
from undiffuse.support.costs import Cost, OnCost, step_seconds
from undiffuse.support.errors import UserError
from undiffuse.support.files import check_output, write_npz
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.streams import Purpose, stream


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
    method : {"thesis", "repaint", "smc"}
        Reverse process once, with jumps back up (RePaint, Lugmayr et al. 2022), or a particle filter, which tends to
        the exact conditional law of the reverse process.
    jump : int
        Steps of a jump; repaint only.
    repeats : int
        How often each stretch of jump steps but the last is made; repaint only.
    particles : int
        Particles of each image; smc only.
    ceilings : bool
        Fill in by the exact conditional laws of the training set and of a Gaussian for each class as well.
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
    particles: int = 16
    ceilings: Flag = False
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
    effective : float or None
        Effective number of particles at the end, ``1/sum w^2``, mean over images; of method smc.
    lowest_effective : float or None
        The lowest on the way, before particles were drawn anew.
    survivors : float or None
        Number of particles at T from which those at the end descend.
    ceilings : dict
        Scores of draws from the exact conditional law of the ``training set`` through a Gaussian kernel, and of
        ``class gaussians``, where they were asked for.
    out : str
        File written.
    """

    run: str
    method: str
    n: int
    seed: int
    destroyed_pixels: int
    effective: float | None
    lowest_effective: float | None
    survivors: float | None
    ceilings: Mapping[str, Score]
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
    how = Inpainting(settings.method, settings.jump, settings.repeats, settings.particles)
    images = opened.held_out_images(settings.n)
    if settings.hole is not None:
        destroyed = masks.hole(settings.hole, images.shape)
    else:
        destroyed = masks.read_mask(str(settings.mask), images.shape)
    made = sampler.steps or opened.config.diffusion.T
    check_memory(8 * made * settings.repeats, f"a way with {settings.repeats} repeats")
    steps = len(how.path(sampler.way(opened.model))) - 1

    def walked() -> Iterator[State | Cloud]:
        if how.method == "smc":
            mask = np.broadcast_to(destroyed, images.x.shape)
            return clouds(opened.model, images.x, mask, how.particles, sampler, settings.seed)
        return inpaint_trajectory(opened.model, images.x, destroyed, how=how, sampler=sampler, seed=settings.seed)

    if on_cost is not None:
        moved = f" with {how.particles} particles each" if how.method == "smc" else ""
        fewer = "--steps 100 or fewer --particles" if moved else "--sampler ddim --steps 100"
        work = f"{steps} steps of {settings.n} images{moved}"
        on_cost(Cost(steps * step_seconds(walked()), work, f"a smaller -n, or {fewer}"))
    for done, state in enumerate(walked()):
        last = state
        on_progress(done, steps)
    filled, cloud = last.x, last if isinstance(last, Cloud) else None
    found = inpainting_score(images, filled, destroyed, opened.classifiers.strict)
    arrays = {"original": images.x, "label": images.labels, "destroyed": destroyed, "inpainted": filled}
    return Result(
        run=str(opened.path),
        method=how.method,
        n=settings.n,
        seed=settings.seed,
        destroyed_pixels=int(destroyed.sum()),
        effective=None if cloud is None else float(cloud.effective.mean()),
        lowest_effective=None if cloud is None else float(cloud.lowest.mean()),
        survivors=None if cloud is None else float(cloud.survivors().mean()),
        ceilings=_ceilings(opened, images, destroyed, settings.seed) if settings.ceilings else {},
        out=str(write_npz(settings.out, arrays, settings.overwrite)),
        **found.as_dict(),
    )


def _ceilings(opened: OpenRun, images: Images, destroyed: NDArray[np.bool_], seed: int) -> dict[str, Score]:
    """Scores of draws from conditional laws that need no diffusion."""
    train, rng = opened.images[0], stream(seed, Purpose.CONDITIONAL_SAMPLES)
    found = {
        "training set": by_training_set(train.x, images.x, destroyed, rng),
        "class gaussians": by_class_gaussians(train.x, train.labels, images.x, destroyed, rng),
    }
    judge = opened.classifiers.strict
    return {name: inpainting_score(images, each.x, destroyed, judge) for name, each in found.items()}
