"""HDF5 as rbms has it: data sets ``samples`` (n, dim) and, where there are labels, ``labels`` (n,).

rbms (Decelle's group) reads these two at the root of a file and passes over everything else. Its values must be 0 and
1, or -1 and 1, unless the path of the file has "cont" in it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.support.arrays import Arrays, Floats, as_samples
from undiffuse.support.errors import UserError, require, shown
from undiffuse.support.memory import check_memory
from undiffuse.support.optional import optional


def to_bytes(
    samples: NDArray[Any] | None = None,
    labels: NDArray[Any] | None = None,
    groups: Mapping[str, Arrays] | None = None,
) -> bytes:
    """Content of an ``.h5`` file.

    Parameters
    ----------
    samples : (n, dim) array, optional
    labels : (n,) array, optional
    groups : dict of dict of arrays, optional
        Further arrays, by the name of their group.

    Raises
    ------
    UserError
        If h5py is not installed, or there is not one label for each sample.
    """
    require(
        labels is None or (samples is not None and labels.shape == (len(samples),)),
        f"labels of shape {None if labels is None else labels.shape}: wanted one for each sample",
    )
    buffer = io.BytesIO()
    with h5py().File(buffer, "w") as file:
        for name, array in {"samples": samples, "labels": labels}.items():
            if array is not None:
                file[name] = array
        for group, arrays in (groups or {}).items():
            for name, array in arrays.items():
                file[f"{group}/{name}"] = array
    return buffer.getvalue()


def read(path: str | Path) -> tuple[Floats, NDArray[Any] | None]:
    """Samples (n, dim) of a file, and their labels (n,) where it has them.

    Raises
    ------
    UserError
        If h5py is not installed, the file is missing or damaged, has no ``samples`` of that shape, labels of another
        number, or does not fit into the memory.
    """
    path, library = Path(path), h5py()
    require(path.is_file(), f"there is no file {str(path)!r}")
    try:
        with library.File(path, "r") as file:
            found = {name: file[name] for name in ("samples", "labels") if isinstance(file.get(name), library.Dataset)}
            require("samples" in found, f"{path} has no data set 'samples' (it has: {shown(sorted(file))})")
            for name, one in found.items():
                wanted = 2 if name == "samples" else 1
                require(one.ndim == wanted, f"{name} in {path} have shape {one.shape}, wanted {wanted} axes")
                check_memory(2 * 8 * math.prod(one.shape), f"{name} in {path}")
            samples, labels = (np.asarray(found[name][()]) if name in found else None for name in ("samples", "labels"))
    except OSError as error:
        raise UserError(f"{path} is not an HDF5 file, or is damaged: {shown(str(error))}") from None
    x = as_samples(samples, what=f"samples in {path}")
    require(
        labels is None or len(labels) == len(x),
        f"{path} has {len(x)} samples and {0 if labels is None else len(labels)} labels",
    )
    return x, labels


def h5py() -> Any:
    """Return the library; UserError if it is not installed."""
    return optional("h5py", "hdf5", "HDF5 files need h5py")
