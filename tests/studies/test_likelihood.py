import json

import pytest

from helpers import answer, complaint

SPINS = [
    "--exact",
    "curie-weiss",
    "--set=data.spins=6",
    "--set=data.n=200",
    "--set=data.held_out=40",
    "--set=diffusion.T=60",
]
SPINS += ["--set=diffusion.beta_1=0.02", "--set=diffusion.beta_T=0.3"]


def test_three_routes_of_six_spins_agree_with_their_law(capsys, tmp_path):
    """40 samples, 64 trajectories each: sample by sample within 4.5 standard errors, and 0.1 nats for the steps."""
    found = answer(capsys, "likelihood", *SPINS, "-n", 40, "--t", 8, "--out", tmp_path / "out")
    for name in ("importance", "flow"):
        assert abs(found[name]["off"]) < 4.5 * found[name]["off_stderr"] + 0.1
    assert found["bound"]["nats"] > found["importance"]["nats"]
    assert found["dissipated"] == pytest.approx(found["bound"]["nats"] - found["importance"]["nats"])
    assert sum(found["per_t"]) == pytest.approx(found["bound"]["nats"])
    assert len(found["per_t"]) == 60 - 8 + 1
    assert json.loads((tmp_path / "out/summary.json").read_text()) == found
    assert (tmp_path / "out/likelihood.png").read_bytes().startswith(b"\x89PNG")


def test_a_bank_on_the_spiral_is_held_against_its_law(capsys, tiny_run_path):
    found = answer(capsys, "likelihood", tiny_run_path, "-n", 50, "-k", 20)
    assert found["trajectories"] == 20
    assert found["bound"]["off"] == pytest.approx(found["bound"]["nats"] - found["truth"]["nats"])


def test_weights_that_one_trajectory_carries_are_said(capsys, digits_run_path):
    found = answer(capsys, "likelihood", digits_run_path, "-n", 10, "-k", 40)
    assert found["failed"] > 0.5
    assert "importance sampling fails" in found["warning"]
    assert "truth" not in found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give either a run folder, or --exact"),
        (["RUN", "--exact", "curie-weiss"], "give either a run folder, or --exact"),
        (["RUN", "--t", 12], "t = 12: wanted a time in 1..11"),
        (["RUN", "--t", 0], "t = 0: wanted a time in 1..11"),
        (["RUN", "-n", 1], "n = 1: wanted at least 2"),
        (["RUN", "-k", 1], "trajectories = 1"),
        (["RUN", "--set", "data.n=3"], "--set goes with --exact"),
        (["--exact", "curie-weis"], "did you mean 'curie-weiss'"),
        (["RUN", "-k", 10**15], "trajectories"),
    ],
)
def test_a_wrong_choice_is_one_line(capsys, tiny_run_path, words, said):
    words = [str(tiny_run_path) if word == "RUN" else word for word in words]
    assert said in complaint(capsys, "likelihood", *words, lines=1)
