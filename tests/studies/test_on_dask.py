"""What Dask workers sample and measure is what one process does, to the last bit."""

import json

import distributed
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import DIGITS, answer, complaint
from undiffuse import datasets
from undiffuse.diffusion.reverse import pieces
from undiffuse.runs import config
from undiffuse.training import Execution, train_run


@pytest.fixture(scope="module")
def on_dask():
    """Options that name a cluster of two workers on this machine."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield ["--backend", "dask", "--scheduler", cluster.scheduler_address]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    settings = config.loads(DIGITS, "tiny-digits")
    path = tmp_path_factory.mktemp("runs") / "digits"
    train_run(settings, datasets.load(settings), path, execution=Execution(workers=1))
    return path


@given(st.integers(1, 20_000), st.integers(1, 3_000))
def test_pieces_are_all_samples_once_and_none_is_tiny(n, dim):
    cut = pieces(n, dim)
    assert [first for first, _ in cut] == np.cumsum([0, *(count for _, count in cut[:-1])]).tolist()
    assert sum(count for _, count in cut) == n
    assert all(1 <= count <= 4096 for _, count in cut)
    assert len(cut) <= 5 * -(-n // 4096)


@pytest.mark.parametrize(("name", "n"), [("digits", 2_500), ("spiral", 9_000)])
def test_samples_drawn_on_dask_are_those_of_one_process(capsys, tmp_path, on_dask, digits, tiny_run_path, name, n):
    path = digits if name == "digits" else tiny_run_path
    answer(capsys, "sample", path, "-n", n, "--seed", 3, "--out", tmp_path / "here.npy")
    answer(capsys, "sample", path, "-n", n, "--seed", 3, "--out", tmp_path / "there.npy", *on_dask)
    here, there = (np.load(tmp_path / f"{where}.npy") for where in ("here", "there"))
    assert len(pieces(n, here.shape[1])) > 1
    assert here.tobytes() == there.tobytes()


def test_u_turns_and_an_evaluation_on_dask_are_those_of_one_process(capsys, tmp_path, on_dask, digits):
    words = ["uturn", digits, "--t", 3, "--t", 9, "-n", 30, "--repeats", 2]
    assert answer(capsys, *words, *on_dask) == answer(capsys, *words)
    here, there = answer(capsys, "evaluate", digits), answer(capsys, "evaluate", digits, *on_dask)
    for found in (here, there):
        del found["sampling_seconds"], found["metrics_seconds"]
    assert json.dumps(here) == json.dumps(there)


@pytest.mark.parametrize("words", [["uturn", "RUN"], ["evaluate", "RUN"], ["sample", "RUN", "--out", "x.npy"]])
def test_a_scheduler_that_does_not_answer_is_one_line_before_any_work(capsys, tmp_path, monkeypatch, digits, words):
    monkeypatch.chdir(tmp_path)
    words = [digits if word == "RUN" else word for word in words]
    said = complaint(capsys, *words, "--backend", "dask", "--scheduler", "tcp://127.0.0.1:1", lines=1)
    assert "no Dask scheduler answers" in said
    assert list(tmp_path.iterdir()) == []
