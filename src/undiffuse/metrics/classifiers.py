"""A small convolutional network that classifies digits, in two trainings for two uses.

The *plain* one is trained on the digits as they are; its last hidden layer gives the features that distances between
sets of images are measured in. The *strict* one is trained on mixtures as well (mixup, Zhang et al. 2018): half of its
training images are two images blended or overlaid, labelled in proportion. It therefore gives both classes of an
overlaid zero-and-one a share of its vote (its softmax probability), where the plain one is certain of one of them. The
strict one classifies samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from undiffuse.datasets import Images
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.files import from_bytes, to_bytes
from undiffuse.support.streams import Purpose, stream
from undiffuse.support.threads import one_torch_thread
from undiffuse.support.with_torch import torch

FEATURES = 64
CONFIDENT = 0.9  # share of the vote: a softmax probability
_BATCH = 1000


@dataclass
class Classifier:
    """A trained classifier of images.

    Attributes
    ----------
    network : torch.nn.Sequential
    labels : (classes,) array
        Label of each output.
    shape : (rows, columns)
        Of the images.
    low, high : float
        Range of the pixels.
    accuracy : float
        Share of its held-out images that are classified correctly.
    """

    network: torch.nn.Sequential
    labels: NDArray[np.int64]
    shape: tuple[int, int]
    low: float
    high: float
    accuracy: float

    @staticmethod
    def train(train: Images, held_out: Images, strict: bool, seed: int = 0, epochs: int = 6) -> Classifier:
        """Train on labelled images; about 13 s for the zeros and ones of MNIST on one core.

        Parameters
        ----------
        train, held_out : Images
        strict : bool
            Train on mixtures of images as well.
        seed : int
        epochs : int
            Passes over the data.

        Raises
        ------
        UserError
            If there is one class only.
        """
        labels = np.unique(train.labels)
        require(len(labels) > 1, f"a classifier needs at least two classes, the data have label {labels.tolist()}")
        rng = stream(seed, Purpose.CLASSIFIER, int(strict))
        with torch.random.fork_rng(devices=[]), one_torch_thread():
            torch.manual_seed(int(rng.integers(2**31)))
            classifier = Classifier(_network(train.shape, len(labels)), labels, train.shape, train.low, train.high, 0.0)
            x = classifier._pixels(train.x)
            y = torch.nn.functional.one_hot(torch.from_numpy(np.searchsorted(labels, train.labels))).float()
            steps = epochs * max(1, len(x) // 100)
            adam = torch.optim.AdamW(classifier.network.parameters(), lr=2e-3)
            decay = torch.optim.lr_scheduler.OneCycleLR(adam, 4e-3, total_steps=steps)
            for _ in range(steps):
                rows = torch.from_numpy(rng.integers(0, len(x), (2, 100)))
                images, votes = _mix(x[rows], y[rows], rng) if strict else (x[rows[0]], y[rows[0]])
                adam.zero_grad()
                torch.nn.functional.cross_entropy(classifier.network(images), votes).backward()  # type: ignore[no-untyped-call]
                adam.step()
                decay.step()
        classifier.network.eval()
        classifier.accuracy = float(np.mean(classifier.predict(held_out.x) == held_out.labels))
        return classifier

    def features(self, x: Floats) -> Floats:
        """Activities of the last hidden layer, shape ``(n, 64)``."""
        return self._run(self.network[:-1], x)

    def probabilities(self, x: Floats) -> Floats:
        """Share of the vote (softmax probability) of each class, shape ``(n, classes)``."""
        return self._run(torch.nn.Sequential(self.network, torch.nn.Softmax(dim=1)), x)

    def predict(self, x: Floats) -> NDArray[np.int64]:
        """Label of the class with the largest vote, shape ``(n,)``."""
        return self.labels[np.argmax(self.probabilities(x), axis=1)]

    # -- on disk ----------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Content of its safetensors file."""
        arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}
        about = np.array([*self.shape, self.low, self.high, self.accuracy])
        return to_bytes(arrays | {"labels": self.labels, "about": about})

    @staticmethod
    def from_bytes(content: bytes) -> Classifier:
        """Undo :meth:`to_bytes`."""
        arrays = from_bytes(content, "the file of a classifier")
        labels, about = arrays.pop("labels").astype(np.int64), arrays.pop("about").astype(float).tolist()
        shape = int(about[0]), int(about[1])
        network = _network(shape, len(labels))
        network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
        return Classifier(network.eval(), labels, shape, *about[2:])

    # -- inside -----------------------------------------------------------------------------------------------

    def _pixels(self, x: Floats) -> torch.Tensor:
        scaled = (np.asarray(x) - self.low) / (self.high - self.low)
        return torch.from_numpy(np.clip(scaled, 0, 1).astype(np.float32).reshape(-1, 1, *self.shape))

    def _run(self, network: torch.nn.Module, x: Floats) -> Floats:
        pixels = self._pixels(x)
        with torch.no_grad(), one_torch_thread():
            parts = [network(part).numpy() for part in torch.split(pixels, _BATCH)]
        return np.concatenate(parts).astype(np.float64)


