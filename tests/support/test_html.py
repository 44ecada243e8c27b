"""What notebooks show is escaped, small, and asks nothing of the network."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import undiffuse as ud
from undiffuse.metrics import Comparison
from undiffuse.support import html
from undiffuse.support.results import Result


class Reader(HTMLParser):
    """Collects tags, text and addresses, and complains of what is closed and was not open."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.addresses, self.said = set(), [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:  # polyline closes itself
            self.open.pop()

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_data(self, data):
        self.said.append(data)

    @property
    def text(self):
        return "".join(self.said)


KNOWN = {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "svg", "polyline", "img", "details", "summary"}
words = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=40)


@given(words, words, words)
def test_whatever_is_in_a_name_is_text_and_never_a_tag(title, name, value):
    page = html.card(
        title, {name: value}, html.record({name: value, "part": {name: {value: 1}}}), html.curve([1.0], title)
    )
    read = Reader(page)
    assert read.tags <= KNOWN
    assert read.open == []
    assert title in read.text
    assert value in read.text


def test_a_script_in_a_label_is_not_run():
    page = html.card("<script>alert(1)</script>", {"a": "<img src=http://x>"}, html.table(["<b>"], [["</table>"]]))
    assert "<script" not in page
    assert Reader(page).addresses == []


def test_a_result_shows_every_number_that_json_prints():
    @dataclass(frozen=True)
    class Part(Result):
        """A part."""

        level: float
        place: int

    @dataclass(frozen=True)
    class Whole(Result):
        """Two parts and a number. And more."""

        seconds: float
        parts: tuple[Part, ...]
        named: dict[str, float]

    page = Whole(1.25, (Part(0.5, 17), Part(-3.0, 23)), {"first_one": 8.75})._repr_html_()
    read = Reader(page)
    for number in ("1.25", "0.5", "17", "-3", "23", "8.75"):
        assert number in read.said
    assert "first one" in read.said


def test_a_bound_and_a_comparison_show_their_numbers():
    bound = ud.Bound(prior=0.125, per_t=np.array([0.5, 0.25]), decoder=1.0, stderr=0.0625, kind="gaussian", dim=2)
    assert {"1.875", "0.0625", "gaussian"} <= set(Reader(bound._repr_html_()).said)
    compared = Comparison.of(np.array([0.30, 0.34]), floors=np.array([0.20, 0.20]))
    assert {"0.32", "0.2", "1.6"} <= set(Reader(compared._repr_html_()).said)


def test_a_long_list_is_told_by_its_length_and_range():
    assert html.text([float(k) for k in range(7)]) == "7 numbers, 0 to 6"
    assert html.text([1, 2]) == "1, 2"


def test_rows_beyond_thirty_are_counted():
    assert "and 12 rows more" in html.table(["k"], [[k] for k in range(42)])


@given(st.lists(st.floats(), max_size=600))
def test_a_curve_stays_inside_its_picture_whatever_the_numbers(values):
    page = html.curve(values, "numbers")
    points = re.search(r'points="([^"]*)"', page)
    pairs = [tuple(map(float, pair.split(","))) for pair in points[1].split()] if points else []
    assert all(0 <= x <= 240 and 0 <= y <= 48 for x, y in pairs)
    assert len(pairs) <= 300


def test_a_picture_is_in_the_page_itself():
    class Dot:
        def _repr_png_(self):
            return b"\x89PNG"

    (address,) = Reader(html.picture(Dot(), 'a "dot"')).addresses
    assert address == "data:image/png;base64,iVBORw=="


@pytest.mark.parametrize("study", ["langevin", "doctor"])
def test_the_result_of_a_study_shows_itself_without_the_network(study):
    import importlib

    module = importlib.import_module(f"undiffuse.studies.{study}")
    result = module.run(module.Settings())
    read = Reader(result._repr_html_())
    assert read.tags <= KNOWN
    assert len(read.addresses) == len(result.drawn())
    assert all(address.startswith("data:image/png;base64,") for address in read.addresses)
    assert (
        str(result.as_dict().get("walkers", result.as_dict()["plus" if study == "langevin" else "cores"])) in read.said
    )
