"""Successive speciation times of three or more classes, as a tree.

From single classes upwards: of all pairs of groups the one that parts last on the way back, at the smallest OU time,
is merged, and goes on as one group. A pair's time is that of two Gaussians with the groups' moments (those of the
mixture of their classes), at which the mean of the log odds equals their standard deviation, in closed form. Groups are
thus taken for Gaussians even where they are not: what that costs is told by the measured time of each split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.class_gaussians import ResampledPair, TwoGaussians
from undiffuse.physics.class_moments import ClassMoments, ResampledGaussians
from undiffuse.physics.classes import Classes
from undiffuse.physics.covariance import Covariance, covariance_criterion
from undiffuse.physics.crossings import NEVER, Curve, Time
from undiffuse.physics.empirical import ClassValues, log_odds, over_spread_and_stderr
from undiffuse.physics.resampling import Resampling
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require

Group = tuple[int, ...]  # places of classes, in order
Pair = tuple[Group, Group]
_TREES = 100  # resampled trees, over the number of classes
_FEWEST_TREES = 10
_LEAST = 20  # diffused samples of each group behind a measured time


@dataclass(frozen=True)
class Split:
    """Two groups of classes and when they part.

    Attributes
    ----------
    first, second : tuple of str
        Names of their classes.
    time : Time
        By the Gaussians of the groups; the error is that of the training set, with the tree held fixed.
    large_time : Time
        To leading order at large times.
    covariance : Covariance
        The covariance criterion on the samples of the two groups alone, in the leading principal components, and the
        overlap of its axis with the line between the groups' means. Its error is that of the samples' variance.
    measured : Time
        Speciation by free entropy of the two groups under the exact score of the training set, on the grid of the
        curves; the error is that of the diffused samples alone.
    support : float
        Share of the trees of resampled training sets in which the same two groups are merged.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    time: Time
    large_time: Time
    covariance: Covariance
    measured: Time
    support: float

    def as_dict(self) -> dict[str, object]:
        """Return everything by name."""
        times = {name: getattr(self, name).as_dict() for name in ("time", "large_time", "measured")}
        return {
            "first": list(self.first),
            "second": list(self.second),
            **times,
            "covariance": self.covariance.as_dict(),
            "support": self.support,
        }


@dataclass(frozen=True)
class SpeciationTree:
    """When diffusion parts more than two classes, one split after the other.

    Attributes
    ----------
    classes : tuple of str
        Their names.
    splits : tuple of Split
        In the order of merging: the last one is the first on the way back, in which all classes take part.
    trees : int
        Resampled training sets behind each support.
    """

    classes: tuple[str, ...]
    splits: tuple[Split, ...]
    trees: int

    @property
    def root(self) -> Split:
        """The split of all classes."""
        return self.splits[-1]

    def below(self, group: tuple[str, ...]) -> Split | None:
        """Return the split of a group of classes; None for a single one."""
        return next((split for split in self.splits if set(split.first + split.second) == set(group)), None)

    def as_dict(self) -> dict[str, object]:
        """Return everything by name."""
        return {
            "classes": list(self.classes),
            "splits": [split.as_dict() for split in self.splits],
            "trees": self.trees,
        }


def merges(
    moments: ClassMoments, s: float, guesses: dict[Pair, float] | None = None
) -> tuple[list[Pair], dict[Pair, float]]:
    """Pairs of groups in the order of merging, and the speciation times of all pairs that were compared.

    A pair that never parts is merged before all others.

    Parameters
    ----------
    moments : ClassMoments
    s : float
        Noise scale.
    guesses : dict, optional
        Times of pairs to start the search at.
    """
    groups: list[Group] = [(k,) for k in range(len(moments.shares))]
    known, order, near = {}, [], guesses or {}
    while len(groups) > 1:
        for pair in combinations(groups, 2):
            if pair not in known:
                guess = near.get(pair, np.nan)
                start = None if np.isnan(guess) else guess
                known[pair] = TwoGaussians.of(moments, *pair, s).speciation(start)
        last = min(combinations(groups, 2), key=lambda pair: np.nan_to_num(known[pair], nan=0.0))
        order.append(last)
        groups = sorted([group for group in groups if group not in last] + [tuple(sorted(last[0] + last[1]))])
    return order, known


