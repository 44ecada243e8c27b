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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.support.arrays import Array, Floats
from undiffuse.support.errors import require

GROUPS = 10  # of points, left out in turn for errors


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


@dataclass(frozen=True)
class Look:
    """How far a denoiser looks at one time, beside the Wiener filter; None where a map is zero, or constant.

    Attributes
    ----------
    t : int
    tau : float
        The same in OU time.
    radius, radius_stderr : float or None
        Receptive radius of the denoiser, in pixels.
    wiener_radius : float or None
        That of the Wiener matrix.
    correlation, correlation_stderr : float or None
        Pearson's, of the entries of map and Wiener matrix.
    difference, difference_stderr : float or None
        ``|J - G|/|G|`` of map J and Wiener matrix G, in the Frobenius norm.
    difference_radius, difference_radius_stderr : float or None
        Receptive radius of ``J - G``.
    """

    t: int
    tau: float
    radius: float | None
    radius_stderr: float | None
    wiener_radius: float | None
    correlation: float | None
    correlation_stderr: float | None
    difference: float | None
    difference_stderr: float | None
    difference_radius: float | None
    difference_radius_stderr: float | None


def look(denoiser: Denoiser, wiener: Denoiser, x_t: Array, t: int, shape: tuple[int, int]) -> Look:
    """Sensitivity map of a denoiser beside that of the Wiener filter, in numbers.

    Errors are those of the points alone: a jackknife that leaves out one of ten groups of them at a time (Efron & Stein
    1981), ``sqrt((g - 1)/g sum_k (v_k - <v>)^2)``. The denoiser and the filter are held fixed.

    Parameters
    ----------
    denoiser, wiener : Denoiser
    x_t : (n, dim)
        Diffused images; of more than ten, as many as make ten groups of one size.
    t : int
    shape : (rows, columns)
        Of the images.

    Raises
    ------
    UserError
        If there are fewer than two points, or they are no images of this shape.

    Examples
    --------
    The exact denoiser of a Gaussian is its Wiener filter:

    >>> import numpy as np, undiffuse as ud
    >>> from undiffuse.physics.locality import look
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2))
    >>> exact = ud.GaussianDenoiser(forward, np.zeros(4), np.eye(4) + 0.5)
    >>> found = look(exact, exact, np.zeros((2, 4)), 30, (2, 2))
    >>> round(found.radius, 3), round(found.correlation, 3), found.difference
    (0.279, 1.0, 0.0)
    """
    require(len(x_t) >= 2, f"{len(x_t)} points: wanted at least 2, for errors to be known")
    groups = min(GROUPS, len(x_t))
    G = wiener.x0_jacobian(x_t[:1], t)
    maps = np.stack([denoiser.x0_jacobian(part, t) for part in np.split(x_t[: len(x_t) // groups * groups], groups)])
    mean = maps.mean(axis=0)
    found = _against(mean, G, shape)
    left_out = np.stack([_against((groups * mean - one) / (groups - 1), G, shape) for one in maps])
    errors = np.sqrt((groups - 1) / groups * np.sum((left_out - left_out.mean(axis=0)) ** 2, axis=0))
    both = [float(value) if np.isfinite(value) else None for pair in zip(found, errors, strict=True) for value in pair]
    radius, radius_error, *rest = both
    tau = float(denoiser.forward.schedule.ou_time(t))
    return Look(t, tau, radius, radius_error, receptive_radius(G, shape) if G.any() else None, *rest)


def put_back(jacobian: Array, order: NDArray[np.intp]) -> Array:
    """Sensitivity map of images ``x`` from that of ``x[:, order]``, the same images with their pixels reordered."""
    out = np.empty_like(jacobian)
    out[np.ix_(order, order)] = jacobian
    return out


def _against(J: Array, G: Array, shape: tuple[int, int]) -> Floats:
    """Radius of map J, its correlation with G, ``|J - G|/|G|`` and the radius of ``J - G``; NaN for what is not."""
    rest, norm = J - G, np.linalg.norm(G)
    radii = [receptive_radius(one, shape) if one.any() else float("nan") for one in (J, rest)]
    return np.array([radii[0], correlation(J, G), np.linalg.norm(rest) / norm if norm > 0 else np.nan, radii[1]])
