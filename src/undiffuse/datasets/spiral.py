"""The Archimedean spiral (Swiss roll) of the thesis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from undiffuse.datasets.base import DataSection, Dataset, Measure, register
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.support.arrays import Array, Floats
from undiffuse.support.errors import require
from undiffuse.support.memory import check_memory
from undiffuse.support.settings import Count
from undiffuse.support.stats import exp_rows
from undiffuse.support.streams import Purpose, stream


@dataclass(frozen=True)
class Spiral:
    """The curve ``(r cos phi, r sin phi)`` with ``r = phi/(2 pi turns)`` for phi in 0..2 pi turns, and points on it.

    Its outer radius is 1. Points are uniform in phi, so they are denser inside, and carry isotropic Gaussian noise.

    Attributes
    ----------
    turns : float
        1 for the thesis's "2 pi" spiral, 1.5 for its "3 pi" one.
    noise : float
        Standard deviation of the noise in each coordinate, in outer radii.

    Examples
    --------
    >>> import numpy as np, undiffuse as ud
    >>> curve = ud.datasets.Spiral(turns=1.5)
    >>> points = curve.sample(1_000, np.random.default_rng(0))
    >>> distance, u = curve.project(points)
    >>> points.shape, bool(np.sqrt(np.mean(distance**2)) < 1.1 * curve.noise)
    ((1000, 2), True)

    See Also
    --------
    undiffuse.datasets.spiral : points from a seed.
    """

    turns: float = 1.0
    noise: float = 0.02

    def __post_init__(self) -> None:
        require(np.isfinite(self.turns) and self.turns > 0, f"turns must be positive, got {self.turns}")
        require(np.isfinite(self.noise) and self.noise >= 0, f"noise must not be negative, got {self.noise}")

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw ``n`` points, shape ``(n, 2)``."""
        require(n >= 1, f"n = {n}: a sample needs at least one point")
        return self.curve(rng.random(n)) + self.noise * rng.standard_normal((n, 2))

    def curve(self, u: Floats) -> Floats:
        """Points of the curve at the fractions ``u`` of the total angle, shape ``(len(u), 2)``."""
        phi = 2 * np.pi * self.turns * np.asarray(u)
        return np.stack([u * np.cos(phi), u * np.sin(phi)], axis=1)

    def project(self, x: Floats) -> tuple[Floats, Floats]:
        """Distance of each point to the curve, and the fraction ``u`` of the nearest point on it.

        The curve is taken as a polygon fine enough for the distance to be off by less than 1e-5.
        """
        distance, index = self._tree.query(x)
        # The nearest vertex bounds the nearest segment to its two neighbours.
        best_u = self._grid[index]
        for step in (-1, 1):
            other = np.clip(index + step, 0, len(self._grid) - 1)
            start, along = self._vertices[index], self._vertices[other] - self._vertices[index]
            length = np.maximum(np.sum(along**2, axis=1), 1e-300)
            s = np.clip(np.sum((x - start) * along, axis=1) / length, 0, 1)
            d = np.linalg.norm(x - start - s[:, None] * along, axis=1)
            closer = d < distance
            distance = np.where(closer, d, distance)
            best_u = np.where(closer, (1 - s) * self._grid[index] + s * self._grid[other], best_u)
        return distance, best_u

    @cached_property
    def _grid(self) -> Floats:
        return np.linspace(0, 1, int(1000 * max(1.0, self.turns)) + 1)

    @cached_property
    def _vertices(self) -> Floats:
        return self.curve(self._grid)

    @cached_property
    def _tree(self):  # type: ignore[no-untyped-def]
        from scipy.spatial import cKDTree

        return cKDTree(self._vertices)


