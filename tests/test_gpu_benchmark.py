"""The benchmark for GPUs, as far as a processor can say: it refuses without one, and measures what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from helpers import TINY
from undiffuse import datasets
from undiffuse.runs import config, toml

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """The module, with the device "cuda" on the processor."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr("undiffuse.support.gpu.is_there", lambda: True)
    monkeypatch.setattr("undiffuse.support.gpu.home", lambda device: torch.device("cpu"))
    monkeypatch.setattr("undiffuse.support.gpu.free_bytes", lambda: 1 << 30)
    import gpu

    return gpu


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line():
    job = subprocess.run([sys.executable, BENCHMARKS / "gpu.py"], capture_output=True, text=True)
    assert job.returncode == 2
    assert job.stderr == "gpu.py: torch sees no GPU here, so nothing is measured\n"
    assert job.stdout == ""


def test_a_slice_is_projected_and_its_floor_counted_by_hand(benchmark):
    """Twelve networks in blocks of four, of 2 x 2 x 16 + 16 + 2 weights, 28 bytes of each in every step."""
    settings = config.validate(toml.parse(TINY, "tiny"), "tiny")
    data, a = datasets.load(settings), settings.architecture_at(12, 2)
    row = benchmark.slice_of(settings, data, "torch", "float32", rate=1e6)
    steps = settings.training.epochs * -(-len(data.train) // settings.training.batch)
    assert row.networks == 4
    assert row.floor == pytest.approx(12 * steps * (2 * 2 * a.hidden + a.hidden + 2) * 28 / 1e6)
    assert row.seconds > 0


def test_what_fails_is_told_in_a_line_and_the_file_says_it(benchmark, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark.ud.config, "load", lambda name: config.validate(toml.parse(TINY, "tiny"), "tiny"))
    monkeypatch.setattr(benchmark, "copy_rate", lambda home, count: 1e6)
    monkeypatch.setattr("undiffuse.support.gpu.free_bytes", lambda: 1 << 10)
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["slice", "--engine", "torch", "--precision", "tf32", "--json", str(tmp_path / "gpu.json")])
    kept = json.loads((tmp_path / "gpu.json").read_text())
    assert (ended.value.code, kept["rows"]) == (1, [])
    assert kept["failed"][0].startswith("slice by torch in tf32: device 'cuda': training one network takes")
    assert kept["failed"][0] in capsys.readouterr().err.splitlines()


def test_a_whole_training_and_its_samples_are_timed(benchmark):
    settings = config.validate(toml.parse(TINY, "tiny"), "tiny")
    training, sampling = benchmark.whole(settings, datasets.load(settings), "torch", "float32", 20)
    assert training.job == "training tiny"
    assert sampling.job == "20 samples of tiny"
    assert min(training.seconds, sampling.seconds) > 0
