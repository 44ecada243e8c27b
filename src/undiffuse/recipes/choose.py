"""Choose every setting of a run from what its data are: how many, of how many variables, of what scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from undiffuse import datasets
from undiffuse.datasets import RowData, Rows, Units, whole_columns
from undiffuse.datasets.tables import listed
from undiffuse.recipes import bases
from undiffuse.recipes.budget import within
from undiffuse.recipes.choice import Choice, Draft, Recipe
from undiffuse.runs import config as configuration
from undiffuse.runs.toml import Table, apply_change
from undiffuse.support.errors import require
from undiffuse.training import Execution
from undiffuse.training.plan import PassCost

MINUTES = 1.0
_FEWEST = 10  # rows
_FEW = 20  # rows for each variable, below which little more than a Gaussian can be learned
_DEGREES = 100  # variables that many correlated ones, as pixels are, count for at most
_SHARE, _LEAST, _MOST = 0.1, 5, 2_000  # of the rows held out


@dataclass(frozen=True)
class Budget:
    """Time that training may take, where settings are chosen; in the place of a preset in :func:`undiffuse.fit`.

    Attributes
    ----------
    minutes : float
    """

    minutes: float = MINUTES

    def __post_init__(self) -> None:
        require(0 < self.minutes < 1e6, f"minutes = {self.minutes}: wanted a positive number")


@dataclass(frozen=True)
class Wishes:
    """What the user has said beside the data.

    Attributes
    ----------
    changes : sequence of str
        ``section.key=value`` settings, which stand.
    budget : Budget
    held_out : float or None
        Share of the rows that are not trained on.
    seed : int
    name : str
        Of the configuration.
    """

    changes: Sequence[str] = ()
    budget: Budget = Budget()
    held_out: float | None = None
    seed: int = 0
    name: str = "own data"

    def __post_init__(self) -> None:
        share = self.held_out
        require(share is None or 0 < share < 1, f"held_out = {share}: wanted a share between 0 and 1")

    def given(self) -> Table:
        """Return the changes as settings by section."""
        settings: Table = {}
        for change in self.changes:
            apply_change(settings, change)
        return settings


def choose(rows: Rows, section: RowData, wishes: Wishes, execution: Execution) -> Recipe:
    """Choose a configuration for rows in the user's units.

    Parameters
    ----------
    rows : Rows
        Without missing values.
    section : RowData
        That reads them again; its units, its order and the number held out are chosen here.
    wishes : Wishes
    execution : Execution
        Where training will run: passes are timed there.

    Raises
    ------
    UserError
        If there are too few rows, nothing varies, or a setting given is wrong.
    """
    require(
        len(rows.x) >= _FEWEST,
        f"{len(rows.x)} row{'' if len(rows.x) == 1 else 's'} of data: wanted at least {_FEWEST}, and better hundreds",
    )
    notes: list[str] = []
    rows, section = _without_counters(rows, section, notes)
    draft = Draft(wishes.given())
    units = _units(rows, draft)
    notes += _remarks(rows, units)
    held_out, why = _held_out(len(rows.x), wishes.held_out)
    held_out = draft.choose("data.held_out", held_out, why)
    draft.choose("data.shuffled", True, "files are often sorted, and held-out rows should be like the others")
    trained = len(rows.x) - held_out if isinstance(held_out, int) else len(rows.x)
    dim = rows.x.shape[1] if units.alike else int(units.varying.sum())
    shape = bases.Shape(max(1, trained), dim, rows.shape is not None)
    _remark_few(shape, notes)
    bases.fill(draft, shape, units.to_model(rows.x))
    data_settings = {**section.model_dump(), **draft.settings.pop("data"), "units": units}
    described = f"{len(rows.x)} rows in {rows.x.shape[1]} column{'s' if rows.x.shape[1] > 1 else ''}"
    if rows.shape is not None:
        described = f"{len(rows.x)} images of {rows.shape[0]} x {rows.shape[1]} pixels"
    top = {key: value for key, value in draft.given.items() if not isinstance(value, Mapping) and key != "data"}
    settings = {
        "name": wishes.name,
        "description": f"{described}, settings chosen from them",
        "seed": wishes.seed,
        **_with_given(draft),
        **top,
        "data": datasets.section_of(data_settings),
    }
    config = configuration.validate(settings, "the settings chosen, with those given")
    data = datasets.load(config, rows)
    kept = frozenset({"epochs", "warm_epochs"} & set(draft.given.get("training", {})))
    choices = draft.choices
    costs: tuple[PassCost, ...] = ()
    if "epochs" not in kept:
        spent = within(config, data, wishes.budget.minutes, execution, kept)
        config, costs = spent.config, spent.costs
        choices = [*choices, Choice("training.epochs", str(config.training.epochs), spent.how)]
        if config.training.warm_epochs is not None:
            warm = f"of a network that starts from its neighbour's, {config.training.epochs} for one that does not"
            choices.append(Choice("training.warm_epochs", str(config.training.warm_epochs), warm))
    return Recipe(config, data, tuple(choices), tuple(notes), costs)


def _with_given(draft: Draft) -> dict[str, Any]:
    """Settings by section, with those given that nothing was chosen for."""
    whole = dict(draft.settings)
    for section, values in draft.given.items():
        if isinstance(values, Mapping) and section != "data":
            whole[section] = {**whole.get(section, {}), **values}
    return whole


def _without_counters(rows: Rows, section: RowData, notes: list[str]) -> tuple[Rows, RowData]:
    """Leave out a column that only counts the rows, as tables often begin with one."""
    if rows.shape is not None or rows.x.shape[1] < 2 or not isinstance(section, datasets.FileData):
        return rows, section
    steps = np.diff(rows.x[:, 0])
    if rows.x[0, 0] not in (0, 1) or not (steps == 1).all():
        return rows, section
    called = rows.names[0] if rows.names and rows.names[0] else "1"
    notes.append(f"column {called!r} counts the rows: left out")
    section = section.model_copy(update={"without": (*section.without, called)})
    return rows.without([called], "the table"), section


def _units(rows: Rows, draft: Draft) -> Units:
    if rows.shape is not None:
        low, high = (0.0, 255.0) if rows.bytes else (float(rows.x.min()), float(rows.x.max()))
        require(high > low, "every pixel of every image is the same: there is nothing to learn")
        units = Units.pixels(low, high, bool(whole_columns(rows.x).all()))
        draft.choices.append(Choice("data.units", f"({low:g} .. {high:g}) -> (0 .. 1)", "pixels, and back in samples"))
        return units
    units = Units.standard(rows.x, rows.names)
    spread = np.array(units.scale)[units.varying]
    scales = (
        f"{spread.min():.3g}" if spread.max() < 1.01 * spread.min() else f"{spread.min():.3g} to {spread.max():.3g}"
    )
    reason = f"standard deviations are {scales}; samples come back in your units"
    draft.choices.append(Choice("data.units", "mean 0, variance 1 of each column", reason))
    return units


def _remarks(rows: Rows, units: Units) -> list[str]:
    """What is said of constant columns and whole numbers."""
    if units.alike and rows.shape is not None:
        return []
    names = units.columns(rows.x.shape[1])
    constant = [names[i] for i in np.flatnonzero(~units.varying)]
    whole = [names[i] for i in units.whole if units.scale[i] > 0]
    found = []
    if constant:
        found.append(f"constant, not learned and put back in samples: {listed(constant, str)}")
    if whole:
        found.append(f"whole numbers, rounded in samples and kept in the range of the data: {listed(whole, str)}")
    if rows.labels is not None:
        found.append(f"labels {listed(rows.classes, str)} tell classes apart in figures; the model does not learn them")
    return found


def _remark_few(shape: bases.Shape, notes: list[str]) -> None:
    if shape.rows < _FEW * min(shape.dim, _DEGREES):
        notes.append(
            f"{shape.rows} rows to train on in {shape.dim} dimensions are few: expect little more than their mean and "
            "covariance, and copies if training is long"
        )


def _held_out(n: int, share: float | None) -> tuple[int, str]:
    if share is not None:
        return max(1, round(share * n)), "the share asked for"
    count = min(_MOST, max(min(_LEAST, n // 2), round(_SHARE * n)))
    return count, f"{100 * count / n:.0f} % of {n} rows, for the errors and distances"
