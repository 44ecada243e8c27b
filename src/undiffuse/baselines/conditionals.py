"""Exact conditional laws of simple models of the training data: what filling in can be held against."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.stats import covariance, exp_rows

_LEFT_OUT = 500  # training samples by which a width is chosen
_WIDTHS = np.geomspace(1e-2, 1, 17)  # of kernels, in units of the data's spread
_RIDGES = np.geomspace(1e-3, 1, 7)  # standard deviations of added noise, in the same units


class Fillings(NamedTuple):
    """One draw of each row from a conditional law.

    Attributes
    ----------
    x : (n, dim)
        With what is known as it was.
    width : float
        Standard deviation of the kernel or of the noise, in units of the data.
    """

    x: Floats
    width: float


def by_training_set(train: Floats, x0: Floats, destroyed: NDArray[np.bool_], rng: np.random.Generator) -> Fillings:
    """Draw what is destroyed from the training samples, each with the probability that it has given what is known.

    ``P(a | y) ~ exp(-|y - x^a_K|^2/(2 h^2))``: the conditional law of the empirical distribution, seen through a
    Gaussian kernel. Its width h is the one under which training samples that are left out are most probable in the
    variables that are known (Parzen's estimate with one left out).

    Parameters
    ----------
    train : (m, dim)
    x0 : (n, dim)
    destroyed : (dim,) of bool
    rng : numpy.random.Generator

    Raises
    ------
    UserError
        If there are fewer than three training samples.
    """
    require(len(train) >= 3, f"{len(train)} training samples: wanted at least 3")
    known = train[:, ~destroyed]
    spread = float(np.sqrt(known.var(axis=0).mean())) or 1.0
    left = rng.permutation(len(train))[:_LEFT_OUT]
    away = _squares(known[left], known)
    away[np.arange(len(left)), left] = np.inf
    widths = spread * _WIDTHS
    fits = [_parzen(away, h, known.shape[1]) for h in widths]
    width = float(widths[int(np.argmax(fits))])
    weights = -_squares(x0[:, ~destroyed], known) / (2 * width**2)
    _, total = exp_rows(weights)
    points = _drawn(weights / total[:, None], rng)
    return Fillings(np.where(destroyed, train[points], x0), width)


def by_class_gaussians(
    train: Floats, labels: NDArray[np.int64], x0: Floats, destroyed: NDArray[np.bool_], rng: np.random.Generator
) -> Fillings:
    """Draw what is destroyed from a Gaussian for each class: first the class given what is known, then the rest.

    Each has mean and covariance of its training samples, plus noise of one variance for all, the one under which a
    tenth of the training samples, left out, are most probable.

    Parameters
    ----------
    train : (m, dim)
    labels : (m,)
    x0 : (n, dim)
    destroyed : (dim,) of bool
    rng : numpy.random.Generator

    Raises
    ------
    UserError
        If a class has fewer than three training samples.
    """
    classes, counts = np.unique(labels, return_counts=True)
    require(counts.min() >= 3, f"class {classes[counts.argmin()]} has {counts.min()} training samples: wanted 3")
    order = rng.permutation(len(train))
    left, kept = order[: max(1, len(train) // 10)][:_LEFT_OUT], order[max(1, len(train) // 10) :]
    spread = float(np.sqrt(train.var(axis=0).mean())) or 1.0
    ridges = spread * _RIDGES
    fits = np.zeros(len(ridges))
    for c in classes:
        own = train[kept][labels[kept] == c]
        values, axes = np.linalg.eigh(covariance(own))
        away = ((train[left][labels[left] == c] - own.mean(axis=0)) @ axes) ** 2
        for k, ridge in enumerate(ridges):
            total = np.maximum(values, 0) + ridge**2
            fits[k] -= 0.5 * np.sum(away / total + np.log(total))
    width = float(ridges[int(np.argmax(fits))])
    y, logs, draws = x0[:, ~destroyed], [], []
    for c, count in zip(classes, counts, strict=True):
        own = train[labels == c]
        mean, whole = own.mean(axis=0), covariance(own) + width**2 * np.eye(train.shape[1])
        seen, across = whole[np.ix_(~destroyed, ~destroyed)], whole[np.ix_(destroyed, ~destroyed)]
        factor = cho_factor(seen, lower=True)
        residual = y - mean[~destroyed]
        solved = cho_solve(factor, residual.T)
        log_determinant = 2 * float(np.log(np.diag(factor[0])).sum())
        logs.append(np.log(count) - 0.5 * (np.sum(residual.T * solved, axis=0) + log_determinant))
        # Without the added noise in what is filled in, which is no part of the data.
        rest = whole[np.ix_(destroyed, destroyed)] - across @ cho_solve(factor, across.T)
        values, axes = np.linalg.eigh(rest - width**2 * np.eye(len(rest)))
        noise = rng.standard_normal((len(y), len(rest))) * np.sqrt(np.maximum(values, 0))
        draws.append(mean[destroyed] + (across @ solved).T + noise @ axes.T)
    weights = np.stack(logs, axis=1)
    _, total = exp_rows(weights)
    chosen = _drawn(weights / total[:, None], rng)
    out = x0.copy()
    out[:, destroyed] = np.stack(draws, axis=1)[np.arange(len(x0)), chosen]
    return Fillings(out, width)


def _squares(x: Floats, y: Floats) -> Floats:
    """Squared distances, ``(n, m)``."""
    return np.maximum(np.sum(x**2, axis=1)[:, None] - 2 * x @ y.T + np.sum(y**2, axis=1), 0)


def _parzen(squares: Floats, width: float, dim: int) -> float:
    """Mean log density under kernels of a width, up to what does not depend on it."""
    top, total = exp_rows(-squares / (2 * width**2))
    return float(np.mean(top + np.log(total)) - dim * np.log(width))


def _drawn(probabilities: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    """One index of each row, by its probabilities."""
    cumulative = np.cumsum(probabilities, axis=1)
    found = np.sum(cumulative < rng.random(len(cumulative))[:, None] * cumulative[:, -1:], axis=1)
    return np.minimum(found, probabilities.shape[1] - 1)
