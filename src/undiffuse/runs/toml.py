"""TOML of configurations, read with a one-line answer to whatever is wrong with it."""

from __future__ import annotations

import tomllib
from typing import Any

from undiffuse.support.errors import UserError, shown

Table = dict[str, Any]  # what TOML calls one


def parse(content: str | bytes, where: str) -> Table:
    """Read settings from TOML, as text or as it lies in a file; ``where`` names it in errors.

    Raises
    ------
    UserError
        If it is not UTF-8 text, or not TOML.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")  # a byte order mark is no fault
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1 if isinstance(content, bytes) else 1
        raise UserError(f"{where} is not valid TOML: it is not UTF-8 text (byte {error.start}, line {line})") from None
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UserError(f"{where} is not valid TOML: it is nested too deeply") from None
    except ValueError as error:  # of the format, or a number of too many digits
        raise UserError(f"{where} is not valid TOML: {error}") from None


def apply_change(settings: Table, change: str) -> None:
    """Replace one of the settings, named as in ``section.key=value``; a value that is no TOML is text.

    Raises
    ------
    UserError
        If it is not of that form.
    """
    key, equals, value = change.partition("=")
    if not equals:
        raise UserError(f"--set {shown(change)}: wanted section.key=value, such as training.epochs=5")
    try:
        parsed = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        parsed = value
    except (ValueError, RecursionError):
        raise UserError(f"--set {shown(change)}: the number is too long, or the value nested too deeply") from None
    *path, last = key.strip().split(".")
    for name in path:
        settings = settings.setdefault(name, {})
        if not isinstance(settings, dict):
            raise UserError(f"--set {shown(change)}: {name!r} is a value, not a section")
    settings[last] = parsed
