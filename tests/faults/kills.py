"""Kill a command before, inside and after each of its file operations, and see what the next command makes of it.

Also: kill the two workers of a training and their parent at random moments.

A program, so that it can fork before any thread runs: `python tests/faults/kills.py train --every 10` prints one JSON
object with the number of operations, kills and what failed.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["NUMBA_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

import undiffuse.studies.evaluate
import undiffuse.studies.sample
import undiffuse.studies.train
import undiffuse.training.engines  # noqa: F401
from helpers import DIGITS, TINY
from undiffuse.cli import main
from undiffuse.runs.check import check

OPERATIONS = ("open", "fsync", "replace", "rename", "unlink", "remove", "mkdir", "rmdir", "chmod")
MOMENTS = ("before", "half", "after")


# -- one process, killed at its n-th operation ------------------------------------------------------------------------


@dataclass
class Counter:
    """Counts the file operations of this process in a folder and kills it at one of them."""

    folder: str
    at: int = -1
    moment: str = "before"
    names: list[str] = field(default_factory=list)

    def concerns(self, *arguments: Any) -> bool:
        return any(isinstance(a, (str, os.PathLike)) and self.folder in str(a) for a in arguments)

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            # A folder's descriptor or an open file says nothing of where it is, so these always count.
            if name != "fsync" and "dir_fd" not in named and not self.concerns(*arguments):
                return operation(*arguments, **named)
            self.names.append(name)
            mine = len(self.names) - 1 == self.at
            if mine and self.moment == "before":
                self.die()
            try:
                return operation(*arguments, **named)
            finally:
                if mine and self.moment == "after":
                    self.die()

        return counted

    def install(self) -> None:
        for name in OPERATIONS:
            setattr(os, name, self.around(name, getattr(os, name)))
        builtins.open = io.open = self.around("open", builtins.open)  # type: ignore[assignment]
        real = os.fdopen

        def fdopen(*arguments: Any, **named: Any) -> Any:
            file = real(*arguments, **named)
            if "w" not in str(arguments[1:2]):
                return file
            return _Halving(file, self)

        os.fdopen = fdopen  # type: ignore[assignment]


class _Halving:
    """A file whose process can be killed when half of what it writes has reached the disk."""

    def __init__(self, file: Any, counter: Counter) -> None:
        self._file, self._counter = file, counter

    def write(self, content: bytes) -> int:
        self._counter.names.append("write")
        if len(self._counter.names) - 1 == self._counter.at:
            if self._counter.moment != "before":
                self._file.write(content if self._counter.moment == "after" else content[: len(content) // 2])
                self._file.flush()
            self._counter.die()
        return int(self._file.write(content))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Halving:
        self._file.__enter__()
        return self

    def __exit__(self, *what: Any) -> None:
        self._file.__exit__(*what)


def forked(work: Callable[[], int]) -> int:
    """Do something in a child process; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            code = work()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def command(*words: str) -> int:
    """Run a command in a child process."""
    return forked(lambda: main(list(words)))


def killed(folder: Path, at: int, moment: str, *words: str) -> int:
    """Run a command in a child process that is killed at one of its operations in a folder."""

    def work() -> int:
        Counter(str(folder), at, moment).install()
        return main(list(words))

    return forked(work)


def operations(folder: Path, *words: str) -> list[str]:
    """Names of the file operations of a command, in their order."""
    log = folder.parent / "operations"

    def work() -> int:
        counter = Counter(str(folder))
        counter.install()
        code = main(list(words))
        names = list(counter.names)
        log.write_text(json.dumps(names))
        return code

    if forked(work):
        raise RuntimeError(f"{words} failed")
    names: list[str] = json.loads(log.read_text())
    return names


