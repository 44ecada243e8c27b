import json

import pytest

from helpers import TINY, answer, complaint
from undiffuse import datasets
from undiffuse.runs import config
from undiffuse.studies import energy
from undiffuse.training import Execution, train_run

SPINS = ["--exact", "curie-weiss", "--set=data.spins=6", "--set=data.n=100", "--set=data.held_out=40"]
SPINS += ["--set=diffusion.T=40", "--set=diffusion.beta_1=0.02", "--set=diffusion.beta_T=0.4"]


@pytest.fixture(scope="module")
def tied_run_path(tmp_path_factory):
    """A finished run of tied networks that predict the data; no test changes it."""
    settings = config.loads(TINY.replace("hidden = 20", 'hidden = 20\ntying = "tied"\nprediction = "x0"'), "tied")
    path = tmp_path_factory.mktemp("runs") / "tied"
    with pytest.warns(UserWarning, match="held-out xi-error"):  # it is too small for good samples
        train_run(settings, datasets.load(settings), path, execution=Execution(workers=1))
    return path


def test_spins_with_their_exact_score_are_marginals_of_one_process(capsys, tmp_path):
    """100 samples: the energy is off its law by what its quadrature over 40 times is off, below 0.05 nats."""
    found = answer(capsys, "energy", *SPINS, "-n", 100, "-k", 4, "--t", 3, "--out", tmp_path / "out")
    assert abs(found["energy"]["off"]) < 0.05
    assert found["mismatch"] == found["floor"] < 0.05
    assert max(abs(mass - 1) for mass in found["known"]["mass"][3:]) < 0.05
    assert len(found["steps"]["spread"]) == 39
    assert len(found["steps"]["mismatch"]) == len(found["log_Z_per_t"]) == 40
    assert json.loads((tmp_path / "out/summary.json").read_text()) == found
    assert (tmp_path / "out/energy.png").read_bytes().startswith(b"\x89PNG")


def test_a_tied_bank_on_the_spiral_is_held_against_its_law(capsys, tied_run_path):
    found = answer(capsys, "energy", tied_run_path, "-n", 60, "-k", 4, "--t", 2)
    assert found["reference"] == "Gaussian of the data"
    assert found["mismatch"] > 5 * found["floor"]
    assert found["energy"]["off"] == pytest.approx(found["energy"]["nats"] - found["truth"]["nats"])
    assert found["known"]["t"][-1] == 12


def test_its_lines_name_every_route(capsys, tied_run_path):
    from undiffuse.cli import main

    assert main(["energy", str(tied_run_path), "-n", "60", "-k", "4"]) == 0
    out = capsys.readouterr().out
    assert all(
        words in out for words in ("energy, normalised", "bound <W> (18)", "probability flow", "truth", "log Z =")
    )


def test_a_job_is_told_its_cost_before_it_starts(tied_run_path):
    told = []
    energy.run(energy.Settings(tied_run_path, n=60, trajectories=2), on_cost=told.append)
    assert told[0].what == "60 samples at 12 times, and 2 trajectories of 60"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give either a run folder, or --exact"),
        (["UNTIED"], "untied weights, so no energy: train with network.tying = 'tied'"),
        (["RUN", "--t", 12], "t = 12: wanted a time in 1..11"),
        (["RUN", "--t", 0], "t = 0: wanted a time in 1..11"),
        (["RUN", "-n", 1], "n = 1: wanted at least 2"),
        (["RUN", "-k", 1], "trajectories = 1"),
        (["RUN", "-k", 10**15], "trajectories"),
        (["RUN", "--set", "data.n=3"], "--set goes with --exact"),
    ],
)
def test_a_wrong_choice_is_one_line(capsys, tied_run_path, tiny_run_path, words, said):
    paths = {"RUN": str(tied_run_path), "UNTIED": str(tiny_run_path)}
    assert said in complaint(capsys, "energy", *(paths.get(word, word) for word in words), lines=1)
