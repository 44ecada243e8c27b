"""Adam whose gradients are never written out: for the torch engine on a GPU, by a Triton kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from undiffuse.support.optional import optional
from undiffuse.training.optimiser import Optimiser, Tensors

if TYPE_CHECKING:
    from undiffuse.kernels.products import Pair


def kernel() -> Any:
    """Return :mod:`undiffuse.kernels.products`.

    Raises
    ------
    UserError
        If Triton is not installed.
    """
    optional("triton", "triton", "training.engine = 'triton' needs Triton, which GPU builds of torch bring with them")
    from undiffuse.kernels import products

    return products


class FusedAdam(Optimiser):
    """The steps of :class:`~undiffuse.training.adam.Adam`, along gradients that are given as outer products.

    A gradient is a sum over the minibatch of products ``l_n r_n^T``; :mod:`undiffuse.kernels.products` makes sum and
    step tile by tile. The precision of products is that of what is multiplied.

    Without Triton its first step raises a :class:`~undiffuse.support.errors.UserError`.
    """

    @cached_property
    def _kernel(self) -> Any:
        return kernel()

    @cached_property
    def _numbers(self) -> torch.Tensor:
        """What is special to a step, where a recorded one reads it."""
        one = next(iter(self.weights.values()))
        return torch.zeros(2, dtype=one.dtype, device=one.device)

    def begin(self, rate: float) -> None:
        """See :class:`~undiffuse.training.optimiser.Optimiser`."""
        super().begin(rate)
        for place, number in zip(self._numbers, self._kernel.scales(rate, self.steps), strict=True):
            place.fill_(number)

    def move(self, gradients: Tensors) -> None:
        """See :class:`~undiffuse.training.optimiser.Optimiser`; this one wants products."""
        raise TypeError("gradients are not written out here: use move_along")

    def move_along(self, gradients: Mapping[str, Sequence[Pair]]) -> None:
        """Make the step that has begun.

        Parameters
        ----------
        gradients : dict of one or two pairs (l, r)
            For each array, ``l`` of shape ``(times, n, rows)`` and ``r`` of shape ``(times, n, columns)``; a vector has
            one row.
        """
        tf32 = torch.backends.cuda.matmul.allow_tf32
        for name, pairs in gradients.items():
            array = self._kernel.Array(
                *(_rows(part[name]) for part in (self.weights, self.first, self.second)),
                copy=_rows(self.copies[name]) if self.copies else None,
                average=_rows(self.average[name]) if self.averages_now else None,
            )
            self._kernel.move(array, pairs, self._numbers, self._share, tf32)


def _rows(tensor: torch.Tensor) -> torch.Tensor:
    """Vectors as matrices of one row."""
    return tensor if tensor.ndim == 3 else tensor[:, None]
