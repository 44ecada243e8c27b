"""Tables of numbers in text: CSV and TSV, with or without a header, read one row at a time."""

from __future__ import annotations

import csv
import io
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, require, shown, unknown
from undiffuse.support.files import trouble
from undiffuse.support.memory import check_memory

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_DELIMITERS = {".csv": ",;\t", ".tsv": "\t"}  # by ending; of several, the one that the first line has most of
_LOOKED_AT = 1 << 16  # bytes from which the size in memory is estimated
_COPIES = 3  # times that the numbers stand in memory: as read, in the model's units, and shuffled
_NAMED = 6  # columns that a message names


@dataclass(frozen=True)
class Table:
    """A table of numbers.

    Attributes
    ----------
    values : (n, columns)
        NaN where a value is missing.
    names : tuple of str
        Of the columns, or of that of the labels where it was read alone; empty without a header.
    labels : list of str, optional
        The column of labels, as it stands in the file.
    """

    values: Floats
    names: tuple[str, ...]
    labels: list[str] | None = None


def read_table(path: Path, without: Sequence[str] = (), labels: str | None = None, alone: bool = False) -> Table:
    """Read a CSV or TSV file.

    The first row is a header if it holds text, and the row after it numbers in that place. An empty cell, ``NA``,
    ``nan``, ``null``, ``none`` and ``?`` are missing values.

    Parameters
    ----------
    path : Path
    without : sequence of str
        Columns to leave out, by name or by number from 1.
    labels : str, optional
        Column of labels, which may be text.
    alone : bool
        Read the labels alone.

    Raises
    ------
    UserError
        If it is missing, too large for the memory, not text, ragged, holds text or infinity in a column of numbers, or
        has no such column.
    FailedJobError
        If the disk is broken.
    """
    try:
        _check_size(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = _delimiter(path, file.readline())
            file.seek(0)
            return _parsed(_Rows(path, csv.reader(file, delimiter=delimiter, strict=True)), without, labels, alone)
    except OSError as error:
        raise trouble(f"cannot read {str(path)!r}", error) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{str(path)!r} is not UTF-8 text: byte {error.object[error.start]:#x} in it") from None


def table_bytes(values: Floats, names: Sequence[str], whole: Sequence[int] = ()) -> bytes:
    """Content of the CSV file of a table; :func:`read_table` reads the same numbers from it.

    Parameters
    ----------
    values : (n, columns)
    names : sequence of str
        Of the columns.
    whole : sequence of int
        Columns whose numbers are whole, which are written without a point.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    columns = [list(map(int, column)) if i in set(whole) else column for i, column in enumerate(values.T.tolist())]
    writer.writerows(zip(*columns, strict=True))
    return buffer.getvalue().encode()


def place_of(name: str, names: Sequence[str], count: int, what: str) -> int:
    """Index of a column given by its name, or by its number from 1.

    Parameters
    ----------
    name : str
    names : sequence of str
        Of all columns; may be empty.
    count : int
        Number of columns.
    what : str
        What the columns are of, for the message.

    Raises
    ------
    UserError
        If there is none.
    """
    if name in names:
        return list(names).index(name)
    if name.isdecimal() and 1 <= int(name) <= count:
        return int(name) - 1
    if names:
        raise unknown(f"column of {what}", name, names)
    raise UserError(f"{what} has no column {shown(name)}: its {count} columns have no names, give a number from 1")


def listed(names: Sequence[str], show: Callable[[str], str] = shown) -> str:
    """List the first few of some names, in quotes unless they are to be shown in another way."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(show(name) for name in names[:_NAMED]) + more


class _Rows:
    """Rows of a file that are not blank, with the line each ends in."""

    def __init__(self, path: Path, reader: Iterator[list[str]]) -> None:
        self.name = repr(str(path))
        self._reader = reader
        self._ahead: list[list[str]] = []

    @property
    def line(self) -> int:
        return int(self._reader.line_num)  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[list[str]]:
        while self._ahead:
            yield self._ahead.pop(0)
        try:
            for row in self._reader:
                if row:
                    yield row
        except csv.Error as error:
            raise UserError(f"{self.name}, line {self.line}: {error}") from None

    def look_ahead(self, count: int) -> list[list[str]]:
        for _, row in zip(range(count), iter(self), strict=False):
            self._ahead.append(row)
        return list(self._ahead)


def _check_size(path: Path) -> None:
    """Refuse a file whose numbers would not fit in memory, from its size and its first rows."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    cells = sum(start.count(mark) for mark in (b",", b";", b"\t", b"\n")) + 1
    check_memory(round(_COPIES * 8 * cells * size / max(1, len(start))), f"{str(path)!r} of {size} bytes")


def _delimiter(path: Path, line: str) -> str:
    choices = _DELIMITERS.get(path.suffix.lower(), ",;\t")
    return max(choices, key=line.count)


def _parsed(rows: _Rows, without: Sequence[str], labels: str | None, alone: bool) -> Table:
    first = rows.look_ahead(2)
    require(first, f"{rows.name} is empty")
    header = _is_header(first)
    names = tuple(name.strip().removeprefix("# ") for name in next(iter(rows))) if header else ()
    count, what = len(first[0]), rows.name
    label = None if labels is None else place_of(labels, names, count, what)
    out = {label, *(place_of(name, names, count, what) for name in without)}
    kept = [] if alone else [i for i in range(count) if i not in out]
    require(kept or alone, f"{what} has no column beside the labels and those left out")
    numbers, found, read = array("d"), [], 0
    for read, row in enumerate(rows, start=1):
        if len(row) != count:
            raise UserError(f"{what}, line {rows.line}: {len(row)} values, wanted {count} as in the first row")
        cells = [row[i] for i in kept]
        try:
            numbers.extend(map(_as_float, cells))
        except ValueError:
            del numbers[(read - 1) * len(kept) :]
            numbers.extend(_values(cells, [_called(i, names) for i in kept], rows))
        if label is not None:
            found.append(row[label].strip())
    require(read, f"{what} holds a header and no row")
    values = np.array(numbers).reshape(read, len(kept))
    _refuse_infinite(values, [_called(i, names) for i in kept], what)
    named = [label] if alone and label is not None else kept
    return Table(values, tuple(names[i] for i in named) if names else (), None if label is None else found)


def _called(column: int, names: Sequence[str]) -> str:
    return names[column] if names and names[column] else f"column {column + 1}"


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row holds names: text alone, or text where the second row holds a number."""
    text = [not _is_number(cell) for cell in rows[0]]
    if all(text) or len(rows) < 2:
        return all(text) and any(cell.strip().lower() not in MISSING for cell in rows[0])
    return any(
        is_text and cell.strip() and _is_number(below) for is_text, cell, below in zip(text, *rows, strict=False)
    )


def _as_float(cell: str) -> float:
    if "_" in cell:  # which Python allows in numbers
        raise ValueError(cell)
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(_as_float(cell))
    except ValueError:
        return False


def _values(cells: Sequence[str], called: Sequence[str], rows: _Rows) -> Iterator[float]:
    """Numbers of a row that holds something else: a missing value, or text."""
    missing = [cell.strip().lower() in MISSING for cell in cells]
    text = [i for i, cell in enumerate(cells) if not missing[i] and not _is_number(cell)]
    if text:
        several = len(text) > 1
        raise UserError(
            f"{rows.name}, line {rows.line}: column{'s' if several else ''} {listed([called[i] for i in text])} "
            f"hold{'' if several else 's'} text ({shown(cells[text[0]])}), wanted numbers: leave "
            f"{'them' if several else 'it'} out with --without, or encode {'them' if several else 'it'} as numbers"
        )
    return (math.nan if gone else float(cell) for gone, cell in zip(missing, cells, strict=True))


def _refuse_infinite(values: Floats, called: Sequence[str], what: str) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise UserError(f"{what}: column {shown(called[column])} holds infinity, first in row {row + 1}")
