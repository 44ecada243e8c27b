"""What a notebook shows of an object: HTML of tables, small curves and pictures.

Everything is escaped and stands in the page itself, with no script and no request. Colours are the page's own, so the
same text is read on light and on dark.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from math import isfinite
from numbers import Number
from typing import Any, Protocol

_ROWS, _COLUMNS = 30, 12  # of a table; what is beyond is counted
_LONGEST, _LISTED = 160, 5  # characters of a cell, and numbers of a list that is written out
_WIDTH, _HEIGHT = 240, 48  # pixels of a curve
_LINE = "1px solid rgba(128,128,128,.35)"
_CELL = f"text-align:left;padding:.15em .8em .15em 0;border-bottom:{_LINE};vertical-align:top"
_NUMBER = f"{_CELL};text-align:right;font-variant-numeric:tabular-nums"


class Picture(Protocol):
    """What can show itself as a PNG file; the package's figures can."""

    def _repr_png_(self) -> bytes: ...


class Described(Protocol):
    """What tells everything of itself by name."""

    def as_dict(self) -> Mapping[str, Any]:
        """Return everything by name, in plain Python types."""
        ...


def card(title: str, facts: Mapping[str, object], *parts: str) -> str:
    """Box with a title, a table of named facts, and further parts in HTML."""
    inside = "".join([f"<div><b>{escape(title)}</b></div>", table((), [*facts.items()]) if facts else "", *parts])
    return f'<div style="max-width:60em;overflow-x:auto;font-size:small">{inside}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows under a head; none is shown where it is empty. What is beyond thirty rows is counted."""
    right = [all(_numeric(row[k]) for row in rows) for k in range(len(head))]
    names = "".join(
        f'<th style="{_NUMBER if numeric else _CELL};font-weight:normal;opacity:.7">{escape(name)}</th>'
        for name, numeric in zip(head, right, strict=True)
    )
    body = "".join(f"<tr>{''.join(_cell(value, bool(head)) for value in row)}</tr>" for row in rows[:_ROWS])
    more = f"<div>and {len(rows) - _ROWS} rows more</div>" if len(rows) > _ROWS else ""
    top = f"<thead><tr>{names}</tr></thead>" if head else ""
    return f'<table style="border-collapse:collapse;margin:.3em 0">{top}<tbody>{body}</tbody></table>{more}'


def curve(values: Sequence[float], what: str) -> str:
    """Line through the finite values at even steps, from their lowest to their highest, with its name in words."""
    values = [value for value in values if isfinite(value)]
    if not values:
        return ""
    low, high = min(values), max(values)
    step, rise = (_WIDTH - 2) / max(len(values) - 1, 1), (_HEIGHT - 4) / ((high - low) or 1.0)
    skip = max(1, len(values) // _WIDTH)  # a point for each pixel is enough
    points = " ".join(
        f"{1 + i * step:.0f},{_HEIGHT - 2 - (values[i] - low) * rise:.1f}" for i in range(0, len(values), skip)
    )
    line = f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.4"/>'
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    drawn = f'<svg {size} role="img" aria-label="{escape(what)}">{line}</svg>'
    return f'<div>{drawn}<div style="opacity:.7">{escape(what)}</div></div>'


def picture(figure: Picture, what: str) -> str:
    """Embed a figure, on white whatever the page is, with its name in words."""
    source = f"data:image/png;base64,{b64encode(figure._repr_png_()).decode('ascii')}"
    style = "max-width:100%;background:#fff;border-radius:4px;display:block;margin:.4em 0"
    return f'<img src="{source}" alt="{escape(what)}" style="{style}">'


def described(thing: Described, *parts: str) -> str:
    """Show what an object's ``as_dict`` holds under the first line of its class's documentation, and further parts."""
    title = (type(thing).__doc__ or type(thing).__name__).splitlines()[0]
    return card(title, {}, record(thing.as_dict()), *parts)


def record(values: Mapping[str, Any]) -> str:
    """Everything in a dictionary of plain values: facts first, then a table for each part that has parts of its own.

    A mapping of mappings and a list of mappings become rows; long lists of numbers are told by their length and range.
    """
    facts = {name: value for name, value in values.items() if value not in (None, (), [], {}) and not _has_parts(value)}
    parts = [table((), [(_words(name), value) for name, value in facts.items()])] if facts else []
    for name, value in values.items():
        if _has_parts(value):
            parts.append(_folded(_words(name), _part(value)))
    return "".join(parts)


def _has_parts(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _part(value: Any) -> str:
    """A mapping or a list of mappings, as a table where its entries are mappings, else as a record."""
    named = isinstance(value, Mapping)
    rows = [*value.values()] if named else [*value]
    if not all(isinstance(row, Mapping) for row in rows):
        return record(value)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    deeper = [key for key in keys if any(_has_parts(row.get(key)) for row in rows)]
    head = [key for key in keys if key not in deeper][:_COLUMNS]
    flat = [[row.get(key, "") for key in head] for row in rows]
    if named:
        flat = [[_words(str(key)), *row] for key, row in zip(value, flat, strict=True)]
    left_out = [key for key in keys if key not in head]
    more = f"<div>in as_dict() as well: {escape(', '.join(left_out))}</div>" if left_out else ""
    return table([*([""] if named else []), *map(_words, head)], flat) + more


def _folded(name: str, inside: str) -> str:
    return f"<details open><summary>{escape(name)}</summary>{inside}</details>"


def _cell(value: object, aligned: bool) -> str:
    """One cell; in a column that is ``aligned`` numbers stand to the right."""
    style = _NUMBER if aligned and _numeric(value) else _CELL
    return f'<td style="{style}">{escape(text(value))}</td>'


def _numeric(value: object) -> bool:
    return isinstance(value, Number) and not isinstance(value, bool)


def _words(name: str) -> str:
    return name.replace("_", " ")


def text(value: Any) -> str:
    """A value in a few characters: four digits of a number, the length and range of a long list of numbers."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return _short(", ".join(f"{_words(str(key))} {text(each)}" for key, each in value.items()))
    if isinstance(value, (list, tuple)):
        numbers = [each for each in value if isinstance(each, (int, float)) and not isinstance(each, bool)]
        if len(numbers) == len(value) > _LISTED:
            return f"{len(numbers)} numbers, {text(min(numbers))} to {text(max(numbers))}"
        if len(value) > _LISTED and all(isinstance(each, (list, tuple)) for each in value):
            return f"{len(value)} lists"
        return _short(", ".join(map(text, value)))
    return _short(str(value))


def _short(words: str) -> str:
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 4]} ..."
