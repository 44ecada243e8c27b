"""How well images were reconstructed: their class, by a classifier, and their pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from undiffuse.datasets import Images
from undiffuse.diffusion.inpainting import as_mask
from undiffuse.support.arrays import Floats
from undiffuse.support.results import Result
from undiffuse.support.stats import root_and_stderr, stderr

if TYPE_CHECKING:
    from undiffuse.metrics.classifiers import Classifier


@dataclass(frozen=True)
class Score(Result):
    """How well images were reconstructed; each number with its standard error over images.

    Attributes
    ----------
    kept : float
        Share classified as the original.
    pixel_error : float
        Root mean square difference to the original, per pixel, in units of the pixel range.
    spread : float
        Standard deviation of an image's repeats (n - 1), root mean square over pixels and images, in the same units.
    """

    kept: float
    kept_stderr: float
    pixel_error: float
    pixel_error_stderr: float
    spread: float
    spread_stderr: float


def score(originals: Images, back: Floats, classifier: Classifier) -> Score:
    """Score reconstructions ``back``, shape ``(n, repeats, dim)``, by their class and by their pixels."""
    n, repeats, dim = back.shape
    span = originals.high - originals.low
    predicted = classifier.predict(back.reshape(n * repeats, dim)).reshape(n, repeats)
    kept = np.mean(predicted == originals.labels[:, None], axis=1)
    squares = np.mean((back - originals.x[:, None]) ** 2, axis=(1, 2)) / span**2
    spreads = np.mean((back - back.mean(axis=1, keepdims=True)) ** 2, axis=(1, 2)) / span**2
    spreads *= repeats / max(1, repeats - 1)
    return Score(float(kept.mean()), stderr(kept), *root_and_stderr(squares), *root_and_stderr(spreads))


def inpainting_score(originals: Images, filled: Floats, destroyed: NDArray[np.bool_], classifier: Classifier) -> Score:
    """Score images that were filled in once; pixels count where they were destroyed.

    Parameters
    ----------
    originals : Images
    filled : (n, dim)
    destroyed : (dim,) or (n, dim) of bool
    classifier : Classifier
    """
    whole = score(originals, filled[:, None], classifier)
    mask = as_mask(destroyed, *filled.shape)
    squares = np.sum(np.where(mask, filled - originals.x, 0) ** 2, axis=1) / mask.sum(axis=1)
    error, error_stderr = root_and_stderr(squares / (originals.high - originals.low) ** 2)
    return replace(whole, pixel_error=error, pixel_error_stderr=error_stderr)