# -- what is killed ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A command that is killed, and what has to hold afterwards.

    ``prepare`` fills a folder and returns the command's words; ``recover`` raises AssertionError where something is
    lost, half or left over.
    """

    prepare: Callable[[Path], list[str]]
    recover: Callable[[Path], None]


class Truth:
    """What uninterrupted commands make, to compare with; ``folder`` has ``run``, ``old`` and ``tiny.toml``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.toml = str(folder / "tiny.toml")
        Path(self.toml).write_text(TINY)
        for name, seed in (("run", "0"), ("old", "1")):
            words = ["train", self.toml, "--out", str(folder / name), "--workers", "1", "--seed", seed]
            assert command(*words) == 0

    def bank(self, path: Path) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (path / "weights").iterdir()}

    def train(self, folder: Path, *more: str) -> list[str]:
        return ["train", self.toml, "--out", str(folder / "run"), "--workers", "1", "--seed", "0", *more]

    def start(self, folder: Path) -> list[str]:
        return self.train(folder)

    def overwrite(self, folder: Path) -> list[str]:
        shutil.copytree(self.folder / "old", folder / "run")
        return self.train(folder, "--overwrite")

    def evaluate(self, folder: Path) -> list[str]:
        shutil.copytree(self.folder / "run", folder / "run")
        words = ["evaluate", str(folder / "run"), "--samples", "20", "--replicates", "2"]
        assert command(*words) == 0
        return [*words, "--seed", "5"]

    def sample(self, folder: Path) -> list[str]:
        shutil.copytree(self.folder / "run", folder / "run")
        (folder / "x.npy").write_bytes(b"old")
        return ["sample", str(folder / "run"), "-n", "9", "--out", str(folder / "x.npy"), "--overwrite"]

    # -- afterwards -------------------------------------------------------------------------------------------

    def trained(self, folder: Path) -> None:
        """A killed training: blocks that were done stay as they are, and resuming ends in the same bits."""
        run = folder / "run"
        done = {}
        if run.exists():
            manifest = json.loads((run / "manifest.json").read_text())
            for entry in manifest["blocks"]:
                if entry["state"] == "done":
                    file = run / "weights" / f"block-{entry['first']:04d}-{entry['last']:04d}.safetensors"
                    done[file] = file.stat().st_mtime_ns
        assert command(*self.train(folder, *(["--resume"] if run.exists() else []))) == 0, "it does not resume"
        assert all(file.stat().st_mtime_ns == when for file, when in done.items()), "a done block was trained again"
        self._same_and_tidy(folder)

    def replaced(self, folder: Path) -> None:
        """A killed replacement: one whole run is there, under its name or aside, and the next one leaves no other."""
        whole = [p for p in folder.iterdir() if (p / "manifest.json").is_file() and not _damaged(p)]
        named = folder / "run"
        replaced = named in whole and json.loads((named / "manifest.json").read_text())["seed"] == 0
        assert replaced or any(self.bank(p) == self.bank(self.folder / "old") for p in whole), "the old run is gone"
        assert command(*self.train(folder, *(["--overwrite"] if named.exists() else []))) == 0
        self._same_and_tidy(folder)

    def evaluated(self, folder: Path) -> None:
        """A killed evaluation: what the manifest holds is whole, and of one evaluation."""
        run = folder / "run"
        assert not _damaged(run), "a result is damaged"
        results = json.loads((run / "manifest.json").read_text()).get("results", {})
        assert len(results) in (0, 3), f"part of an evaluation: {sorted(results)}"
        assert command("evaluate", str(run), "--samples", "20", "--replicates", "2", "--seed", "5") == 0
        self._same_and_tidy(folder)

    def sampled(self, folder: Path) -> None:
        """A killed sampling: the file is the old one or the new one."""
        content = (folder / "x.npy").read_bytes()
        assert content == b"old" or len(content) == 128 + 9 * 2 * 8, "half a file"
        words = ["sample", str(folder / "run"), "-n", "9", "--out", str(folder / "x.npy"), "--overwrite"]
        assert command(*words) == 0
        self._same_and_tidy(folder)

    def _same_and_tidy(self, folder: Path) -> None:
        assert self.bank(folder / "run") == self.bank(self.folder / "run"), "another bank"
        assert {p.name for p in folder.iterdir()} <= {"run", "x.npy"}, f"left: {sorted(os.listdir(folder))}"
        odd = [f.name for f in check(folder / "run") if f.state not in ("whole", "not checked")]
        assert not odd, f"left in the run: {odd}"
        left = [name for name in os.listdir(tempfile.gettempdir()) if "undiffuse" in name]
        assert not left, f"left in the temporary folder: {left}"


