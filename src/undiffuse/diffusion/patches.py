"""The exact local denoiser of a finite set of images: every pixel sees the patch around it and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.support.arrays import Array, Floats, as_samples
from undiffuse.support.errors import require, shown
from undiffuse.support.stats import PrincipalAxes

Quantities = Callable[[Floats, Floats], Floats]
"""``(centres, patches) -> (columns, m)``: what is averaged over patches ``(pixels, m)`` with centres ``(m,)``."""


class PatchDenoiser(Denoiser):
    r"""The best denoiser of a finite set of images that sees, for each pixel, only the patch around it.

    ``x0_hat_i = sum_a w_a^i x^a_i`` with ``w^i = softmax_a(-|x_t[P_i] - sqrt(alpha_bar) x^a[P_i]|^2/(2 s^2 Delta))``,
    where ``P_i`` are the pixels at most ``(side - 1)/2`` rows and columns away from pixel i, cut at the image's edge:
    the posterior mean of each pixel given its own patch, and so the minimiser of the training loss over all functions
    that are as local as this. It is the local score of Kamb & Ganguli 2025 (arXiv 2412.20292), whose samples are
    mosaics of patches. Patches of one pixel make every pixel independent of all others; patches of
    ``2 max(rows, columns) - 1`` pixels hold the whole image around every pixel, and the denoiser is
    :class:`~undiffuse.EmpiricalDenoiser`.

    With ``equivariant`` the sum goes over places too, ``x0_hat_i = sum_{a,j} w_{a,j} x^a_j``: a patch may come from
    anywhere that lies to the edges as pixel i does, so that patches are cut alike (the boundary-broken equivariant
    local score of the same paper). Each estimate is exact, yet those of different pixels belong to different
    posteriors: in general the score is no gradient, and there is no density.

    Parameters
    ----------
    forward : ForwardProcess
    images : array_like, shape (m, rows*columns)
        Pixels, row after row.
    side : int
        Side of the patches in pixels: odd, at most ``2 max(rows, columns) - 1``.
    shape : (rows, columns), optional
        Of the images; by default they are square.
    equivariant : bool
        Whether a patch may come from another place of an image. The work grows as the square of the number of pixels.
    chunk : int
        Number of weights held in memory at once, at least one for each pixel.

    Attributes
    ----------
    points : (m, dim) array
    shape : (rows, columns)
    side : int

    Raises
    ------
    UserError
        If the side is even or larger than that, or the data are no images of this shape.

    Examples
    --------
    Two images of two pixels; seen one by one, all four combinations come out:

    >>> import numpy as np, undiffuse as ud
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2))
    >>> local = ud.PatchDenoiser(forward, [[-1.0, -1.0], [1.0, 1.0]], side=1, shape=(1, 2))
    >>> np.unique(ud.sample(local, 40, seed=1).round(3), axis=0)
    array([[-1., -1.],
           [-1.,  1.],
           [ 1., -1.],
           [ 1.,  1.]])

    See Also
    --------
    undiffuse.EmpiricalDenoiser : every pixel sees the whole image.
    undiffuse.physics.locality : how far denoisers look.
    """

    def __init__(
        self,
        forward: ForwardProcess,
        images: ArrayLike,
        side: int,
        *,
        shape: tuple[int, int] | None = None,
        equivariant: bool = False,
        chunk: int = 1 << 21,
    ) -> None:
        self.points = as_samples(images, what="images")
        super().__init__(forward, self.points.shape[1])
        require(len(self.points) >= 1, "wanted at least one image")
        self.shape = image_shape(self.dim, shape)
        self.side = patch_side(side, self.shape)
        self._chunk = chunk
        self._pixels = np.ascontiguousarray(self.points.T)  # patches are rows of it
        self._constant = self.points[0]
        groups = _groups(self.shape, self.side, equivariant)
        # Where all that may be chosen from are the same value, there is nothing to find out.
        self._groups = [group for group in groups if np.ptp(self._pixels[group.pixels]) > 0]

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise under the local posteriors, shape ``(n, dim)``."""
        x_t = np.asarray(x_t, dtype=np.float64)
        x0 = np.tile(self._constant, (len(x_t), 1))
        for rows, group, mean in self._averages(x_t, t, lambda centres, _: centres[None]):
            x0[rows, group.pixels] = mean[..., 0]
        return self.forward.to_xi("x0", x0, x_t, t)

    def linear_theory(self) -> PrincipalAxes:
        """Mean and principal axes of the images."""
        return PrincipalAxes.of(self.points)

    def xi_trace(self, x_t: Array, t: int) -> Floats:
        """Trace of the Jacobian, from the variance of each pixel under its own weights, shape ``(n,)``."""
        variance = np.zeros(len(x_t))
        for rows, _, mean in self._averages(x_t, t, lambda centres, _: np.stack([centres, centres**2])):
            variance[rows] += np.sum(mean[..., 1] - mean[..., 0] ** 2, axis=1)
        return self.trace_from_variance(variance, t)

    def x0_jacobian(self, x_t: Array, t: int) -> Floats:
        """Mean Jacobian of ``x0_hat``, shape ``(dim, dim)``; nothing outside the patches.

        ``d x0_hat_i/d x_j = sqrt(alpha_bar)/(s^2 Delta) Cov_{w^i}(x_i, x_j)`` for j in the patch of i.
        """
        out = np.zeros((self.dim, self.dim))
        for _, group, mean in self._averages(x_t, t, _products):
            size = group.patches.shape[1]
            centre, patch, both = mean[..., :1], mean[..., 1 : size + 1], mean[..., size + 1 :]
            out[group.pixels[:, None], group.patches] += np.sum(both - centre * patch, axis=0)
        return np.asarray(out * self.forward.signal(t) / self.forward.noise(t) ** 2 / len(x_t))

    def _averages(self, x_t: Array, t: int, of: Quantities) -> Iterator[tuple[slice, _Group, Floats]]:
        """Yield rows of ``x_t``, a group of pixels, and averages over its patches, ``(rows, pixels, columns)``."""
        x_t, m = np.asarray(x_t, np.float64), len(self.points)
        signal, variance = self.forward.signal(t), self.forward.noise(t) ** 2
        for group in self._groups:
            count = len(group.pixels)
            block = max(1, min(m, self._chunk // count))
            step = max(1, self._chunk // (block * count))
            for start in range(0, len(x_t), step):
                rows = slice(start, start + step)
                seen = x_t[rows][:, group.patches].reshape(-1, group.patches.shape[1])
                average = _Average()
                for pixel, patch in zip(group.pixels, group.patches, strict=True):
                    for first in range(0, m, block):
                        some = slice(first, first + block)
                        patches = self._pixels[patch, some]
                        exponents = seen @ patches
                        exponents -= signal / 2 * np.sum(patches**2, axis=0)
                        exponents *= signal / variance
                        average.add(exponents, of(self._pixels[pixel, some], patches))
                yield rows, group, average.mean().reshape(-1, count, average.sums.shape[1])


def image_shape(dim: int, shape: tuple[int, int] | None = None) -> tuple[int, int]:
    """Rows and columns of images of ``dim`` pixels: those given, or as many of one as of the other.

    Raises
    ------
    UserError
        If they do not have so many pixels, or ``dim`` is no square.
    """
    if shape is None:
        side = isqrt(dim)
        require(side * side == dim, f"data of {dim} variables are no square images: give shape=(rows, columns)")
        return side, side
    whole = len(shape) == 2 and all(isinstance(size, (int, np.integer)) and size >= 1 for size in shape)
    require(whole, f"shape = {shown(shape)}: wanted rows and columns, such as (28, 28)")
    require(shape[0] * shape[1] == dim, f"images of {shape[0]} x {shape[1]} pixels, but data of {dim} variables")
    return int(shape[0]), int(shape[1])


def patch_side(side: int, shape: tuple[int, int]) -> int:
    """Return the side of patches of images of this shape; UserError if it is even or larger than any image needs."""
    most = 2 * max(shape) - 1
    odd = isinstance(side, (int, np.integer)) and not isinstance(side, bool) and side % 2 == 1 and 1 <= side <= most
    require(odd, f"side = {shown(side)}: wanted an odd number in 1..{most}; at {most} every patch is the whole image")
    return int(side)


# -- inside -----------------------------------------------------------------------------------------------------------


class _Group(NamedTuple):
    """Pixels ``(g,)`` that share their patches, and the pixels of each patch in the same order, ``(g, size)``."""

    pixels: NDArray[np.intp]
    patches: NDArray[np.intp]


def _groups(shape: tuple[int, int], side: int, equivariant: bool) -> list[_Group]:
    """Pixels whose patches are cut alike, together; or each by itself."""
    numbers, radius = np.arange(shape[0] * shape[1]).reshape(shape), side // 2

    def reach(at: int, length: int) -> tuple[int, int]:
        return min(at, radius), min(length - 1 - at, radius)  # before and after

    cuts = {
        (i, j): (*reach(i, shape[0]), *reach(j, shape[1]), *(() if equivariant else (i, j)))
        for i, j in np.ndindex(shape)
    }
    groups = []
    for (up, down, left, right, *_), alike in groupby(sorted(cuts, key=cuts.__getitem__), key=cuts.__getitem__):
        places = list(alike)
        patches = [numbers[i - up : i + down + 1, j - left : j + right + 1].ravel() for i, j in places]
        groups.append(_Group(np.array([numbers[place] for place in places]), np.stack(patches)))
    return groups


def _products(centres: Floats, patches: Floats) -> Floats:
    """Centres, patches and centres times patches: what covariances are made of."""
    return np.concatenate([centres[None], patches, centres * patches])


class _Average:
    """Averages with weights ``e^exponent``, of points that come in parts; no exponential overflows."""

    def __init__(self) -> None:
        self._top: Floats = np.empty(0)
        self._total: Floats = np.empty(0)
        self.sums: Floats = np.empty((0, 0))

    def add(self, exponents: Floats, values: Floats) -> None:
        """Take in points with exponents ``(rows, m)``, which are used up, and values ``(columns, m)``."""
        top = exponents.max(axis=1)
        if len(self._top):
            np.maximum(top, self._top, out=top)
        exponents -= top[:, None]
        np.exp(exponents, out=exponents)
        total, sums = exponents.sum(axis=1), exponents @ values.T
        if len(self._top):
            shrunk = np.exp(self._top - top)
            total += shrunk * self._total
            sums += shrunk[:, None] * self.sums
        self._top, self._total, self.sums = top, total, sums

    def mean(self) -> Floats:
        """Averages, ``(rows, columns)``."""
        return np.asarray(self.sums / self._total[:, None])