class SpiralDenoiser(Denoiser):
    r"""The exact denoiser of a :class:`Spiral`: of the law that points are drawn from, not of points.

    ``x_t`` given its place ``c(u)`` on the curve is a Gaussian of variance ``v = alpha_bar noise^2 + s^2 Delta`` round
    ``sqrt(alpha_bar) c(u)``, so ``xi_hat = s sqrt(Delta) (x_t - sqrt(alpha_bar) <c(u)>)/v``, the mean taken over u in
    0..1 with weight ``exp(-|x_t - sqrt(alpha_bar) c(u)|^2/2v)``: by the midpoint rule, to far below 1e-12.

    Parameters
    ----------
    forward : ForwardProcess
    curve : Spiral
    """

    def __init__(self, forward: ForwardProcess, curve: Spiral) -> None:
        super().__init__(forward, 2)
        self.curve = curve

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Expected noise, shape ``(n, 2)``."""
        x_t = np.asarray(x_t, np.float64)
        nodes, variance = _nodes(self.curve, self.forward, t)
        squares, mean = np.sum(nodes**2, axis=1) / 2, np.empty_like(x_t)
        for rows in _rows(len(x_t), len(nodes)):
            weights = (x_t[rows] @ nodes.T - squares) / variance
            total = exp_rows(weights)[1]
            mean[rows] = weights @ nodes / total[:, None]
        return np.asarray(self.forward.noise(t) * (x_t - mean) / variance)


def _nodes(curve: Spiral, forward: ForwardProcess, t: int) -> tuple[Floats, float]:
    """Places on the curve, shrunk by ``sqrt(alpha_bar)``, and the variance of ``x_t`` round each of them.

    Nodes are a fifth of the width apart: the midpoint rule's error on Gaussians is far below 1e-12 there.
    """
    signal = forward.signal(t)
    variance = signal**2 * curve.noise**2 + forward.noise(t) ** 2
    length = 2 * np.pi * curve.turns * signal + signal
    count = int(5 * length / np.sqrt(variance)) + 50
    return signal * curve.curve((np.arange(count) + 0.5) / count), variance


def _rows(n: int, count: int) -> list[NDArray[np.intp]]:
    """Rows of ``n`` points in pieces whose weights at ``count`` nodes fit in memory."""
    return np.array_split(np.arange(n), max(1, n * count // (1 << 22)))


@dataclass(frozen=True, kw_only=True)
class SpiralDataset(Dataset):
    """Points on a spiral, whose samples are measured by their curve as well.

    Attributes
    ----------
    train, held_out, fresh
        See :class:`~undiffuse.datasets.Dataset`.
    curve : Spiral
    """

    curve: Spiral

    def law(self, forward: ForwardProcess) -> Denoiser:
        """Return the exact denoiser of the curve and its noise."""
        return SpiralDenoiser(forward, self.curve)

    def log_density(self, forward: ForwardProcess, x_t: Floats, t: int) -> Floats:
        """See :class:`~undiffuse.datasets.Dataset`: an integral over the curve, by the midpoint rule."""
        nodes, variance = _nodes(self.curve, forward, t)
        out, count = np.empty(len(x_t)), len(nodes)
        for rows in _rows(len(x_t), count):
            logs = -np.sum((x_t[rows, None, :] - nodes) ** 2, axis=2) / (2 * variance)
            top, total = exp_rows(logs)
            out[rows] = top + np.log(total / count)
        return out - np.log(2 * np.pi * variance)

    def measures(self) -> Mapping[str, Measure]:
        """Distance to the curve and gap in its coverage."""
        return {
            "distance_to_curve": lambda x: distance_to_curve(x, self.curve),
            "coverage_gap": lambda x: coverage_gap(x, self.curve),
        }


@register
class SpiralData(DataSection):
    """Points on an Archimedean spiral (Swiss roll); see :func:`undiffuse.datasets.spiral`.

    Attributes
    ----------
    n, held_out : int
        Number of training and of held-out samples.
    turns : float
        1 for the thesis's "2 pi" spiral, 1.5 for its "3 pi" one.
    noise : float
        Standard deviation of the noise in each coordinate, in outer radii.
    """

    name: Literal["spiral"] = "spiral"
    n: Count = 10_000
    turns: Annotated[float, Field(gt=0, le=1_000)] = 1.0
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.02
    held_out: Count = 2_000

    def make(self, seed: int, samples: object = None) -> Dataset:
        """Draw points; see :class:`~undiffuse.datasets.base.DataSection`."""
        check_memory(
            8 * 8 * (self.n + self.held_out), f"data.n = {self.n}, data.held_out = {self.held_out}: drawing that"
        )
        curve, rng = Spiral(self.turns, self.noise), stream(seed, Purpose.DATA)
        train = curve.sample(self.n, rng)
        return SpiralDataset(train, curve.sample(self.held_out, rng), curve.sample, curve=curve)


def distance_to_curve(x: Floats, spiral: Spiral) -> float:
    """Root mean square distance of the points to the curve; that of data is near the spiral's own noise."""
    return float(np.sqrt(np.mean(spiral.project(x)[0] ** 2)))


def coverage_gap(x: Floats, spiral: Spiral, arcs: int = 40) -> float:
    """Total variation distance between the points' shares of ``arcs`` stretches of the curve and the data's.

    The stretches are equally likely under the data's law, which is uniform in the angle. 0 is perfect coverage; a
    share of 1/arcs missing from one stretch and added to others gives 1/arcs. Points are projected to the curve, so
    noise moves some across the borders, in fresh data as well; compare with the floor.

    Parameters
    ----------
    x : (n, 2)
    spiral : Spiral
    arcs : int
        Number of stretches.
    """
    shares = np.histogram(spiral.project(x)[1], bins=arcs, range=(0, 1))[0] / len(x)
    return float(0.5 * np.abs(shares - 1 / arcs).sum())


def spiral(n: int, turns: float = 1.0, noise: float = 0.02, seed: int = 0) -> Floats:
    """Draw ``n`` points of a :class:`Spiral`, shape ``(n, 2)``; the same seed gives the same points.

    Parameters
    ----------
    n : int
    turns : float
        1 for the thesis's "2 pi" spiral, 1.5 for its "3 pi" one.
    noise : float
        Standard deviation of the noise in each coordinate, in outer radii.
    seed : int

    Raises
    ------
    UserError
        If ``n`` is below 1, ``turns`` is not positive, or ``noise`` is negative.
    """
    return Spiral(turns, noise).sample(n, stream(seed, Purpose.DATA))
