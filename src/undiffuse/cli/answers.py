"""How a command's result is printed: lines of text, or one JSON object."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from undiffuse.cli.tables import Part
from undiffuse.support.results import Result

if TYPE_CHECKING:
    from undiffuse.recipes import Recipe
    from undiffuse.support.costs import Cost
    from undiffuse.training.plan import Plan

_WORTH_SAYING = 2.0  # seconds

Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object on standard output.")]


def answer(result: Result, json: bool, lines: Sequence[Part]) -> None:
    """Print a result: its one JSON object, or its lines and tables."""
    if json:
        print(json_format.dumps(result.as_dict()))  # noqa: T201
        return
    for line in lines:
        print(line if isinstance(line, str) else "\n".join(line.lines()))  # noqa: T201


def announce(plan: Plan) -> None:
    """Say on standard error, before a training starts, what it will take."""
    print(f"undiffuse: {plan.line()}", file=sys.stderr, flush=True)  # noqa: T201


def say(cost: Cost) -> None:
    """Say on standard error, before a job starts, what it will take; unless that is next to nothing."""
    if cost.seconds >= _WORTH_SAYING:
        print(f"undiffuse: {cost.line()}", file=sys.stderr, flush=True)  # noqa: T201


def explain(recipe: Recipe) -> None:
    """Say on standard error what the data are like, and which settings were chosen for them and why."""
    for line in recipe.lines():
        print(f"undiffuse: {line}", file=sys.stderr, flush=True)  # noqa: T201


def measured(value: float, stderr: float, digits: int = 3) -> str:
    """A number with its standard error."""
    return f"{value:.{digits}f} +- {stderr:.{digits}f}"


def known(value: float | None, stderr: float | None, digits: int = 3) -> str:
    """A number with its standard error, or a dash where there is none."""
    return "-" if value is None or stderr is None else measured(value, stderr, digits)
