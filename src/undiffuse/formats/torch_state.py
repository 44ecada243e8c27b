"""A bank as a torch state dictionary: the layers of each time, and what turns their outputs into noise."""

from __future__ import annotations

import io

import numpy as np

from undiffuse.formats.arrays import BankArrays
from undiffuse.networks.bank import Bank
from undiffuse.support.with_torch import torch


def to_bytes(bank: Bank, arrays: BankArrays) -> bytes:
    """Content of a ``.pt`` file, to be read by ``torch.load(path, weights_only=True)``.

    Keys ``T.encoder.weight``, ``T.encoder.bias``, ``T.decoder.weight``, ``T.decoder.bias`` for each time T are the
    state of ``bank[T].to_torch()``; ``linear.NAME`` are the arrays of :class:`BankArrays` that are no weights.
    """
    state = {f"{t}.{key}": value for t in arrays.times for key, value in bank[t].to_torch().state_dict().items()}
    for name, array in arrays.arrays().items():
        if name not in arrays.weights.NAMES:
            state[f"linear.{name}"] = torch.from_numpy(np.array(array))
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
