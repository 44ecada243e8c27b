"""Commands killed at their file operations: nothing that was done is lost, and nothing is left behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).parent / "kills.py"
posix = pytest.mark.skipif(sys.platform == "win32", reason="forks and kills")


def killed(case, option, number):
    words = [sys.executable, str(KILLS), case, option, str(number)]
    return json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout)


@posix
@pytest.mark.parametrize(("case", "every"), [("train", 60), ("overwrite", 90), ("evaluate", 24), ("sample", 8)])
def test_a_command_killed_at_some_file_operations_loses_nothing(case, every):
    found = killed(case, "--every", every)
    assert found["kills"] >= 4
    assert found["failures"] == []


@posix
@pytest.mark.faults
@pytest.mark.parametrize("case", ["train", "overwrite", "evaluate", "sample"])
def test_a_command_killed_at_every_file_operation_loses_nothing(case, capsys):
    found = killed(case, "--every", 1)
    with capsys.disabled():
        print(
            f"\n{case}: {found['kills']} kills at {found['operations']} operations, {len(found['failures'])} failures"
        )
    assert found["kills"] > found["operations"]
    assert found["failures"] == []


@posix
@pytest.mark.faults
@pytest.mark.parametrize("order", ["independent", "continuation", "sweep"])
def test_two_workers_and_their_parent_killed_at_random_moments_end_in_the_same_bits(order, capsys):
    found = killed(order, "--count", 30)
    with capsys.disabled():
        print(f"\n{order}: {found['kills']} kills, {found['banks']} banks, {len(found['failures'])} failures")
    assert found["banks"] >= 3
    assert found["failures"] == []
