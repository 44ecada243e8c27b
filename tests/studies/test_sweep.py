"""A run for every combination of settings, each as if it were trained alone."""

import json
import shutil

import pytest

import undiffuse as ud
from helpers import answer, complaint
from undiffuse.metrics import measure_names
from undiffuse.studies import sweep, train
from undiffuse.studies.open_run import OpenRun

# Three passes of eight hidden units do not reach a linear denoiser, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:mean held-out xi-error:UserWarning")

OVER = ("training.epochs=1,3", "network.hidden=8,20")


@pytest.fixture
def swept(tiny_file, tmp_path):
    settings = sweep.Settings(str(tiny_file), over=OVER, out=tmp_path / "grid", workers=2)
    return settings, sweep.run(settings)


def weights(path):
    return {file.name: file.read_bytes() for file in (path / "weights").iterdir()}


def test_every_run_of_a_sweep_is_the_run_trained_alone(swept, tiny_file, tmp_path):
    settings, result = swept
    assert [dict(point.settings) for point in result.points] == [
        {"training.epochs": epochs, "network.hidden": hidden} for epochs in "13" for hidden in ("8", "20")
    ]
    changes = ("training.epochs=3", "network.hidden=8")
    alone = train.run(train.Settings(str(tiny_file), out=tmp_path / "alone", changes=changes, workers=1))
    path = settings.out / "training.epochs=3,network.hidden=8"
    assert result.points[2].run == str(path)
    assert weights(path) == weights(tmp_path / "alone")
    assert result.points[2].measured["held_out_error"].value == alone.held_out_error


def test_a_sweep_stopped_anywhere_goes_on_and_takes_another_measure(swept, tiny_file, capsys):
    """One run is not begun and one unfinished; a finished one is not trained again."""
    settings, result = swept
    first, second, third, _ = (ud.RunFolder.open(point.run) for point in result.points)
    before = weights(first.path)
    for path in sorted(second.path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    second.path.rmdir()
    third.blocks[1].state, third.blocks[1].sha256 = "to do", None
    third.write_manifest()
    again = answer(
        capsys, "sweep", tiny_file, "--over", OVER[0], "--over", OVER[1], "--out", settings.out, "--resume",
        "--metric", "w2", "--against", "network.hidden", "--workers", 1,
    )  # fmt: skip
    errors = [point["measured"]["held_out_error"] for point in again["points"]]
    assert errors == [point.measured["held_out_error"].as_dict() for point in result.points]
    assert weights(first.path) == before
    assert all(point["measured"]["w2"]["stderr"] > 0 for point in again["points"])
    assert json.loads((settings.out / "summary.json").read_text()) == again
    assert {path.name for path in settings.out.glob("*.png")} == {"held_out_error.png", "w2.png"}


def test_the_metrics_offered_are_those_that_evaluation_gives(tiny_run_path, image_run_path, tmp_path):
    from undiffuse.studies import evaluate

    for path in (tiny_run_path, image_run_path):
        opened = OpenRun.of(shutil.copytree(path, tmp_path / path.name))  # evaluation adds to a run
        found = evaluate.run(evaluate.Settings(opened, samples=20, replicates=2))
        assert set(measure_names(opened.data)) == set(found.metrics)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--over", "training.epochs"], "wanted a form such as"),
        (["--over", "training.epochs=5,5"], "comes twice"),
        (["--over", "training.epochs=5,0"], "training.epochs = 0"),
        (["--over", "training.epoch=5,6"], "did you mean 'epochs'"),
        (["--over", "training.epochs=5,6", "--metric", "fid"], "unknown metric 'fid'"),
        (["--over", "training.epochs=5,6", "--against", "network.hidden"], "unknown setting to draw against"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(capsys, tmp_path, tiny_file, options, words):
    assert words in complaint(capsys, "sweep", tiny_file, "--out", tmp_path / "grid", *options)
    assert not (tmp_path / "grid").exists()


def test_a_folder_that_is_taken_is_left_alone(capsys, tmp_path, tiny_file):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "--resume" in complaint(capsys, "sweep", tiny_file, "--over", OVER[0], "--out", tmp_path)


def test_trainings_that_take_the_gpu_by_themselves_are_one_after_another(as_on_gpu, tiny_file, tmp_path):
    """Another process would see no GPU here, where it is a processor by another name."""
    changes = ("training.engine=torch", "training.epochs=1")
    settings = sweep.Settings(str(tiny_file), over=OVER[1:], out=tmp_path / "grid", changes=changes, workers=2)
    runs = [ud.RunFolder.open(point.run) for point in sweep.run(settings).points]
    assert [run.manifest.device for run in runs] == ["cuda", "cuda"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--workers", 0), "workers = 0: wanted at least 1"),
        (("--set", "training.epochs=2"), "--over training.epochs: it is given once more, by --set"),
        (("--over", "seed=1,2", "--seed", 3), "--over seed: it is given once more, by --seed"),
    ],
)
def test_what_a_sweep_would_have_to_ignore_is_refused(tiny_file, tmp_path, capsys, words, message):
    out = tmp_path / "grid"
    said = complaint(capsys, "sweep", tiny_file, "--over", OVER[0], "--out", out, *words, lines=1)
    assert message in said
    assert not out.exists()


def test_a_sweep_does_not_go_into_a_run_folder(tiny_file, tiny_run_path, capsys):
    said = complaint(capsys, "sweep", tiny_file, "--over", OVER[0], "--out", tiny_run_path, "--resume", lines=1)
    assert "is a run folder" in said
