import subprocess
import sys

import numpy as np
import pytest

import undiffuse as ud


def test_import_loads_nothing_heavy():
    """Seconds are not tested, causes are: none of these may be needed to import the package."""
    heavy = [
        "torch",
        "numba",
        "matplotlib",
        "scipy",
        "rich",
        "jinja2",
        "loky",
        "diffusers",
        "sklearn",
        "dask",
        "gradio",
    ]
    code = f"import sys, undiffuse; print([m for m in {heavy!r} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


WITHOUT_TORCH = """
import sys
from importlib.machinery import PathFinder
from undiffuse.cli import main

class Without(PathFinder):
    def find_spec(name, path=None, target=None):
        return None if name == "torch" else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
sys.exit(main(sys.argv[1:]))
"""


def without_torch(*words):
    """Run a command where torch is not found; its exit code, and what it said."""
    job = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *map(str, words)], capture_output=True, text=True)
    return job.returncode, job.stderr


def test_points_in_the_plane_need_no_torch(tiny_file, tmp_path):
    run = tmp_path / "run"
    for words in (
        ("run", tiny_file, "--out", run, "--workers", "1"),
        ("lab", run, "--out", tmp_path / "lab.html"),
        ("doctor",),
    ):
        code, said = without_torch(*words)
        assert code == 0, said


def test_own_data_of_three_columns_need_no_torch(tmp_path):
    np.savetxt(tmp_path / "mine.csv", np.random.default_rng(0).standard_normal((200, 3)), delimiter=",")
    code, said = without_torch("run", tmp_path / "mine.csv", "--minutes", "0.01", "--out", tmp_path / "run")
    assert code == 0, said


@pytest.mark.parametrize("command", [["physics", "langevin"], ["linear", "spiral-2pi", "-n", "200"]])
def test_physics_and_the_linear_model_need_no_torch(command):
    code, said = without_torch(*command)
    assert code == 0, said


def test_a_bank_of_images_is_sampled_without_torch(digits_run_path, tmp_path):
    code, said = without_torch("sample", digits_run_path, "-n", "5", "--out", tmp_path / "x.npy")
    assert code == 0, said
    assert np.load(tmp_path / "x.npy").shape[0] == 5


@pytest.mark.parametrize(
    "words",
    [
        ["train", "mnist-01-quick"],
        ["train", "curie-weiss"],
        ["train", "spiral-2pi", "--set", "training.engine=torch"],
        ["train", "spiral-2pi", "--set", "network.activation=sigmoid"],
        ["physics", "cascade", "spiral-2pi", "--components", "2"],
        ["physics", "locality", "mnist-01-quick"],
        ["export", "RUN", "--to", "torch-state"],
    ],
    ids=" ".join,
)
def test_what_cannot_do_without_torch_is_refused_in_one_line_and_leaves_nothing(words, tiny_run_path, tmp_path):
    words = [str(tiny_run_path) if word == "RUN" else word for word in words]
    code, said = without_torch(*words, "--out", tmp_path / "new")
    assert code == 2
    assert said.endswith("pip install 'undiffuse[torch]'\n")
    assert len(said.splitlines()) == 1
    assert [*tmp_path.iterdir()] == []


def test_public_names_exist_and_are_documented():
    for name in ud.__all__:
        assert getattr(ud, name).__doc__, name
