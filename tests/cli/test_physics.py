"""The physics commands and analyse, run as a user would."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import undiffuse as ud
from helpers import answer, complaint, write_folder
from undiffuse import datasets
from undiffuse.cli import main
from undiffuse.physics import locality
from undiffuse.runs import config
from undiffuse.studies.open_run import OpenRun
from undiffuse.support.streams import Purpose, stream
from undiffuse.training import Execution, train_run

SPINS = """
name = "tiny-spins"
[data]
name = "curie-weiss"
spins = 12
n = 400
held_out = 100
[diffusion]
T = 12
beta_1 = 0.02
beta_T = 0.6
[network]
hidden = 24
[training]
epochs = 2
batch = 50
block = 4
[evaluation]
samples = 50
replicates = 2
"""


@pytest.fixture(scope="module")
def spins_run(tmp_path_factory) -> Path:
    settings = config.loads(SPINS, "spins")
    path = tmp_path_factory.mktemp("runs") / "spins"
    train_run(settings, datasets.load(settings), path, execution=Execution(workers=1))
    return path


def test_curie_weiss_writes_its_figures_and_agrees_with_the_exact_values(tmp_path, capsys):
    """Two small sizes, 200 walkers: chi^2 over 24 points with p above 0.001, all within 4 standard errors."""
    out = tmp_path / "cw"
    found = answer(
        capsys, "physics", "curie-weiss", "--spins", "20", "--spins", "40", "--walkers", "200", "--points", "4",
        "--out", str(out),
    )  # fmt: skip
    assert [r["N"] for r in found["results"]] == [20, 40]
    assert found["p_value"] > 0.001
    assert found["degrees"] <= 24
    assert found["largest_deviation"] < 4
    assert found["scaling"]["walked"] == [True, True, *[False] * 7]
    names = {path.name for path in out.iterdir()}
    assert names == {"11_potentials.png", "symmetry_breaking.png", "outcomes.png", "scaling.png", "summary.json"}


def test_critical_times_of_a_preset_and_of_a_run_agree(tiny_run_path, tmp_path, capsys):
    by_run = answer(capsys, "physics", "critical-times", str(tiny_run_path), "-n", "80", "--points", "8")
    by_file = answer(
        capsys, "physics", "critical-times", str(tiny_run_path / "config.toml"), "-n", "80", "--points", "8",
        "--out", str(tmp_path / "ct"),
    )  # fmt: skip
    assert by_run["times"] == by_file["times"]
    assert by_run["classes"] == "sides of the first principal axis"
    assert by_run["names"]["potential"].startswith("fixed-point instability")
    assert 0.775 <= by_run["level"] < 0.8  # 0.775 for sides of one size
    assert {"bimodality", "instability", "class Gaussians"} <= set(by_run["predictions"])
    assert all(time["stderr"] is None or time["stderr"] > 0 for time in by_run["times"].values())
    assert (tmp_path / "ct" / "critical_times.png").is_file()


def test_critical_times_of_a_pair_from_a_folder_are_those_of_the_same_images(tmp_path, capsys):
    """The package's threes and ones under other labels, on the other pixel scale: tau moves by ln 2."""
    digits = datasets.mnist((1, 3)).first(400)
    labels = np.where(digits.labels == 1, 7, 9).astype(np.uint8)
    folder = write_folder(tmp_path / "idx", np.rint(digits.x * 255).astype(np.uint8).reshape(-1, 28, 28), labels)
    few = ["--set=data.n=300", "--set=data.held_out=100", "-n", "50", "--points", "8"]
    times = [
        answer(capsys, "physics", "critical-times", "mnist-13", *few, *more)["covariance"]["time"]["tau"]
        for more in ([], ["--set=data.digits=[7,9]", "--set=data.pixels=symmetric", "--data", str(folder)])
    ]
    assert times[1] - times[0] == pytest.approx(np.log(2), abs=1e-6)


