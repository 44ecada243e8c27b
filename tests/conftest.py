"""Shared fixtures: one tiny trained run, made once per test process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import undiffuse as ud
from helpers import DIGITS, TINY
from undiffuse import datasets
from undiffuse.metrics.classifiers import Classifiers
from undiffuse.runs import config
from undiffuse.runs.folder import RunFolder
from undiffuse.training import Execution, train_run

# Kernels for GPUs are interpreted, which needs none; Triton asks for this once, when it is imported.
os.environ.setdefault("TRITON_INTERPRET", "1")

# Two processes share two cores, so a deadline per example would test the machine.
settings.register_profile("undiffuse", deadline=None, derandomize=True)
settings.load_profile("undiffuse")


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny_run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that no test changes."""
    settings = config.loads(TINY, "tiny")
    path = tmp_path_factory.mktemp("runs") / "tiny"
    train_run(settings, datasets.load(settings), path, execution=Execution(workers=1))
    return path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def forward() -> ud.ForwardProcess:
    return ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2), noise_scale=0.7)


@pytest.fixture
def digits_file(tmp_path: Path) -> Path:
    path = tmp_path / "digits.toml"
    path.write_text(DIGITS)
    return path


@pytest.fixture(scope="session")
def digits_run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on a few digits that no test changes."""
    settings = config.loads(DIGITS, "digits")
    path = tmp_path_factory.mktemp("runs") / "digits"
    train_run(settings, datasets.load(settings), path, execution=Execution(workers=1))
    return path


@pytest.fixture(scope="session")
def classifiers():
    train, test = (datasets.mnist((0, 1), split) for split in ("train", "test"))
    return Classifiers.train(train.first(4_000), test)


@pytest.fixture(scope="session")
def image_run_path(digits_run_path, classifiers, tmp_path_factory):
    """A run on a few digits with its classifiers; tests may add to it what any command adds."""
    path = shutil.copytree(digits_run_path, tmp_path_factory.mktemp("images") / "digits")
    RunFolder.open(path).keep(classifiers.to_files())
    return path


@pytest.fixture
def as_on_gpu(monkeypatch: pytest.MonkeyPatch) -> Execution:
    """The device "cuda" lives on the processor: everything is called as on a GPU, and nothing is recorded."""
    import torch

    monkeypatch.setattr("undiffuse.support.gpu.is_there", lambda: True)
    monkeypatch.setattr("undiffuse.support.gpu.home", lambda device: torch.device("cpu"))
    monkeypatch.setattr("undiffuse.support.gpu.free_bytes", lambda: 8 << 30)
    return Execution(device="cuda", workers=1)
