"""Types of arrays, and the check of samples that users give."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from undiffuse.support.errors import UserError

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]
Array = NDArray[Any]  # float64, or float32 inside training
Arrays = dict[str, NDArray[np.generic]]
Reals = TypeVar("Reals", NDArray[np.float32], NDArray[np.float64])  # of either precision, kept


def as_samples(x: object, dim: int | None = None, what: str = "data") -> Floats:
    """Check that ``x`` is a finite ``(n, dim)`` array of real numbers and return it as float64.

    Raises
    ------
    UserError
        If it has another shape, holds NaN or infinity, is masked (or a list of masked rows) or complex, or is not made
        of numbers.
    """
    if any(map(np.ma.is_masked, [x, *x] if isinstance(x, (list, tuple)) else [x])):
        raise UserError(f"{what} is a masked array: fill in or leave out what is masked first")
    try:
        given = np.asarray(x)
        if given.dtype.kind in "cmMSU":
            raise UserError(f"{what} holds {given.dtype} values, wanted real numbers")
        array = np.asarray(given, dtype=np.float64)
    except UserError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{what} cannot be read as numbers: {error}") from error
    if array.ndim != 2 or (dim is not None and array.shape[1] != dim):
        wanted = f"(n, {dim})" if dim is not None else "(n, dim)"
        raise UserError(f"{what} has shape {array.shape}, wanted {wanted}")
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise UserError(f"{what} holds NaN or infinity, first in row {row}")
    return array
