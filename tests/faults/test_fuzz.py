"""Any input works or is answered in a line: see bad_input. `make test-faults` tries 3,000 cases and counts them."""

import pytest
from hypothesis import HealthCheck, given, settings

import bad_input

SHORT, LONG = 60, 750  # cases of each kind
KINDS = ["configurations", "command lines", "files", "run folders"]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        bad_input.make(folder)
    return folder


def cases(kind, good):
    return {
        "configurations": bad_input.configurations(),
        "command lines": bad_input.command_lines(),
        "files": bad_input.files(),
        "run folders": bad_input.run_folders(good / "run"),
    }[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("many", [SHORT, pytest.param(LONG, marks=pytest.mark.faults)])
def test_any_input_works_or_is_answered_in_a_line(kind, many, good, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    judge = bad_input.Judge(tmp_path, good)

    @settings(max_examples=many, suppress_health_check=list(HealthCheck))
    @given(cases(kind, good))
    def every(case):
        judge(*case)

    every()
    with capsys.disabled():
        print(f"\n{kind}: " + ", ".join(f"{count} {how}" for how, count in sorted(judge.ended.items())))
