"""Samples of two or more classes, and a rule that makes classes where there are no labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.stats import PrincipalAxes

Rule = Callable[[Floats], NDArray[np.integer]]


@dataclass(frozen=True)
class Classes:
    """Samples of two or more classes.

    Attributes
    ----------
    x : (n, dim)
    labels : (n,)
    names : tuple of str
        Names of the labels 0, 1, ...; by default they are called as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from undiffuse.physics import Classes
    >>> e, middle = Classes(np.array([[0.0, 1.0], [4.0, 1.0]]), np.array([0, 1])).direction
    >>> np.abs(e), middle
    (array([1., 0.]), array([2., 1.]))

    See Also
    --------
    undiffuse.datasets.Dataset.classes : those of a data set.
    undiffuse.physics.critical_times : when diffusion decides between them.
    """

    x: Floats
    labels: NDArray[np.integer]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(
            len(np.unique(self.labels)) >= 2,
            f"the data hold a single class, {np.unique(self.labels)[0]}: a transition is between two",
        )

    def name(self, label: int) -> str:
        """Name of a label."""
        return self.names[label] if 0 <= label < len(self.names) else f"{label}"

    @property
    def direction(self) -> tuple[Floats, Floats]:
        """``(e, m)``: unit vector along which the class means lie furthest apart, and the point between them.

        Where all means are the same it is the first principal axis of the data.
        """
        means = np.stack([self.x[self.labels == c].mean(axis=0) for c in np.unique(self.labels)])
        _, _, axes = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
        along = means @ axes[0]
        order = np.argsort(along, kind="stable")
        first, last = means[order[0]], means[order[-1]]
        apart = float(np.linalg.norm(last - first))
        e = (last - first) / apart if apart > 0 else PrincipalAxes.of(self.x).axes[:, 0]
        return e, (first + last) / 2

    @property
    def outermost(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which samples are of the first and of the last class along :attr:`direction`, ``(n,)`` each."""
        e, _ = self.direction
        kinds = np.unique(self.labels)
        order = np.argsort([self.x[self.labels == c].mean(axis=0) @ e for c in kinds], kind="stable")
        return self.labels == kinds[order[0]], self.labels == kinds[order[-1]]


def sides(of: Floats) -> Rule:
    """Rule that makes two classes where there are no labels: the sides of the mean, along the first principal axis."""
    mean, _, axes = PrincipalAxes.of(of)

    def classify(x: Floats) -> NDArray[np.integer]:
        return ((x - mean) @ axes[:, 0] > 0).astype(int)

    return classify
