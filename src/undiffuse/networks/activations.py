"""Activations of the hidden units. A new one is a class and a line in :data:`ACTIVATIONS`.

The derivative is written as a function of the output, ``h' = slope(h)``, so that training keeps one array for each unit
and not two; it is the same expression for numpy arrays and for torch tensors. An activation that is not monotone,
such as GELU, cannot be added, since its output does not determine its derivative.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from undiffuse.support.arrays import Floats, Reals


class Activation(ABC):
    """One activation ``h(u)``, its derivative and its integral.

    Attributes
    ----------
    name : str
        What configurations call it.
    title : str
        What figures call it.
    floor : float or None
        For ``h(u) = max(u, floor)``, which the fused kernel computes; None for any other.
    silent : bool
        Whether units can be exactly 0, so that shares of active and dead units mean something.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    floor: ClassVar[float | None] = None
    silent: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, u: Reals) -> Reals:
        """``h(u)``, in place where that is possible, in the precision of ``u``."""

    @abstractmethod
    def of_tensor(self, u: Any) -> Any:
        """``h(u)`` of a torch tensor, in place."""

    @abstractmethod
    def slope(self, h: Any) -> Any:
        """``h'`` from ``h``, for arrays and tensors alike; None where it is 1 everywhere."""

    def scale_gradient(self, g: Any, h: Any) -> None:
        """Multiply the tensor ``g`` by ``h'``, in place."""
        slope = self.slope(h)
        if slope is not None:
            g.mul_(slope)

    @abstractmethod
    def integral(self, u: Floats) -> Floats:
        """``H(u)`` with ``H' = h``, for the energy (29) and for potentials along lines."""


class Relu(Activation):
    """``max(u, 0)``, the thesis's; ``H = max(u, 0)^2/2``."""

    name, title, floor, silent = "relu", "ReLU", 0.0, True

    def __call__(self, u: Reals) -> Reals:
        """See :class:`Activation`."""
        return np.maximum(u, 0, out=u)

    def of_tensor(self, u: Any) -> Any:
        """See :class:`Activation`."""
        return u.relu_()

    def slope(self, h: Any) -> Any:
        """See :class:`Activation`."""
        return h > 0

    def scale_gradient(self, g: Any, h: Any) -> None:
        """See :class:`Activation`."""
        import torch

        torch.ops.aten.threshold_backward.grad_input(g, h, 0, grad_input=g)  # one pass, and no array of truths

    def integral(self, u: Floats) -> Floats:
        """See :class:`Activation`."""
        return np.asarray(0.5 * np.maximum(u, 0) ** 2)


class Linear(Activation):
    """``u``, the baseline of Annex II as a network; ``H = u^2/2``."""

    name, title, floor = "linear", "linear", -np.inf

    def __call__(self, u: Reals) -> Reals:
        """See :class:`Activation`."""
        return u

    def of_tensor(self, u: Any) -> Any:
        """See :class:`Activation`."""
        return u

    def slope(self, h: Any) -> Any:
        """See :class:`Activation`."""
        return None

    def integral(self, u: Floats) -> Floats:
        """See :class:`Activation`."""
        return 0.5 * u**2


class Sigmoid(Activation):
    """``1/(1 + e^-u)``, of the thesis's energy; ``H = log(1 + e^u)``."""

    name, title = "sigmoid", "sigmoid"

    def __call__(self, u: Reals) -> Reals:
        """See :class:`Activation`."""
        from scipy.special import expit

        return expit(u)

    def of_tensor(self, u: Any) -> Any:
        """See :class:`Activation`."""
        return u.sigmoid_()

    def slope(self, h: Any) -> Any:
        """See :class:`Activation`."""
        return h * (1 - h)

    def integral(self, u: Floats) -> Floats:
        """See :class:`Activation`."""
        return np.asarray(np.logaddexp(0, u))


ACTIVATIONS: dict[str, Activation] = {a.name: a for a in (Relu(), Linear(), Sigmoid())}
