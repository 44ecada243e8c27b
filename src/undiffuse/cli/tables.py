"""Tables, aligned by rich: as wide as the terminal allows, and plain where the output is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

_GAP = 2  # blanks between columns
_NARROWEST = 24  # characters of a column of words
_UNBOUNDED = 100_000  # columns of what is no terminal


@dataclass(frozen=True)
class Table:
    """Rows under a head; numbers stand to the right, words to the left.

    Attributes
    ----------
    head : sequence of str
        Not shown where all are empty.
    rows : sequence of sequence of str
    words : sequence of int
        Indices of the columns that hold words. A terminal that is too narrow wraps those but the first; where that
        does not help, each row becomes a list.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int] = (0,)

    def lines(self) -> list[str]:
        """Lines of the table, for the standard output."""
        console, table = stdout_console(), self._table()
        if console.is_terminal:
            from rich.measure import Measurement

            free = console.options.update(width=_UNBOUNDED)  # a measure is no larger than the width it is given
            if Measurement.get(console, free, table).minimum > console.width:
                return self._records(console)
        with console.capture() as captured:
            console.print(table)
        return [line.rstrip() for line in captured.get().splitlines()]

    def _table(self) -> RichTable:
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(
            box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold", show_header=any(self.head)
        )
        for k, name in enumerate(self.head):
            words = k in self.words
            longest = max((len(str(row[k])) for row in self.rows), default=0)
            table.add_column(
                Text(name),
                justify="left" if words else "right",
                no_wrap=k == 0 or not words,
                min_width=min(longest, _NARROWEST) if words and k else max(longest, len(name)),
                overflow="fold",
            )
        for row in self.rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        return table

    def _records(self, console: Console) -> list[str]:
        """Each row as a list: its first cell, and below it every other with its head."""
        from textwrap import wrap

        lines = []
        for row in self.rows:
            first, *others = map(str, row)
            lines.append(first)
            for name, cell in zip(self.head[1:], others, strict=True):
                if cell:
                    text = f"{name}: {cell}" if name else cell
                    lines += wrap(text, max(20, console.width), initial_indent="  ", subsequent_indent="    ")
        return lines


class Block(Protocol):
    """Several lines, made when it is known where they are printed."""

    def lines(self) -> list[str]:
        """Lines for the standard output."""
        ...


Part = str | Block


def stdout_console() -> Console:
    """Return the console of standard output, which has no width where it is no terminal."""
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = _UNBOUNDED
    return console