def _damaged(run: Path) -> list[str]:
    return [each.name for each in check(run) if each.state in ("damaged", "missing")]


def cases(truth: Truth) -> dict[str, Case]:
    return {
        "train": Case(truth.start, truth.trained),
        "overwrite": Case(truth.overwrite, truth.replaced),
        "evaluate": Case(truth.evaluate, truth.evaluated),
        "sample": Case(truth.sample, truth.sampled),
    }


@contextlib.contextmanager
def fresh(root: Path) -> Iterator[Path]:
    folder = root / "case"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def kill_at_each(name: str, every: int, root: Path) -> dict[str, Any]:
    """Kill one command at each ``every``-th moment of its operations."""
    truth = Truth(root)
    case = cases(truth)[name]
    with fresh(root) as folder:
        names = operations(folder, *case.prepare(folder))
    moments = [
        (at, moment) for at in range(len(names)) for moment in MOMENTS if moment != "half" or names[at] == "write"
    ]
    failures, kills = [], 0
    for at, moment in moments[::every]:
        with fresh(root) as folder:
            words = case.prepare(folder)
            code = killed(folder, at, moment, *words)
            kills += code == -signal.SIGKILL
            try:
                assert code == -signal.SIGKILL, f"it ended with {code} instead"
                case.recover(folder)
            except Exception as error:
                failures.append(f"{moment} {names[at]} ({at}): {type(error).__name__} {error}")
    return {"case": name, "operations": len(names), "kills": kills, "failures": failures}


# -- two workers and their parent, killed together at random moments --------------------------------------------------

_ORDERS = {
    "independent": TINY.replace("epochs = 3", "epochs = 300"),
    "continuation": TINY.replace("epochs = 3", 'epochs = 300\norder = "continuation"\nwarm_epochs = 200'),
    "sweep": DIGITS.replace("epochs = 8", "epochs = 40").replace("warm_epochs = 2", "warm_epochs = 10"),
}


def kill_at_random(order: str, count: int, root: Path) -> dict[str, Any]:
    """Kill a training of two workers ``count`` times, going on after each kill until a bank is done, then anew."""
    moments = random.Random(0)
    (root / "c.toml").write_text(_ORDERS[order])
    words = [sys.executable, "-m", "undiffuse", "train", str(root / "c.toml"), "--workers", "2", "--out"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    start = time.monotonic()
    assert subprocess.Popen([*words, str(root / "whole")], **quiet).wait() == 0  # type: ignore[call-overload]
    lasts = time.monotonic() - start
    kills, banks, failures = 0, 0, []
    while kills < count:
        run = root / "case" / "run"
        resume = ["--resume"] if run.exists() else []
        start = time.monotonic()
        job = subprocess.Popen([*words, str(run), *resume], **quiet)  # type: ignore[call-overload]
        try:
            code = job.wait(moments.uniform(0.3, 1.1) * lasts)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()
            kills += 1
            continue
        if not resume:
            lasts = time.monotonic() - start  # the machine may have less to do than before
        banks += 1
        same = code == 0 and all(
            (run / "weights" / p.name).read_bytes() == p.read_bytes() for p in (root / "whole" / "weights").iterdir()
        )
        left = sorted(os.listdir(run.parent))
        if not same or left != ["run"] or _damaged(run):
            failures.append(f"after {kills} kills: ended with {code}, same bits {same}, beside the run {left}")
        shutil.rmtree(run.parent)
    return {"case": f"random {order}", "kills": kills, "banks": banks, "failures": failures}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=["train", "overwrite", "evaluate", "sample", *_ORDERS])
    parser.add_argument("--every", type=int, default=1, help="of the moments of a command, at which it is killed")
    parser.add_argument("--count", type=int, default=10, help="kills of a training at random moments")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        temporary = Path(place) / "tmp"
        temporary.mkdir()
        tempfile.tempdir = str(temporary)
        os.environ["TMPDIR"] = str(temporary)
        if given.case in _ORDERS:
            found = kill_at_random(given.case, given.count, Path(place))
        else:
            found = kill_at_each(given.case, given.every, Path(place))
        print(json.dumps(found, indent=1))