def test_three_digits_are_told_apart_one_after_the_other(tmp_path, capsys):
    out = tmp_path / "ct"
    few = [f"--set=data.{x}" for x in ("digits=[0,1,3]", "n=240", "held_out=60")]
    found = answer(
        capsys, "physics", "critical-times", "mnist-01", *few, "-n", "90", "--points", "8", "--out", str(out)
    )
    tree = found["tree"]
    assert tree["classes"] == ["0", "1", "3"]
    assert [sorted(split["first"] + split["second"]) for split in tree["splits"]][-1] == ["0", "1", "3"]
    assert len(tree["splits"]) == 2
    assert all(0 <= split["support"] <= 1 and split["time"]["tau"] > 0.5 for split in tree["splits"])
    assert {path.name for path in out.iterdir()} == {"critical_times.png", "speciation_tree.png", "summary.json"}
    assert found["notes"][0].startswith("class 0 has ")  # 80 images for 100 components
    assert "covariance is singular" in found["notes"][0]


def test_classes_that_do_not_differ_are_named_and_nothing_is_written(tmp_path, capsys):
    rows = "".join(f"1,2,{kind}\n" for kind in ["cat", "dog"] * 100)
    (tmp_path / "pets.csv").write_text(f"a,b,kind\n{rows}")
    path = tmp_path / "pets.toml"
    path.write_text(
        f'name = "pets"\n[data]\nname = "file"\npath = "{tmp_path / "pets.csv"}"\nlabels = "kind"\nheld_out = 10\n'
        "[diffusion]\nT = 12\nbeta_1 = 0.02\nbeta_T = 0.6\n"
    )
    said = complaint(
        capsys, "physics", "critical-times", str(path), "-n", "50", "--points", "8", "--out", str(tmp_path / "ct")
    )
    assert "classes cat and dog have the same mean and the same covariance" in said
    assert not (tmp_path / "ct").exists()


@pytest.mark.parametrize("which", ["tiny_run_path", "digits_run_path", "spins_run"])
def test_analyse_writes_tables_figures_and_a_page(which, request, tmp_path, capsys):
    run, out = request.getfixturevalue(which), tmp_path / "analysis"
    found = answer(capsys, "analyse", str(run), "--out", str(out), "--points", "8", "-n", "60")
    with (out / "weights.csv").open() as file:
        rows = list(csv.DictReader(file))
    times = [int(row["t"]) for row in rows]
    assert times == sorted(set(times))
    assert {"index.html", "summary.json", "spectra.csv", "critical_times.png"} <= {p.name for p in out.iterdir()}
    page = (out / "index.html").read_text()
    images = which == "digits_run_path"
    assert page.count("<img") == 7 + images
    assert [part in found for part in ("looks", "everywhere")] == [images, images]
    assert ("How far around a pixel" in page) == (out / "locality.png").exists() == images
    assert found["page"] == str(out / "index.html")
    assert all(set(change) == {"t", "tau", "share", "p_value"} for change in found["changes"].values())
    assert "uturn_step_error" in found  # null here: so few times that every step is walked
    assert found["names"]["bank uturn"] in page
    bank = ud.Diffusion.load(run).bank
    net = bank[times[2]]
    assert float(rows[2]["norm_W"]) == pytest.approx(float((net.W.astype(float) ** 2).sum() ** 0.5), rel=1e-6)


def test_analyse_says_how_far_a_bank_of_images_looks(digits_run_path, tmp_path, capsys):
    """The numbers are those of the mean Jacobian at 50 diffused held-out images; the table holds them all."""
    words = ["analyse", str(digits_run_path), "--out", str(tmp_path / "a"), "--points", "8", "-n", "60", "--seed", "3"]
    assert main(words) == 0
    printed, found = capsys.readouterr().out, json.loads((tmp_path / "a/summary.json").read_text())
    opened, shape = OpenRun.of(digits_run_path), (28, 28)
    assert found["everywhere"] == pytest.approx(np.sqrt((28**2 + 28**2 - 2) / 6))
    x0 = opened.data.classes()[1].x[:50]
    assert len(found["looks"]) == len({one["t"] for one in found["looks"]}) >= 4
    for one in found["looks"]:
        t = one["t"]
        x_t = opened.model.forward.jump(x0, t, stream(3, Purpose.LOOKS, t).standard_normal(x0.shape))
        J, G = opened.model.x0_jacobian(x_t, t), opened.reference.x0_jacobian(x_t, t)
        assert one["radius"] == pytest.approx(locality.receptive_radius(J, shape), rel=1e-6)
        assert one["wiener_radius"] == pytest.approx(locality.receptive_radius(G, shape), rel=1e-6)
        assert one["correlation"] == pytest.approx(np.corrcoef(J.ravel(), G.ravel())[0, 1], rel=1e-6)
        assert one["difference"] == pytest.approx(np.linalg.norm(J - G) / np.linalg.norm(G), rel=1e-6)
    assert "where all are looked at alike 16.2" in printed
    for one in found["looks"]:
        assert f"{one['radius']:.2f} +- {one['radius_stderr']:.2f}" in printed


