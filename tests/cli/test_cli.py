import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from helpers import answer, complaint
from undiffuse.cli import main


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole `undiffuse run` of the tiny configuration, with what it printed."""
    from helpers import TINY

    folder = tmp_path_factory.mktemp("cli")
    (folder / "tiny.toml").write_text(TINY)
    job = subprocess.run(
        [sys.executable, "-m", "undiffuse", "run", "tiny.toml", "--json"], cwd=folder, capture_output=True, text=True
    )
    assert job.returncode == 0, job.stderr
    return folder, json.loads(job.stdout), job.stderr


def test_run_leaves_everything_in_one_folder(finished):
    folder, summary, _ = finished
    run = folder / "runs" / "tiny"
    assert folder / summary["run"] == run
    names = {p.name for p in run.iterdir()}
    assert names >= {
        "config.toml",
        "manifest.json",
        "weights",
        "metrics.jsonl",
        "metrics.json",
        "samples.npy",
        "figures",
        "report.html",
    }
    assert not [name for name in names if name.startswith(".")]


def test_run_reports_metrics_with_floors(finished):
    _, summary, _ = finished
    assert set(summary["metrics"]) == {"w2", "sliced_w2", "energy_distance", "distance_to_curve", "coverage_gap"}
    for m in summary["metrics"].values():
        assert set(m) == {"value", "value_stderr", "floor", "floor_stderr", "ratio", "ratio_stderr", "baselines"}
        assert m["ratio"] == pytest.approx(m["value"] / m["floor"])


def test_progress_goes_to_standard_error(finished):
    _, _, err = finished
    assert re.search(r"training: done in [\d.]+ s", err)
    assert "sampling" in err


def test_report_stands_alone(finished):
    folder, _, _ = finished
    page = (folder / "runs" / "tiny" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)
    assert "W₂ to fresh data" in page


def test_report_and_info_tell_what_was_changed_from_the_preset(capsys, tmp_path):
    few = ("diffusion.T=4", "training.epochs=1", "data.n=200", "network.hidden=8", "evaluation.samples=40")
    changes = [word for change in few for word in ("--set", change)]
    answer(capsys, "run", "spiral-2pi", *changes, "--out", tmp_path / "r", "--workers", 1)
    told = answer(capsys, "info", tmp_path / "r")["changes"]
    assert "diffusion.T = 4 instead of 1000" in told
    page = (tmp_path / "r" / "report.html").read_text()
    assert "Changed from the preset:" in page
    assert all(change in page for change in told)


def test_train_then_sample_then_evaluate(capsys, tmp_path, tiny_file):
    run = tmp_path / "run"
    trained = answer(capsys, "train", tiny_file, "--out", run, "--workers", 1, "--seed", 4)
    assert trained["networks"] == 12
    assert trained["held_out_error"] > 0
    sampled = answer(capsys, "sample", run, "-n", 7, "--out", tmp_path / "x.npy", "--sampler", "ddim", "--steps", 5)
    assert (sampled["n"], sampled["dim"], sampled["steps"]) == (7, 2, 5)
    assert np.load(tmp_path / "x.npy").shape == (7, 2)
    judged = answer(capsys, "evaluate", run, "--samples", 40, "--replicates", 2)
    assert (judged["samples"], judged["replicates"]) == (40, 2)
    assert json.loads((run / "metrics.json").read_text())["metrics"] == judged["metrics"]


def test_samples_of_one_seed_are_the_same(capsys, tmp_path, tiny_run_path):
    for name, n in (("a", 3), ("b", 9)):
        answer(capsys, "sample", tiny_run_path, "-n", n, "--seed", 1, "--out", tmp_path / f"{name}.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy")[:3])


def test_figures_are_made_for_every_kind(capsys, tmp_path, tiny_run_path):
    found = answer(capsys, "figures", tiny_run_path, "--out", tmp_path / "figures")
    stems = sorted(path.rsplit("/", 1)[1] for path in found["figures"])
    assert stems == [
        "1a_forward_process.png",
        "2a_histograms.png",
        "5_generated.png",
        "loss_against_time.png",
        "reverse_trajectory.png",
    ]
    assert all((tmp_path / "figures" / stem).read_bytes().startswith(b"\x89PNG") for stem in stems)


def test_figure_5_of_several_runs_has_a_row_for_each(capsys, tmp_path, tiny_run_path):
    import shutil

    other = shutil.copytree(tiny_run_path, tmp_path / "other")
    found = answer(capsys, "figures", tiny_run_path, other, "--out", tmp_path / "figures")
    assert len(found["figures"]) == 11
    from matplotlib.image import imread

    alone = imread(tmp_path / "figures" / "other" / "5_generated.png")
    both = imread(tmp_path / "figures" / "5_generated.png")
    assert abs(both.shape[0] - 2 * alone.shape[0]) <= 2  # pixels, rounded


def test_presets_and_info_describe(capsys, tiny_run_path):
    names = [row["name"] for row in answer(capsys, "presets")["presets"]]
    assert {"spiral-2pi", "spiral-3pi", "mnist-01", "mnist-13", "mnist-01-laptop"} <= set(names)
    info = answer(capsys, "info", tiny_run_path)
    assert (info["state"], info["blocks_done"], info["dim"]) == ("trained", 3, 2)
    assert info["schedule"]["alpha_bar_T"] == pytest.approx(float(np.prod(1 - np.linspace(0.02, 0.6, 12))))
    assert info["schedule"]["prior_kl"] > 0


@pytest.mark.skipif(os.name != "posix", reason="other systems have other pipes")
def test_a_reader_that_goes_away_ends_a_command_in_silence():
    command = [sys.executable, "-m", "undiffuse", "presets", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        job.stdout.close()
        assert job.stderr.read() == b""
    assert job.returncode == 141


@pytest.mark.parametrize("command", ["run", "train", "sample", "evaluate", "figures", "presets", "info"])
def test_every_command_has_help_and_json(capsys, command):
    assert main([command, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


# -- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["trian", "spiral-2pi"], "train"),
        (["train", "spiral-2pi"], "--out"),
        (["train", "spiral-4pi", "--out", "x"], "did you mean 'spiral-"),
        (["train", "spiral-2pi", "--out", "x", "--sed", "3"], "--seed"),
        (["train", "spiral-2pi", "--out", "x", "--device", "gpu"], "auto"),
        (["train", "spiral-2pi", "--out", "x", "--workers", "0"], "workers = 0"),
        (["train", "spiral-2pi", "--out", "x", "--resume", "--overwrite"], "exclude each other"),
        (["train", "spiral-2pi", "--out", "x", "--resume"], "there is no run folder"),
        (["train", "spiral-2pi", "--out", "x", "--set", "data.n=50"], "do not fill one minibatch of 100"),
        (["train", "spiral-2pi", "--out", "x", "--set", "training.engine=kernal"], "'kernel'"),
        (["train", "spiral-2pi", "--out", "x", "--set", "network.hidden=1000000000000"], "GB free"),
        (["sample", "nowhere", "--out", "x.npy"], "there is no run folder"),
        (["sample", "nowhere", "--out", "x.npy", "--sampler", "dimm"], "ddim"),
        (["evaluate", "nowhere"], "there is no run folder"),
        (["info", "nowhere"], "there is no run folder"),
        (["figures", "nowhere", "--out", "f"], "there is no run folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_are_answered_in_a_line(capsys, tmp_path, monkeypatch, argv, words):
    monkeypatch.chdir(tmp_path)
    assert words in complaint(capsys, *argv)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-n", "0"], "n = 0"),
        (["--steps", "13"], "13 steps do not fit"),
        (["--eta", "0.5"], "eta = 0.5 is an option of ddim"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_wrong_sampling_writes_nothing(capsys, tmp_path, tiny_run_path, options, words):
    assert words in complaint(capsys, "sample", tiny_run_path, "--out", tmp_path / "x.npy", *options)
    assert list(tmp_path.iterdir()) == []


def test_existing_output_is_kept_unless_told_otherwise(capsys, tmp_path, tiny_run_path):
    path = tmp_path / "x.npy"
    path.write_text("precious")
    assert "--overwrite" in complaint(capsys, "sample", tiny_run_path, "--out", path)
    assert path.read_text() == "precious"
    answer(capsys, "sample", tiny_run_path, "-n", 2, "--out", path, "--overwrite")
    assert np.load(path).shape == (2, 2)


def test_output_in_a_missing_folder_is_refused_before_the_work(capsys, tmp_path, tiny_run_path):
    assert "no folder" in complaint(capsys, "sample", tiny_run_path, "--out", tmp_path / "no" / "x.npy")


def write_claim(path, shape):
    """A .npy file of a few bytes whose header claims a large array."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
        file.write(bytes(64))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda p: np.save(p, np.full((300, 2), np.nan)), "every value of 'x1', 'x2' is missing"),
        (lambda p: np.save(p, np.zeros((3, 4, 5, 6))), "shape (3, 4, 5, 6)"),
        (lambda p: p.write_bytes(b"not an array"), "is not a .npy array"),
        (lambda p: None, "there is no file"),
        (lambda p: write_claim(p, (10**12, 2)), "its header promises shape (1000000000000, 2)"),
        (lambda p: write_claim(p, (10**30, 2)), "it holds 64"),
        (lambda p: np.save(p, np.ones((300, 2), complex)), "holds complex128 values"),
        (lambda p: np.save(p, np.zeros((300, 2), "datetime64[s]")), "holds datetime64"),
    ],
    ids=["nan", "shape", "garbage", "missing", "claim", "absurd-claim", "complex", "dates"],
)
def test_bad_data_files_are_refused(capsys, tmp_path, content, words):
    data, settings = tmp_path / "x.npy", tmp_path / "c.toml"
    content(data)
    settings.write_text(f'[data]\nname = "file"\npath = "{data}"\nheld_out = 50\n')
    assert words in complaint(capsys, "train", settings, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_bad_start_is_a_warning_on_standard_error(capsys, tmp_path, tiny_file):
    answer_ = main(
        ["train", str(tiny_file), "--out", str(tmp_path / "r"), "--workers", "1", "--set", "diffusion.beta_T=0.03"]
    )
    assert answer_ == 0
    assert "undiffuse: warning: alpha_bar(T) = " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a\nb", "\r", "\x1b[2J", "\x85", "\u2028"])
def test_a_name_that_would_break_the_line_or_act_on_the_terminal_is_escaped(capsys, name):
    said = complaint(capsys, "lab", "curie-weiss", "--out", name, lines=1)
    assert name.encode("unicode_escape").decode() in said


def test_files_of_a_run_are_not_overwritten_by_results_of_that_name(capsys, tiny_run_path):
    manifest = (tiny_run_path / "manifest.json").read_bytes()
    said = complaint(capsys, "uturn", tiny_run_path, "--out", tiny_run_path / "manifest.json", "--overwrite", lines=1)
    assert "is in a run folder, whose files are not overwritten" in said
    assert (tiny_run_path / "manifest.json").read_bytes() == manifest


def test_figures_of_a_run_take_no_folder_of_runs(capsys, tiny_run_path, tmp_path):
    said = complaint(capsys, "figures", tiny_run_path, "--runs", "nowhere", "--out", tmp_path / "f", lines=1)
    assert "--runs nowhere: it is for the word thesis" in said


def test_a_name_that_is_not_utf8_is_refused_in_one_line_and_leaves_nothing(capsys, tiny_file, tmp_path):
    out = tmp_path / "run"
    said = complaint(capsys, "train", tiny_file, "--set", "name=\udcff", "--out", out, lines=1)
    assert "not UTF-8" in said
    assert not out.exists()


@pytest.mark.parametrize("words", [("physics", "langevin", "--walkers", 100), ("likelihood",), ("starts",)], ids=str)
def test_results_of_a_study_do_not_go_into_a_run_folder(capsys, tiny_run_path, words):
    run = () if words[0] == "physics" else (tiny_run_path,)
    said = complaint(capsys, *words, *run, "--out", tiny_run_path, lines=1)
    assert "is a run folder: choose another --out" in said


def test_a_name_with_a_dollar_is_no_formula(tiny_file, tmp_path, capsys):
    """An odd number of them would be one that never ends, which only shows when all is trained."""
    words = ("--over", "name=$x_{$,b", "--workers", 1, "--set", "training.epochs=1")
    answer(capsys, "sweep", tiny_file, *words, "--metric", "train_error", "--out", tmp_path / "grid")
    answer(capsys, "run", tiny_file, "--set", "name=$x_{$", "--workers", 1, "--out", tmp_path / "run")
    assert (tmp_path / "run" / "report.html").stat().st_size > 0
