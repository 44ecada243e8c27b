"""``undiffuse memorise``: does a bank generalise or memorise? Two on disjoint halves of the data, compared.

From the same noise, two banks that have learned the law of their data generate the same sample; banks that have
memorised their data generate points of their own training sets (Kadkhodaie et al. 2024).
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from undiffuse import datasets
from undiffuse.metrics.features import memorised_share
from undiffuse.model import fit
from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config
from undiffuse.studies.options import Changes, IdxFolder, Numbers, all_changes
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.stats import share_stderr, stderr
from undiffuse.support.streams import Purpose, stream
from undiffuse.training import Execution

_HELD_OUT = 0.1  # share of each half that is not trained on


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which pairs of banks (twins) to train.

    Attributes
    ----------
    preset : str
        Preset or TOML file.
    n : tuple of int
        Training points of each twin.
    hidden : tuple of int
        Hidden units; the preset's by default.
    changes : tuple of str
        Replace a setting, such as training.epochs=5; may be repeated.
    data : path, optional
        Folder of IDX files (.gz or not) to take the digits from; for image presets.
    samples : int
        Samples compared.
    workers : int, optional
        Worker processes; one per core by default.
    seed : int
        Seed of the split and of the samples.
    """

    preset: str
    _: KW_ONLY
    n: Annotated[tuple[int, ...], Parameter(alias="-n", negative=())]
    hidden: Numbers = ()
    changes: Changes = ()
    data: IdxFolder = None
    samples: int = 500
    workers: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Twins(results.Result):
    """Two banks trained on disjoint sets of ``n`` points.

    Attributes
    ----------
    n, hidden : int
        Training points of each, and hidden units.
    copies, copies_stderr : float
        Share of the first bank's samples whose nearest training point is three times nearer than the next.
    copies_of_data : float
        The same share for points that the bank has not seen: the value without memorisation.
    apart, apart_stderr : float
        Root mean square distance of the twins' samples from the same noise, over that from different noise: 0 where
        the twins are the same function, 1 where their samples are independent.
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


@dataclass(frozen=True)
class Result(results.Result):
    """Twins of every size.

    Attributes
    ----------
    preset : str
    samples, seed : int
        As in the settings.
    twins : tuple of Twins
    """

    preset: str
    samples: int
    seed: int
    twins: tuple[Twins, ...]


def run(settings: Settings, on_progress: OnProgress = silent) -> Result:
    """Train twins for every number of training points and hidden units; progress counts pairs.

    Raises
    ------
    UserError
        If there are fewer points than two of the largest set, or sizes too small to train on.
    """
    sizes, samples = settings.n, settings.samples
    config = configuration.load(settings.preset, all_changes(settings.changes, settings.data))
    data = datasets.load(config)
    x = stream(settings.seed, Purpose.SPLIT).permutation(data.train)
    require(len(sizes) >= 1 and min(sizes) >= 10, f"sizes {list(sizes)}: wanted at least 10 training points")
    require(2 * max(sizes) <= len(x), f"{max(sizes)} points for each twin need {2 * max(sizes)}, there are {len(x)}")
    require(samples >= 2, f"samples = {samples}: wanted at least two")
    found: list[Twins] = []
    widths = settings.hidden or (config.network.hidden,)
    for n in sizes:
        for width in widths:
            found.append(_twins(settings, _adapted(config, len(x), n, width), x, n))
            on_progress(len(found), len(sizes) * len(widths))
    return Result(settings.preset, samples, settings.seed, tuple(found))


def _adapted(config: Config, whole: int, n: int, hidden: int) -> Config:
    """Configuration for ``n`` of ``whole`` points and ``hidden`` units.

    The fewer the points, the more passes, so that all sizes make about as many steps as the given configuration.
    """
    training = config.training
    trained_on = int(n * (1 - _HELD_OUT))
    batch = min(training.batch, trained_on)
    longer = (whole // training.batch) / max(1, trained_on // batch)

    def lengthened(epochs: int | None) -> int | None:
        return None if epochs is None else max(1, round(epochs * longer))

    passes = {"epochs": lengthened(training.epochs), "warm_epochs": lengthened(training.warm_epochs)}
    return config.model_copy(
        update={
            "network": config.network.model_copy(update={"hidden": hidden}),
            "training": training.model_copy(update={**passes, "batch": batch}),
            "times": tuple(
                part.model_copy(update={"epochs": lengthened(part.epochs), "warm_epochs": lengthened(part.warm_epochs)})
                for part in config.times
            ),
        }
    )


def _twins(settings: Settings, config: Config, x: Floats, n: int) -> Twins:
    """Train two banks on the first and the second ``n`` points of ``x``, each from a seed of its own."""
    samples, execution = settings.samples, Execution(workers=settings.workers)
    first, second = (
        fit(x[k * n : (k + 1) * n], config, held_out=_HELD_OUT, seed=config.seed + k, execution=execution)
        for k in (0, 1)
    )
    a, b = (model.sample(samples, seed=settings.seed) for model in (first, second))
    trained = x[:n][: n - max(1, round(_HELD_OUT * n))]
    of_a, of_data = memorised_share(a, trained), memorised_share(x[n : n + samples], trained)
    same_noise = np.sum((a - b) ** 2, axis=1)
    other_noise = float(np.sum((a - np.roll(b, 1, axis=0)) ** 2, axis=1).mean())
    apart = float(np.sqrt(same_noise.mean() / other_noise))
    return Twins(
        n=n,
        hidden=config.network.hidden,
        copies=of_a,
        copies_stderr=share_stderr(of_a, samples),
        copies_of_data=of_data,
        apart=apart,
        apart_stderr=stderr(same_noise) / (2 * apart * other_noise),
        gap=float(np.mean(first.errors[:, 2] / first.errors[:, 1]) - 1),
    )
