"""The bar that notebooks show, in a kernel of their own."""

import nbformat
import pytest
from nbclient import NotebookClient

import undiffuse as ud
from undiffuse.support.progress import in_notebook

FIT = """
import undiffuse as ud

small = ["diffusion.T=10", "diffusion.schedule=cosine", "network.hidden=16", "training.epochs=20"]
model = ud.fit(ud.datasets.spiral(400), "spiral-2pi", small, execution=ud.Execution(workers=1{more}))
"""
STOPPED = """
from undiffuse.support.progress import progress

with progress("<walking>", "stages") as update:
    update(3, 12)
    raise KeyboardInterrupt
"""


@pytest.fixture(scope="module")
def outputs():
    """Outputs of each cell, with nothing on standard error."""
    cells = [FIT.format(more=""), FIT.format(more=", notebook_bar=False"), STOPPED]
    cells += ["model", "model.schedule.plot()"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(book, allow_errors=True, timeout=600).execute()
    return [cell.outputs for cell in book.cells]


def test_a_training_leaves_one_line_in_the_place_of_its_bar(outputs):
    (shown,) = outputs[0]
    assert shown.data["text/plain"].startswith("training: done in")
    assert shown.data["text/plain"].endswith("200 of 200 passes")
    assert shown.data["text/html"] == f"<div>{shown.data['text/plain']}</div>"


def test_the_bar_is_off_where_that_is_asked_for(outputs):
    assert outputs[1] == []


def test_a_job_that_is_stopped_says_how_far_it_came(outputs):
    shown, error = outputs[2]
    assert shown.data["text/plain"] == "<walking>: stopped after 0 s, 3 of 12 stages"
    assert "&lt;walking&gt;" in shown.data["text/html"]
    assert error.ename == "KeyboardInterrupt"


def test_a_model_alone_in_a_cell_shows_its_page_and_a_plot_its_picture(outputs):
    assert "Diffusion: spiral-2pi" in outputs[3][0].data["text/html"]
    assert "image/png" in outputs[4][0].data


def test_outside_a_notebook_nothing_is_shown(capsys):
    assert not in_notebook()
    small = ["diffusion.T=4", "diffusion.schedule=cosine", "network.hidden=16", "training.epochs=20"]
    ud.fit(ud.datasets.spiral(400), "spiral-2pi", small, execution=ud.Execution(workers=1))
    assert capsys.readouterr() == ("", "")
