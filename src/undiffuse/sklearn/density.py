"""``DiffusionDensity``: a bank of autoencoders with the interface of scikit-learn's densities."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from undiffuse.diffusion.row_bound import row_bounds
from undiffuse.networks.precise import PreciseBank
from undiffuse.sklearn import keep
from undiffuse.sklearn.cross_fit import cross_fit, reference_of
from undiffuse.sklearn.recipe import recipe
from undiffuse.sklearn.scaling import Scaling
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require

_DRAWS = 16  # of the noise at each time, for the bound


class DiffusionDensity(DensityMixin, BaseEstimator):
    """A density of rows of numbers, learned by a bank of autoencoders, one for each diffusion time.

    Data are standardised inside, and everything that comes out is in the units of the rows that went in. For few rows
    the networks of several folds are put side by side, weighted by what they are worth on rows they have not seen, so
    the result does not fall behind a Gaussian by much where there is nothing more to be learned.

    Parameters
    ----------
    T : int
        Number of diffusion times.
    hidden : int
        Hidden units of each network of a fold.
    epochs : int, optional
        Passes over the rows of the first network of a fold, the others an eighth of it; by default as many as make
        800 steps of the optimiser.
    folds : int
        Networks side by side at each time, at least 2, each trained without a share of the rows.
    whiten : bool
        Train along the principal axes, each at variance one, instead of columns of variance one: better for the
        density where columns are correlated.
    random_state : int, RandomState or None
        Of the training.

    Attributes
    ----------
    model_ : Diffusion
        The bank, in standardised units.
    scaling_ : Scaling
        From the rows' units to those of the model.
    n_features_in_ : int

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from undiffuse.sklearn import DiffusionDensity
    >>> x = load_iris().data
    >>> density = DiffusionDensity(T=10, hidden=16, folds=2, random_state=0).fit(x)
    >>> density.sample(3, random_state=1).shape, density.score_samples(x).shape
    ((3, 4), (150,))

    See Also
    --------
    DiffusionImputer : fills in what is missing.
    undiffuse.fit : the bank alone, with every setting.
    """

    def __init__(
        self,
        T: int = 50,
        hidden: int = 128,
        epochs: int | None = None,
        folds: int = 5,
        whiten: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.T = T
        self.hidden = hidden
        self.epochs = epochs
        self.folds = folds
        self.whiten = whiten
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Train on rows, shape ``(n, dim)``; ``y`` is not used.

        Raises
        ------
        UserError
            If there are fewer than two rows, or a parameter is out of range.
        """
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        require(self.folds >= 2, f"folds = {self.folds}: wanted at least 2")
        folds = min(self.folds, len(x))
        seed = int(check_random_state(self.random_state).randint(2**31))
        config = recipe(len(x) - -(-len(x) // folds), self.T, self.hidden, self.epochs)
        self.scaling_ = Scaling.of(x, self.whiten)
        self.model_ = cross_fit(self.scaling_.enter(x), config, folds, seed)
        return self

    def score_samples(self, X: ArrayLike) -> Floats:
        """Lower bound on the log density of each row, in nats, shape ``(n,)``: minus the variational bound (18).

        The noise is the same for every row and every call, so a row's number depends on the row alone, and two models
        are compared under the same noise. See :func:`undiffuse.diffusion.row_bound.row_bounds`.
        """
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        model = self.model_
        bounds = row_bounds(
            PreciseBank(model.bank), reference_of(model), self.scaling_.enter(x), model.errors[:, 2], draws=_DRAWS
        )
        return self.scaling_.log_volume - bounds

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Mean of :meth:`score_samples`, in nats per row; ``y`` is not used."""
        return float(np.mean(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> Floats:
        """Draw rows from the model, shape ``(n_samples, dim)``, by all T steps of Algorithm 2 (DDPM)."""
        check_is_fitted(self)
        seed = int(check_random_state(random_state).randint(2**31))
        return self.scaling_.leave(self.model_.sample(n_samples, seed=seed))

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the fitted estimator into a folder, as ``estimator.json`` and ``arrays.safetensors``.

        Raises
        ------
        UserError
            If there is an estimator already and ``overwrite`` is false, or the folder cannot be written to.
        """
        check_is_fitted(self)
        kept = keep.Kept.of(self, self.get_params(), (self.model_, self.scaling_))
        return kept.write(folder, overwrite)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what :meth:`save` wrote; nothing is unpickled.

        Raises
        ------
        UserError
            If there is no such estimator there, or a file is damaged.
        """
        kept = keep.Kept.read(folder, cls.__name__)
        out = keep.made(cls, kept.parameters)
        out.model_, out.scaling_ = kept.model, kept.scaling
        kept.name_columns(out)
        return out
