"""The perceptron of Annex II."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require


@dataclass(frozen=True)
class PerceptronResult:
    """A trained perceptron ``y = sgn(w^T x + b)``.

    Attributes
    ----------
    w : (dim,)
    b : float
        Minus the threshold alpha of the thesis.
    mistakes : list of int
        Mistakes made in each pass over the training data; the last is 0 if it converged.
    """

    w: Floats
    b: float
    mistakes: list[int]

    @property
    def converged(self) -> bool:
        """Whether the last pass made no mistake."""
        return self.mistakes[-1] == 0

    def predict(self, x: Floats) -> NDArray[np.int64]:
        """+1 or -1 for each row of ``x``, shape ``(n,)``; +1 on the border, as in the thesis."""
        return np.where(x @ self.w + self.b >= 0, 1, -1)

    def errors(self, x: Floats, y: NDArray[np.int64]) -> int:
        """Count the rows of ``x`` whose prediction is not ``y``."""
        return int(np.sum(self.predict(x) != y))


@dataclass(frozen=True)
class Perceptron:
    """Rosenblatt's rule: ``w += gamma y x`` on every mistake, sample after sample.

    It is gradient descent of the error ``E = -y x . w`` of a misclassified sample, with the true label y. Annex II
    writes the predicted one, hence no minus sign, and divides by ``|w|``.

    Attributes
    ----------
    gamma : float
        Learning rate; from zero weights it only sets their scale.
    bias : bool
        Learn a threshold as well.
    max_passes : int
        Passes over the data after which to give up.
    """

    gamma: float = 1.0
    bias: bool = True
    max_passes: int = 100

    def __post_init__(self) -> None:
        require(np.isfinite(self.gamma) and self.gamma > 0, f"gamma = {self.gamma}: wanted a positive number")
        require(self.max_passes >= 1, f"max_passes = {self.max_passes}: wanted at least 1")

    def fit(self, x: Floats, y: NDArray[np.int64], rng: np.random.Generator | None = None) -> PerceptronResult:
        """Train on ``x`` of shape ``(n, dim)`` with labels ``y`` of +1 and -1.

        Samples are seen in the order given, or in one random order drawn from ``rng`` and kept for all passes.

        Raises
        ------
        UserError
            If the labels are not +1 and -1, or one of them is missing.
        """
        require(len(x) == len(y) and set(np.unique(y)) == {-1, 1}, "labels must be +1 and -1, and both must occur")
        order = np.arange(len(x)) if rng is None else rng.permutation(len(x))
        w, b, mistakes = np.zeros(x.shape[1]), 0.0, []
        x, y = x[order], y[order]
        for _ in range(self.max_passes):
            wrong = at = 0
            # The weights do not change between two mistakes, so many samples are classified at once.
            while at < len(x):
                stretch = slice(at, at + 256)
                outputs = np.where(x[stretch] @ w + b >= 0, 1, -1)
                bad = np.flatnonzero(outputs != y[stretch])
                if len(bad) == 0:
                    at += 256
                    continue
                i = at + int(bad[0])
                w += self.gamma * y[i] * x[i]
                b += self.gamma * y[i] * self.bias
                wrong += 1
                at = i + 1
            mistakes.append(wrong)
            if wrong == 0:
                break
        return PerceptronResult(w, b, mistakes)
