r"""Locality: how far around a pixel a denoiser looks.

The *sensitivity map* of a denoiser at time t is the mean Jacobian ``J_ij = <d x0_hat_i/d x_t,j>`` over diffused images
(:meth:`undiffuse.Denoiser.x0_jacobian`): row i is what the estimate of pixel i depends on. Its *receptive radius* is
the root of the mean squared distance between two pixels, weighted by the squares of their sensitivities. For Gaussian
data the map is the Wiener matrix ``sqrt(alpha_bar) C (alpha_bar C + s^2 Delta)^{-1}``, which knows of distances only
what the covariance C says of them.

Kamb & Ganguli 2025 (arXiv 2412.20292) explain what convolutional networks generate by the local score of
:class:`undiffuse.PatchDenoiser`; Lukoianov et al. 2025 (arXiv 2509.09672) find that the locality is of the data and not
of the convolutions. A network of one fully connected layer has no notion of a neighbourhood: reordering the pixels of
all images reorders its training and nothing else, so what locality it has it has learned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undiffuse.support.arrays import Array, Floats
from undiffuse.support.errors import require


def squared_distances(shape: tuple[int, int]) -> Floats:
    """Squared distance between every two pixels of an image of this shape, ``(dim, dim)``, in pixels squared."""
    row, column = np.divmod(np.arange(shape[0] * shape[1], dtype=np.float64), shape[1])
    return np.asarray((row[:, None] - row) ** 2 + (column[:, None] - column) ** 2)


def receptive_radius(jacobian: Array, shape: tuple[int, int]) -> float:
    """Receptive radius ``R = sqrt(sum_ij J_ij^2 |p_i - p_j|^2 / sum_ij J_ij^2)`` of a sensitivity map, in pixels.

    ``p_i`` are the places of the pixels. It is 0 where every estimate looks at its own pixel only.

    Parameters
    ----------
    jacobian : (dim, dim)
    shape : (rows, columns)

    Raises
    ------
    UserError
        If the map is not of images of this shape, or zero everywhere.

    Examples
    --------
    >>> import numpy as np
    >>> from undiffuse.physics.locality import receptive_radius
    >>> receptive_radius(np.eye(9), (3, 3)), receptive_radius(np.eye(9)[::-1], (3, 3)).__round__(2)
    (0.0, 2.31)
    """
    dim = shape[0] * shape[1]
    require(jacobian.shape == (dim, dim), f"a map of shape {jacobian.shape}, wanted ({dim}, {dim}) for images {shape}")
    squares = np.square(jacobian, dtype=np.float64)
    total = float(squares.sum())
    require(total > 0, "the map is zero everywhere: nothing is looked at")
    return float(np.sqrt(np.sum(squares * squared_distances(shape)) / total))


def radius_of_everywhere(shape: tuple[int, int]) -> float:
    """Receptive radius ``sqrt((rows^2 + columns^2 - 2)/6)`` of a map that is the same for all pairs of pixels."""
    return float(np.sqrt((shape[0] ** 2 + shape[1] ** 2 - 2) / 6))


def correlation(one: Array, other: Array) -> float:
    """Pearson's correlation of the entries of two maps; NaN if one of them is constant."""
    a, b = (np.asarray(part, np.float64) - np.mean(part, dtype=np.float64) for part in (one, other))
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.sum(a * b)) / norms if norms > 0 else float("nan")


def explained(outputs: Array, reference: Array) -> float:
    """Share ``r^2 = 1 - sum |x - y|^2 / sum |x - <x>|^2`` of outputs x ``(n, dim)`` that a reference y explains.

    ``<x>`` is the mean over samples of each variable. Negative where the mean would do better; NaN for constant
    outputs.
    """
    x = np.asarray(outputs, np.float64)
    spread = float(np.sum((x - x.mean(axis=0)) ** 2))
    return 1 - float(np.sum((x - reference) ** 2)) / spread if spread > 0 else float("nan")


def put_back(jacobian: Array, order: NDArray[np.intp]) -> Array:
    """Sensitivity map of images ``x`` from that of ``x[:, order]``, the same images with their pixels reordered."""
    out = np.empty_like(jacobian)
    out[np.ix_(order, order)] = jacobian
    return out
