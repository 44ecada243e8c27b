import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from undiffuse.cli import tables
from undiffuse.cli.tables import Table

HEAD, ROWS = ["name", "what for", "n"], [["one", "a word or two more than fit", "10"], ["seventeen", "", "2"]]


def shown(monkeypatch, table, width):
    """Lines of a table on a terminal of some width; None is no terminal."""
    if width is not None:
        console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
        monkeypatch.setattr(tables, "stdout_console", lambda: console)
    return table.lines()


def test_what_is_no_terminal_gets_lines_as_wide_as_they_have_to_be(monkeypatch):
    assert shown(monkeypatch, Table(HEAD, ROWS, words=(0, 1)), None) == [
        "name       what for                      n",
        "one        a word or two more than fit  10",
        "seventeen                                2",
    ]


def test_a_narrow_terminal_wraps_words_and_no_numbers(monkeypatch):
    lines = shown(monkeypatch, Table(HEAD, ROWS, words=(0, 1)), 40)
    assert len(lines) == 4
    assert max(map(len, lines)) <= 40
    assert lines[1].endswith("10")


def test_a_terminal_too_narrow_for_a_table_gets_a_list(monkeypatch):
    assert shown(monkeypatch, Table(HEAD, ROWS, words=(0, 1)), 30) == [
        "one",
        "  what for: a word or two more",
        "    than fit",
        "  n: 10",
        "seventeen",
        "  n: 2",
    ]


def test_numbers_are_never_cut(monkeypatch):
    """A column of numbers with blanks in them is as wide as they are, or the table is a list."""
    table = Table(["", "samples", "floor"], [["w2", "0.3560 +- 0.0120", "0.3670 +- 0.0111"]])
    for width in range(30, 60):
        assert "0.3560 +- 0.0120" in "\n".join(shown(monkeypatch, table, width))


@given(st.lists(st.lists(st.text("ab[/]:é", max_size=9), min_size=3, max_size=3), min_size=1, max_size=4))
def test_cells_are_printed_as_they_are(rows):
    """Nothing in them is taken for markup or an emoji, and columns begin where their heads do."""
    lines = Table(["a", "b", "c"], rows, words=(0, 1, 2)).lines()[-len(rows) :]
    for line, row in zip(lines, rows, strict=True):
        assert "".join(line.split()) == "".join("".join(row).split())


@pytest.mark.parametrize("width", [None, 60])
def test_a_table_without_a_head_has_no_line_for_it(monkeypatch, width):
    assert len(shown(monkeypatch, Table(["", ""], [["a", "b"]]), width)) == 1
