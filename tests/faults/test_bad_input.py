"""Input of the wrong kind is answered in a line, with exit code 2, and nothing is made."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import undiffuse as ud
from helpers import TINY, complaint
from undiffuse.datasets.masks import read_mask
from undiffuse.runs import config
from undiffuse.support.arrays import as_samples
from undiffuse.support.errors import FailedJobError
from undiffuse.support.files import read_npy, write_file

QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def said(work, *arguments):
    """What is wrong, in the words of the error; nothing if all is well."""
    try:
        work(*arguments)
    except ud.UserError as error:
        return str(error)
    return ""


# -- configurations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (bytes(range(128, 256)), "it is not UTF-8 text (byte 0, line 1)"),
        (TINY.encode("utf-16"), "it is not UTF-8 text"),
        (TINY.replace("tiny", "naïf").encode("latin-1"), "it is not UTF-8 text"),
        (b"x = " + b"[" * 100_000, "nested too deeply"),
        (b"x = " + b"9" * 5_000, "is not valid TOML"),
        (TINY.replace("epochs = 3", "epochs = 3.0").encode(), "training.epochs = 3.0"),
        (TINY.replace("epochs = 3", 'epochs = "3"').encode(), "training.epochs = '3'"),
        (TINY.replace("epochs = 3", "epochs = true").encode(), "training.epochs = True"),
    ],
    ids=["binary", "utf-16", "latin-1", "nested", "long number", "float", "text", "truth"],
)
def test_a_file_that_is_no_configuration_is_answered_in_a_line(capsys, tmp_path, monkeypatch, content, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_bytes(content)
    said = complaint(capsys, "train", "c.toml", "--out", "run", lines=1)
    assert words in said
    assert "c.toml" in said
    assert not (tmp_path / "run").exists()


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "c.toml").write_bytes(b"\xef\xbb\xbf" + TINY.encode())
    assert config.load(tmp_path / "c.toml") == config.loads(TINY, "tiny")


@QUIET
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_as_a_configuration_are_a_configuration_or_one_line(content):
    wrong = said(config.loads, content, "c.toml")
    assert not wrong or "c.toml" in wrong
    assert len(wrong) < 1_000


@QUIET
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_setting_on_the_command_line_is_taken_or_answered(key, value):
    assert len(said(config.load, "spiral-2pi", [f"{key}={value}"])) < 1_000


# -- arrays, images and masks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x",
    [
        [["1", "2"]],
        np.array([["a", "b"]]),
        [np.ma.array([1.0, 2.0], mask=[0, 1]), np.ma.array([1.0, 2.0])],
        np.ones((2, 2), complex),
        np.zeros((2, 2), "datetime64[s]"),
        [[10**400, 1]],
        [[1.0], [1.0, 2.0]],
        [[object(), 1]],
    ],
    ids=["digits as text", "text", "masked rows", "complex", "dates", "huge integer", "ragged", "objects"],
)
def test_samples_of_the_wrong_kind_are_refused(x):
    with pytest.raises(ud.UserError, match="data"):
        as_samples(x)


@QUIET
@given(st.binary(max_size=200))
def test_any_bytes_as_an_array_are_an_array_or_one_line(tmp_path, content):
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + content)
    wrong = said(read_npy, path)
    assert not wrong or "x.npy" in wrong
    assert "\n" not in wrong


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@QUIET
@given(st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\x00"]))
def test_any_bytes_as_a_mask_are_a_mask_or_one_line(tmp_path, content, start):
    path = tmp_path / "m.png"
    path.write_bytes(start + content)
    wrong = said(read_mask, path, (28, 28))
    assert not wrong or "m.png" in wrong


def test_a_mask_of_words_is_refused(tmp_path):
    np.save(tmp_path / "m.npy", np.full((28, 28), "x"))
    with pytest.raises(ud.UserError, match="wanted truth values or numbers"):
        read_mask(tmp_path / "m.npy", (28, 28))


# -- whose fault it is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "error"), [(28, FailedJobError), (5, FailedJobError), (13, ud.UserError)])
def test_a_full_disk_is_a_failed_job_and_a_forbidden_folder_a_mistake(tmp_path, monkeypatch, number, error):
    def refuse(_):
        raise OSError(number, "refused")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(error, match="cannot write .*: refused"):
        write_file(tmp_path / "x", b"new")
    assert not list(tmp_path.iterdir())


# -- too much, and too late -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    ["diffusion.noise_scale=1e300", "diffusion.noise_scale=1e-300", "diffusion.T=1000000000", "data.turns=1e300",
     "data.n=1000000000000", "data.held_out=1000000000000"],
)  # fmt: skip
def test_settings_that_no_machine_can_hold_are_refused_before_any_work(capsys, tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    assert change.partition("=")[0] in complaint(capsys, "train", "spiral-2pi", "--out", "run", "--set", change)
    assert not list(tmp_path.iterdir())


def test_more_samples_than_the_memory_holds_are_refused_before_they_are_drawn(capsys, tiny_run_path, tmp_path):
    said = complaint(capsys, "sample", tiny_run_path, "-n", 10**20, "--out", tmp_path / "x.npy", lines=1)
    assert "this machine has" in said


@pytest.mark.parametrize("words", [["curie-weiss"], ["langevin"], ["critical-times", "spiral-2pi"]])
def test_an_output_folder_that_cannot_be_made_is_refused_before_the_work(capsys, tmp_path, monkeypatch, words):
    (tmp_path / "file").write_text("mine")
    for name in ("undiffuse.physics.breaking.Walk", "undiffuse.studies.langevin.forward_langevin"):
        monkeypatch.setattr(name, None)  # the work itself would end in a traceback
    assert "cannot make the folder" in complaint(capsys, "physics", *words, "--out", tmp_path / "file", lines=1)
    assert (tmp_path / "file").read_text() == "mine"


def test_uncompiled_kernels_are_refused(capsys, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert "unset it" in complaint(capsys, "presets", lines=1)


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "run", "--out", "x.npy", "-n", "1.5"],
        ["sample", "run", "--out", "x.npy", "--steps", "1.0"],
        ["sample", "run", "--out", "x.npy", "--seed", "1e3"],
        ["uturn", "run", "--t", "3", "--t", "2.5"],
        ["perceptron", "--digits", "0", "1.2"],
        ["physics", "curie-weiss", "--spins", "0x10"],
        ["physics", "langevin", "--walkers", "9" * 5_000],
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_no_number_is_rounded(capsys, words):
    said = complaint(capsys, *words, lines=1)
    assert "wanted a whole number" in said
    assert len(said) < 200


def test_a_file_name_of_two_lines_is_answered_in_one(capsys, tiny_run_path):
    said = complaint(capsys, "sample", tiny_run_path, "--out", "a\nb", lines=1)
    assert "a\\nb: wanted a name that ends in .npy" in said


def test_a_name_that_the_terminal_cannot_show_is_shown_in_escapes(tmp_path):
    (tmp_path / "c.toml").write_text(TINY.replace("tiny", "spiräl"), encoding="utf-8")
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for words in (["train", "c.toml", "--out", "r", "--workers", "1"], ["info", "r"]):
        job = subprocess.run(
            [sys.executable, "-m", "undiffuse", *words], cwd=tmp_path, env=ascii_only, capture_output=True, text=True
        )
        assert job.returncode == 0, job.stderr
    assert "spir\\xe4l" in job.stdout


def test_a_backend_for_windows_that_is_not_there_is_not_asked_for(capsys, tiny_run_path, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    job = subprocess.run(
        [sys.executable, "-m", "undiffuse", "figures", tiny_run_path, "--out", tmp_path], capture_output=True, text=True
    )
    assert job.returncode == 0, job.stderr
