"""Studies of runs on images, run as a user would."""

import json

import numpy as np
import pytest
from PIL import Image

import undiffuse as ud
from helpers import answer, complaint
from undiffuse import datasets
from undiffuse.diffusion.reverse import reconstructions
from undiffuse.studies import thesis
from undiffuse.studies.figures import figures_of
from undiffuse.studies.open_run import OpenRun


def test_reconstruct_writes_originals_diffused_and_reconstructions(capsys, image_run_path, tmp_path):
    found = answer(
        capsys, "reconstruct", image_run_path, "--t", 3, "--repeats", 4, "-n", 20, "--out", tmp_path / "r.npz"
    )
    arrays = np.load(tmp_path / "r.npz")
    assert arrays["reconstructed"].shape == (20, 4, 784)
    np.testing.assert_array_equal(arrays["original"], datasets.mnist((0, 1), "test").x[:20])
    squares = np.mean((arrays["reconstructed"] - arrays["original"][:, None]) ** 2)
    assert found["pixel_error"] == pytest.approx(np.sqrt(squares))
    assert found["kept"] > 0.9


def test_repeats_are_different_and_start_from_one_diffused_state(image_run_path):
    model = ud.Diffusion.load(image_run_path)
    x = datasets.mnist((0, 1), "test").x[:3]
    diffused, back = reconstructions(model, x, 6, 2, seed=1)
    assert diffused.shape == (3, 784)
    assert not np.allclose(back[:, 0], back[:, 1])


@pytest.mark.parametrize("method", [[], ["--method", "repaint", "--jump", 3, "--repeats", 2]])
def test_inpaint_leaves_the_known_pixels_alone(capsys, image_run_path, tmp_path, method):
    found = answer(capsys, "inpaint", image_run_path, "--hole", "14x14", "-n", 12, "--out", tmp_path / "i.npz", *method)
    arrays = np.load(tmp_path / "i.npz")
    known = ~arrays["destroyed"]
    assert found["destroyed_pixels"] == 196
    np.testing.assert_array_equal(arrays["inpainted"][:, known], arrays["original"][:, known])
    inside = (arrays["inpainted"] - arrays["original"])[:, ~known]
    assert found["pixel_error"] == pytest.approx(np.sqrt(np.mean(inside**2)))


def test_inpaint_by_particles_says_how_many_count_and_what_the_training_set_knows(capsys, image_run_path, tmp_path):
    words = ("--method", "smc", "--particles", 3, "--ceilings", "-n", 6, "--out", tmp_path / "i.npz")
    found = answer(capsys, "inpaint", image_run_path, "--hole", "14x14", *words)
    arrays = np.load(tmp_path / "i.npz")
    known = ~arrays["destroyed"]
    np.testing.assert_array_equal(arrays["inpainted"][:, known], arrays["original"][:, known])
    assert 1 <= found["lowest_effective"] <= found["effective"] + 1e-9 <= 3 + 1e-9
    assert 1 <= found["survivors"] <= 3
    assert set(found["ceilings"]) == {"training set", "class gaussians"}
    assert all(0 <= score["kept"] <= 1 for score in found["ceilings"].values())


def test_inpaint_takes_a_mask_file(capsys, image_run_path, tmp_path):
    mask = np.zeros((28, 28), np.uint8)
    mask[:10] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    found = answer(
        capsys, "inpaint", image_run_path, "--mask", tmp_path / "m.png", "-n", 5, "--out", tmp_path / "i.npz"
    )
    assert found["destroyed_pixels"] == 280


def test_uturn_puts_the_exact_denoisers_beside_the_bank(capsys, image_run_path, tmp_path):
    words = (
        "uturn",
        image_run_path,
        "--t",
        2,
        "--t",
        9,
        "--repeats",
        2,
        "-n",
        10,
        "--steps",
        5,
        "--out",
        tmp_path / "u.json",
    )
    found = answer(capsys, *words)
    assert set(found["curves"]) == {"bank", "gaussian", "empirical"}
    assert found["t"] == [2, 9]
    assert found["curves"]["empirical"]["kept"][0] == 1
    assert json.loads((tmp_path / "u.json").read_text())["curves"] == found["curves"]


