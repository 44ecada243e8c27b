"""Anyone's data instead of a preset: read, with settings chosen from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from undiffuse import datasets
from undiffuse.datasets import Dataset, FileData
from undiffuse.datasets.sources import is_data
from undiffuse.recipes import Budget, Recipe, Wishes, choose
from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config
from undiffuse.runs.folder import RunFolder
from undiffuse.studies.options import OwnOptions
from undiffuse.support.errors import UserError, require
from undiffuse.support.files import check_output, write_file
from undiffuse.training import Execution


def named(preset: str) -> bool:
    """Whether what stands in the place of a preset names data."""
    return preset not in configuration.presets() and is_data(preset)


def recipe(path: str, options: OwnOptions, changes: tuple[str, ...], seed: int | None, execution: Execution) -> Recipe:
    """Read data and choose the settings of a run on them; write them down where that is asked for.

    Parameters
    ----------
    path : str
        File or folder.
    options : OwnOptions
    changes : tuple of str
        ``section.key=value`` settings, which stand.
    seed : int, optional
        0 by default.
    execution : Execution

    Raises
    ------
    UserError
        If the data cannot be read or are too few, a setting is wrong, or the preset cannot be written.
    """
    if options.save_preset is not None:
        check_output(options.save_preset, False, ".toml")
    budget = Budget() if options.minutes is None else Budget(options.minutes)
    wishes = Wishes(changes, budget, None, seed or 0, Path(path).name)
    section = _section(path, options, wishes.given().get("data", {}))
    chosen = choose(section.read(), section, wishes, execution)
    if options.save_preset is not None:
        write_file(options.save_preset, chosen.to_toml().encode())
    return chosen


def resumed(
    path: str, options: OwnOptions, changes: tuple[str, ...], seed: int | None, run: Path
) -> tuple[Config, Dataset]:
    """Settings and data of a run that was begun on data of one's own: those it has, since speed would choose others.

    Parameters
    ----------
    path : str
        File or folder.
    options : OwnOptions
        Those that the run was begun with may be repeated.
    changes : tuple of str
        None are taken.
    seed : int, optional
        That of the run, if any.
    run : path

    Raises
    ------
    UserError
        If the run is of other data, or anything that it has is to be changed.
    """
    config = RunFolder.open(run).config
    data = config.data
    if not isinstance(data, FileData) or Path(data.path) != Path(path).absolute():
        raise UserError(f"{run} was trained on other data than {path!r}: give another --out")
    goes_on = "--resume goes on with the settings that the run has"
    require(not changes, f"{goes_on}: leave --set out")
    require(options.save_preset is None, f"{goes_on}, in {run / 'config.toml'}: leave --save-preset out")
    if options.minutes is not None:
        Budget(options.minutes)  # refuses what no training may take; how long this one takes was chosen when it began
    asked = _section(path, options, {})
    wished = {name: (getattr(asked, name), getattr(data, name)) for name in _asked(options)}
    if seed is not None:
        wished["seed"] = seed, config.seed
    wished.pop("without", None)
    for name, (wish, has) in wished.items():
        require(wish == has, f"--{name} {wish!r}: {goes_on}, {has!r}; leave it out, or give another --out")
    # Columns that only count rows were left out besides, and a column may be given by its number.
    named = {name for name in asked.without if not name.isdigit()}
    require(named <= set(data.without), f"--without {', '.join(named)}: {goes_on}; leave it out, or give another --out")
    return config, datasets.load(config)


def _section(path: str, options: OwnOptions, given: Any) -> FileData:
    settings = {
        "name": "file",
        "path": str(Path(path).absolute()),
        "held_out": 1,
        **_asked(options),
        **(given if isinstance(given, dict) else {}),
    }
    section = datasets.section_of(settings)
    if not isinstance(section, FileData):
        raise UserError(f"data.name = {section.name!r}: {path!r} is a file, which is read as 'file'")
    return section


def _asked(options: OwnOptions) -> dict[str, Any]:
    """What is asked of the data, by the name that it has in their section."""
    labels = options.labels
    if labels is not None and os.path.isfile(labels):
        labels = str(Path(labels).absolute())
    asked = {"labels": labels, "classes": options.classes, "without": options.without, "missing": options.missing}
    return {key: value for key, value in asked.items() if value}
