"""Commands and figures of runs on images, and the figures of merit behind them."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy import linalg, stats

import undiffuse as ud
from conftest import answer, complaint
from undiffuse import UserError, datasets, metrics, pictures, studies, thesis
from undiffuse.metrics.classifier import Classifier
from undiffuse.metrics.readers import Readers


@pytest.fixture(scope="session")
def readers():
    train, test = (datasets.mnist((0, 1), split) for split in ("train", "test"))
    return Readers.train(train.first(4_000), test)


@pytest.fixture(scope="session")
def run_path(digits_run_path, readers):
    readers.save(digits_run_path)
    return digits_run_path


# -- classifiers ------------------------------------------------------------------------------------------------------


def test_both_classifiers_read_held_out_digits(readers):
    assert readers.plain.accuracy > 0.99
    assert readers.strict.accuracy > 0.99


def test_only_the_strict_classifier_doubts_an_overlaid_zero_and_one(readers):
    test = datasets.mnist((0, 1), "test")
    zeros, ones = (test.x[test.labels == label][:300] for label in (0, 1))
    overlaid = np.maximum(zeros, ones)
    assert (readers.strict.probabilities(overlaid).max(axis=1) > 0.9).mean() < 0.05
    assert (readers.plain.probabilities(overlaid).max(axis=1) > 0.9).mean() > 0.5
    assert (readers.strict.probabilities(test.x).max(axis=1) > 0.9).mean() > 0.97


def test_a_classifier_comes_back_from_disk_and_from_its_seed(readers, tmp_path):
    test = datasets.mnist((0, 1), "test")
    readers.save(tmp_path)
    again = Readers.load(tmp_path)
    np.testing.assert_array_equal(again.strict.probabilities(test.x), readers.strict.probabilities(test.x))
    assert again.plain.accuracy == readers.plain.accuracy
    few = datasets.mnist((0, 1)).first(500)
    first, second = (Classifier.train(few, test.first(50), strict=True, epochs=1) for _ in range(2))
    np.testing.assert_array_equal(first.features(test.x[:20]), second.features(test.x[:20]))


def test_readings_do_not_depend_on_the_pixel_scale(readers):
    unit = datasets.mnist((0, 1), "test").first(50)
    symmetric = datasets.mnist((0, 1), "test", pixels="symmetric").first(50)
    plain = readers.plain
    other = Classifier(plain.network, plain.labels, plain.shape, symmetric.low, symmetric.high, plain.accuracy)
    np.testing.assert_allclose(other.features(symmetric.x), plain.features(unit.x), atol=1e-4)


def test_one_class_cannot_be_told_apart():
    zeros = datasets.mnist((0,)).first(200)
    with pytest.raises(UserError, match="at least two classes"):
        Classifier.train(zeros, zeros, strict=False)


# -- figures of merit -------------------------------------------------------------------------------------------------


def test_frechet_distance_equals_scipys_matrix_root(rng):
    x, y = rng.standard_normal((300, 6)), rng.standard_normal((200, 6)) @ rng.standard_normal((6, 6)) + 1
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(a @ b).real
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a + b - 2 * root)
    assert metrics.frechet_distance(x, y) == pytest.approx(expected)


def test_frechet_distance_of_one_dimension_is_its_closed_form():
    x = stats.norm.ppf((np.arange(1000) + 0.5) / 1000)[:, None]
    assert metrics.frechet_distance(x, 3 * x + 2) == pytest.approx(4 + 4 * x.var(ddof=1), rel=1e-9)


def test_prdc_of_two_sets_of_one_law_is_near_one_and_of_far_sets_zero(rng):
    x, y = rng.standard_normal((400, 3)), rng.standard_normal((400, 3))
    same, far = metrics.prdc(x, y), metrics.prdc(x, y + 100)
    assert same["density"] == pytest.approx(1, abs=0.15)
    assert min(same["precision"], same["recall"], same["coverage"]) > 0.9
    assert far == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_samples_of_one_mode_are_precise_but_do_not_recall_the_other(rng):
    data = np.concatenate([rng.standard_normal((200, 2)), rng.standard_normal((200, 2)) + 50])
    found = metrics.prdc(rng.standard_normal((200, 2)), data)
    assert found["precision"] > 0.9
    assert found["recall"] < 0.55
    assert found["coverage"] < 0.55


def test_prdc_equals_its_definition_point_by_point(rng):
    x, y, k = rng.standard_normal((30, 2)), rng.standard_normal((25, 2)) + 0.5, 3
    ball = [np.sort(np.linalg.norm(y - p, axis=1))[k] for p in y]
    inside = [[np.linalg.norm(a - b) < r for b, r in zip(y, ball, strict=True)] for a in x]
    found = metrics.prdc(x, y, k)
    assert found["precision"] == np.mean([any(row) for row in inside])
    assert found["density"] == pytest.approx(np.mean([sum(row) for row in inside]) / k)


def test_copies_of_training_points_are_memorised_and_fresh_points_are_not(rng):
    training = rng.standard_normal((500, 20))
    assert metrics.memorised_share(training[:50] + 1e-3, training) == 1
    assert metrics.memorised_share(rng.standard_normal((50, 20)), training) == 0


# -- commands ---------------------------------------------------------------------------------------------------------


def test_reconstruct_writes_originals_diffused_and_reconstructions(capsys, run_path, tmp_path):
    found = answer(capsys, "reconstruct", run_path, "--t", 3, "--repeats", 4, "-n", 20, "--out", tmp_path / "r.npz")
    arrays = np.load(tmp_path / "r.npz")
    assert arrays["reconstructed"].shape == (20, 4, 784)
    np.testing.assert_array_equal(arrays["original"], datasets.mnist((0, 1), "test").x[:20])
    squares = np.mean((arrays["reconstructed"] - arrays["original"][:, None]) ** 2)
    assert found["pixel_error"] == pytest.approx(np.sqrt(squares))
    assert found["kept"] > 0.9


def test_repeats_are_different_and_start_from_one_diffused_state(run_path):
    model = ud.Diffusion.load(run_path)
    x = datasets.mnist((0, 1), "test").x[:3]
    diffused, back = studies.reconstructions(model, x, 6, 2, seed=1)
    assert diffused.shape == (3, 784)
    assert not np.allclose(back[:, 0], back[:, 1])


def test_the_spread_of_a_score_is_the_unbiased_standard_deviation(readers, rng):
    images = datasets.mnist((0, 1), "test").first(40)
    back = images.x[:, None] + 0.1 * rng.standard_normal((40, 6, 784))
    found = studies.score(images, back, readers.strict)
    assert found.pixel_error == pytest.approx(0.1, rel=0.01)
    assert found.spread == pytest.approx(0.1, rel=0.01)
    assert found.kept > 0.95


@pytest.mark.parametrize("method", [[], ["--method", "repaint", "--jump", 3, "--repeats", 2]])
def test_inpaint_leaves_the_known_pixels_alone(capsys, run_path, tmp_path, method):
    found = answer(capsys, "inpaint", run_path, "--hole", "14x14", "-n", 12, "--out", tmp_path / "i.npz", *method)
    arrays = np.load(tmp_path / "i.npz")
    known = ~arrays["destroyed"]
    assert found["destroyed_pixels"] == 196
    np.testing.assert_array_equal(arrays["inpainted"][:, known], arrays["original"][:, known])
    inside = (arrays["inpainted"] - arrays["original"])[:, ~known]
    assert found["pixel_error"] == pytest.approx(np.sqrt(np.mean(inside**2)))


def test_inpaint_takes_a_mask_file(capsys, run_path, tmp_path):
    mask = np.zeros((28, 28), np.uint8)
    mask[:10] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    found = answer(capsys, "inpaint", run_path, "--mask", tmp_path / "m.png", "-n", 5, "--out", tmp_path / "i.npz")
    assert found["destroyed_pixels"] == 280


def test_uturn_puts_the_exact_denoisers_beside_the_bank(capsys, run_path, tmp_path):
    words = (
        "uturn",
        run_path,
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


def test_evaluate_judges_images_beside_cheap_generators(capsys, run_path):
    found = answer(capsys, "evaluate", run_path)
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


def test_figures_of_images_are_made(run_path, tmp_path):
    made = {path.name for path in pictures.figures_of(ud.RunFolder.open(run_path), tmp_path)}
    assert {"6_generated.png", "7_reverse_trajectory.png", "8_reconstructions.png", "10_inpainted.png"} <= made


def test_thesis_figures_say_what_they_need(capsys, run_path, tmp_path):
    (tmp_path / "runs").mkdir()
    err = complaint(capsys, "figures", "thesis", run_path, "--out", tmp_path / "f", lines=10)
    assert "undiffuse train spiral-2pi-best" in err
    assert complaint(capsys, "figures", "thesis", "--runs", tmp_path / "none", "--out", tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_thesis_figures_that_can_be_made_are_made(monkeypatch, run_path, tmp_path):
    """A run of 12 times stands in for one of 1000, which is all that is asked of it otherwise."""
    short = thesis.Role("zeros and ones", lambda config: config.name == "tiny-digits", "undiffuse train ...")
    monkeypatch.setitem(thesis.ROLES, "01", short)
    monkeypatch.setattr(thesis, "SHOWN_STEP", 5)
    found = thesis.thesis_figures([ud.RunFolder.open(run_path)], tmp_path / "f", dpi=50)
    assert {"3_training.png", "4_autoencoder.png", "7_trajectories.png"} <= {p.name for p in (tmp_path / "f").iterdir()}
    assert set(found["missing"]) == {"1", "2", "5", "6", "10"}


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
        (["uturn", "SPIRAL", "--t", "3"], "was not trained on images"),
        (["perceptron", "--digits", "0", "5"], "undiffuse data fetch mnist"),
        (["perceptron", "--max-passes", "0"], "max_passes = 0"),
        (["data", "fetch", "mnst"], "did you mean 'mnist'"),
    ],
)
def test_bad_words_are_answered_in_a_line(capsys, monkeypatch, run_path, tiny_run_path, tmp_path, words, message):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    stand_ins = {"RUN": run_path, "SPIRAL": tiny_run_path, "OUT": tmp_path / "out.npz"}
    assert message in complaint(capsys, *(stand_ins.get(word, word) for word in words))
    assert not (tmp_path / "out.npz").exists()


def test_perceptron_command_reports_and_draws(capsys, tmp_path):
    found = answer(capsys, "perceptron", "--orders", 2, "--figure", tmp_path / "w.png")
    assert (found["training_images"], found["test_images"], found["test_errors"]) == (12_665, 2_115, 1)
    assert found["passes"] < 20
    assert len(found["random_orders"]["passes"]) == 2
    assert Image.open(tmp_path / "w.png").size[0] > 300