def speciation_tree(forward: ForwardProcess, classes: Classes, *, seed: int = 0) -> SpeciationTree:
    """Tree of speciation times of three or more classes, from their means and covariances alone.

    :func:`~undiffuse.physics.critical_times` gives the same tree with the measured time of each split.

    Parameters
    ----------
    forward : ForwardProcess
    classes : Classes
        The training set.
    seed : int
        Of the bootstrap behind errors and supports.

    Raises
    ------
    UserError
        If there are two classes, or two of them have the same moments.

    Examples
    --------
    Cats and dogs lie close to one another, stars far away:

    >>> import numpy as np, undiffuse as ud
    >>> from undiffuse.physics import Classes, speciation_tree
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(200, 1e-3, 0.05))
    >>> labels = np.arange(3000) % 3
    >>> x = np.random.default_rng(0).standard_normal((3000, 2)) + np.array([[3, 3], [3, -3], [-9, 0]])[labels]
    >>> tree = speciation_tree(forward, Classes(x, labels, ("cat", "dog", "star")))
    >>> for split in tree.splits:
    ...     print(split.first, split.second, round(split.time.tau, 1))
    ('cat',) ('dog',) 1.1
    ('cat', 'dog') ('star',) 1.8
    """
    kinds = len(np.unique(classes.labels))
    require(kinds > 2, f"{kinds} classes: wanted at least three, for speciation times to follow one another")
    weights = Resampling.of(len(classes.x), 1, kinds, seed).points
    return grown(forward, ResampledGaussians.of(classes, weights))


def grown(
    forward: ForwardProcess,
    gaussians: ResampledGaussians,
    own: Floats | None = None,
    times: Sequence[int] = (),
    values: Sequence[ClassValues] = (),
) -> SpeciationTree:
    """Tree of the classes' Gaussians, with what diffused samples say of each split.

    Parameters
    ----------
    forward : ForwardProcess
    gaussians : ResampledGaussians
        Their Gaussians, and those of resampled training sets.
    own : (n, K), optional
        Classes of diffused samples, rows of zeros and a one; without them nothing is measured.
    times : sequence of int
    values : sequence of ClassValues
        What the same samples say at each of the times.
    """
    s, training = forward.noise_scale, gaussians.training
    kinds = np.unique(training.labels)
    order, known = merges(gaussians.plain, s)
    count = min(max(_FEWEST_TREES, _TREES // len(kinds)), len(gaussians.replicas))
    others = [set(merges(m, s, known)[0]) for m in gaussians.replicas[:count]]
    splits = []
    for pair in order:
        resampled = ResampledPair.of(forward, gaussians, *pair)
        first, second = (tuple(training.name(int(kinds[k])) for k in group) for group in pair)
        splits.append(
            Split(
                first,
                second,
                time=resampled.crossing(TwoGaussians.ratio, known[pair])[0],
                large_time=resampled.large_time()[0],
                covariance=covariance_criterion(forward, _two_groups(training, *(kinds[list(g)] for g in pair))),
                measured=NEVER if own is None else _measured(forward, own, times, values, pair),
                support=float(np.mean([pair in tree for tree in others])),
            )
        )
    return SpeciationTree(tuple(training.name(int(k)) for k in kinds), tuple(splits), count)


def _two_groups(training: Classes, first: Floats, second: Floats) -> Classes:
    """Samples of two groups of classes, with labels 0 and 1."""
    inside = np.isin(training.labels, np.concatenate([first, second]))
    return Classes(training.x[inside], np.isin(training.labels[inside], second).astype(int))


def _measured(
    forward: ForwardProcess,
    own: Floats,
    times: Sequence[int],
    values: Sequence[ClassValues],
    pair: Pair,
) -> Time:
    """Speciation by free entropy of two groups, from the posterior probabilities of their classes."""
    groups = [list(group) for group in pair]
    mine = np.stack([own[:, group].sum(axis=1) for group in groups], axis=1)
    inside = mine.sum(axis=1) > 0
    mine = mine[inside]
    if mine.sum(axis=0).min() < _LEAST:
        return NEVER
    points = []
    for at in values:
        shares = np.stack([at.shares[inside][:, group].sum(axis=1) for group in groups], axis=1)
        points.append(over_spread_and_stderr(log_odds(shares, mine) - log_odds(mine.mean(axis=0)[None], mine)))
    return Curve.of(forward, times, points).crossing(1.0, forward)
