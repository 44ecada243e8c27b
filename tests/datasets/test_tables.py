"""CSV and TSV tables."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import undiffuse as ud
from undiffuse.datasets import tables
from undiffuse.datasets.tables import read_table, table_bytes
from undiffuse.support import memory

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "N", "Z"]), min_size=1, max_size=8)


def written(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.integers(1, 4)),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.data(),
)
def test_what_is_written_is_read_again_bit_for_bit(tmp_path_factory, x, data):
    words = NAMES.filter(lambda name: name.lower() not in {*tables.MISSING, "infinity", "inf"})
    names = data.draw(st.lists(words, min_size=x.shape[1], max_size=x.shape[1]))
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(table_bytes(x, names))
    table = read_table(path)
    assert np.array_equal(table.values, x)
    assert list(table.names) == [name.strip().removeprefix("# ") for name in names]


def test_numpy_reads_the_same_numbers(tmp_path, rng):
    x = rng.normal(size=(50, 3))
    path = tmp_path / "t.csv"
    np.savetxt(path, x, delimiter=",", header="a,b,c")
    table = read_table(path)
    assert np.array_equal(table.values, np.genfromtxt(path, delimiter=","))
    assert table.names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "name", "names", "values"),
    [
        ("1,2\n3,4\n", "t.csv", (), [[1, 2], [3, 4]]),
        ("a,b\n3,4\n", "t.csv", ("a", "b"), [[3, 4]]),
        ("\ufeffa,b\r\n3,4\r\n", "t.csv", ("a", "b"), [[3, 4]]),
        ("a\tb\n3\t4\n", "t.tsv", ("a", "b"), [[3, 4]]),
        ("a;b\n3;4\n", "t.csv", ("a", "b"), [[3, 4]]),
        ('"a, wide","b ""c"""\n"3",4\n', "t.csv", ("a, wide", 'b "c"'), [[3, 4]]),
        ("2019,2020,x\n3,4,5\n", "t.csv", ("2019", "2020", "x"), [[3, 4, 5]]),
        ("x\n\n3\n\n4\n", "t.csv", ("x",), [[3], [4]]),
        ("5\n", "t.csv", (), [[5]]),
    ],
)
def test_headers_delimiters_quotes_and_marks(tmp_path, text, name, names, values):
    table = read_table(written(tmp_path, text, name))
    assert table.names == names
    assert table.values.tolist() == values


def test_missing_values_of_every_spelling_are_nan(tmp_path):
    table = read_table(written(tmp_path, "a,b\n,1\nNA,1\nnan,1\nNULL,1\n?,1\n2,1\n"))
    assert np.isnan(table.values[:, 0]).tolist() == [True] * 5 + [False]


def test_a_column_of_labels_may_be_text(tmp_path):
    table = read_table(written(tmp_path, "a,kind\n1,cat\n2,dog\n"), labels="kind")
    assert (table.values.tolist(), table.names, table.labels) == ([[1], [2]], ("a",), ["cat", "dog"])


def test_columns_are_left_out_by_name_or_number(tmp_path):
    path = written(tmp_path, "id,a,b\nx,1,2\ny,3,4\n")
    assert read_table(path, without=("id",)).values.tolist() == [[1, 2], [3, 4]]
    assert read_table(path, without=("1", "b")).values.tolist() == [[1], [3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "holds a header and no row"),
        ("a,b\n1,2\n3\n", "line 3: 1 values, wanted 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3: 3 values, wanted 2"),
        ("a,b\n1,2\n3,oak\n", r"line 3: column 'b' holds text \('oak'\).*--without"),
        ("a,b,c\n1,2,3\nx,2,y\n", "line 3: columns 'a', 'c' hold text"),
        ("1,2\n1,oak\n", "line 2: column 'column 2' holds text"),
        ("a\n1\n1_000\n", "holds text"),
        ("a\n1\ninf\n", "column 'a' holds infinity, first in row 2"),
        ('a\n1\n"2\n', "line 3: unexpected end of data"),
    ],
)
def test_bad_tables_are_answered_in_one_line(tmp_path, text, message):
    with pytest.raises(ud.UserError, match=message) as found:
        read_table(written(tmp_path, text))
    assert "\n" not in str(found.value)


def test_text_of_another_encoding_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("größe\n1\n".encode("latin-1"))
    with pytest.raises(ud.UserError, match="is not UTF-8 text: byte 0xf6"):
        read_table(path)


def test_a_column_that_is_not_there_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(ud.UserError, match="did you mean 'weight'"):
        read_table(written(tmp_path, "age,weight\n1,2\n"), without=("wieght",))


def test_a_table_larger_than_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    with path.open("wb") as file:
        file.write(b"1,2\n" * 1_000)
        file.truncate(1 << 36)  # 64 GB of which 4 kB are there
    monkeypatch.setattr(csv, "reader", lambda *_, **__: pytest.fail("it was read"))
    monkeypatch.setattr(memory, "total_memory", lambda: 1 << 33)
    with pytest.raises(ud.UserError, match="takes .* of memory, this machine has"):
        read_table(path)


def test_whole_columns_are_written_without_a_point():
    text = table_bytes(np.array([[1.0, 0.5], [2.0, 1.0]]), ["k", "x"], whole=[0]).decode()
    assert list(csv.reader(io.StringIO(text))) == [["k", "x"], ["1", "0.5"], ["2", "1.0"]]
