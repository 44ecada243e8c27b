import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import pytest

from helpers import answer, complaint
from undiffuse.studies import doctor


@pytest.fixture(scope="module")
def found():
    return doctor.run()


def test_versions_are_those_installed(capsys):
    shown = answer(capsys, "doctor")
    assert shown["versions"]["torch"] == version("torch")
    assert {each["extra"] for each in shown["extras"]} == {"data", "distributed", "onnx", "hdf5", "torch", "triton"}
    assert all(each["install"] == f"pip install 'undiffuse[{each['extra']}]'" for each in shown["extras"])


def test_a_missing_library_says_what_installs_it():
    listed = ["numpy>=1", 'nosuchlibrary>=1; extra == "onnx"', 'pytest>=8; extra == "dev"', "h5py>=3; extra == 'hdf5'"]
    missing, there = doctor.extras(listed)
    assert (missing.library, missing.version) == ("nosuchlibrary", None)
    assert missing.install == "pip install 'undiffuse[onnx]'"
    assert there.version == version("h5py")


def test_cores_are_those_this_process_may_use(found):
    code = (
        "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from undiffuse.cli import main\nmain(['doctor', '--json'])"
    )
    if sys.platform == "linux":
        seen = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
        assert (seen["cores"], seen["affinity"], seen["cores_of_machine"]) == (1, 1, os.cpu_count())
        assert any(each.startswith("one core") for each in seen["warnings"])
    assert found.cores <= found.affinity <= found.cores_of_machine


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"cores": 1}, "one core"),
        ({"cores": 2, "affinity": 8}, "--workers 2"),
        ({"cores": 2, "load": 3.0}, "3.0 processes want 2 cores"),
        ({"memory": 1_000_000_000}, "1 GB of memory"),
        ({"memory_free": 500_000_000}, "500 MB of memory are free"),
        ({"disks": {"temporary": doctor.Disk("/tmp", 10_000_000)}}, "set TMPDIR"),
        ({"disks": {"runs": doctor.Disk("/home", 10_000_000)}}, "--out"),
        ({"processor": "x86_64", "instructions": ("AVX-512",)}, "no AVX2"),
        ({"torch_build": "CUDA 12.4"}, "CUDA 12.4"),
    ],
)
def test_each_thing_that_hurts_is_said_once(found, change, named):
    well = replace(
        found, cores=4, affinity=4, load=0.0, memory=16 << 30, memory_free=12 << 30, disks={}, torch_build="cpu"
    )
    assert doctor.troubles(replace(well, instructions=None), {}) == []
    said = doctor.troubles(replace(well, **change), {})
    assert len([line for line in said if named in line]) == 1


def test_it_works_where_kernels_are_not_compiled_and_says_so():
    words = [sys.executable, "-m", "undiffuse", "doctor"]
    job = subprocess.run(words, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True)
    assert job.returncode == 0, job.stderr
    assert "warning: NUMBA_DISABLE_JIT is set" in job.stdout


def test_a_container_s_limit_of_memory_is_its_memory(tmp_path):
    from undiffuse.support.machine import memory_limit

    assert memory_limit(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_limit(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000000\n")
    assert memory_limit(tmp_path) == 1_000_000


def test_a_missing_folder_is_answered_in_a_line(capsys):
    assert "there is no folder" in complaint(capsys, "doctor", "nowhere")
