"""The user's units and the model's: one object that takes rows from the first to the second and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, FiniteFloat, model_validator

from undiffuse.support.arrays import Floats, as_samples
from undiffuse.support.errors import UserError, require
from undiffuse.support.settings import Section

_LARGEST_WHOLE = 2.0**53  # above it not every whole number is a float
_Numbers = Annotated[tuple[FiniteFloat, ...], Field(strict=False)]


class Units(Section):
    """Units of the user's columns: ``model = (user - centre)/scale``, column by column.

    A column of scale 0 is constant: the model does not know of it, and its value is put back. Whole columns come back
    rounded, within the range that the data have. A single centre and scale are those of every column, as of pixels.

    Attributes
    ----------
    names : tuple of str
        Of the columns; empty where they have none.
    centre, scale : tuple of float
        Of each column, or one of all.
    whole : tuple of int
        Columns that hold whole numbers, counted from 0; with one scale of all, ``(0,)`` is all of them.
    low, high : tuple of float
        Least and greatest value of each of these.

    Examples
    --------
    >>> import numpy as np
    >>> from undiffuse.datasets import Units
    >>> x = np.array([[1.0, 20.0, 7.0], [3.0, 40.5, 7.0]])
    >>> units = Units.standard(x, ["age", "weight", "legs"])
    >>> units.to_model(x).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    >>> units.to_user([[0.4, 0.0]]).tolist()
    [[2.0, 30.25, 7.0]]
    """

    names: Annotated[tuple[str, ...], Field(strict=False)] = ()
    centre: Annotated[_Numbers, Field(min_length=1)]
    scale: Annotated[_Numbers, Field(min_length=1)]
    whole: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False)] = ()
    low: _Numbers = ()
    high: _Numbers = ()

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        columns = len(self.scale)
        if len(self.centre) != columns or (self.names and columns > 1 and len(self.names) != columns):
            raise ValueError("centre, scale and names want one value for each column")
        if min(self.scale) < 0 or max(self.scale) == 0:
            raise ValueError("scale: wanted no negative number, and one above 0")
        if any(column >= columns for column in self.whole) or not len(self.whole) == len(self.low) == len(self.high):
            raise ValueError("whole, low and high want one value for each column of whole numbers")
        return self

    @classmethod
    def standard(cls, x: Floats, names: Sequence[str] = ()) -> Units:
        """Mean 0 and variance 1 of each column that is not constant.

        Parameters
        ----------
        x : (n, columns)
        names : sequence of str
            Of the columns.

        Raises
        ------
        UserError
            If every column is constant, or one holds numbers too large to be squared.
        """
        low, high = x.min(axis=0), x.max(axis=0)
        varies = high > low
        require(varies.any(), f"all {x.shape[1]} columns are constant: there is nothing to learn")
        with np.errstate(over="ignore", invalid="ignore"):
            centre, scale = x.mean(axis=0), x.std(axis=0)
        far = np.flatnonzero(~(np.isfinite(centre) & np.isfinite(scale)))
        if far.size:
            largest = np.abs(x[:, far[0]]).max()
            raise UserError(
                f"column {far[0] + 1} holds numbers up to {largest:.3g}, whose squares are infinite: "
                "divide it by a power of ten"
            )
        whole = np.flatnonzero(whole_columns(x))
        return cls(
            names=tuple(names),
            # The mean of equal numbers may differ from them by a rounding.
            centre=tuple(np.where(varies, centre, low).tolist()),
            scale=tuple(np.where(varies, scale, 0.0).tolist()),
            whole=tuple(whole.tolist()),
            low=tuple(low[whole].tolist()),
            high=tuple(high[whole].tolist()),
        )

    @classmethod
    def pixels(cls, low: float, high: float, whole: bool) -> Units:
        """Pixels of the range ``low..high`` become numbers between 0 and 1.

        Parameters
        ----------
        low, high : float
        whole : bool
            Whether they come back rounded.
        """
        ends = {"whole": (0,), "low": (low,), "high": (high,)} if whole else {}
        return cls(centre=(low,), scale=(high - low,), **ends)  # type: ignore[arg-type]

    @property
    def alike(self) -> bool:
        """Whether one centre and scale are those of every column."""
        return len(self.scale) == 1

    @property
    def varying(self) -> NDArray[np.bool_]:
        """Columns that the model knows of, ``(columns,)``; with one scale of all, ``(1,)``."""
        return np.array(self.scale) > 0

    def to_model(self, x: ArrayLike) -> Floats:
        """Take rows ``(n, columns)`` in the user's units to the model's, ``(n, dim)``, without the constant columns.

        Raises
        ------
        UserError
            If they are not finite, or there is another number of columns.
        """
        given = as_samples(x, None if self.alike else len(self.scale))
        centred = (given - np.array(self.centre)) / np.where(self.varying, self.scale, 1.0)
        return centred if self.alike else np.ascontiguousarray(centred[:, self.varying])

    def to_user(self, x: ArrayLike) -> Floats:
        """Take rows ``(n, dim)`` in the model's units to the user's, ``(n, columns)``.

        Raises
        ------
        UserError
            If they are not finite, or there is another number of variables.
        """
        given = as_samples(x, None if self.alike else int(self.varying.sum()))
        if self.alike:
            rows = given * self.scale[0] + self.centre[0]
            return np.clip(np.rint(rows), self.low[0], self.high[0]) + 0.0 if self.whole else rows
        rows = np.tile(np.array(self.centre), (len(given), 1))
        rows[:, self.varying] += given * np.array(self.scale)[self.varying]
        whole = list(self.whole)
        rows[:, whole] = np.clip(np.rint(rows[:, whole]), self.low, self.high) + 0.0  # no -0
        return rows

    def known_to_model(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Entries of a mask ``(columns,)`` or ``(n, columns)`` that belong to the columns the model knows of."""
        return mask if self.alike else mask[..., self.varying]

    def count(self, dim: int) -> int:
        """Number of the user's columns; ``dim`` is the model's."""
        return dim if self.alike else len(self.scale)

    def whole_of(self, dim: int) -> list[int]:
        """Columns of whole numbers, each by itself; ``dim`` is the model's."""
        return [*range(dim)] if self.alike and self.whole else list(self.whole)

    def columns(self, dim: int) -> list[str]:
        """Names of the user's columns, made up as ``x1, x2, ...`` where they have none; ``dim`` is the model's."""
        return list(self.names) or made_up(self.count(dim))


def made_up(count: int) -> list[str]:
    """Names for columns that have none: ``x1, x2, ...``."""
    return [f"x{i}" for i in range(1, count + 1)]


def whole_columns(x: Floats) -> NDArray[np.bool_]:
    """Say which columns of ``(n, columns)`` hold whole numbers only."""
    return np.asarray((x == np.rint(x)).all(axis=0) & (np.abs(x).max(axis=0) < _LARGEST_WHOLE))
