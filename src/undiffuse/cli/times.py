"""Tables of critical times."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np

from undiffuse.cli.answers import measured
from undiffuse.cli.drawing import can_show
from undiffuse.cli.tables import Part, Table
from undiffuse.physics.crossings import Time
from undiffuse.physics.transitions import NAMES, CriticalTimes
from undiffuse.physics.trees import SpeciationTree

_LINES = {True: ("├ ", "└ ", "│ ", "  "), False: ("|-", "`-", "| ", "  ")}  # by whether they can be shown


def times_table(found: CriticalTimes, more: Mapping[str, Time] | None = None) -> list[Part]:
    """Tables of critical times, each with its criterion and errors, ``more`` last, and of predictions."""
    covariance = found.covariance
    missing = "" if covariance.applies else f": {covariance.why_not}"
    agreement = found.agreement()
    rows = []
    for name, time in {"covariance": covariance.time, **found.times, **(more or {})}.items():
        parts = (time.stderr_starts, time.stderr_training, time.stderr_interpolation)
        errors = ["" if np.isnan(part) else f"{part:.4f}" for part in parts]
        rows.append([NAMES[name], *_time(time), *errors, _percent(agreement.get(name))])
    differences = found.against_theory()
    theories = [
        [theory.name, *_time(theory.time), NAMES[theory.of], _percent(differences.get(name))]
        for name, theory in found.predictions.items()
    ]
    return [
        f"largest variance {covariance.eigenvalue:.4g} +- {covariance.eigenvalue_stderr:.2g}; "
        f"overlap of its axis with the class means {covariance.overlap:.3f}{missing}",
        Table(
            ["criterion", "OU time", "step t", "error: samples", "training set", "interpolation", "against covariance"],
            rows,
        ),
        f"cloning and U-turns are read at {found.level:.4f}: {found.level_assumes}",
        Table(
            ["theory, from the classes of the training set", "OU time", "step t", "for", "measured against it"],
            theories,
        ),
        *([] if found.tree is None else tree_table(found.tree)),
        *found.notes,
    ]


def tree_table(tree: SpeciationTree) -> list[Part]:
    """A tree of successive speciation times: each split, and below it the groups that part there."""
    first, last, on, over = _LINES[can_show("├└│", sys.stdout.encoding)]
    rows: list[list[str]] = []

    def add(group: tuple[str, ...], lead: str, below: str) -> None:
        split = tree.below(group)
        if split is None:
            rows.append([lead + group[0], *[""] * 6])
            return
        words = f"{' '.join(split.first)} | {' '.join(split.second)}"
        covariance, measure = split.covariance, split.measured
        rows.append(
            [
                lead + words,
                *_time(split.time),
                _time(measure)[0],
                _time(covariance.time)[0],
                f"{covariance.overlap:.3f}{'' if covariance.applies else ' *'}",
                f"{100 * split.support:.0f} %",
            ]
        )
        add(split.first, below + first, below + on)
        add(split.second, below + last, below + over)

    add(tree.classes, "", "")
    head = ["groups that part", "OU time", "step t", "measured", "covariance", "overlap", "in resampled trees"]
    open_ends = any(not split.covariance.applies for split in tree.splits)
    return [
        "successive speciation, the first on the way back at the top; times of Gaussians with the groups' moments, "
        "measured under the exact score of the training set",
        Table(head, rows),
        *(["* the axis of the largest variance is not that between the groups"] if open_ends else []),
    ]


def _percent(difference: tuple[float, float] | None) -> str:
    return "{:+.1f} +- {:.1f} %".format(*(100 * value for value in difference)) if difference else ""


def _time(time: Time) -> list[str]:
    if np.isnan(time.tau):
        return ["none", ""]
    return [measured(time.tau, time.stderr, 4), "past T" if np.isnan(time.t) else f"{time.t:.1f}"]