@dataclass
class Classifiers:
    """The two classifiers of a set of images: a plain one, for its features, and a strict one, for its votes."""

    FILES: ClassVar = ("classifier-plain.safetensors", "classifier-strict.safetensors")

    plain: Classifier
    strict: Classifier

    @staticmethod
    def train(train: Images, held_out: Images, seed: int = 0) -> Classifiers:
        """Train both; half a minute for the zeros and ones of MNIST on one core."""
        return Classifiers(*(Classifier.train(train, held_out, strict, seed) for strict in (False, True)))

    def to_files(self) -> dict[str, bytes]:
        """Content of the file of each, by its name."""
        return dict(zip(self.FILES, (self.plain.to_bytes(), self.strict.to_bytes()), strict=True))

    @staticmethod
    def from_files(content: Mapping[str, bytes]) -> Classifiers:
        """Undo :meth:`to_files`."""
        return Classifiers(*(Classifier.from_bytes(content[name]) for name in Classifiers.FILES))

    def accuracies(self) -> dict[str, float]:
        """Share of held-out images that each classifies correctly, by name."""
        return {"plain": self.plain.accuracy, "strict": self.strict.accuracy}

    def shares(self, x: Floats) -> dict[str, float]:
        """Share of images classified with a vote above 0.9 by each, and share of each class by the strict one."""
        votes = self.strict.probabilities(x)
        predicted = np.argmax(votes, axis=1)
        out = {
            "confident": float(np.mean(votes.max(axis=1) > CONFIDENT)),
            "confident_plain": float(np.mean(self.plain.probabilities(x).max(axis=1) > CONFIDENT)),
        }
        return out | {f"share_of_{label}": float(np.mean(predicted == k)) for k, label in enumerate(self.strict.labels)}


def _network(shape: tuple[int, int], classes: int) -> torch.nn.Sequential:
    size = (-(-shape[0] // 4)) * (-(-shape[1] // 4))
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 5, stride=2, padding=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(32 * size, FEATURES),
        torch.nn.ReLU(),
        torch.nn.Linear(FEATURES, classes),
    )


def _mix(x: torch.Tensor, y: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Half the images as they are, a quarter blended, a quarter overlaid; ``x`` is ``(2, n, 1, rows, columns)``."""
    n = x.shape[1]
    share = torch.from_numpy(rng.uniform(0, 1, n).astype(np.float32))
    share[: n // 2] = 1.0
    share[-(n // 4) :] = 0.5
    weight = share[:, None, None, None]
    images = weight * x[0] + (1 - weight) * x[1]
    images[-(n // 4) :] = torch.maximum(x[0, -(n // 4) :], x[1, -(n // 4) :])
    return images, share[:, None] * y[0] + (1 - share[:, None]) * y[1]
