"""Commands with random bad input: made by hypothesis, run as a user would, and judged by what they leave behind.

A command may succeed; otherwise it says one line and ends with exit code 2. It never shows a traceback, takes long, takes
the machine's memory, or changes a file that was there.
"""

from __future__ import annotations

import hashlib
import io
import json
import resource
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from helpers import TINY
from undiffuse.cli import main
from undiffuse.datasets import idx

SECONDS = 30.0  # that a single command may take, on a machine that does other things as well
MEMORY = 8 << 30  # bytes of address space that a command may take beyond what there is at the start


# -- values -----------------------------------------------------------------------------------------------------------

NUMBERS = ["0", "-1", "1", "2", "3", "7", "12", "13", "1.5", "1e3", "nan", "inf", "-inf", "1e300", "1e-300", "0x10"]
HUGE = ["10000000000", "100000000000000000000", "9" * 400, "9" * 5000, "18446744073709551616", "2147483648"]
WORDS = ["", " ", "true", "[]", "{}", "[0]", '["0"]', "[[1]]", '"5"', "None", "..", "/", "\u00e9\u2026", "a\nb", "x" * 3000]
VALUES = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(HUGE), st.sampled_from(WORDS), st.text(max_size=12))
KEYS = [
    "data.n", "data.held_out", "data.turns", "data.noise", "data.name", "data.digits", "data.path", "data.spins",
    "diffusion.T", "diffusion.beta_1", "diffusion.beta_T", "diffusion.noise_scale", "diffusion.schedule",
    "network.hidden", "network.components", "network.decoder_scale", "network.activation", "network.skip",
    "training.epochs", "training.batch", "training.learning_rate", "training.block", "training.order",
    "training.at_once", "training.average", "training.blends", "training.sweep_from", "evaluation.samples",
    "evaluation.replicates", "seed", "name", "times", "data", "network", "x", "training.epochs.x", "",
]  # fmt: skip
CONFIGURATIONS = st.lists(st.tuples(st.sampled_from(KEYS), VALUES), min_size=1, max_size=3)


def toml_of(changes: list[tuple[str, str]]) -> list[str]:
    """The words that change settings."""
    return [f"--set={key}={value}" for key, value in changes]


# Commands with the options that take numbers, names and files; RUN is a finished run, RUIN a damaged one.
COMMANDS = {
    ("train", "tiny.toml", "--out", "new"): ["--seed", "--workers", "--device"],
    ("info", "RUN"): [],
    ("sample", "RUN", "--out", "new.npy"): ["-n", "--steps", "--seed", "--sampler", "--eta", "--variance"],
    ("evaluate", "RUN"): ["--samples", "--replicates", "--seed", "--steps", "--sampler"],
    ("figures", "RUN", "--out", "new"): [],
    ("analyse", "RUN", "--out", "new", "-n", "50"): ["--points", "-n", "--seed"],
    ("uturn", "RUN"): ["--t", "-n", "--repeats", "--steps", "--seed", "--out"],
    ("reconstruct", "RUN", "--t", "3", "--out", "new.npz"): ["--repeats", "-n", "--steps", "--eta"],
    ("inpaint", "RUN", "--hole", "2x2", "--out", "new.npz"): ["--hole", "--jump", "--repeats", "-n", "--method"],
    ("memorise", "tiny.toml", "-n", "50", "--samples", "10"): ["-n", "--samples", "--seeds", "--hidden"],
    ("linear", "tiny.toml", "-n", "50"): ["-n", "--components", "--seed", "--out"],
    ("physics", "langevin", "--walkers", "100"): ["--walkers", "--seed", "--out"],
    ("physics", "curie-weiss", "--walkers", "3"): ["--spins", "--beta", "--field", "--points", "--seed"],
    ("physics", "critical-times", "tiny.toml", "-n", "50", "--points", "8"): ["-n", "--points", "--seed"],
    ("perceptron", "--orders", "0", "--digits", "0", "1"): ["--max-passes", "--seed", "--figure", "--data"],
}


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with one or two of its options given bad values."""
    words = draw(st.sampled_from(sorted(COMMANDS)))
    options = COMMANDS[words] or ["--json", "--nonsense"]
    more = draw(st.lists(st.tuples(st.sampled_from(options), VALUES), min_size=1, max_size=2))
    return [*words, *(word for pair in more for word in pair)]


# -- files ------------------------------------------------------------------------------------------------------------


def spoiled(good: bytes) -> st.SearchStrategy[bytes]:
    """A good file cut, with bytes changed, with more behind it, or nothing of it."""
    place = st.integers(0, max(0, len(good) - 1))
    return st.one_of(
        place.map(lambda i: good[:i]),
        st.tuples(place, st.binary(min_size=1, max_size=8)).map(lambda p: good[: p[0]] + p[1] + good[p[0] + len(p[1]) :]),
        st.tuples(st.integers(0, min(40, len(good))), st.binary(min_size=1, max_size=4)).map(
            lambda p: good[: p[0]] + p[1] + good[p[0] + len(p[1]) :]
        ),
        st.binary(max_size=40).map(lambda b: good + b),
        st.binary(max_size=200),
    )


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


POINTS = npy(np.random.default_rng(0).normal(size=(60, 2)))
ARRAYS = st.sampled_from(
    [
        npy(np.full((60, 2), value)) for value in (0.0, np.nan, np.inf, 1e300, 1e-300, 1e155)
    ]
    + [npy(np.zeros(shape)) for shape in ((0, 2), (60, 0), (60,), (60, 2, 2), (1, 2))]
    + [npy(np.zeros((60, 2), kind)) for kind in ("complex64", "datetime64[s]", "U4", "bool", "f2", "i1")]
)
IMAGES = idx.encode(np.random.default_rng(1).integers(0, 256, (60, 3, 3)).astype(np.uint8))
LABELS = idx.encode(np.arange(60).astype(np.uint8) % 2)
MASK = npy(np.eye(3, dtype=bool))
FILES = {
    "points.npy": st.one_of(spoiled(POINTS), ARRAYS),
    "tiny.toml": spoiled(TINY.encode()),
    "images/train-images-idx3-ubyte": spoiled(IMAGES),
    "images/train-labels-idx1-ubyte": spoiled(LABELS),
    "mask.npy": st.one_of(spoiled(MASK), ARRAYS),
    "mask.png": spoiled(b"\x89PNG\r\n\x1a\n" + bytes(40)),
}
