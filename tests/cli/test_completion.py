"""The script that completes commands, asked in a real bash."""

import shutil
import subprocess
import sys

import pytest

from helpers import answer, complaint

ASK = """
source {script}
complete -p undiffuse
ask() {{
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${{#COMP_LINE}}; COMPREPLY=()
  _undiffuse
  echo "${{COMPREPLY[*]}}"
}}
ask undiffuse memo
ask undiffuse run spiral-3
ask undiffuse run mine
ask undiffuse sample x --sampler d
ask undiffuse physics ""
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_presets_files_and_samplers(capsys, tmp_path):
    script = tmp_path / "script"
    script.write_text(answer(capsys, "completion", "bash")["script"])
    command = tmp_path / "bin" / "undiffuse"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m undiffuse "$@"\n')
    command.chmod(0o755)
    (tmp_path / "mine.csv").touch()
    asked = ASK.format(script=script)
    said = subprocess.check_output(
        ["bash", "-c", f'PATH="{command.parent}:$PATH"\n{asked}'], cwd=tmp_path, text=True
    ).splitlines()
    assert said == [
        "complete -F _undiffuse undiffuse",
        "memorise",
        "spiral-3pi spiral-3pi-best",
        "mine.csv",
        "ddim dpmpp-2m",
        "curie-weiss langevin critical-times",
    ]


@pytest.mark.parametrize(("shell", "begins"), [("zsh", "#compdef undiffuse"), ("fish", "# Fish completion")])
def test_other_shells_have_scripts_of_their_own(capsys, shell, begins):
    script = answer(capsys, "completion", shell)["script"]
    assert script.startswith(begins)
    assert "memorise" in script


def test_installing_writes_where_bash_looks(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = answer(capsys, "completion", "bash", "--install")["path"]
    assert path.startswith(str(tmp_path))
    assert path in (tmp_path / ".bashrc").read_text()


def test_an_unknown_shell_is_answered_in_a_line(capsys):
    assert "bash" in complaint(capsys, "completion", "csh")
