"""The notebooks: kept without outputs, executed at small size, their links lead somewhere."""

import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from helpers import check_links

ROOT = Path(__file__).parents[1]
BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
sys.path.insert(0, str(ROOT / "tools"))
import notebooks as tool  # noqa: E402

each = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)


def cells(path, kind):
    book = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == kind]


def test_there_are_the_six_that_pages_name():
    wanted = ["01-start", "02-thesis", "03-curie-weiss", "04-digits", "05-your-own-data", "06-weights-along-time"]
    assert [path.stem for path in BOOKS] == wanted
    for page in ("README.md", "README.es.md", "docs/index.md", "docs/notebooks.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert [name for name in wanted if f"notebooks/{name}.ipynb" not in text] == [], page


@each
def test_a_notebook_is_kept_without_outputs_and_with_the_links_of_the_repository(path):
    text = path.read_text(encoding="utf-8")
    assert text == tool.kept(text, path.name, tool.address()), "run: python tools/notebooks.py"
    nbformat.validate(nbformat.reads(text, as_version=4))


@each
def test_every_section_asks_a_question_or_says_what_to_see(path):
    """The first section says what it is about, the last one where to go."""
    sections = re.split(r"^## ", "\n".join(cells(path, "markdown")), flags=re.MULTILINE)[1:]
    silent = [section.splitlines()[0] for section in sections if "**Question.**" not in section]
    assert len(silent) <= 1, silent


@each
def test_links_of_a_notebook_lead_somewhere(path):
    check_links(path, "\n".join(cells(path, "markdown")))


@each
def test_a_notebook_runs_from_top_to_bottom_at_small_size(path, tmp_path, monkeypatch):
    """In a kernel of its own and an empty folder, with one thread of linear algebra, and nothing left behind."""
    monkeypatch.setenv("UNDIFFUSE_SMALL", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output for output in shown if "image/png" in output.get("data", {})] != []
    assert [*tmp_path.iterdir()] == []


def test_outputs_counts_and_metadata_are_taken_out():
    book = json.loads(tool.kept(BOOKS[0].read_text(encoding="utf-8"), BOOKS[0].name, None))
    code = next(cell for cell in book["cells"] if cell["cell_type"] == "code")
    before = json.dumps(book)
    code |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}], "execution_count": 7}
    book["metadata"]["widgets"] = {"who": "ran it"}
    assert json.loads(tool.kept(json.dumps(book), BOOKS[0].name, None)) == json.loads(before)


def test_links_follow_the_repository_and_are_written_once():
    text, name = BOOKS[1].read_text(encoding="utf-8"), BOOKS[1].name
    once = tool.kept(text, name, "https://github.com/someone/undiffuse")
    assert tool.kept(once, name, "https://github.com/someone/undiffuse") == once
    links = "".join(json.loads(once)["cells"][1]["source"])
    assert "https://colab.research.google.com/github/someone/undiffuse/blob/main/notebooks/02-thesis.ipynb" in links
    assert "https://mybinder.org/v2/git/https%3A%2F%2Fgithub.com%2Fsomeone%2Fundiffuse/main?labpath=" in links
    assert "Colab" not in tool.links(name, "https://codeberg.org/someone/undiffuse")
    assert tool.kept(once, name, None) == tool.kept(text, name, None)