def test_the_exact_score_of_spins_is_that_of_their_model(spins_run, tmp_path, capsys):
    found = answer(capsys, "analyse", str(spins_run), "--out", str(tmp_path / "a"), "--points", "8", "-n", "60")
    assert found["exact"] == "Curie-Weiss, exact"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["physics", "curie-weiss", "--beta", "0.8"], "a ferromagnet, with two states, needs beta > 1"),
        (["physics", "curie-weiss", "--field", "9"], "leaves one of the two states a share of"),
        (["physics", "curie-weiss", "--spins", "1"], "N = 1: wanted a whole number of spins"),
        (["physics", "curie-weiss", "--spins", "20", "--spins", "20"], "wanted different numbers of spins"),
        (["physics", "curie-weiss", "--walkers", "3"], "wanted at least 100 walkers"),
        (["physics", "langevin", "--walkers", "3"], "wanted at least 100"),
        (["physics", "critical-times", "spirall-2pi"], "did you mean 'spiral-2pi'"),
        (
            [
                "physics",
                "critical-times",
                "mnist-01",
                *(f"--set=data.{x}" for x in ("digits=[1]", "n=200", "held_out=50")),
            ],
            "hold a single class",
        ),
        (["physics", "critical-times", "spiral-2pi", "--points", "3"], "wanted at least 8 times"),
        (["physics", "critical-times", "spiral-2pi", "-n", "0"], "wanted at least 50 samples"),
        (["physics", "critical-times", "mnist-01", "--data", "nowhere"], "nowhere"),
        (["physics", "cascade", "spiral-2pi", "--components", "3"], "the data have 2 variables"),
        (["physics", "cascade", "curie-weis"], "did you mean 'curie-weiss'"),
        (["physics", "cascade", "curie-weiss", "--seeds", "1"], "wanted at least 2, for errors over trainings"),
        (["physics", "cascade", "curie-weiss", "--points", "3"], "points = 3: wanted at least 4"),
        (["physics", "cascade", "curie-weiss", "--set=data.n=6"], "6 training samples do not fill one minibatch"),
        (["physics", "cascade", "spiral-2pi", "--components", "2", "--batch", "90000"], "training samples"),
        (["physics", "locality", "spiral-2pi"], "'spiral-2pi' has no images, and only images have places"),
        (["physics", "locality", "mnist-01-quik"], "did you mean 'mnist-01-quick'"),
        (["physics", "locality", "mnist-01-quick", "--side", "4"], "side = 4: wanted an odd number in 1..55"),
        (["physics", "locality", "mnist-01-quick", "--side", "57"], "at 55 every patch is the whole image"),
        (["physics", "locality", "mnist-01-quick", "--side", "3", "--side", "3"], "wanted different ones"),
        (["physics", "locality", "mnist-01-quick", "--tau", "9"], "tau = 9: wanted OU times in 0.."),
        (["physics", "locality", "mnist-01-quick", "--tau", "nan"], "tau = nan: wanted OU times in 0.."),
        (["physics", "locality", "mnist-01-quick", "--seeds", "1"], "wanted at least 2, for errors over trainings"),
        (["physics", "locality", "mnist-01-quick", "--batch", "90000"], "there are 12500 training images"),
        (["physics", "locality", "mnist-01-quick", "--hidden", "999999999"], "of memory, this machine has"),
        (["linear", "spiral-2pi", "--components", "0"], "components = 0: wanted at least 1"),
        (["analyse", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_get_one_line_and_exit_code_2(command, message, capsys):
    assert message in complaint(capsys, *command).splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        ("curie-weiss", "--walkers", 1),
        ("curie-weiss", "--seed", -1),
        ("curie-weiss", "--workers", 0),
        ("langevin", "--seed", -1),
    ],
    ids=str,
)
def test_wrong_numbers_are_refused_before_the_cost_is_told(capsys, words):
    complaint(capsys, "physics", *words, lines=1)
