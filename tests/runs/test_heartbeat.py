"""A training says how far it is in a file of its run, which `info` reads while it trains and after it was killed."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import TINY, answer
from undiffuse.runs.guard import PROGRESS
from undiffuse.runs.heartbeat import Heartbeat, Pulse

# A beat every tenth of a second, so that a fast machine is not done before the second one.
OFTEN = """
import sys
from undiffuse.cli import main
from undiffuse.runs import heartbeat

heartbeat._EVERY = 0.1
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_info_tells_how_far_a_training_is_and_what_a_kill_left_of_it_is_removed(capsys, tmp_path, monkeypatch, workers):
    monkeypatch.chdir(tmp_path)
    slow = TINY.replace("epochs = 3", "epochs = 1500").replace("n = 400", "n = 2000")
    (tmp_path / "c.toml").write_text(slow)
    words = [sys.executable, "-c", OFTEN, "train", "c.toml", "--workers", str(workers), "--out", "run"]
    job = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    seen = None
    while time.monotonic() < deadline and (seen is None or seen["passes_done"] == 0) and job.poll() is None:
        time.sleep(0.05)
        if (tmp_path / "run" / "manifest.json").exists():
            seen = answer(capsys, "info", "run")["progress"]
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert seen is not None
    assert seen["passes"] == 12 * 1500
    assert 0 < seen["passes_done"] < seen["passes"]
    assert seen["passes_per_second"] > 0
    assert seen["seconds_left"] == pytest.approx(
        (seen["passes"] - seen["passes_done"]) / seen["passes_per_second"], rel=1e-6
    )
    assert not seen["late"]
    assert (tmp_path / "run" / PROGRESS).exists()
    answer(capsys, "train", "c.toml", "--out", "run", "--resume", "--workers", 2)
    assert not (tmp_path / "run" / PROGRESS).exists()
    assert answer(capsys, "info", "run")["progress"] is None


def test_a_training_that_said_nothing_for_long_was_killed(capsys, tmp_path, tiny_run_path):
    path = shutil.copytree(tiny_run_path, tmp_path / "run")
    Pulse(path, before=10).beat(30, 100)
    old = json.loads((path / PROGRESS).read_text())
    (path / PROGRESS).write_text(json.dumps({**old, "at": old["at"] - 3600}))
    assert answer(capsys, "info", path)["progress"]["late"]
    from undiffuse.cli import main

    assert main(["info", str(path)]) == 0
    assert "said nothing for 60 min, after 30 of 100 passes: it was killed" in capsys.readouterr().out


def test_beats_come_no_more_often_than_every_few_seconds(tmp_path):
    pulse = Pulse(tmp_path, before=0)
    pulse.beat(1, 10)
    pulse.beat(2, 10)
    assert Heartbeat.read(tmp_path).done == 1
    pulse.end()
    assert list(tmp_path.iterdir()) == []


MANY = st.integers(0, 10**6)


@given(before=MANY, more=MANY, left=MANY, seconds=st.floats(0.1, 1e6))
def test_time_left_is_what_the_passes_to_come_take_at_the_rate_of_those_made(before, more, left, seconds):
    beat = Heartbeat("here", before + more, before + more + left, before, seconds, time.time())
    if more == 0:
        assert beat.seconds_left is None
    else:
        assert beat.seconds_left * more == pytest.approx(left * seconds)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": "a"}', b"\xff", b"1" * 100_000])
def test_a_damaged_one_is_none(tmp_path, content):
    (tmp_path / PROGRESS).write_bytes(content)
    assert Heartbeat.read(tmp_path) is None
