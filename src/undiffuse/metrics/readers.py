"""The two classifiers a set of images is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from undiffuse.datasets import Images
from undiffuse.metrics.classifier import Classifier
from undiffuse.support.arrays import Floats

CONFIDENT = 0.9


@dataclass
class Readers:
    """A plain classifier, for its features, and a strict one, for its readings; see :class:`Classifier`."""

    plain: Classifier
    strict: Classifier

    @staticmethod
    def train(train: Images, held_out: Images, seed: int = 0) -> Readers:
        """Train both; half a minute for the zeros and ones of MNIST on one core."""
        return Readers(*(Classifier.train(train, held_out, strict, seed) for strict in (False, True)))

    def save(self, folder: Path) -> None:
        """Write both into a folder."""
        for name in ("plain", "strict"):
            getattr(self, name).save(folder / f"classifier-{name}.safetensors")

    @staticmethod
    def load(folder: Path) -> Readers | None:
        """Read both from a folder, or return None if they are not there."""
        paths = [folder / f"classifier-{name}.safetensors" for name in ("plain", "strict")]
        return Readers(*map(Classifier.load, paths)) if all(path.is_file() for path in paths) else None

    def shares(self, x: Floats) -> dict[str, float]:
        """Share of images read with a vote above 0.9 by each classifier, and as each class by the strict one."""
        votes = self.strict.probabilities(x)
        read = np.argmax(votes, axis=1)
        out = {
            "confident": float(np.mean(votes.max(axis=1) > CONFIDENT)),
            "confident_plain": float(np.mean(self.plain.probabilities(x).max(axis=1) > CONFIDENT)),
        }
        return out | {f"share_of_{label}": float(np.mean(read == k)) for k, label in enumerate(self.strict.labels)}
