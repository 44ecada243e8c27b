"""From a configuration's ``[data]`` section to training and held-out samples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.datasets.mnist import Images, mnist
from undiffuse.datasets.spiral import Spiral
from undiffuse.runs.config import ArrayData, Config, CurieWeissData, FileData, ImageData, SpiralData
from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import UserError
from undiffuse.support.files import read_npy
from undiffuse.support.streams import Purpose, stream

if TYPE_CHECKING:  # it loads scipy
    from undiffuse.physics.curie_weiss import CurieWeiss


@dataclass(frozen=True)
class Dataset:
    """Samples to train on, samples kept apart, and, where the law of the data is known, more of them.

    Attributes
    ----------
    train, held_out : (n, dim)
    fresh : callable or None
        ``fresh(n, rng)`` draws ``n`` new samples from the true law.
    spiral : Spiral or None
        The curve, when the data lie on one.
    images : (Images, Images) or None
        Training and held-out samples with labels, shape and pixel range, when they are images.
    spins : CurieWeiss or None
        The model, when the data are its configurations.
    """

    train: Floats
    held_out: Floats
    fresh: Callable[[int, np.random.Generator], Floats] | None = None
    spiral: Spiral | None = None
    images: tuple[Images, Images] | None = None
    spins: CurieWeiss | None = None

    @property
    def dim(self) -> int:
        """Number of variables."""
        return self.train.shape[1]


def load(config: Config, samples: ArrayLike | None = None) -> Dataset:
    """Make or read the data a configuration names; ``samples`` are those of an ``array`` section.

    Raises
    ------
    UserError
        If a file is missing or is not a finite ``(n, dim)`` array, or there are too few samples for a minibatch.
    """
    section = config.data
    if isinstance(section, SpiralData):
        curve = Spiral(section.turns, section.noise)
        rng = stream(config.seed, Purpose.DATA)
        train = curve.sample(section.n, rng)
        data = Dataset(train, curve.sample(section.held_out, rng), curve.sample, curve)
    elif isinstance(section, ImageData):
        pair = (
            mnist(section.digits, split, section.folder, section.pixels).first(count)
            for split, count in (("train", section.n), ("test", section.held_out))
        )
        seen, unseen = pair
        data = Dataset(seen.x, unseen.x, images=(seen, unseen))
    elif isinstance(section, CurieWeissData):
        from undiffuse.physics.curie_weiss import CurieWeiss

        model = CurieWeiss(section.spins, section.beta, section.field)
        rng = stream(config.seed, Purpose.DATA)
        data = Dataset(model.sample(section.n, rng), model.sample(section.held_out, rng), model.sample, spins=model)
    elif isinstance(section, FileData):
        data = _split(as_samples(read_npy(section.path), what=repr(section.path)), section)
    else:
        if samples is None:
            raise UserError("this run was trained on an array given in Python, which it does not keep")
        data = _split(as_samples(samples), section)
    largest = max(config.training_at(t).batch for t in [1, *(part.first for part in config.times)])
    if len(data.train) < largest:
        raise UserError(f"{len(data.train)} training samples do not fill one minibatch of {largest}")
    return data


def fingerprint(data: Dataset) -> str:
    """Return the sha256 of the training and held-out samples, shapes included."""
    digest = hashlib.sha256()
    for part in (data.train, data.held_out):
        digest.update(repr(part.shape).encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _split(x: Floats, section: FileData | ArrayData) -> Dataset:
    if len(x) <= section.held_out:
        raise UserError(f"{len(x)} samples leave none to train on after {section.held_out} held out")
    return Dataset(x[: -section.held_out], x[-section.held_out :])
