"""What there is of a GPU, asked in one place; torch is loaded only then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from undiffuse.support.errors import UserError

if TYPE_CHECKING:
    import torch

CUDA = "cuda"


def is_there() -> bool:
    """Whether torch is installed and sees a GPU."""
    if find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def require_it() -> None:
    """Raise a :class:`UserError` unless torch sees a GPU."""
    if not is_there():
        raise UserError("device 'cuda': torch sees no GPU here; use 'cpu' or 'auto'")


def home(device: str) -> torch.device:
    """Where the tensors of a device named ``cpu`` or ``cuda`` live."""
    import torch

    return torch.device(device)


def free_bytes() -> int:
    """Bytes of the GPU's memory that nobody uses, those that torch keeps for itself without using them among them."""
    import torch

    kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return int(torch.cuda.mem_get_info()[0]) + kept


@contextmanager
def within_memory(what: str) -> Iterator[None]:
    """Say in one line, inside a ``with`` block, that the GPU's memory does not hold ``what``.

    Raises
    ------
    UserError
        In place of torch's own.
    """
    import torch

    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise UserError(f"the GPU's memory is too small for {what}") from None


def multiplies_bfloat16() -> bool:
    """Whether there is a GPU with units for products of matrices in bfloat16: compute capability 8.0 (Ampere) on."""
    if not is_there():
        return False
    import torch

    return torch.cuda.get_device_capability() >= (8, 0)
