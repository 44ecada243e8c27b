"""How a command's result is printed: lines of text, or one JSON object."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from undiffuse.support.results import Result

if TYPE_CHECKING:
    from undiffuse.recipes import Recipe
    from undiffuse.training.plan import Plan

Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object on standard output.")]


def answer(result: Result, json: bool, lines: Sequence[str]) -> None:
    """Print a result."""
    print(json_format.dumps(result.as_dict()) if json else "\n".join(lines))  # noqa: T201


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right, each as wide as it has to be."""
    cells = [[*map(str, row)] for row in (head, *rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(head))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in cells
    ]


def announce(plan: Plan) -> None:
    """Say on standard error, before a training starts, what it will take."""
    print(f"undiffuse: {plan.line()}", file=sys.stderr, flush=True)  # noqa: T201


def explain(recipe: Recipe) -> None:
    """Say on standard error what the data are like, and which settings were chosen for them and why."""
    for line in recipe.lines():
        print(f"undiffuse: {line}", file=sys.stderr, flush=True)  # noqa: T201


def measured(value: float, stderr: float, digits: int = 3) -> str:
    """A number with its standard error."""
    return f"{value:.{digits}f} +- {stderr:.{digits}f}"
