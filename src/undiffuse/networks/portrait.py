"""One network in the numbers that a picture of it shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.lazy import later

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IN_THE_PLANE = later("figures.portraits", "network_in_the_plane")
_AS_IMAGES = later("figures.portraits", "network_as_images")
_IN_NUMBERS = later("figures.portraits", "network_in_numbers")
_SMALLEST_SIDE = 4  # pixels of what is taken for an image because its number of variables is a square
_SHOWN = 12  # units as images
_ARROWS, _POINTS = 19, 401  # along a side; on a line


@dataclass(frozen=True)
class Portrait:
    """Hidden units and matrices of one network.

    Unit k is active on one side of its kink, the plane ``w_k . x + b_k = 0``; there it adds ``a_k (w_k . x + b_k)``.

    Attributes
    ----------
    strength : (hidden,)
        ``|w_k| |a_k|``: the norm of the unit's share of the Jacobian where it is active, in the network's own units.
    cosine : (hidden,)
        Of ``w_k`` and ``a_k``: at 1 the unit pushes along the direction it sees, at -1 against it.
    kink : (hidden,)
        Signed distance of the kink from the origin along ``w_k``, ``-b_k/|w_k|``; the unit is active beyond it.
    W, A : (hidden, width)
        Encoders and decoders, a row for each unit, float64.
    b_h : (hidden,)
    spectra : dict
        Singular values of ``W``, ``A`` and ``A W``, largest first; at most as many as there are inputs.
    """

    strength: Floats
    cosine: Floats
    kink: Floats
    W: Floats
    A: Floats
    b_h: Floats
    spectra: dict[str, Floats]

    @staticmethod
    def of(arrays: Mapping[str, Float32]) -> Portrait:
        """Describe a network by its arrays ``W``, ``A`` and ``b_h``; without an encoder, cosine and kink are 0."""
        W, A, b_h = (arrays[name].astype(np.float64) for name in ("W", "A", "b_h"))
        A = A.T
        of_W, of_A = np.linalg.norm(W, axis=1), np.linalg.norm(A, axis=1)
        strength = of_W * of_A
        matrices = {"W": W, "A": A, "AW": A.T @ W}
        spectra = {
            name: np.asarray(np.linalg.svd(M, compute_uv=False)[: W.shape[1]], np.float64)
            for name, M in matrices.items()
        }
        return Portrait(
            strength=strength,
            cosine=np.sum(W * A, axis=1) / np.where(strength > 0, strength, 1.0),
            kink=-b_h / np.where(of_W > 0, of_W, np.inf),
            W=W,
            A=A,
            b_h=b_h,
            spectra=spectra,
        )

    def strongest(self, count: int) -> list[int]:
        """Return the indices of the strongest units, strongest first."""
        order = np.argsort(-self.strength, kind="stable")[:count]
        return [int(k) for k in order]

    def reach(self) -> float:
        """Half the side of a square about the origin that four fifths of the kinks cross; 1 without any."""
        crossed = np.abs(self.kink[self.strength > 0])
        return max(float(np.quantile(crossed, 0.8)), 1e-12) if crossed.size else 1.0


def draw(
    portrait: Portrait, output: Callable[[Floats], Floats], states: Floats | None, axes: NDArray[np.floating] | None
) -> Figure:
    """Draw a network as its number of inputs allows: in the plane, as images, or in numbers.

    Parameters
    ----------
    portrait : Portrait
    output : callable
        ``r(x)``, shapes ``(n, width)``.
    states : (n, width) or None
        Inputs, which say where to look.
    axes : (dim, width) or None
        Principal axes that the inputs lie along.
    """
    width = portrait.W.shape[1]
    dim = width if axes is None else len(axes)
    side = math.isqrt(dim)
    if width <= 2:
        extent = 1.5 * portrait.reach() if states is None else 1.1 * float(np.quantile(np.abs(states), 0.999))
        if width == 1:
            x = np.linspace(-extent, extent, _POINTS)
            figure: Figure = _IN_NUMBERS(portrait, (x, output(x[:, None])[:, 0]))
        else:
            line = np.linspace(-extent, extent, _ARROWS)
            points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
            figure = _IN_THE_PLANE(portrait, extent, (points, output(points)), states)
    elif side >= _SMALLEST_SIDE and side * side == dim:
        chosen = portrait.strongest(_SHOWN)
        shown = [units[chosen] if axes is None else units[chosen] @ axes.T for units in (portrait.W, portrait.A)]
        figure = _AS_IMAGES(portrait, shown, (side, side))
    else:
        figure = _IN_NUMBERS(portrait)
    return figure
