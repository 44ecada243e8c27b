"""The Bayesian bootstrap: every sample gets an exponential weight instead of being drawn or not (Rubin 1981).

Posterior weights of the exact score are computed once and reweighted, so a resampled training set costs a matrix
product instead of a new denoiser. With weights ``v`` of mean and variance 1, ``sum_i v_i f_i/sum_i v_i`` scatters as
the mean of as many fresh samples would, to first order; the same holds for smooth functions of several such means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from undiffuse.physics.crossings import Measured
from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.streams import Purpose, stream

REPLICAS = 200  # resampled data sets behind an error, which then is good to 6 %
_LEAST = 50
_LARGEST = 1 << 25  # numbers in the widest table of weights, 128 MiB


@dataclass(frozen=True)
class Resampling:
    """Weights of resampled data, a column for each replica.

    Attributes
    ----------
    points : (m, B)
        Of the training set, as points of the exact score, as diffused samples, and in its moments.
    held_out : (k, B)
        Of held-out samples.
    """

    points: Float32
    held_out: Float32

    @staticmethod
    def of(points: int, held_out: int, classes: int, seed: int) -> Resampling:
        """Draw weights; there are fewer than 200 replicas where points times classes are many, never below 50.

        Parameters
        ----------
        points, held_out, classes : int
            Their numbers.
        seed : int
        """
        count = int(np.clip(_LARGEST // (points * classes), _LEAST, REPLICAS))
        return Resampling(
            *(
                stream(seed, purpose).standard_exponential((n, count), dtype=np.float32)
                for purpose, n in ((Purpose.RESAMPLED_POINTS, points), (Purpose.RESAMPLED_HELD_OUT, held_out))
            )
        )


def means(values: Floats, by_replica: Floats, weights: Float32, joint: Floats | None = None) -> Measured:
    """Mean over diffused samples, and the same with these, the training set or both resampled.

    Parameters
    ----------
    values : (n,)
        Of each sample.
    by_replica : (n, B)
        The same for resampled training sets.
    weights : (n, B)
        Of the samples.
    joint : (n, B), optional
        The same with whatever else depends on the samples resampled too; ``by_replica`` by default.
    """
    both = by_replica if joint is None else joint
    total = weights.sum(axis=0, dtype=np.float64)
    return Measured(
        float(values.mean()),
        {
            "starts": np.asarray(values @ weights / total),
            "training": np.asarray(by_replica.mean(axis=0)),
            "joint": np.asarray(np.sum(both * weights, axis=0) / total),
        },
    )


def of_starts(values: Floats, seed: int) -> Measured:
    """Mean over samples, and the same with the samples resampled; whatever acts on them is held fixed."""
    weights = stream(seed, Purpose.RESAMPLED_TURNS).standard_exponential((len(values), REPLICAS), dtype=np.float32)
    resampled = np.asarray(values @ weights / weights.sum(axis=0, dtype=np.float64))
    return Measured(float(values.mean()), {"starts": resampled, "joint": resampled})
