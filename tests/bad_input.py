"""Commands with random bad input: made by hypothesis, run as a user would, and judged by what they leave behind.

A command may succeed; otherwise it says one line and ends with exit code 2. It never shows a traceback, takes the
machine's memory, or changes a file that was there. Work that is only long is stopped by a signal after a while.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import resource
import shutil
import signal
import threading
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from undiffuse.cli import main
from undiffuse.datasets import idx

LONG = 4.0  # seconds after which a command is stopped
MEMORY = 3 << 20  # kB that the process may come to hold, all commands together
RECIPE = """
[diffusion]
T = 8
beta_1 = 0.02
beta_T = 0.8
[network]
hidden = 6
[training]
epochs = 2
batch = 10
block = 4
[evaluation]
samples = 12
replicates = 2
"""
SPIRAL = (
    """name = "tiny"
[data]
name = "spiral"
n = 100
held_out = 60
"""
    + RECIPE
)
POINTS = (
    """[data]
name = "file"
path = "points.npy"
held_out = 20
"""
    + RECIPE
)
IMAGES = (
    """[data]
name = "mnist"
folder = "images"
digits = [0, 1]
"""
    + RECIPE
)


# -- values -----------------------------------------------------------------------------------------------------------

TRAIN = ["train", "--out", "new", "--workers", "1"]
NUMBERS = ["0", "-1", "1", "2", "3", "7", "12", "13", "1.5", "1e3", "nan", "inf", "-inf", "1e300", "1e-300", "0x10"]
HUGE = ["10000000000", "100000000000000000000", "9" * 400, "9" * 5000, "18446744073709551616", "2147483648"]
WORDS = ["", " ", "true", "[]", "{}", "[0]", '["0"]', "[[1]]", '"5"', "None", "..", "/", "é…", "a\nb", "x" * 3000]
VALUES = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(NUMBERS[2:9]),
    st.sampled_from(HUGE),
    st.sampled_from(WORDS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
)
KEYS = [
    "data.n", "data.held_out", "data.turns", "data.noise", "data.name", "data.digits", "data.path", "data.spins",
    "diffusion.T", "diffusion.beta_1", "diffusion.beta_T", "diffusion.noise_scale", "diffusion.schedule",
    "network.hidden", "network.components", "network.decoder_scale", "network.activation", "network.skip",
    "training.epochs", "training.batch", "training.learning_rate", "training.block", "training.order",
    "training.at_once", "training.average", "training.blends", "training.blend_own", "training.sweep_from",
    "evaluation.samples", "evaluation.replicates", "seed", "name", "times", "data", "network", "x",
    "training.epochs.x", "",
]  # fmt: skip


@st.composite
def configurations(draw):
    """A training with one to three settings replaced."""
    changes = draw(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), min_size=1, max_size=3))
    return {}, [*TRAIN, "spiral.toml", *(f"--set={key}={value}" for key, value in changes)]


# Commands with those of their options that take numbers, names and files; run is a finished run.
COMMANDS = {
    (*TRAIN, "spiral.toml"): ["--seed", "--workers", "--device"],
    (*TRAIN, "table.csv", "--minutes", "0.01"): [
        "--labels", "--classes", "--without", "--missing", "--minutes", "--save-preset", "--set",
    ],
    ("show", "run"): ["--out", "--key", "--labels"],
    ("show", "table.csv"): ["--out", "--without", "--labels"],
    ("show", "points.npy"): ["--out", "--key", "--without", "--labels"],
    ("export", "run", "--to", "npz", "--out", "new"): ["--first", "--last", "--samples", "--to", "--seed"],
    ("lab", "run", "--out", "new.html"): ["--steps", "--particles", "--points", "--seed", "--out"],
    ("lab", "curie-weiss", "--out", "new.html"): ["--particles", "--seed", "--steps", "--out"],
    ("movie", "run", "--out", "new.gif", "--frames", "2", "--size", "120"): [
        "--frames", "--size", "--fps", "-n", "--seed", "--of", "--out",
    ],
    ("doctor", "."): ["--folder"],
    ("presets",): [],
    ("completion", "bash"): [],
    ("info", "run"): [],
    ("sample", "run", "--out", "new.npy"): [
        "-n", "--steps", "--seed", "--sampler", "--eta", "--variance", "--start", "--device",
    ],
    ("evaluate", "run"): ["--samples", "--replicates", "--seed", "--steps", "--sampler", "--start", "--device"],
    ("starts", "run", "--steps", "2", "--points", "3", "-n", "12", "--out", "new"): [
        "--steps", "--points", "-n", "--replicates", "--seed", "--sampler", "--eta",
    ],
    ("likelihood", "run", "-n", "4", "-k", "3"): ["-n", "-k", "--t", "--seed", "--exact", "--set"],
    ("energy", "--exact", "spiral.toml", "-n", "4", "-k", "3"): ["-n", "-k", "--t", "--seed", "--exact", "--set"],
    ("figures", "run", "--out", "new"): [],
    ("analyse", "run", "--out", "new", "-n", "50"): ["--points", "-n", "--seed"],
    ("uturn", "run"): ["--t", "-n", "--repeats", "--steps", "--seed", "--out"],
    ("reconstruct", "run", "--t", "3", "--out", "new.npz"): ["--repeats", "-n", "--steps", "--eta"],
    ("inpaint", "run", "--hole", "2x2", "--out", "new.npz"): [
        "--hole", "--jump", "--repeats", "-n", "--method", "--particles",
    ],
    ("memorise", "spiral.toml", "-n", "50", "--samples", "10"): ["-n", "--samples", "--seeds", "--hidden"],
    ("memorise", "spiral.toml", "--along", "training", "-n", "20", "--hidden", "8", "--updates", "20", "--seeds", "2",
     "--t", "3", "--workers", "1"): [
        "--along", "-n", "--hidden", "--updates", "--seeds", "--t", "--batch", "--learning-rate", "--components",
        "--threshold", "--within", "--seed", "--out", "--samples",
    ],
    ("linear", "spiral.toml", "-n", "50"): ["-n", "--components", "--seed", "--out"],
    ("physics", "langevin", "--walkers", "100"): ["--walkers", "--seed", "--out"],
    ("physics", "curie-weiss", "--walkers", "3"): ["--spins", "--beta", "--field", "--points", "--seed"],
    ("physics", "cascade", "spiral.toml", "--components", "2", "--hidden", "8", "--points", "4", "--passes", "1",
     "--seeds", "2", "--workers", "1"): [
        "--components", "--hidden", "--points", "--passes", "--batch", "--seeds", "--seed", "--set", "--out",
    ],
    ("physics", "locality", "images.toml", "--hidden", "8", "--passes", "1", "--seeds", "2", "--images", "20",
     "-n", "4", "--tau", "0.5", "--side", "3", "--workers", "1"): [
        "--hidden", "--passes", "--batch", "--seeds", "--images", "-n", "--tau", "--side", "--seed", "--set", "--out",
    ],
    ("physics", "critical-times", "spiral.toml", "-n", "50", "--points", "8"): ["-n", "--points", "--seed"],
    ("physics", "two-clusters", "-n", "3", "--noises", "1", "--dim", "40", "--times", "4", "--seeds", "2"): [
        "-n", "--noises", "--sigma", "--ridge", "--dim", "--times", "--seeds", "--samples", "--seed", "--out",
    ],
    ("physics", "simplicity", "spiral.toml", "--only", "hidden", "--hidden", "4", "--hidden", "8", "--seeds", "2",
     "--samples", "10", "--replicates", "2", "--workers", "1"): [
        "--only", "--hidden", "--times", "--shares", "-n", "--centre", "--metric", "--seeds", "--samples",
        "--replicates", "--seed", "--set", "--out",
    ],
    ("perceptron", "--orders", "0", "--digits", "0", "1"): ["--max-passes", "--seed", "--figure", "--data"],
}  # fmt: skip


@st.composite
def command_lines(draw):
    """A command with one or two of its options given bad values."""
    words = draw(st.sampled_from(sorted(COMMANDS)))
    options = COMMANDS[words] or ["--json", "--nonsense"]
    given = draw(st.dictionaries(st.sampled_from(options), VALUES, min_size=1, max_size=2))
    kept = [word for i, word in enumerate(words) if not given.keys() & {word, words[i - 1]}]
    return {}, [*kept, *(word for pair in given.items() for word in pair)]


# -- files ------------------------------------------------------------------------------------------------------------


@st.composite
def spoiled(draw, good):
    """A good file with some bytes changed, cut, with more behind it, or something else altogether."""
    at = draw(st.one_of(st.integers(0, min(60, len(good))), st.integers(0, len(good))))
    some = draw(st.binary(min_size=1, max_size=8))
    other = draw(st.binary(max_size=200))
    return draw(st.sampled_from([good[:at] + some + good[at + len(some) :], good[:at], good + some, other]))


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


NORMAL = npy(np.random.default_rng(0).normal(size=(60, 2)))
MASK = npy(np.eye(3, dtype=bool))
PIXELS = idx.encode(np.random.default_rng(1).integers(0, 256, (60, 3, 3)).astype(np.uint8))
LABELS = idx.encode(np.arange(60).astype(np.uint8) % 2)
ARRAYS = st.sampled_from(
    [npy(np.full((60, 2), value)) for value in (0.0, np.nan, np.inf, 1e300, 1e-300, 1e155, -1e20)]
    + [npy(np.zeros(shape)) for shape in ((0, 2), (60, 0), (60,), (60, 2, 2), (1, 2), (3, 3))]
    + [npy(np.zeros((60, 2), kind)) for kind in ("complex64", "datetime64[s]", "U4", "bool", "f2", "i1")]
)
INPAINT = ["inpaint", "run", "-n", "4", "--out", "new.npz", "--mask"]
TABLE = "\n".join(["a,b,kind", *(f"{i % 7},{i / 3:.3f},{'xy'[i % 2]}" for i in range(60))]) + "\n"
OWN = [*TRAIN, "--minutes", "0.01", "--set=diffusion.T=8", "--set=training.epochs=1"]
FILES = {
    "table.csv": (spoiled(TABLE.encode()), ["show", "table.csv", "--without", "kind"]),
    "own.csv": (spoiled(TABLE.encode()), [*OWN, "own.csv", "--labels", "kind"]),
    "shown.npy": (st.one_of(spoiled(NORMAL), ARRAYS), ["show", "shown.npy"]),
    "own.npy": (st.one_of(spoiled(NORMAL), ARRAYS), [*OWN, "own.npy"]),
    "spiral.toml": (spoiled(SPIRAL.encode()), [*TRAIN, "spiral.toml"]),
    "points.npy": (st.one_of(spoiled(NORMAL), ARRAYS), [*TRAIN, "points.toml"]),
    "images/train-images-idx3-ubyte": (spoiled(PIXELS), [*TRAIN, "images.toml"]),
    "images/train-labels-idx1-ubyte": (spoiled(LABELS), [*TRAIN, "images.toml"]),
    "mask.npy": (st.one_of(spoiled(MASK), ARRAYS), [*INPAINT, "mask.npy"]),
    "mask.png": (spoiled(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40)), [*INPAINT, "mask.png"]),
}
PARTS = ["manifest.json", "config.toml", "reference.safetensors", "weights/block-0001-0004.safetensors"]
READERS = [["info", "run"], ["sample", "run", "-n", "3", "--out", "new.npy"], ["physics", "critical-times", "run"]]


@st.composite
def files(draw):
    """A command that reads a bad file."""
    name = draw(st.sampled_from(sorted(FILES)))
    content, words = FILES[name]
    return {name: draw(content)}, words


@st.composite
def run_folders(draw, run):
    """A command that reads a damaged run."""
    name = draw(st.sampled_from(PARTS))
    return {f"run/{name}": draw(spoiled((run / name).read_bytes()))}, draw(st.sampled_from(READERS))


# -- the judge --------------------------------------------------------------------------------------------------------


def make(folder):
    """Good files, and a finished run on images with everything in it that commands keep there."""
    (folder / "images").mkdir()
    for split in idx.SPLITS.values():
        (folder / f"images/{split}-images-idx3-ubyte").write_bytes(PIXELS)
        (folder / f"images/{split}-labels-idx1-ubyte").write_bytes(LABELS)
    for name, content in {"spiral.toml": SPIRAL, "points.toml": POINTS, "images.toml": IMAGES}.items():
        (folder / name).write_text(content)
    (folder / "points.npy").write_bytes(NORMAL)
    (folder / "table.csv").write_text(TABLE)
    for words in (["train", "images.toml", "--out", "run", "--workers", "1"], ["evaluate", "run"]):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            assert main(words) == 0


class Judge:
    """Runs commands in a folder, which is as it was before each of them; counts how they ended."""

    def __init__(self, folder: Path, good: Path) -> None:
        self.folder, self.good = folder, good
        self.ended: Counter[str] = Counter()

    def __call__(self, changed, words):
        """Put changed files there, run the command, and see what it did."""
        for left in self.folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        shutil.copytree(self.good, self.folder, dirs_exist_ok=True)
        for name, content in changed.items():
            (self.folder / name).write_bytes(content)
        before = self._seen()
        code, said, printed = self._run(words)
        now = self._seen()
        kind = {0: "succeeded", 2: "refused"}.get(code, "stopped")
        assert code in (0, 2, 130), (code, said)
        assert "Traceback" not in said + printed, said
        if code == 2:
            assert printed == "", printed
            lines = [line for line in said.splitlines() if not re.match(r"undiffuse: warning: |[a-z ]+: .* s\b", line)]
            assert len(lines) == 1, lines
            assert lines[0].startswith("undiffuse: ")
            assert len(lines[0]) < 1_500
            if "training diverged" not in said:
                assert now == before, now.keys() ^ before.keys()
        for name in [name for name in before if not name.startswith("run/")]:
            assert now.get(name) == before[name], name
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MEMORY
        self.ended[kind] += 1

    def _run(self, words):
        out, err = io.StringIO(), io.StringIO()
        timer = threading.Timer(LONG, os.kill, [os.getpid(), signal.SIGINT])
        timer.start()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = main(words)
        except KeyboardInterrupt:  # it came when the command had just ended
            code = 130
        finally:
            timer.cancel()
        return code, err.getvalue(), out.getvalue()

    def _seen(self):
        every = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(p.relative_to(self.folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in every}
