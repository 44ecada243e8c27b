"""What can be asked of a denoiser beside samples: how it reconstructs, how it fills in, scored on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from undiffuse.datasets import Images
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.inpainting import Inpainting, as_mask, inpaint
from undiffuse.diffusion.reverse import Sampler, reconstruct
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.stats import root_and_stderr, stderr
from undiffuse.support.streams import Purpose, Streams

if TYPE_CHECKING:
    from undiffuse.metrics.classifier import Classifier


@dataclass(frozen=True)
class Score:
    """How well images came back; each figure with its standard error over images.

    Attributes
    ----------
    kept : float
        Share read as the class of the original.
    pixel_error : float
        Root mean square difference to the original, per pixel, in units of the pixel range.
    spread : float
        Root mean square deviation of an image's repeats from their mean, per pixel, in the same units.
    """

    kept: float
    kept_stderr: float
    pixel_error: float
    pixel_error_stderr: float
    spread: float
    spread_stderr: float

    def as_dict(self) -> dict[str, float]:
        """Return the numbers by name."""
        return asdict(self)


def reconstructions(
    denoiser: Denoiser, x0: Floats, t: int, repeats: int, sampler: Sampler | None = None, seed: int = 0
) -> tuple[Floats, Floats]:
    """Diffuse each sample once to time ``t`` and bring it back ``repeats`` times.

    Returns
    -------
    diffused : (n, dim)
    back : (n, repeats, dim)

    Raises
    ------
    UserError
        If ``t`` is outside 1..T or ``repeats`` below 1.
    """
    require(1 <= t <= denoiser.forward.T, f"t = {t} is outside 1..{denoiser.forward.T}")
    require(repeats >= 1, f"repeats = {repeats}: wanted at least 1")
    n, dim = x0.shape
    diffused = denoiser.forward.jump(x0, t, Streams(seed, Purpose.DIFFUSED).noise(n, dim)())
    sampler = sampler or Sampler()
    if sampler.steps is not None:
        sampler = replace(sampler, steps=min(sampler.steps, t))
    back = reconstruct(denoiser, np.repeat(diffused, repeats, axis=0), t, sampler, seed)
    return diffused, back.reshape(n, repeats, dim)


def score(originals: Images, back: Floats, reader: Classifier) -> Score:
    """Judge what came back, shape ``(n, repeats, dim)``, by the class a classifier reads and by the pixels."""
    n, repeats, dim = back.shape
    span = originals.high - originals.low
    read = reader.read(back.reshape(n * repeats, dim)).reshape(n, repeats)
    kept = np.mean(read == originals.labels[:, None], axis=1)
    squares = np.mean((back - originals.x[:, None]) ** 2, axis=(1, 2)) / span**2
    spreads = np.mean((back - back.mean(axis=1, keepdims=True)) ** 2, axis=(1, 2)) / span**2
    spreads *= repeats / max(1, repeats - 1)
    return Score(float(kept.mean()), stderr(kept), *root_and_stderr(squares), *root_and_stderr(spreads))


def reconstruction_curve(
    denoiser: Denoiser,
    originals: Images,
    times: Iterable[int],
    repeats: int,
    reader: Classifier,
    sampler: Sampler | None = None,
    seed: int = 0,
    on_time: Callable[[], None] = lambda: None,
) -> dict[int, Score]:
    """Score reconstructions from each of ``times``: a U-turn from data to t and back."""
    out = {}
    for t in times:
        out[t] = score(originals, reconstructions(denoiser, originals.x, t, repeats, sampler, seed)[1], reader)
        on_time()
    return out


def inpainting_score(
    denoiser: Denoiser,
    originals: Images,
    destroyed: NDArray[np.bool_],
    how: Inpainting,
    reader: Classifier,
    sampler: Sampler | None = None,
    seed: int = 0,
    on_step: Callable[[], None] = lambda: None,
) -> tuple[Floats, Score]:
    """Fill in each image once; return the images ``(n, dim)`` and their score, pixels judged where destroyed."""
    filled = inpaint(denoiser, originals.x, destroyed, how, sampler, seed, on_step=on_step)
    whole = score(originals, filled[:, None], reader)
    mask = as_mask(destroyed, *filled.shape)
    squares = np.sum(np.where(mask, filled - originals.x, 0) ** 2, axis=1) / mask.sum(axis=1)
    error, stderr = root_and_stderr(squares / (originals.high - originals.low) ** 2)
    return filled, replace(whole, pixel_error=error, pixel_error_stderr=stderr)
