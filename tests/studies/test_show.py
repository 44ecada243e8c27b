import json

import numpy as np
import pytest
from PIL import Image

from helpers import answer, complaint
from undiffuse.cli import main
from undiffuse.studies import show


@pytest.fixture
def judged(capsys, tiny_run_path, tmp_path):
    import shutil

    run = shutil.copytree(tiny_run_path, tmp_path / "judged")
    answer(capsys, "evaluate", run, "--samples", 40, "--replicates", 2)
    return run


def said(capsys, *words):
    assert main([*map(str, words)]) == 0
    return capsys.readouterr().out


def test_a_notebook_shows_the_picture_as_well(tmp_path):
    np.savetxt(tmp_path / "x.csv", np.random.default_rng(0).standard_normal((20, 2)), delimiter=",")
    assert show.run(show.Settings(tmp_path / "x.csv"))._repr_html_().count("data:image/png;base64,") == 1


def test_a_run_shows_data_and_samples_side_by_side(capsys, judged):
    found = answer(capsys, "show", judged)
    assert found["rows"] == {"data": 400, "samples": 80}
    assert found["shown"] == "points of two columns"
    lines = said(capsys, "show", judged).splitlines()
    assert lines[2].split() == ["data", "samples"]


def test_a_run_without_samples_shows_its_errors_and_says_what_makes_them(capsys, tiny_run_path):
    found = answer(capsys, "show", tiny_run_path)
    assert found["next"] == f"undiffuse evaluate {tiny_run_path}"
    assert "log scale" in said(capsys, "show", tiny_run_path)


def test_the_report_to_open_is_named(capsys, judged):
    (judged / "report.html").write_text("page")
    assert answer(capsys, "show", judged)["report"] == str(judged / "report.html")


def test_a_run_of_images_shows_images(capsys, digits_run_path):
    found = answer(capsys, "show", digits_run_path)
    assert found["about"] == "tiny-digits, trained"


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((40,), "a histogram of one column"),
        ((40, 2), "points of two columns"),
        ((40, 5), "the two first principal axes of 5 standardised columns, "),
        ((40, 25), "images of 5 x 5 pixels"),
        ((40, 3, 7), "images of 3 x 7 pixels"),
    ],
)
def test_a_file_is_shown_by_its_shape(capsys, tmp_path, rng, shape, shown):
    np.save(tmp_path / "x.npy", rng.random(shape))
    found = answer(capsys, "show", tmp_path / "x.npy")
    assert found["shown"].startswith(shown)
    assert found["rows"] == {"x.npy": 40}


def test_columns_of_a_table_are_no_pixels(capsys, tmp_path, rng):
    np.savetxt(tmp_path / "x.csv", rng.random((30, 16)), delimiter=",")
    assert "principal axes of 16" in answer(capsys, "show", tmp_path / "x.csv")["shown"]


def test_rows_with_missing_values_are_left_out_and_counted(capsys, tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n" + "1,2\n3,4\n" * 10 + ",5\n")
    assert "1 rows with missing values are not shown" in answer(capsys, "show", tmp_path / "x.csv")["about"]


def test_what_reconstruct_wrote_is_shown_beside_the_originals(capsys, image_run_path, tmp_path):
    out = tmp_path / "r.npz"
    answer(capsys, "reconstruct", image_run_path, "--t", 3, "-n", 4, "--repeats", 2, "--out", out)
    assert answer(capsys, "show", out)["rows"] == {"original": 4, "diffused": 4, "reconstructed": 4}


def test_a_label_column_is_left_out_of_the_picture(capsys, tmp_path):
    (tmp_path / "x.csv").write_text("a,kind\n" + "1,cat\n2,dog\n" * 10)
    found = answer(capsys, "show", tmp_path / "x.csv", "--labels", "kind")
    assert found["about"] == "20 rows of one column (a), 2 classes"


@pytest.mark.parametrize("columns", [1, 2, 5, 16])
def test_out_writes_a_picture_instead(capsys, tmp_path, rng, columns):
    np.save(tmp_path / "x.npy", rng.random((50, columns)))
    path = tmp_path / "x.png"
    assert "⣿" not in said(capsys, "show", tmp_path / "x.npy", "--out", path)
    with Image.open(path) as picture:
        assert picture.width > 300
        assert np.asarray(picture.convert("L")).std() > 5


def test_no_colours_where_they_are_not_wanted(capsys, tmp_path, rng, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    np.save(tmp_path / "x.npy", rng.random((50, 16)))
    assert "\x1b[" not in said(capsys, "show", tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nowhere"], "there is no file or folder 'nowhere'"),
        (["x.txt"], "unknown ending"),
        (["x.csv"], "column 'a' holds text"),
        (["x.npz"], "--key NAME"),
        (["x.npz", "--key", "c"], "did you mean"),
        (["x.npy", "--out", "x.pdf"], "ends in .png"),
        (["x.npy", "--out", "no/x.png"], "no folder"),
        (["RUN", "--key", "x"], "for files of data"),
    ],
)
def test_mistakes_are_answered_in_a_line(capsys, tmp_path, monkeypatch, tiny_run_path, words, named):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones((30, 2)))
    np.savez("x.npz", first=np.ones((30, 2)), cc=np.ones((30, 2)))
    for name, text in {"x.txt": "1", "x.csv": "a\nb\n"}.items():
        (tmp_path / name).write_text(text)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert named in complaint(capsys, "show", *(tiny_run_path if word == "RUN" else word for word in words))
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_preset_that_was_run_is_found_where_runs_are(capsys, tmp_path, monkeypatch, tiny_run_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(tiny_run_path)
    assert "did you mean 'runs/mine'" in complaint(capsys, "show", "mine")


def test_json_holds_no_picture(capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((30, 2)))
    assert main(["show", str(tmp_path / "x.npy"), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"what", "kind", "about", "shown", "rows"}
