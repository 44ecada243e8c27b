"""Does a bank generalise or memorise? Two banks on disjoint halves of the data, compared sample by sample.

A bank that learned the law of its data draws the same sample as its twin from the same noise; one that learned its data
by heart draws one of its own training points (Kadkhodaie et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from undiffuse import datasets
from undiffuse.metrics.features import memorised_share
from undiffuse.model import fit
from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.stats import share_stderr, stderr
from undiffuse.support.streams import Purpose, stream

_HELD_OUT = 0.1  # share of each half that is not trained on


@dataclass(frozen=True)
class Twins:
    """Two banks trained on disjoint sets of ``n`` points.

    Attributes
    ----------
    n, hidden : int
        Training points of each, and hidden units.
    copies, copies_stderr : float
        Share of the first bank's samples whose nearest training point is three times nearer than the next.
    copies_of_data : float
        The same share for points that the bank has not seen: what the measure gives without any memory.
    apart, apart_stderr : float
        Root mean square distance of the twins' samples from the same noise, over that from different noise: 0 where
        they are the same function, 1 where they share nothing but the law of their data.
    gap : float
        Mean of held-out over training error, minus one.
    """

    n: int
    hidden: int
    copies: float
    copies_stderr: float
    copies_of_data: float
    apart: float
    apart_stderr: float
    gap: float

    def as_dict(self) -> dict[str, float]:
        """Return everything by name."""
        return asdict(self)


def twins(settings: Config, x: Floats, n: int, hidden: int, samples: int, seed: int, workers: int | None) -> Twins:
    """Train two banks on the first and the second ``n`` points of ``x``, each from a seed of its own.

    Passes are as many more as the points are fewer than the recipe's, so that all make about as many steps as it does.
    """
    training = settings.training
    batch = min(training.batch, int(n * (1 - _HELD_OUT)))
    longer = (len(x) // training.batch) / max(1, int(n * (1 - _HELD_OUT)) // batch)

    def lengthened(epochs: int | None) -> int | None:
        return None if epochs is None else max(1, round(epochs * longer))

    changed = settings.model_copy(
        update={
            "network": settings.network.model_copy(update={"hidden": hidden}),
            "training": training.model_copy(
                update={
                    "epochs": lengthened(training.epochs),
                    "warm_epochs": lengthened(training.warm_epochs),
                    "batch": batch,
                }
            ),
            "times": tuple(
                part.model_copy(
                    update={
                        "epochs": lengthened(part.epochs),
                        "warm_epochs": lengthened(part.warm_epochs),
                    }
                )
                for part in settings.times
            ),
        }
    )
    first, second = (
        fit(x[k * n : (k + 1) * n], changed, held_out=_HELD_OUT, seed=settings.seed + k, workers=workers)
        for k in (0, 1)
    )
    a, b = (model.sample(samples, seed) for model in (first, second))
    trained = x[:n][: n - max(1, round(_HELD_OUT * n))]
    of_a, of_data = memorised_share(a, trained), memorised_share(x[n : n + samples], trained)
    together = np.sum((a - b) ** 2, axis=1)
    strangers = np.sum((a - np.roll(b, 1, axis=0)) ** 2, axis=1).mean()
    apart = float(np.sqrt(together.mean() / strangers))
    errors = first.errors
    return Twins(
        n=n,
        hidden=hidden,
        copies=of_a,
        copies_stderr=share_stderr(of_a, samples),
        copies_of_data=of_data,
        apart=apart,
        apart_stderr=stderr(together) / (2 * apart * strangers),
        gap=float(np.mean(errors[:, 2] / errors[:, 1]) - 1),
    )


def study(
    preset: str,
    changes: Sequence[str],
    sizes: Sequence[int],
    hidden: Sequence[int],
    samples: int,
    seed: int,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Train twins for every number of training points and hidden units.

    Raises
    ------
    UserError
        If there are fewer points than two of the largest set, or sizes too small to train on.
    """
    settings = configuration.load(preset, list(changes))
    data = datasets.load(settings)
    x = stream(seed, Purpose.SPLIT).permutation(data.train)
    require(len(sizes) >= 1 and min(sizes) >= 10, f"sizes {list(sizes)}: wanted at least 10 training points")
    require(2 * max(sizes) <= len(x), f"{max(sizes)} points for each twin need {2 * max(sizes)}, there are {len(x)}")
    require(samples >= 2, f"samples = {samples}: wanted at least two")
    found = []
    widths = hidden or (settings.network.hidden,)
    for n in sizes:
        for width in widths:
            found.append(twins(settings, x, n, width, samples, seed, workers).as_dict())
            on_progress(len(found), len(sizes) * len(widths))
    return {"preset": preset, "samples": samples, "seed": seed, "twins": found}
