"""The script that completes commands, asked in real shells."""

import os
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


IN_ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
said=""
until_said() {{
  repeat 300; do
    while zpty -r -t shell line; do said+=$line; done
    [[ $said == *$1* ]] && break
    sleep 0.1
  done
  print -r -- $said
  said=""
}}
zpty -w shell "autoload -Uz compinit; compinit -u; source {script}; compdef _cyclopts_undiffuse undiffuse; echo RE''ADY"
until_said READY
zpty -w -n shell $'undiffuse memo\\t'
until_said memorise
zpty -w -n shell $'\\C-uundiffuse run spiral-3\\t\\t'
until_said spiral-3pi-best
"""


def script_of(capsys, tmp_path, shell):
    """The script of a shell in a file, and an environment in which the command is found."""
    script = tmp_path / "script"
    script.write_text(answer(capsys, "completion", shell)["script"])
    command = tmp_path / "bin" / "undiffuse"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m undiffuse "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    return script, {**os.environ, "PATH": path, "HOME": str(tmp_path)}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_presets_files_and_samplers(capsys, tmp_path):
    script, env = script_of(capsys, tmp_path, "bash")
    (tmp_path / "mine.csv").touch()
    asked = ["bash", "-c", ASK.format(script=script)]
    said = subprocess.check_output(asked, cwd=tmp_path, env=env, text=True).splitlines()
    assert said == [
        "complete -F _undiffuse undiffuse",
        "memorise",
        "spiral-3pi spiral-3pi-best",
        "mine.csv",
        "ddim dpmpp-2m",
        "curie-weiss langevin cascade locality critical-times simplicity two-clusters",
    ]


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish")
@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("memo", {"memorise"}),
        ("run spiral-3", {"spiral-3pi", "spiral-3pi-best"}),
        ("sample x --sampler d", {"ddim", "dpmpp-2m"}),
        ("physics c", {"curie-weiss", "cascade", "critical-times"}),
    ],
)
def test_fish_completes_commands_presets_and_samplers(capsys, tmp_path, line, wanted):
    script, env = script_of(capsys, tmp_path, "fish")
    asked = ["fish", "--no-config", "-c", f"source {script}; complete -C 'undiffuse {line}'"]
    said = subprocess.check_output(asked, cwd=tmp_path, env=env, text=True).splitlines()
    assert {word.split("\t")[0] for word in said} >= wanted


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh")
def test_zsh_completes_commands_and_presets(capsys, tmp_path):
    script, env = script_of(capsys, tmp_path, "zsh")
    asked = ["zsh", "-f", "-c", IN_ZSH.format(script=script)]
    said = subprocess.check_output(asked, cwd=tmp_path, env=env, text=True, timeout=100)
    assert "memorise" in said
    assert "spiral-3pi-best" in said


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
