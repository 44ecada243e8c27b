"""What ``undiffuse physics locality`` sets beside one another: trained networks, and exact denoisers of the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from undiffuse import datasets
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser
from undiffuse.diffusion.patches import PatchDenoiser
from undiffuse.networks.network import Architecture
from undiffuse.physics.locality import put_back
from undiffuse.runs.config import Config
from undiffuse.runs.sections import TrainingSection
from undiffuse.studies.small_banks import seconds_of_step, trained_with_adam
from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.costs import seconds_of
from undiffuse.support.streams import Purpose, stream
from undiffuse.support.threads import one_thread, one_torch_thread

_NOTHING = 1e-9  # sensitivities that may be rounding: a denoiser that is sure of one image looks at nothing
_FEW = 8  # states on which the cost of exact denoisers is measured


@dataclass(frozen=True)
class Bench:
    """What all trainings and denoisers share.

    Attributes
    ----------
    config : Config
        Of the data and the schedule.
    shape : (rows, columns)
    times : tuple of int
    hidden, passes, batch : int
    images, n : int
        Training images of the empirical and the local denoisers, and held-out images that all are measured on.
    seed : int
    """

    config: Config
    shape: tuple[int, int]
    times: tuple[int, ...]
    hidden: int
    passes: int
    batch: int
    images: int
    n: int
    seed: int

    def training(self) -> TrainingSection:
        """Settings of the networks."""
        return TrainingSection(
            epochs=self.passes, batch=self.batch, learning_rate=0.001, decay="linear", engine="torch"
        )

    def architecture(self) -> Architecture:
        """Plain network that predicts x0, without a skip."""
        return Architecture(self.shape[0] * self.shape[1], self.hidden, prediction="x0")

    def order(self) -> NDArray[np.intp]:
        """Places that the pixels are reordered to, for the control."""
        return stream(self.seed, Purpose.LOCALITY_ORDER).permutation(self.shape[0] * self.shape[1])

    def samples(self) -> tuple[Floats, Floats]:
        """Training images, and the held-out ones that are measured on, about the mean of the former."""
        data = datasets.load(self.config)
        mean = data.train.mean(axis=0)
        return data.train - mean, data.held_out[: self.n] - mean

    def states(self, x0: Floats, t: int) -> Floats:
        """Held-out images diffused to t, the same for every denoiser."""
        xi = stream(self.seed, Purpose.LOCALITY_PROBES, t).standard_normal(x0.shape)
        return np.asarray(self.config.forward().jump(x0, t, xi))


class Exact(NamedTuple):
    """An exact denoiser of the images.

    Attributes
    ----------
    kind : {"patch", "equivariant", "empirical", "wiener"}
        Equivariant patches may come from anywhere in an image.
    side : int
        Of its patches; 0 for one that sees whole images.
    """

    kind: Literal["patch", "equivariant", "empirical", "wiener"]
    side: int = 0

    @property
    def name(self) -> str:
        """What results call it."""
        return f"{self.kind} {self.side}" if self.side else self.kind


class Seen(NamedTuple):
    """What a denoiser looks at and gives.

    Attributes
    ----------
    maps : float32 (times, dim, dim)
        Mean Jacobians of x0_hat.
    outputs : float32 (times, n, dim)
        ``x0_hat`` at the diffused held-out images.
    """

    maps: Float32
    outputs: Float32


def trained(bench: Bench, replicate: int, reordered: bool) -> Seen:
    """Train networks from a seed of their own; those on reordered pixels see nothing else.

    Their maps are then those of the reordered pixels, and their outputs those of the pixels in order.
    """
    with one_thread(), one_torch_thread():
        x, held_out = bench.samples()
        order = bench.order() if reordered else np.arange(x.shape[1])
        seed = int(stream(bench.seed, Purpose.LOCALITY_SEED, replicate, int(reordered)).integers(2**63))
        data, maps, outputs = x[:, order].astype(np.float32), [], []
        del x
        setting = bench.config.forward(), bench.architecture(), bench.training()
        for t in bench.times:
            bank = trained_with_adam(*setting, (t,), data, seed)
            x_t = bench.states(held_out, t)[:, order]
            maps.append(bank.x0_jacobian(x_t, t))
            outputs.append(bank.x0_hat(x_t, t)[:, np.argsort(order)])
        return _seen(maps, outputs)


def seen_by(bench: Bench, exact: Exact) -> Seen:
    """What an exact denoiser sees."""
    with one_thread():
        x, held_out = bench.samples()
        denoiser, maps, outputs = _denoiser(bench, x, exact), [], []
        for t in bench.times:
            x_t = bench.states(held_out, t)
            maps.append(denoiser.x0_jacobian(x_t, t))
            outputs.append(denoiser.x0_hat(x_t, t))
        return _seen(maps, outputs)


def in_order(bench: Bench, maps: Float32) -> Float32:
    """Maps of reordered pixels put back."""
    order = bench.order()
    return np.stack([put_back(one, order) for one in maps])


def seconds_of_training(bench: Bench, x: Floats) -> float:
    """Seconds of one training, from a few of its steps."""
    with one_thread(), one_torch_thread():
        steps = bench.passes * -(-len(x) // bench.batch)
        return seconds_of_step(bench.architecture(), bench.batch, x) * steps * len(bench.times)


def seconds_of_exact(bench: Bench, x: Floats, exact: Exact) -> float:
    """Seconds of :func:`seen_by`, from a few states at one time; more than it takes where there are many."""
    with one_thread():
        few = min(1 if exact.kind == "equivariant" else _FEW, bench.n)
        denoiser, t = _denoiser(bench, x, exact), bench.times[-1]
        x_t = bench.states(x[:few], t)
        one = seconds_of(lambda: (denoiser.x0_jacobian(x_t, t), denoiser.x0_hat(x_t, t)))
        return one * len(bench.times) * (1.0 if exact.kind == "wiener" else bench.n / few)


def _denoiser(bench: Bench, x: Floats, exact: Exact) -> Denoiser:
    forward = bench.config.forward()
    if exact.kind == "wiener":
        return GaussianDenoiser.from_data(forward, x)
    if exact.kind == "empirical":
        return EmpiricalDenoiser(forward, x[: bench.images])
    anywhere = exact.kind == "equivariant"
    return PatchDenoiser(forward, x[: bench.images], exact.side, shape=bench.shape, equivariant=anywhere)


def _seen(maps: list[Floats], outputs: list[Floats]) -> Seen:
    found = np.stack(maps).astype(np.float32)
    found[np.abs(found) < _NOTHING] = 0
    return Seen(found, np.stack(outputs).astype(np.float32))
