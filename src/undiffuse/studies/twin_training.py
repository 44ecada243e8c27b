"""One pair of twins, trained and compared for ``undiffuse memorise``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from undiffuse import datasets
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser
from undiffuse.diffusion.reverse import sample
from undiffuse.metrics.features import memorised_share
from undiffuse.model import Diffusion, fit
from undiffuse.recipes.vary import with_share_of_passes
from undiffuse.runs.config import Config
from undiffuse.studies.options import SamplerOptions
from undiffuse.support.arrays import Floats
from undiffuse.support.stats import stderr
from undiffuse.support.streams import Purpose, Streams, stream
from undiffuse.training import Execution

HELD_OUT = 0.1  # share of each half that is not trained on


@dataclass(frozen=True)
class TwinBench:
    """What all pairs of twins share.

    Attributes
    ----------
    config : Config
        Of the data, as the preset has it.
    job : str
        Name of the job that the pairs belong to, unlike any other.
    samples : int
    sampler : SamplerOptions
    seed : int
    workers : int, optional
        Processes for each bank.
    """

    config: Config
    job: str
    samples: int
    sampler: SamplerOptions
    seed: int
    workers: int | None = 1


@dataclass(frozen=True)
class Pair:
    """What one pair of banks, and the pairs of exact denoisers of their points, gave."""

    copies: float
    copies_of_data: float
    apart: Mapping[str, tuple[float, float]]  # distance and its standard error over samples
    gap: float
    samples: int


@lru_cache(maxsize=1)
def points(config: Config, job: str) -> Floats:
    """Training points of a configuration, which a process reads once for all pairs of the same job."""
    return datasets.load(config).train


def train_pair(bench: TwinBench, config: Config, n: int, replicate: int) -> Pair:
    """Train two banks on disjoint sets of ``n`` points, each from a seed of its own, and compare what they draw.

    Parameters
    ----------
    bench : TwinBench
    config : Config
        For ``n`` points, see :func:`adapted`.
    n, replicate : int
    """
    shuffled = stream(bench.seed, Purpose.SPLIT, replicate).permutation(points(bench.config, bench.job))
    halves = [shuffled[k * n : (k + 1) * n] for k in (0, 1)]
    banks: list[Diffusion] = []
    for twin, half in enumerate(halves):
        seed = int(stream(bench.seed, Purpose.TWIN_SEED, replicate, twin).integers(2**63))
        execution = Execution(workers=bench.workers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # errors far above linear theory's are what this is about
            banks.append(fit(half, config, held_out=HELD_OUT, seed=seed, execution=execution))
    kept = n - max(1, round(HELD_OUT * n))
    forward = banks[0].forward
    pairs: dict[str, Sequence[Denoiser]] = {
        "bank": banks,
        "gaussian": [GaussianDenoiser.from_data(forward, half[:kept]) for half in halves],
        "empirical": [EmpiricalDenoiser(forward, half[:kept]) for half in halves],
    }
    noise, sampler = Streams(bench.seed, axes="data"), bench.sampler.build()
    drawn = {
        name: [sample(d, bench.samples, sampler=sampler, seed=noise) for d in pair] for name, pair in pairs.items()
    }
    unseen, trained = shuffled[n : n + bench.samples], halves[0][:kept]
    errors = banks[0].errors
    return Pair(
        copies=memorised_share(drawn["bank"][0], trained),
        copies_of_data=memorised_share(unseen, trained),
        apart={name: _apart(*both) for name, both in drawn.items()},
        gap=float(np.mean(errors[:, 2] / errors[:, 1]) - 1),
        samples=bench.samples,
    )


def adapted(config: Config, whole: int, n: int, hidden: int) -> Config:
    """Configuration for ``n`` of ``whole`` points and so many hidden units.

    Passes are as many more as the points are fewer, so that all sizes make about as many steps as the recipe.

    Parameters
    ----------
    config : Config
    whole, n, hidden : int
    """
    training = config.training
    trained_on = int(n * (1 - HELD_OUT))
    batch = min(training.batch, trained_on)
    longer = (whole // training.batch) / max(1, trained_on // batch)
    lengthened = with_share_of_passes(config, longer)
    return lengthened.model_copy(
        update={
            "network": config.network.model_copy(update={"hidden": hidden}),
            "training": lengthened.training.model_copy(update={"batch": batch}),
        }
    )


def _apart(a: Floats, b: Floats) -> tuple[float, float]:
    """Root mean square distance of samples from the same noise over that from different noise, and its error."""
    same_noise = np.sum((a - b) ** 2, axis=1)
    other_noise = float(np.sum((a - np.roll(b, 1, axis=0)) ** 2, axis=1).mean())
    apart = float(np.sqrt(same_noise.mean() / other_noise))
    return apart, stderr(same_noise) / (2 * apart * other_noise) if apart > 0 else 0.0