def test_evaluate_judges_images_beside_cheap_generators(capsys, image_run_path):
    found = answer(capsys, "evaluate", image_run_path)
    names = {
        "frechet_distance",
        "precision",
        "recall",
        "density",
        "coverage",
        "confident",
        "confident_plain",
        "share_of_0",
        "memorised",
    }
    assert names <= set(found["metrics"])
    assert set(found["metrics"]["frechet_distance"]["baselines"]) == {"gaussian", "mixture"}
    assert found["metrics"]["confident"]["floor"] > 0.9
    assert found["metrics"]["memorised"]["floor"] < 0.05
    assert 0 < found["bound"]["bank"]["bits_per_dim"] < 8
    assert found["bound"]["bank"]["kind"] == "discretised"
    assert found["classifiers"]["plain"] > 0.99


def test_figures_of_images_are_made(image_run_path, tmp_path):
    made = {path.name for path in figures_of(OpenRun.of(image_run_path), tmp_path)}
    assert {"6_generated.png", "7_reverse_trajectory.png", "8_reconstructions.png", "10_inpainted.png"} <= made


def test_thesis_figures_say_what_they_need(capsys, image_run_path, tmp_path):
    (tmp_path / "runs").mkdir()
    err = complaint(capsys, "figures", "thesis", image_run_path, "--out", tmp_path / "f", lines=10)
    assert "undiffuse train spiral-2pi-best" in err
    assert complaint(capsys, "figures", "thesis", "--runs", tmp_path / "none", "--out", tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_thesis_figures_that_can_be_made_are_made(monkeypatch, image_run_path, tmp_path):
    """A run of 12 times stands in for one of 1000, which is all that is asked of it otherwise."""
    short = thesis.Model("zeros and ones", lambda config: config.name == "tiny-digits", "undiffuse train ...")
    monkeypatch.setitem(thesis.MODELS, "01", short)
    monkeypatch.setattr(thesis, "SHOWN_STEP", 5)
    found = thesis.run(thesis.Settings(runs=[image_run_path], out=tmp_path / "f", dpi=50))
    made = {path.name for path in (tmp_path / "f").iterdir()}
    assert {"3_training.png", "4_autoencoder.png", "7_trajectories.png", "11_potentials.png"} <= made
    assert set(found.missing) == {"1", "2", "5", "6", "10"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reconstruct", "RUN", "--t", "13", "--out", "OUT"], "t = 13 is outside 1..12"),
        (["reconstruct", "RUN", "--t", "3", "-n", "999", "--out", "OUT"], "999 images wanted, there are 200"),
        (["reconstruct", "RUN", "--t", "3", "--repeats", "0", "--out", "OUT"], "repeats = 0"),
        (["inpaint", "RUN", "--out", "OUT"], "either --hole, such as 14x14, or --mask"),
        (["inpaint", "RUN", "--hole", "30x30", "--out", "OUT"], "does not fit"),
        (["inpaint", "RUN", "--mask", "nowhere.png", "--out", "OUT"], "there is no mask file"),
        (["inpaint", "RUN", "--hole", "4x4", "--method", "repain", "--out", "OUT"], "repain"),
        (["inpaint", "RUN", "--hole", "4x4", "--method", "smc", "--particles", "0", "--out", "OUT"], "particles = 0"),
        (
            ["inpaint", "RUN", "--hole", "4x4", "--method", "smc", "--particles", "99999999", "--out", "OUT"],
            "99999999 particles of 100 rows takes",
        ),
        (["inpaint", "RUN", "--hole", "4x4", "--method", "smc", "--sampler", "ode", "--out", "OUT"], "adds no noise"),
        (["uturn", "SPIRAL", "--t", "3"], "was not trained on images"),
        (["perceptron", "--digits", "0", "5"], "undiffuse data fetch mnist"),
        (["perceptron", "--max-passes", "0"], "max_passes = 0"),
        (["data", "fetch", "mnst"], "did you mean 'mnist'"),
    ],
)
def test_bad_words_are_answered_in_a_line(capsys, monkeypatch, image_run_path, tiny_run_path, tmp_path, words, message):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    stand_ins = {"RUN": image_run_path, "SPIRAL": tiny_run_path, "OUT": tmp_path / "out.npz"}
    assert message in complaint(capsys, *(stand_ins.get(word, word) for word in words))
    assert not (tmp_path / "out.npz").exists()


def test_perceptron_command_reports_and_draws(capsys, tmp_path):
    found = answer(capsys, "perceptron", "--orders", 2, "--figure", tmp_path / "w.png")
    assert (found["training_images"], found["test_images"], found["test_errors"]) == (12_665, 2_115, 1)
    assert found["passes"] < 20
    assert len(found["random_orders"]["passes"]) == 2
    assert Image.open(tmp_path / "w.png").size[0] > 300
