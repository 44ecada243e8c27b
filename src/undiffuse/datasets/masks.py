"""Masks: which part of an image is destroyed. True, 1 or white is what is **destroyed**."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiffuse.support.errors import UserError, require
from undiffuse.support.files import read_npy

Mask = NDArray[np.bool_]


def hole(text: str, shape: tuple[int, int]) -> Mask:
    """Mask of a rectangular hole ``ROWSxCOLUMNS`` in the middle of an image, or ``ROWSxCOLUMNS+TOP+LEFT``.

    Raises
    ------
    UserError
        If the text is not of that form or the hole does not fit into the image.
    """
    size, *corner = text.lower().split("+")
    try:
        rows, columns = (int(part) for part in size.split("x"))
        top, left = (int(part) for part in corner) if corner else ((shape[0] - rows) // 2, (shape[1] - columns) // 2)
    except ValueError:
        raise UserError(f"hole {text!r}: wanted ROWSxCOLUMNS such as 14x14, or ROWSxCOLUMNS+TOP+LEFT") from None
    fits = rows > 0 and columns > 0 and 0 <= top <= shape[0] - rows and 0 <= left <= shape[1] - columns
    require(fits, f"hole {text!r} does not fit into an image of {shape[0]} x {shape[1]} pixels")
    mask = np.zeros(shape, bool)
    mask[top : top + rows, left : left + columns] = True
    return mask.reshape(-1)


def read_mask(path: str | Path, shape: tuple[int, int]) -> Mask:
    """Read a mask from a ``.npy`` array or an image file; **white (or nonzero) is destroyed**.

    Raises
    ------
    UserError
        If the file is missing, is neither, or has another shape than the images.
    """
    path = Path(path)
    array = read_npy(path) if path.suffix == ".npy" else _read_image(path, shape)
    require(array.dtype.kind in "biuf", f"the mask {path} holds {array.dtype} values, wanted truth values or numbers")
    if array.shape == (shape[0] * shape[1],):
        array = array.reshape(shape)
    require(array.shape == tuple(shape), f"the mask {path} has shape {array.shape}, the images have {tuple(shape)}")
    return np.ascontiguousarray(array != 0).reshape(-1)


def _read_image(path: Path, shape: tuple[int, int]) -> Mask:
    from PIL import Image

    require(path.is_file(), f"there is no mask file {str(path)!r}")
    try:
        with Image.open(path) as image:
            # The header first: a small file may unpack to a very large image.
            columns, rows = image.size
            require(
                (rows, columns) == tuple(shape),
                f"the mask {path} has shape {(rows, columns)}, the images have {tuple(shape)}",
            )
            return np.asarray(image.convert("L")) > 127
    except UserError:
        raise
    except Exception as error:  # each format's reader has errors of its own
        raise UserError(f"{path} is neither a .npy array nor an image: {error}") from None
