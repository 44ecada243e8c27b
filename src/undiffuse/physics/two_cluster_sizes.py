"""What two-cluster networks trained on n points measure, over several training sets, beside the closed forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.two_cluster_network import Generated, Trained
from undiffuse.physics.two_clusters import Solution, TrainingSet
from undiffuse.support.arrays import Floats
from undiffuse.support.results import Result
from undiffuse.support.stats import mean_and_stderr, stderrs, straight_line


@dataclass(frozen=True)
class Size(Result):
    """Banks trained on n points with so many noises each: means over training sets, and standard errors.

    Attributes
    ----------
    n, noises : int
        Training points, and draws of noise for each.
    errors : tuple of float
        ``|mean - mu|^2/dim`` of the generated cluster, of each training set.
    error, error_stderr, error_closed_form : float
        Their mean.
    bayes : float
        The least that any estimate of mu from the n points can expect.
    cosine, cosine_stderr : float
        Of the angle between the generated mean and mu.
    variance, variance_stderr, variance_closed_form : float
        Of the generated cluster in each direction.
    plus, plus_stderr : float
        Share of samples on the side of mu.
    overlap, overlap_stderr, overlap_closed_form : tuple of float
        Cosine of the angle between the learned w and mu, at each time.
    skip, skip_stderr, skip_closed_form : tuple of float
        Learned skip c at each time.
    aligned : tuple of float
        Share of the diffused training points whose hidden unit has the sign of their label, at each time; 1 in theory.
    """

    n: int
    noises: int
    errors: tuple[float, ...]
    error: float
    error_stderr: float
    error_closed_form: float
    bayes: float
    cosine: float
    cosine_stderr: float
    variance: float
    variance_stderr: float
    variance_closed_form: float
    plus: float
    plus_stderr: float
    overlap: tuple[float, ...]
    overlap_stderr: tuple[float, ...]
    overlap_closed_form: tuple[float, ...]
    skip: tuple[float, ...]
    skip_stderr: tuple[float, ...]
    skip_closed_form: tuple[float, ...]
    aligned: tuple[float, ...]

    @staticmethod
    def of(
        solution: Solution, forward: ForwardProcess, measured: Sequence[tuple[Trained, TrainingSet, Generated]]
    ) -> Size:
        """Put together what banks trained on two or more training sets of one size measure."""
        times = range(1, forward.T + 1)
        overlaps = np.array([_overlaps(trained.bank.weights, given.mu) for trained, given, _ in measured])
        skips = np.array([trained.bank.skips for trained, _, _ in measured])
        errors = tuple(generated.error for _, _, generated in measured)
        error, cosine, variance, plus = (
            mean_and_stderr([getattr(generated, name) for _, _, generated in measured])
            for name in ("error", "cosine", "variance", "plus")
        )
        return Size(
            n=solution.n,
            noises=int(solution.noises),
            errors=errors,
            error=error[0],
            error_stderr=error[1],
            error_closed_form=solution.mean_error,
            bayes=solution.bayes_error,
            cosine=cosine[0],
            cosine_stderr=cosine[1],
            variance=variance[0],
            variance_stderr=variance[1],
            variance_closed_form=solution.variance,
            plus=plus[0],
            plus_stderr=plus[1],
            overlap=tuple(overlaps.mean(axis=0).tolist()),
            overlap_stderr=tuple(stderrs(overlaps).tolist()),
            overlap_closed_form=tuple(solution.overlap(forward, t) for t in times),
            skip=tuple(skips.mean(axis=0).tolist()),
            skip_stderr=tuple(stderrs(skips).tolist()),
            skip_closed_form=tuple(solution.skip(forward, t) for t in times),
            aligned=tuple(np.mean([trained.aligned for trained, _, _ in measured], axis=0).tolist()),
        )


@dataclass(frozen=True)
class Rate(Result):
    """How the error of the generated mean falls with n, for one number of noises.

    Attributes
    ----------
    noises : int
    slope, slope_stderr : float, optional
        Of the logarithm of the error against that of n, weighted; where there are two sizes or more.
    slope_closed_form : float, optional
        Of the closed form at the same n with the same weights; -1 for large n.
    ratio, ratio_stderr : float
        Error over its closed form, mean over sizes and training sets.
    """

    noises: int
    ratio: float
    ratio_stderr: float
    slope: float | None = None
    slope_stderr: float | None = None
    slope_closed_form: float | None = None

    @staticmethod
    def of(sizes: Sequence[Size]) -> Rate:
        """Fit sizes that share their number of noises, each with training sets of its own."""
        ratios = [np.array(size.errors) / size.error_closed_form for size in sizes]
        ratio, stderr = mean_and_stderr(np.concatenate(ratios))
        if len(sizes) < 2:
            return Rate(sizes[0].noises, ratio, stderr)
        n, found, exact = (
            np.log([getattr(size, name) for size in sizes]) for name in ("n", "error", "error_closed_form")
        )
        relative = np.array([size.error_stderr / size.error for size in sizes])
        slope, slope_stderr = straight_line(n, found, relative)
        return Rate(sizes[0].noises, ratio, stderr, slope, slope_stderr, straight_line(n, exact, relative)[0])


def _overlaps(weights: Floats, mu: Floats) -> Floats:
    """Cosines of the angles between weights ``(T, k)`` and mu, without the sign that tanh leaves open."""
    return np.asarray(np.abs(weights @ mu) / (np.linalg.norm(weights, axis=1) * np.linalg.norm(mu)))
