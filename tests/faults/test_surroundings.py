"""A full disk, a folder that cannot be written to, two commands on one run, a clock that jumps."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest

from helpers import TINY
from undiffuse import datasets
from undiffuse.cli import main
from undiffuse.runs import config
from undiffuse.runs.check import check
from undiffuse.runs.folder import RunFolder
from undiffuse.training import Execution, train_bank, train_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tmpfs, users and signals of Linux")


def undiffuse(*words, cwd=None):
    """Run a command as a user would; a finished process with its output."""
    command = [sys.executable, "-m", "undiffuse", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=cwd)


def mount(*words):
    """Whether a mount succeeded."""
    return subprocess.run(["mount", *map(str, words)], capture_output=True, check=False).returncode == 0


def weights(path):
    return {p.name: p.read_bytes() for p in (path / "weights").iterdir()}


@pytest.fixture
def run_path(tiny_run_path, tmp_path):
    return shutil.copytree(tiny_run_path, tmp_path / "run")


# -- a full disk ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(path, size):
    path.mkdir()
    if not mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", path):
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def complaints(said):
    """Lines on standard error, but for the one that says what the training will take."""
    return [line for line in said.splitlines() if " networks in " not in line]


def fill_and_go_on(tiny_file, tiny_run_path, tmp_path, size):
    disk = tmp_path / f"disk-{size}"
    with small_disk(disk, size):
        words = ["train", tiny_file, "--out", disk / "run", "--workers", "1"]
        cut = undiffuse(*words)
        assert cut.returncode in (0, 1, 2)  # 2: refused before any work
        assert "Traceback" not in cut.stderr
        if cut.returncode:
            assert "No space left" in cut.stderr or " free" in cut.stderr
            assert len(complaints(cut.stderr)) == 1
        subprocess.run(["mount", "-o", "remount,size=64M", str(disk)], check=True)
        begun = (disk / "run").exists()
        if cut.returncode:
            assert undiffuse(*words, *(["--resume"] if begun else [])).returncode == 0
        assert weights(disk / "run") == weights(tiny_run_path)
        assert {p.name for p in disk.iterdir()} == {"run"}
        assert {each.state for each in check(disk / "run")} == {"whole", "not checked"}
    return cut.returncode


@pytest.mark.parametrize("size", ["16k", "40k"])
def test_a_training_that_a_full_disk_stopped_goes_on_to_the_same_bits(tiny_file, tiny_run_path, tmp_path, size):
    assert fill_and_go_on(tiny_file, tiny_run_path, tmp_path, size) in (1, 2)


@pytest.mark.faults
def test_a_training_stopped_by_a_full_disk_of_any_size_goes_on(tiny_file, tiny_run_path, tmp_path, capsys):
    codes = [fill_and_go_on(tiny_file, tiny_run_path, tmp_path, f"{size}k") for size in range(8, 140, 4)]
    with capsys.disabled():
        print(
            f"\n{len(codes)} sizes of disk: {codes.count(1)} stopped, {codes.count(2)} refused, {codes.count(0)} done"
        )
    assert codes.count(1) >= 5


# -- rights -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def read_only_run(run_path):
    """A run on a file system that nobody can write to, root included."""
    path = run_path.with_name("read-only")
    path.mkdir()
    if not mount("--bind", run_path, path) or not mount("-o", "remount,ro,bind", path):
        pytest.skip("a read-only file system cannot be mounted here")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_a_read_only_run_is_sampled_from(read_only_run, tmp_path):
    assert main(["sample", str(read_only_run), "-n", "5", "--out", str(tmp_path / "x.npy")]) == 0
    assert np.load(tmp_path / "x.npy").shape == (5, 2)


def test_evaluating_a_read_only_run_gives_its_numbers_and_says_that_none_is_kept(read_only_run):
    judged = undiffuse("evaluate", read_only_run, "--samples", "20", "--replicates", "2", "--json")
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["metrics"]
    assert "cannot be written to: samples.npy, bound.json, metrics.json not kept" in judged.stderr
    assert {each.name for each in read_only_run.iterdir()}.isdisjoint({"samples.npy", "bound.json", "metrics.json"})


def test_resuming_a_run_that_cannot_be_written_to_is_answered_in_a_line(run_path, read_only_run, tiny_file):
    manifest = run_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"done"', '"to do"', 1))
    refused = undiffuse("train", tiny_file, "--out", read_only_run, "--resume", "--workers", "1")
    assert refused.returncode == 2, refused.stderr
    assert "Read-only file system" in refused.stderr
    assert len(complaints(refused.stderr)) == 1


def test_a_training_whose_rights_are_revoked_ends_in_a_line_and_goes_on_when_they_are_back(tmp_path):
    """The folder of weights becomes read-only, for root as well, when the first block is written."""
    (tmp_path / "c.toml").write_text(TINY.replace("epochs = 3", "epochs = 600"))
    words = [sys.executable, "-m", "undiffuse", "train", "c.toml", "--out", "run", "--workers", "1"]
    training = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    folder = tmp_path / "run" / "weights"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and training.poll() is None and not list(folder.glob("*.safetensors")):
        time.sleep(0.02)
    mounted = [mount("--bind", folder, folder), mount("-o", "remount,ro,bind", folder)]
    try:
        _, err = training.communicate(timeout=60)
    finally:
        subprocess.run(["umount", str(folder)], capture_output=True, check=False)
    if not all(mounted):
        pytest.skip("a read-only file system cannot be mounted here")
    assert training.returncode == 2, err
    assert "Read-only file system" in err.splitlines()[-1]
    assert main(["train", str(tmp_path / "c.toml"), "--out", str(tmp_path / "run"), "--resume"]) == 0
    assert {each.state for each in check(tmp_path / "run")} == {"whole", "not checked"}


# -- two commands on one run, and a clock that jumps ------------------------------------------------------------------


def test_a_run_is_not_replaced_while_it_is_trained(tmp_path):
    (tmp_path / "long.toml").write_text(TINY.replace("epochs = 3", "epochs = 100000"))
    words = [sys.executable, "-m", "undiffuse", "train", "long.toml", "--out", "run", "--workers", "1"]
    training = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (tmp_path / "run" / ".scratch").exists():
            time.sleep(0.1)
        other = undiffuse("train", "long.toml", "--out", "run", "--overwrite", cwd=tmp_path)
        assert other.returncode == 2
        assert "another process is training in" in other.stderr
        assert training.poll() is None
        assert {p.name for p in tmp_path.iterdir()} == {"long.toml", "run"}
    finally:
        training.send_signal(signal.SIGTERM)
        training.communicate(timeout=60)
    assert training.returncode == 143
    assert RunFolder.open(tmp_path / "run").unfinished


def test_a_clock_that_jumps_changes_nothing(tiny_run_path, tmp_path, monkeypatch):
    jumps = np.random.default_rng(0)
    monkeypatch.setattr(time, "time", lambda: float(jumps.uniform(-1e9, 4e9)))
    settings = config.loads(TINY, "tiny")
    train_run(settings, datasets.load(settings), tmp_path / "run", execution=Execution(workers=1))
    assert weights(tmp_path / "run") == weights(tiny_run_path)


def test_what_killed_processes_left_in_and_beside_a_run_is_cleared_by_the_next_command(run_path, tiny_file):
    """A half-written file, the data of workers, a run half made and one half deleted; a neighbour's file stays."""
    (run_path / ".manifest.json.abcd1234.unfinished").write_text("{")
    (run_path / "weights" / ".block-0001-0004.safetensors.abcd1234.unfinished").write_bytes(b"x")
    (run_path / ".scratch").mkdir()
    shutil.copytree(run_path, run_path.with_name(".run.123.old"))
    (run_path.with_name(".run.123.new") / "weights").mkdir(parents=True)
    (run_path.with_name(".run.notes.old")).write_text("mine")
    assert main(["train", str(tiny_file), "--out", str(run_path), "--resume", "--workers", "1"]) == 0
    assert {p.name for p in run_path.parent.iterdir()} == {"run", "tiny.toml", ".run.notes.old"}
    assert {each.state for each in check(run_path)} == {"whole", "not checked"}


def test_data_in_the_temporary_folder_are_removed_once_their_process_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living, dead = tmp_path / ".undiffuse-living", tmp_path / ".undiffuse-dead"
    for folder in (living, dead):
        folder.mkdir()
    hold = (
        "import sys; from pathlib import Path; from undiffuse.support.locks import locked\n"
        "with locked(Path(sys.argv[1])): print(1, flush=True); input()"
    )
    words = [sys.executable, "-c", hold, str(living)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as alive:
        assert alive.stdout.readline()
        settings = config.loads(TINY, "tiny")
        train_bank(settings, datasets.load(settings), Execution(workers=1))
        assert {p.name for p in tmp_path.iterdir()} == {living.name}
        alive.communicate(b"\n")
