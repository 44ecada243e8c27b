"""The command physics two-clusters: what it answers, draws and refuses."""

import json

import numpy as np
import pytest

from undiffuse.cli import main
from undiffuse.studies import two_clusters as study

SMALL = ["--dim", "400", "--times", "8", "--seeds", "2", "--samples", "50"]


def test_the_command_answers_with_errors_beside_their_theory_and_draws(tmp_path, capsys):
    out = tmp_path / "out"
    words = ["physics", "two-clusters", "-n", "4", "-n", "8", "--noises", "1", *SMALL, "--out", str(out), "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(size["n"], size["noises"]) for size in found["sizes"]] == [(4, 1), (8, 1)]
    assert all(len(size["overlap"]) == 8 == len(size["skip_closed_form"]) for size in found["sizes"])
    assert found["rates"][0]["slope"] < 0
    assert json.loads((out / "summary.json").read_text())["sizes"] == found["sizes"]
    assert (out / "two_clusters.png").is_file()


def test_the_answer_in_words_has_a_row_for_each_size_and_noise(capsys):
    assert main(["physics", "two-clusters", "-n", "4", "-n", "8", *SMALL]) == 0
    said = capsys.readouterr().out
    assert "Bayes" in said
    assert "4 noises a point: slope against log n" in said
    assert sum(line.startswith(("1 ", "4 ")) and "+-" in line and ":" not in line for line in said.splitlines()) == 4


def test_a_seed_fixes_every_number_but_the_seconds_and_another_changes_them():
    settings = {"n": (4,), "noises": (1,), "dim": 200, "times": 5, "seeds": 2, "samples": 20}
    one, same, other = (study.run(study.Settings(**settings, seed=seed)).as_dict() for seed in (3, 3, 4))
    assert one["sizes"] == same["sizes"]
    assert one["sizes"][0]["error"] != other["sizes"][0]["error"]


def test_sizes_do_not_depend_on_which_others_are_asked_for():
    settings = {"noises": (1,), "dim": 200, "times": 5, "seeds": 2, "samples": 20}
    alone, among = (study.run(study.Settings(n=n, **settings)).sizes[-1] for n in ((6,), (4, 6)))
    assert alone == among
    assert np.isfinite(alone.error)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-n", "1"], "n = 1: wanted at least two training points"),
        (["-n", "4", "-n", "4"], "n = [4, 4]: wanted different whole numbers"),
        (["--noises", "0"], "noises = 0: wanted at least one draw"),
        (["--sigma", "nan"], "sigma = nan: wanted 0.001 to 1000"),
        (["--ridge", "-1"], "ridge = -1: wanted 0 to 1e6"),
        (["--dim", "1"], "dim = 1: wanted 2 to 1e9"),
        (["--dim", "1000000000"], "of memory, this machine has"),
        (["--times", "3"], "times = 3: wanted 4 to 10000"),
        (["--seeds", "1"], "seeds = 1: wanted 2 to 10000, for errors"),
        (["--samples", "1"], "samples = 1: wanted at least two"),
        (["--times", "9" * 400], "(400 characters): wanted 4 to 10000"),
    ],
)
def test_a_wrong_number_is_answered_in_one_line(words, message, capsys):
    assert main(["physics", "two-clusters", *words]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert len(said.splitlines()) == 1
