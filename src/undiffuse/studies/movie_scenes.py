"""What moves in the pictures of ``undiffuse movie``: each scene computes its states and hands over one frame a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from undiffuse.datasets import ImageDataset
from undiffuse.datasets.curie_weiss import SpinDataset
from undiffuse.diffusion.reverse import sample_trajectory
from undiffuse.figures import moving
from undiffuse.networks.network import Autoencoder
from undiffuse.studies.open_run import OpenRun
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, require
from undiffuse.support.streams import Purpose, Streams, stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Frames = Iterator[tuple[int, "Figure"]]  # times, in the order they are seen
_ARROWS = 17  # along each side
_DRAWS = 4  # of the noise across the line of a potential
_PLACES = 81  # on that line
_DEEP = 12.0  # nats of a potential that are shown at most


@dataclass(frozen=True)
class Scenes:
    """The scenes of one run.

    Attributes
    ----------
    opened : OpenRun
    times : list of int
        Times that are seen, latest first.
    n : int
        What moves: points, images or configurations.
    seed : int
    """

    opened: OpenRun
    times: Sequence[int]
    n: int
    seed: int

    # -- states -----------------------------------------------------------------------------------------------

    def reverse(self) -> Frames:
        """Algorithm 2 from noise to samples: every step is made, those of the frames are seen."""
        wanted = set(self.times)
        for t, x in sample_trajectory(self.opened.model, self.n, seed=Streams(self.seed)):
            if t in wanted:
                yield t, self._states(f"t = {t}", x)

    def forward(self) -> Frames:
        """One realisation of the chain (15) from held-out data to noise."""
        wanted, rng = set(self.times), stream(self.seed, Purpose.MOVIE_FORWARD)
        for t, x in self.opened.model.forward.trajectory(self._data[: self.n], rng):
            if t in wanted:
                yield t, self._states(f"t = {t}", x)

    def score(self) -> Frames:
        """The learned score times its noise, ``-xi_hat``, on a grid, over data diffused with one noise (16)."""
        model, x0 = self.opened.model, self._data[: self.n]
        xi = stream(self.seed, Purpose.MOVIE_FORWARD).standard_normal(x0.shape)
        ticks = np.linspace(-self._limit, self._limit, _ARROWS) * 0.95
        grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
        for t in self.times:
            x_t = x0 if t == 0 else model.forward.jump(x0, t, xi)
            field = model.score(grid, t) * model.forward.noise(t)
            size = np.linalg.norm(field, axis=1, keepdims=True)
            arrow = field * np.tanh(size / 3) / np.maximum(size, 1e-12) * (ticks[1] - ticks[0])
            yield t, moving.plane_frame(f"t = {t}", x_t, self._limit, arrows=(grid, arrow))

    # -- networks ---------------------------------------------------------------------------------------------

    def potential(self) -> Frames:
        """Potentials of the bank and of the exact denoiser along the line of class means, over draws of what is across.

        At each time the noise of a few draws, the same at all times in units of ``s sqrt(Delta_t)``, displaces the
        line; the curves are means over them, each above its least value.
        """
        model, (name, exact) = self.opened.model, self.opened.exact
        train, _ = self.opened.data.classes()
        e, middle = train.direction
        first, last = train.outermost
        half = float((train.x[last].mean(axis=0) - train.x[first].mean(axis=0)) @ e) / 2
        position = np.linspace(-2, 2, _PLACES)
        noise = stream(self.seed, Purpose.MOVIE_LINE).standard_normal((_DRAWS, model.dim))
        noise -= np.outer(noise @ e, e)
        for t in self.times:
            signal = model.forward.signal(t)
            curves = {"bank": np.zeros(_PLACES), name: np.zeros(_PLACES)}
            for across in model.forward.noise(t) * noise:
                origin = signal * middle + across
                line = origin + signal * half * np.outer(position, e)
                for label, denoiser in zip(curves, (model, exact), strict=True):
                    curves[label] += denoiser.potential(line, t, origin) / _DRAWS
            above = {label: curve - curve.min() for label, curve in curves.items()}
            yield t, moving.potential_frame(f"t = {t}", position, above, _DEEP)

    def weights(self) -> Frames:
        """Each hidden unit's w as a point, in the plane; elsewhere singular values of ``A W``, free of units' order."""
        bank = self.opened.model.bank
        if bank.kept(self.times[0]).W.shape[1] == 2:
            units = {t: np.asarray(bank.kept(t).W, np.float64) for t in self.times}
            limit = 1.1 * max(float(np.quantile(np.abs(w), 0.995)) for w in units.values())
            for t, w in units.items():
                yield t, moving.plane_frame(f"w of every unit, t = {t}", w, limit, names=("$w_1$", "$w_2$"))
            return
        found = {t: _singular_values(bank.kept(t)) for t in self.times}
        top = max(float(values[0]) for values in found.values())
        least = min(float(values[-1]) for values in found.values())
        limits, most = (max(0.6 * least, 1e-4 * top), 1.6 * top), max(map(len, found.values()))
        for t, values in found.items():
            yield t, moving.spectrum_frame(f"t = {t}", values, limits, most)

    # -- how states are shown ---------------------------------------------------------------------------------

    @cached_property
    def _data(self) -> Floats:
        """Held-out data, which are enough."""
        held_out = self.opened.data.held_out
        require(self.n <= len(held_out), f"n = {self.n}: the run has {len(held_out)} held-out samples")
        return held_out

    @cached_property
    def _limit(self) -> float:
        """Half the width of what is seen: the data, or noise of unit size times ``s``."""
        noise = 3.0 * self.opened.model.forward.noise_scale
        return 1.1 * max(float(np.quantile(np.abs(self._seen(self.opened.data.train)), 0.999)), noise)

    def _seen(self, x: Floats) -> Floats:
        """Take states to what is drawn of them: ``mu = sum_i x_i/sqrt(N)`` of spins, two variables, or one."""
        if isinstance(self.opened.data, SpinDataset):
            return np.asarray(x.sum(axis=1, keepdims=True) / np.sqrt(x.shape[1]))
        return x if x.shape[1] <= 2 else np.asarray((x - self._mean) @ self.opened.reference.axes[:, :2])

    @cached_property
    def _mean(self) -> Floats:
        return np.asarray(self.opened.data.train.mean(axis=0))

    @cached_property
    def _still(self) -> Floats:
        """Training data beneath the points."""
        return self._seen(self.opened.data.train[:1_000])

    @cached_property
    def _edges(self) -> Floats:
        """Of the bins of a histogram; ``mu`` of N spins has N + 1 values, ``2/sqrt(N)`` apart."""
        if not isinstance(self.opened.data, SpinDataset):
            return moving.bins(self._limit)
        N = self.opened.model.dim
        return moving.bins(self._limit, 2 / np.sqrt(N), -(N + 1) / np.sqrt(N))

    @cached_property
    def _density(self) -> float:
        """Top of the axis of a histogram."""
        heights, _ = np.histogram(self._seen(self.opened.data.train)[:, 0], self._edges, density=True)
        return 1.3 * max(float(heights.max()), 0.4 / self.opened.model.forward.noise_scale)

    def _states(self, title: str, x: Floats) -> Figure:
        data = self.opened.data
        if isinstance(data, ImageDataset):
            images = self.opened.images[0]
            return moving.sheet_frame(title, x, images.shape, (images.low, images.high))
        seen = self._seen(x)
        if seen.shape[1] == 2:
            axes = ("$x_1$", "$x_2$") if x.shape[1] == 2 else ("axis 1", "axis 2")
            return moving.plane_frame(title, seen, self._limit, self._still, names=axes)
        name = "$\\mu = \\sum_i x_i/\\sqrt{N}$" if isinstance(data, SpinDataset) else "$x$"
        data_seen = self._seen(data.train)[:, 0]
        return moving.line_frame(title, seen[:, 0], self._edges, self._density, name, data_seen)


def _singular_values(net: Autoencoder) -> Floats:
    values = np.linalg.svd(np.asarray(net.A, np.float64) @ net.W, compute_uv=False)
    return np.asarray(values[values > 0])


SCENES: dict[str, Callable[[Scenes], Frames]] = {
    "reverse": Scenes.reverse,
    "forward": Scenes.forward,
    "score": Scenes.score,
    "potential": Scenes.potential,
    "weights": Scenes.weights,
}
OF_NETWORKS = ("score", "potential", "weights")  # what there is at t = 1..T only
OF_DATA = ("forward", "score")  # what moves held-out data


def check_scene(of: str, opened: OpenRun) -> None:
    """Refuse a scene that a run has not.

    Raises
    ------
    UserError
        If it is the score, and the run is not of points in the plane.
    """
    if of == "score" and opened.model.dim != 2:
        raise UserError(
            f"{opened.path} is of {opened.model.dim} variables, and arrows of a score are drawn in the plane; "
            "--of potential shows what it is the slope of"
        )
