"""The configuration that an estimator trains with, from its parameters and the number of rows."""

from __future__ import annotations

from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config

_STEPS = 800  # of the optimiser, for the one network that starts from fresh weights
_WARM = 8  # the others start from their neighbour and take a share of that
_BATCH = 64


def recipe(rows: int, T: int, hidden: int, epochs: int | None) -> Config:
    """Settings for ``rows`` training rows of variance about one.

    The betas rise linearly from ``0.1/T`` to ``20/T``, so that ``alpha_bar_T`` is about ``e^-10`` whatever T. Networks
    add to the Gaussian skip, and each starts from the one of the time above.

    Parameters
    ----------
    rows : int
    T, hidden : int
        Number of times and of hidden units of each network.
    epochs : int, optional
        Passes over the rows of the first network, the others an eighth of it; chosen for 800 steps by default.

    Raises
    ------
    UserError
        If T, hidden or epochs is out of range.
    """
    batch = min(_BATCH, rows)
    passes = max(1, round(_STEPS * batch / rows)) if epochs is None else epochs
    settings = {
        "name": "estimator",
        "data": {"name": "array", "held_out": 1},
        "diffusion": {"T": T, "beta_1": 0.1 / max(T, 1), "beta_T": min(20 / max(T, 1), 0.99)},
        "network": {"hidden": hidden, "skip": "gaussian", "start": "data"},
        "training": {
            "order": "continuation",
            "block": T,
            "epochs": passes,
            "warm_epochs": max(1, passes // _WARM),
            "batch": batch,
            "learning_rate": 0.003,
            "decay": "cosine",
        },
    }
    return configuration.validate(settings, "the estimator's parameters")
