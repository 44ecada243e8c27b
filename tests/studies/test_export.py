"""The command export: files that other programs read, with a README of their shapes."""

import re
import subprocess
import sys

import numpy as np
import pytest

import undiffuse as ud
from helpers import answer, complaint
from undiffuse.cli import main

FILES = {"onnx": "bank.onnx", "hdf5": "bank.h5", "npz": "bank.npz", "torch-state": "bank.pt"}
LIBRARIES = {"onnx": ["onnx", "onnxruntime"], "hdf5": ["h5py"]}


@pytest.mark.parametrize("to", FILES)
def test_the_code_of_each_readme_reads_the_file_beside_it(capsys, tiny_run_path, tmp_path, to):
    for library in LIBRARIES.get(to, []):
        pytest.importorskip(library)
    found = answer(capsys, "export", tiny_run_path, "--to", to, "--out", tmp_path / "out", "--first", 3)
    assert found["files"] == [str(tmp_path / "out" / FILES[to]), str(tmp_path / "out" / "README.md")]
    assert (found["first"], found["last"], found["hidden"]) == (3, 12, 20)
    text = (tmp_path / "out/README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    job = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True)
    assert job.returncode == 0, job.stderr
    assert "| `W` | float32 | (10, 20, 2) |" in text


def test_an_onnx_file_of_a_run_samples_as_the_run_does(tiny_run_path, tmp_path):
    """DDIM steps with onnxruntime's noise end where the package's do."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    assert main(["export", str(tiny_run_path), "--to", "onnx", "--out", str(tmp_path)]) == 0
    model = ud.Diffusion.load(tiny_run_path)
    session = runtime.InferenceSession(tmp_path / "bank.onnx")

    class Exported(ud.Denoiser):
        def xi_hat(self, x_t, t):
            return session.run(None, {"x_t": x_t.astype(np.float32), "t": np.array(t)})[0]

    theirs, ours = (ud.sample(d, 20, sampler=ud.DDIM(), seed=1) for d in (Exported(model.forward, 2), model))
    assert np.abs(theirs - ours).max() < 1e-4


def test_samples_in_hdf5_are_those_of_the_command_sample(tiny_run_path, tmp_path):
    h5py = pytest.importorskip("h5py")
    words = ["--to", "hdf5", "--out", str(tmp_path), "--samples", "7", "--seed", "3"]
    assert main(["export", str(tiny_run_path), *words]) == 0
    with h5py.File(tmp_path / "bank.h5") as file:
        expected = ud.Diffusion.load(tiny_run_path).sample(7, seed=3)
        assert np.array_equal(file["samples"][()], expected.astype(np.float32))
        assert file["bank/W"].shape == (12, 20, 2)


def test_binary_samples_of_spins_are_spins_that_rbms_reads(tmp_path):
    pytest.importorskip("h5py")
    rbms = pytest.importorskip("rbms.dataset.load_h5")
    words = ["diffusion.T=6", "diffusion.schedule=cosine", "training.epochs=1", "network.hidden=8", "training.block=6"]
    changes = [f"--set={word}" for word in [*words, "data.n=200", "data.held_out=50"]]
    assert main(["train", "curie-weiss", "--out", str(tmp_path / "run"), "--workers", "1", *changes]) == 0
    words = ["--to", "hdf5", "--out", str(tmp_path / "out"), "--samples", "30", "--binary"]
    assert main(["export", str(tmp_path / "run"), *words]) == 0
    spins, _ = rbms.load_HDF5(tmp_path / "out/bank.h5", binarize=False)
    assert set(np.unique(spins)) == {-1, 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "npz", "--first", "0"], "wanted a range inside 1..12"),
        (["--to", "npz", "--last", "13"], "wanted a range inside 1..12"),
        (["--to", "npz", "--samples", "5"], "go into an HDF5 file"),
        (["--to", "hdf5", "--binary"], "give --samples"),
        (["--to", "hdf5", "--samples", "-1"], "wanted 0 or more"),
        (["--to", "pickle"], "pickle"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_left(capsys, tiny_run_path, tmp_path, words, said):
    assert said in complaint(capsys, "export", tiny_run_path, *words, "--out", tmp_path / "out", lines=3)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_replaced_only_when_asked(capsys, tiny_run_path, tmp_path):
    words = ["export", str(tiny_run_path), "--to", "npz", "--out", str(tmp_path)]
    (tmp_path / "README.md").write_text("mine")
    assert "exists already" in complaint(capsys, *words, lines=1)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert main([*words, "--overwrite"]) == 0


def test_a_run_folder_is_no_place_for_an_export(capsys, tiny_run_path):
    before = sorted(tiny_run_path.iterdir())
    assert "is a run folder" in complaint(
        capsys, "export", tiny_run_path, "--to", "npz", "--out", tiny_run_path, lines=1
    )
    assert sorted(tiny_run_path.iterdir()) == before


@pytest.mark.parametrize(("to", "library"), [("onnx", "onnx"), ("hdf5", "h5py")])
def test_a_library_that_is_not_installed_is_named_with_what_installs_it(
    capsys, tiny_run_path, tmp_path, monkeypatch, to, library
):
    monkeypatch.setitem(sys.modules, library, None)
    said = complaint(capsys, "export", tiny_run_path, "--to", to, "--out", tmp_path / "out", lines=1)
    assert f"pip install 'undiffuse[{to}]'" in said
    assert not list(tmp_path.iterdir())
