"""Inpainting: fill in a destroyed part of each sample, given the rest.

Both methods run the reverse process on the destroyed part and put the known part, freshly diffused to the level of
each time, beside it; they end with the known part as it was. ``thesis`` goes down once. ``repaint`` (Lugmayr et al.
2022) goes back up by ``jump`` steps and down again, ``repeats`` times at each such stretch, so that the two parts have
time to agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.reverse import Sampler
from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import UserError, one_of, require
from undiffuse.support.files import read_npy
from undiffuse.support.streams import Purpose, Streams

Mask = NDArray[np.bool_]
METHODS = ("thesis", "repaint")


@dataclass(frozen=True)
class Inpainting:
    """How to fill in.

    Attributes
    ----------
    method : {"thesis", "repaint"}
    jump : int
        Steps of a jump back up; ``repaint`` only.
    repeats : int
        Times each stretch of ``jump`` steps is gone down; ``repaint`` only.
    """

    method: str = "thesis"
    jump: int = 10
    repeats: int = 10

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)
        require(self.jump >= 1, f"jump = {self.jump}: wanted at least one step")
        require(self.repeats >= 1, f"repeats = {self.repeats}: wanted at least one")

    def path(self, times: list[int]) -> list[int]:
        """Times visited, from T down to 0 with the jumps back up; ``times`` are those of the sampler."""
        if self.method == "thesis" or self.repeats == 1:
            return times
        path = [times[0]]
        for start in range(0, len(times) - 1, self.jump):
            stretch = times[start : start + self.jump + 1]
            for again in range(self.repeats):
                path += stretch[1:]
                # The last stretch ends at the data, where there is nothing to jump back from.
                if again < self.repeats - 1 and stretch[-1] > 0:
                    path.append(stretch[0])
                elif stretch[-1] == 0:
                    break
        return path


def inpaint(
    denoiser: Denoiser,
    x0: ArrayLike,
    destroyed: ArrayLike,
    how: Inpainting | None = None,
    sampler: Sampler | None = None,
    seed: int = 0,
    first: int = 0,
    on_step: Callable[[], None] = lambda: None,
) -> Floats:
    """Fill in the destroyed part of each sample, shape ``(n, dim)``.

    Parameters
    ----------
    denoiser : Denoiser
    x0 : array_like, shape (n, dim)
        Samples; what they hold where they are destroyed is never looked at.
    destroyed : array_like of bool, shape (dim,) or (n, dim)
        **True where the sample is destroyed** and to be filled in, False where it is known.
    how : Inpainting
    sampler : Sampler
        Of the steps down.
    seed : int
        Sample i has its own streams, the known part's noise independent of the rest's.
    first : int
        Index of the first sample: batches of one long job pass their offset here.
    on_step : callable
        Called after every step.

    Raises
    ------
    UserError
        If shapes disagree or the mask is not made of truth values.
    """
    x = as_samples(x0, denoiser.dim, "x0")
    mask = as_mask(destroyed, *x.shape)
    how, sampler = how or Inpainting(), sampler or Sampler()
    forward = denoiser.forward
    path = how.path(sampler.times(denoiser, forward.T))
    n, dim = x.shape
    noise, of_known, of_jump = (
        Streams(seed, purpose).noise(n, dim, first) for purpose in (Purpose.SAMPLE, Purpose.KNOWN_PART, Purpose.JUMP_UP)
    )

    def known(t: int) -> Floats:
        return x if t == 0 else forward.jump(x, t, of_known())

    state = np.where(mask, forward.noise_scale * noise(), known(path[0]))
    for t, following in pairwise(path):
        if following > t:
            state = forward.diffuse(state, t, following, of_jump())
        else:
            state = np.where(mask, sampler.step(denoiser, state, t, following, noise), known(following))
        if not np.isfinite(state).all():
            raise UserError(f"the reverse process left the finite numbers between t = {t} and t = {following}")
        on_step()
    return state


# -- masks ------------------------------------------------------------------------------------------------------------


def as_mask(destroyed: ArrayLike, n: int, dim: int) -> Mask:
    """Check a mask, True where destroyed, and give it the shape ``(n, dim)``.

    Raises
    ------
    UserError
        If it has another shape, holds anything but truth values, or destroys nothing or everything.
    """
    mask = np.asarray(destroyed)
    if mask.dtype != np.bool_:
        require(np.isin(mask, (0, 1)).all(), "a mask holds True (or 1) where the sample is destroyed and False (or 0)")
        mask = mask.astype(bool)
    if mask.ndim == 2 and mask.shape != (n, dim) and mask.size == dim:
        mask = mask.reshape(dim)  # one mask in the shape of the image
    require(mask.shape in {(dim,), (n, dim)}, f"the mask has shape {mask.shape}, wanted ({dim},) or ({n}, {dim})")
    require(mask.any(), "the mask destroys nothing")
    require(not mask.all(axis=-1).any(), "the mask leaves nothing known: that is sampling")
    return np.broadcast_to(mask, (n, dim))


def hole(text: str, shape: tuple[int, int]) -> Mask:
    """Mask of a rectangular hole ``ROWSxCOLUMNS`` in the middle of an image, or ``ROWSxCOLUMNS+TOP+LEFT``.

    Raises
    ------
    UserError
        If the text is not of that form or the hole does not fit into the image.
    """
    size, *corner = text.lower().split("+")
    try:
        rows, columns = (int(part) for part in size.split("x"))
        top, left = (int(part) for part in corner) if corner else ((shape[0] - rows) // 2, (shape[1] - columns) // 2)
    except ValueError:
        raise UserError(f"hole {text!r}: wanted ROWSxCOLUMNS such as 14x14, or ROWSxCOLUMNS+TOP+LEFT") from None
    fits = rows > 0 and columns > 0 and 0 <= top <= shape[0] - rows and 0 <= left <= shape[1] - columns
    require(fits, f"hole {text!r} does not fit into an image of {shape[0]} x {shape[1]} pixels")
    mask = np.zeros(shape, bool)
    mask[top : top + rows, left : left + columns] = True
    return mask.reshape(-1)


def read_mask(path: str | Path, shape: tuple[int, int]) -> Mask:
    """Read a mask from a ``.npy`` array or an image file; **white (or nonzero) is destroyed**.

    Raises
    ------
    UserError
        If the file is missing, is neither, or has another shape than the images.
    """
    path = Path(path)
    if path.suffix == ".npy":
        array = read_npy(path)
    else:
        require(path.is_file(), f"there is no mask file {str(path)!r}")
        from PIL import Image, UnidentifiedImageError

        try:
            array = np.asarray(Image.open(path).convert("L")) > 127
        except (UnidentifiedImageError, OSError) as error:
            raise UserError(f"{path} is neither a .npy array nor an image: {error}") from None
    if array.shape == (shape[0] * shape[1],):
        array = array.reshape(shape)
    require(array.shape == tuple(shape), f"the mask {path} has shape {array.shape}, the images have {tuple(shape)}")
    return np.ascontiguousarray(array != 0).reshape(-1)
