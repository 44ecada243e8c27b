"""Anyone's data from file to samples, as on the command line."""

import json

import numpy as np
import pytest

import undiffuse as ud
from helpers import complaint
from undiffuse.cli import main
from undiffuse.datasets.tables import read_table
from undiffuse.runs import config

SMALL = ["--workers", "1", "--set", "diffusion.T=20", "--set", "training.epochs=4", "--set", "training.warm_epochs=2"]
SMALL += ["--set", "network.hidden=8", "--set", "evaluation.replicates=2"]


@pytest.fixture(scope="module")
def table():
    """Rows with a name, an age in whole years, a constant, and a kind."""
    rng = np.random.default_rng(5)
    rows = ["name,age,weight,legs,kind"]
    for i in range(120):
        kind = "cat" if i % 3 else "dog"
        rows.append(f"n{i},{rng.integers(1, 15)},{rng.normal(4 if kind == 'cat' else 20, 1):.3f},4,{kind}")
    return "\n".join(rows) + "\n"


@pytest.fixture(scope="module")
def run_path(table, tmp_path_factory):
    """A finished run on that table, with its report, made in the folder of the table."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "pets.csv").write_text(table)
    options = ["--without", "name", "--labels", "kind", "--save-preset", str(folder / "pets.toml")]
    assert main(["run", str(folder / "pets.csv"), "--out", str(folder / "run"), *options, *SMALL]) == 0
    return folder / "run"


def test_a_table_becomes_a_run_with_figures_and_a_report(run_path):
    assert (run_path / "report.html").is_file()
    assert (run_path / "figures" / "columns.png").is_file()
    units = config.load(run_path / "config.toml").data.units
    assert units.names == ("age", "weight", "legs")
    assert [i for i, scale in enumerate(units.scale) if scale == 0] == [2]


def test_samples_are_a_table_in_the_users_units(run_path, tmp_path, capsys):
    out = tmp_path / "s.csv"
    assert main(["sample", str(run_path), "-n", "50", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dim"] == 3
    samples = read_table(out)
    assert samples.names == ("age", "weight", "legs")
    assert set(samples.values[:, 0]) <= set(map(float, range(1, 15)))
    assert (samples.values[:, 2] == 4).all()
    assert np.array_equal(samples.values, ud.Diffusion.load(run_path).sample(50))


def test_samples_kept_in_the_run_are_in_the_users_units(run_path):
    assert (np.load(run_path / "samples.npy")[:, 2] == 4).all()


def test_samples_that_are_exported_are_in_the_users_units(run_path, tmp_path):
    h5py = pytest.importorskip("h5py")
    out = tmp_path / "bank"
    assert main(["export", str(run_path), "--to", "hdf5", "--samples", "7", "--out", str(out)]) == 0
    with h5py.File(out / "bank.h5") as file:
        exported = file["samples"][()]
    assert np.array_equal(exported, ud.Diffusion.load(run_path).sample(7).astype(np.float32))


def test_the_preset_that_is_saved_makes_the_same_run(run_path, tmp_path):
    again = tmp_path / "again"
    assert main(["train", str(run_path.parent / "pets.toml"), "--out", str(again), "--workers", "1"]) == 0
    one, other = (ud.Diffusion.load(path).sample(5) for path in (run_path, again))
    assert np.array_equal(one, other)


def test_a_finished_run_is_resumed_with_the_settings_it_has(run_path):
    path = str(run_path.parent / "pets.csv")
    assert main(["train", path, "--out", str(run_path), "--resume", "--workers", "1"]) == 0


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--labels", "name", "--labels 'name': --resume goes on with the settings that the run has, 'kind'"),
        ("--without", "age", "--without age: --resume goes on with the settings that the run has"),
        ("--missing", "drop", "--missing 'drop'"),
        ("--seed", "99", "--seed 99: --resume goes on with the settings that the run has, 0"),
        ("--minutes", "nan", "minutes"),
        ("--save-preset", "new.toml", "leave --save-preset out"),
    ],
)
def test_options_that_a_resumed_run_does_not_have_are_refused(run_path, capsys, option, value, message):
    path = str(run_path.parent / "pets.csv")
    assert message in complaint(capsys, "train", path, "--out", run_path, "--resume", option, value, lines=1)


def test_options_that_a_resumed_run_has_may_be_repeated(run_path):
    path = str(run_path.parent / "pets.csv")
    again = ["--without", "name", "--labels", "kind", "--seed", "0", "--minutes", "1"]
    assert main(["train", path, "--out", str(run_path), "--resume", "--workers", "1", *again]) == 0


def test_every_choice_is_printed_with_its_reason_before_training(table, tmp_path, capsys):
    (tmp_path / "pets.csv").write_text(table)
    options = ["--without", "name", "--without", "kind", *SMALL]
    assert main(["train", str(tmp_path / "pets.csv"), "--out", str(tmp_path / "run"), *options]) == 0
    said = capsys.readouterr().err
    assert "constant, not learned and put back in samples: legs" in said
    assert "whole numbers, rounded in samples and kept in the range of the data: age" in said
    assert "network.hidden = 8: as given" in said
    assert said.index("network.skip = gaussian: ") < said.index("networks in")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,x\n2,y\n", [], "column 'b' holds text ('x')"),
        ("a,b\n1,2\n3\n", [], "line 3: 1 values, wanted 2"),
        ("a,b\n1,\n3,4\n", [], "1 values are missing, in 1 of 2 rows, in columns b (1): --missing drop"),
        ("a,b\n1,2\n", [], "1 row of data: wanted at least 10"),
        ("a,b\n" + "1,2\n" * 20, [], "all 2 columns are constant"),
        ("a,b\n" + "1,2\n" * 20, ["--labels", "c"], "unknown column of"),
        ("a,b\n" + "1,2\n" * 20, ["--without", "c"], "unknown column of"),
        ("a,b\n" + "1,2\n" * 20, ["--classes", "x"], "there are no labels; name them with --labels"),
        ("a,b\n" + "1,2\n" * 20, ["--minutes", "-1"], "minutes = -1.0: wanted a positive number"),
        ("a,b\n" + "1,2\n" * 20, ["--save-preset", "x.csv"], "wanted a name that ends in .toml"),
        ("a,b\n" + "1,2\n" * 20, ["--data", "x"], "--data is for image presets"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(tmp_path, capsys, monkeypatch, text, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(text)
    assert main(["run", "t.csv", *options]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_options_for_data_are_refused_with_a_preset(capsys):
    assert main(["run", "spiral-2pi", "--minutes", "5"]) == 2
    assert "--minutes: for data of your own, and 'spiral-2pi' is a preset" in capsys.readouterr().err


def test_another_file_does_not_resume_the_run(run_path, tmp_path, capsys):
    (tmp_path / "t.csv").write_text("a\n1\n")
    assert main(["train", str(tmp_path / "t.csv"), "--out", str(run_path), "--resume"]) == 2
    assert "was trained on other data than" in capsys.readouterr().err


@pytest.mark.parametrize("dim", [1, 3, 9])
def test_every_dimension_has_its_figures(tmp_path, rng, dim):
    np.save(tmp_path / "x.npy", rng.normal(size=(60, dim)))
    assert main(["run", str(tmp_path / "x.npy"), "--out", str(tmp_path / "run"), *SMALL]) == 0
    assert (tmp_path / "run" / "figures" / "columns.png").is_file()


def test_a_folder_of_pictures_has_the_figures_of_images_and_samples_of_bytes(tmp_path, rng):
    from PIL import Image

    for i in range(60):
        Image.fromarray(rng.integers(0, 256, (5, 6), np.uint8)).save(tmp_path / f"{i:02d}.png")
    assert main(["run", str(tmp_path), "--out", str(tmp_path / "run"), *SMALL]) == 0
    assert (tmp_path / "run" / "figures" / "6_generated.png").is_file()
    samples = ud.Diffusion.load(tmp_path / "run").sample(4)
    assert np.array_equal(samples, np.clip(np.rint(samples), 0, 255))
