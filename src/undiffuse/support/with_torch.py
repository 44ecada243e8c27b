"""torch, of the extra of that name: ``from undiffuse.support.with_torch import torch`` in what cannot do without it."""

from undiffuse.support.errors import UserError

try:
    import torch as torch
except ImportError:
    raise UserError(
        "images, banks of spins or many variables and exchange with torch need torch: pip install 'undiffuse[torch]'"
    ) from None

__all__ = ["torch"]
