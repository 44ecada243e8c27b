import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import answer, complaint
from undiffuse.diffusion.starts import speciation
from undiffuse.studies import starts
from undiffuse.studies.open_run import OpenRun


@given(bottom=st.floats(0.6, 1.9), width=st.floats(0.2, 2.0))
def test_the_best_start_is_the_bottom_of_a_parabola_in_the_logarithm(bottom, width):
    tau = np.linspace(0.3, 2.3, 11)
    assert abs(starts.lowest(tau, np.exp(((tau - bottom) / width) ** 2)) - bottom) < 1e-6


@pytest.mark.parametrize(("slope", "end"), [(1.0, 0), (-1.0, -1)])
def test_a_distance_that_only_falls_or_rises_is_lowest_at_an_end(slope, end):
    tau = np.linspace(0.5, 2.0, 5)
    assert starts.lowest(tau, np.exp(slope * tau)) == tau[end]


def test_curves_of_images_hold_the_frechet_distance_from_every_start(capsys, image_run_path, tmp_path):
    words = ["starts", image_run_path, "--out", tmp_path / "out", "--steps", 2, "--steps", 4, "--points", 4, "-n", 40]
    found = answer(capsys, *words)
    law = OpenRun.of(image_run_path).reference
    assert found["judged_by"] == "frechet_distance"
    assert found["speciation"] == pytest.approx(0.5 * np.log(law.variances[0]))
    assert found["speciation"] == pytest.approx(speciation(law))
    assert [curve["steps"] for curve in found["curves"]] == [2, 4]
    for curve in found["curves"]:
        assert min(curve["t"]) >= curve["steps"]
        assert curve["t"][-1] == 12
        assert len(curve["value"]["frechet_distance"]) == len(curve["t"])
        assert {"confident", "share_of_0", "share_of_1"} <= set(curve["value"])
    assert json.loads((tmp_path / "out/summary.json").read_text()) == found
    assert (tmp_path / "out/starts.png").read_bytes().startswith(b"\x89PNG")


def test_points_are_judged_by_their_energy_distance(tiny_run_path, tmp_path):
    result = starts.run(starts.Settings([tiny_run_path], out=tmp_path / "out", steps=(3,), points=3, n=30))
    assert result.judged_by == "energy_distance"
    assert result.speciation < 0  # the noise is larger than the spiral


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--points", 2], "points = 2: wanted 3 to 1000"),
        (["--steps", 13], "13 steps do not fit between t = 12 and t = 0"),
        (["--steps", 3, "--steps", 3], "one comes twice"),
        (["--replicates", 1], "replicates = 1"),
        (["-n", 1], "n = 1: wanted at least 10"),
        (["--sampler", "dim"], "did you mean 'ddim'"),
    ],
)
def test_a_wrong_number_is_one_line(capsys, tiny_run_path, tmp_path, options, words):
    assert words in complaint(capsys, "starts", tiny_run_path, "--out", tmp_path / "out", *options, lines=1)
    assert not (tmp_path / "out").exists()


def test_runs_of_other_settings_are_no_repeats(capsys, tiny_run_path, digits_run_path, tmp_path):
    said = complaint(capsys, "starts", tiny_run_path, digits_run_path, "--out", tmp_path / "out", "--steps", 3, lines=1)
    assert "trainings that differ in their seed only" in said
