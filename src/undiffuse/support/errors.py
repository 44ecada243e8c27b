"""The one exception that a user's mistake raises, and functions that raise it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

KEPT = "what was trained is kept, and --resume goes on from there"
_LONGEST = 80  # characters of a value in a message


class UserError(ValueError):
    """A mistake in what the user asked for: one clear line, exit code 2 on the command line.

    The message names the value it got, what was wanted, and the nearest valid choice where there is one.
    """


class FailedJobError(RuntimeError):
    """A valid job that failed while it ran: exit code 1 on the command line."""


def unknown(what: str, got: str, choices: Iterable[str]) -> UserError:
    """Build the error for a name that is none of ``choices``, with the nearest ones first."""
    names = list(choices)
    near = difflib.get_close_matches(got[:_LONGEST], names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UserError(f"unknown {what} {shown(got)}{hint} (choices: {', '.join(names)})")


def shown(value: object) -> str:
    """A value as a message shows it: on one line, and no longer than a line should be."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]}... ({len(text)} characters)"


def one_of(what: str, got: str, choices: Iterable[str]) -> str:
    """Return ``got`` if it is one of ``choices``; raise :class:`UserError` otherwise."""
    names = list(choices)
    if got not in names:
        raise unknown(what, got, names)
    return got


def require(condition: Any, message: str) -> None:
    """Raise :class:`UserError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise UserError(message)
