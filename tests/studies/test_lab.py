import base64
import json
import re
import shutil

import numpy as np
import pytest

import undiffuse as ud
from helpers import answer, complaint
from undiffuse.cli import main
from undiffuse.studies.lab import player
from undiffuse.studies.open_run import OpenRun


def page_of(capsys, run, path, *words):
    found = answer(capsys, "lab", run, "--out", path, *words)
    return found, path.read_text()


def part(page, name):
    return re.search(rf'<script type="[a-z/]+" id="{name}">(.*?)</script>', page, re.DOTALL)[1]


def numbers(page, name, kind):
    return np.frombuffer(base64.b64decode(part(page, name)), kind)


def test_the_page_holds_every_network_of_a_small_bank(capsys, tiny_run_path, tmp_path):
    found, page = page_of(capsys, tiny_run_path, tmp_path / "lab.html")
    assert (found["T"], found["steps"], found["hidden"], found["points"], found["of"]) == (12, 12, 20, 400, 400)
    assert found["bytes"] == (tmp_path / "lab.html").stat().st_size
    units = numbers(page, "units", "<f2").reshape(12, 20, 5)
    net = ud.Diffusion.load(tiny_run_path).bank[7]
    expected = np.column_stack([net.W, net.b_h, net.A.T]).astype(np.float16)
    np.testing.assert_array_equal(units[6], expected)


def test_the_training_points_are_those_of_the_run(capsys, tiny_run_path, tmp_path):
    _, page = page_of(capsys, tiny_run_path, tmp_path / "lab.html", "--points", 50)
    points = numbers(page, "points", "<f4").reshape(-1, 2)
    data = ud.datasets.load(ud.Diffusion.load(tiny_run_path).config).train.astype(np.float32)
    assert len(points) == 50
    assert all((data == point).all(axis=1).any() for point in points)
    np.testing.assert_array_equal(points[[0, -1]], data[[0, -1]])


def test_fewer_steps_keep_the_times_that_a_sampler_of_as_many_steps_visits(capsys, tiny_run_path, tmp_path):
    _, page = page_of(capsys, tiny_run_path, tmp_path / "lab.html", "--steps", 5)
    schedule = ud.Diffusion.load(tiny_run_path).schedule
    assert json.loads(part(page, "about"))["times"] == schedule.spaced_times(5)[::-1].tolist()


def test_the_page_asks_the_network_for_nothing(capsys, tiny_run_path, tmp_path):
    _, page = page_of(capsys, tiny_run_path, tmp_path / "lab.html")
    assert re.findall(r"""(?:src|href)=(?!"data:)\S+|https?://|@import|fetch\(|import\(""", page) == []


def test_the_same_run_gives_the_same_page(capsys, tiny_run_path, tmp_path):
    pages = [page_of(capsys, tiny_run_path, tmp_path / name)[1] for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


@pytest.fixture
def own_run(capsys, tmp_path, monkeypatch, rng):
    """A run on a table of two columns, in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    rows = rng.standard_normal((200, 2)) * [2.0, 30.0] + [100.0, 5.0]
    np.savetxt("mine.csv", rows, delimiter=",", header="width,height", comments="")
    small = ["diffusion.T=6", "training.epochs=1", "network.hidden=8"]
    assert main(["train", "mine.csv", "--out", "run", *[w for s in small for w in ("--set", s)]]) == 0
    capsys.readouterr()
    return rows


def test_axes_are_in_the_units_of_the_users_columns(capsys, own_run, tmp_path):
    _, page = page_of(capsys, "run", tmp_path / "lab.html")
    axes = json.loads(part(page, "about"))["axes"]
    assert [axis["name"] for axis in axes] == ["width", "height"]
    points = numbers(page, "points", "<f4").reshape(-1, 2)
    back = points * [axis["scale"] for axis in axes] + [axis["centre"] for axis in axes]
    nearest = np.abs(back[:, None] - own_run[None]).max(axis=2).min(axis=1)
    assert nearest.max() < 1e-4


def test_a_run_whose_data_have_changed_is_refused(capsys, own_run, tmp_path):
    np.savetxt("mine.csv", own_run + 1, delimiter=",", header="width,height", comments="")
    assert "other data" in complaint(capsys, "lab", "run", "--out", tmp_path / "lab.html")
    assert not (tmp_path / "lab.html").exists()


def test_critical_times_of_an_analysis_are_marked(capsys, tiny_run_path, tmp_path):
    run = shutil.copytree(tiny_run_path, tmp_path / "run")
    answer(capsys, "analyse", run, "--points", 8, "-n", 50)
    analysed = json.loads((run / "analysis" / "summary.json").read_text())
    every = {"covariance": analysed["covariance"]["time"], **analysed["times"], **analysed["bank_times"]}
    found, page = page_of(capsys, run, tmp_path / "lab.html")
    assert found["critical_times"] == {name: time["t"] for name, time in every.items() if time["t"] is not None} != {}
    assert json.loads(part(page, "about"))["critical"] == found["critical_times"]


def test_a_damaged_analysis_is_named(capsys, tiny_run_path, tmp_path):
    run = shutil.copytree(tiny_run_path, tmp_path / "run")
    (run / "analysis").mkdir()
    (run / "analysis" / "summary.json").write_text('{"times": 3}')
    assert "writes it again" in complaint(capsys, "lab", run, "--out", tmp_path / "lab.html")
    assert not (tmp_path / "lab.html").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nowhere"], "nowhere"),
        (["RUN", "--out", "lab.pdf"], "ends in .html"),
        (["RUN", "--out", "there.html"], "--overwrite"),
        (["RUN", "--particles", "0"], "wanted 1..10,000"),
        (["RUN", "--points", "5000"], "wanted 1..2,000"),
        (["RUN", "--steps", "13"], "13 steps do not fit"),
        (["RUN", "--seed", "-1"], "seed = -1"),
    ],
)
def test_mistakes_are_answered_in_a_line(capsys, tmp_path, monkeypatch, tiny_run_path, words, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.html").write_text("mine")
    runs = {"RUN": str(tiny_run_path)}
    assert named in complaint(capsys, "lab", *(runs.get(word, word) for word in words))
    assert [path.name for path in tmp_path.iterdir()] == ["there.html"]


def test_an_unfinished_run_is_refused(capsys, tiny_run_path, tmp_path):
    run = shutil.copytree(tiny_run_path, tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["blocks"][-1].update(state="pending", file=None, sha256=None)
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert str(run) in complaint(capsys, "lab", run, "--out", tmp_path / "lab.html")
    assert not (tmp_path / "lab.html").exists()


def test_a_report_goes_without_the_page_where_something_is_in_its_way(tiny_run_path, tmp_path):
    run = shutil.copytree(tiny_run_path, tmp_path / "run")
    (run / "analysis").mkdir()
    (run / "analysis" / "summary.json").write_text("no JSON")
    with pytest.warns(UserWarning, match="writes it again"):
        assert player(OpenRun.of(run)) is None
