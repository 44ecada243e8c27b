"""Ctrl-C and its relatives stop any command within moments, without a traceback and with nothing half-written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def stopped(words, folder, number, times=1):
    """Start a command, send it a signal when it is at work; exit code, what it said, and the seconds it took to end.

    The seconds are those of a machine of its own: others' work slows its end as it has slowed its start.
    """
    begun = time.monotonic()
    job = subprocess.Popen(
        [sys.executable, "-m", "undiffuse", *map(str, words)],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heard,
    )
    at_work(job)
    start = time.monotonic()
    slowed = max(1.0, (start - begun) / (2 * USED))
    for _ in range(times):
        job.send_signal(number)
        time.sleep(0.02)
    _, said = job.communicate(timeout=60)
    return job.returncode, said, (time.monotonic() - start) / slowed


def heard():
    """Let a child hear Ctrl-C and hang-ups, which the tests' own process ignores in the background or under nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


TICK = 0.01  # seconds
USED = 1.5  # seconds of processor time after which a command is past its imports


def at_work(job):
    """Wait until a command has used so much time that it is past its imports."""
    while job.poll() is None:
        used = Path(f"/proc/{job.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        if sum(map(int, used)) * TICK >= USED:
            return
        time.sleep(0.05)


COMMANDS = {
    "samples": ["sample", "RUN", "-n", 20_000_000, "--out", "x.npy"],
    "walkers": ["physics", "langevin", "--walkers", 3_000_000],
    "spins": ["physics", "curie-weiss", "--walkers", 100_000],
    "orders": ["perceptron", "--orders", 100_000, "--figure", "w.png"],
}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("command", "name"), [*((command, "SIGINT") for command in COMMANDS), ("samples", "SIGTERM"), ("walkers", "SIGHUP")]
)
def test_a_signal_stops_any_command_in_moments(tiny_run_path, tmp_path, command, name):
    """Within eight seconds: a signal that compiled code swallows ends the command after five."""
    number = signal.Signals[name]
    words = [tiny_run_path if word == "RUN" else word for word in COMMANDS[command]]
    code, said, seconds = stopped(words, tmp_path, number)
    assert code == 128 + number
    assert "undiffuse: stopped" in said or seconds > 5
    assert "Traceback" not in said or "ctypes callback" in said
    assert seconds < 8
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_second_signal_ends_a_command_at_once(tiny_run_path, tmp_path):
    words = ["sample", tiny_run_path, "-n", 20_000_000, "--out", "x.npy"]
    code, said, _ = stopped(words, tmp_path, signal.SIGINT, times=3)
    assert code in (130, -signal.SIGINT)  # the latter if Python was ending already; 130 in a shell
    assert "Traceback" not in said
    assert not (tmp_path / "x.npy").exists()


INTERRUPTED = """
import os, signal, sys
from undiffuse.__main__ import main

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["undiffuse", "info", "nowhere"]
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["undiffuse.cli", "cyclopts", "numpy", "undiffuse.runs.folder"])
def test_ctrl_c_while_modules_are_loaded_shows_no_traceback(module):
    script = INTERRUPTED.format(module=module)
    job = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, preexec_fn=heard)
    assert job.returncode == 130
    assert "Traceback" not in job.stderr


COMPILING = """
import signal, sys
import undiffuse.cli

def run():
    try:
        exec("raise KeyboardInterrupt")  # as dataclasses and compiled kernels are made
    except KeyboardInterrupt:
        return 130

undiffuse.cli.main = run
"""


def test_ctrl_c_while_python_makes_code_ends_by_its_exit_code(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(COMPILING)
    job = subprocess.run(
        [sys.executable, "-m", "undiffuse"], env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False
    )
    assert job.returncode == 130


SWALLOWED = """
import signal, os, time
from undiffuse.support.interrupts import stopped_by_signals
import undiffuse.support.interrupts as interrupts

interrupts._GRACE = 0.3
with stopped_by_signals():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        pass
    time.sleep(60)
"""


def test_a_signal_that_is_swallowed_ends_the_process_all_the_same():
    start = time.monotonic()
    assert subprocess.run([sys.executable, "-c", SWALLOWED], check=False).returncode == 143
    assert time.monotonic() - start < 10
