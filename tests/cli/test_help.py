"""What a person meets first: the welcome, the sections of --help, presets by kind."""

import os
import subprocess
import sys

import pytest

from helpers import answer
from undiffuse.cli import app, main
from undiffuse.cli.commands import GROUPS, SECTIONS
from undiffuse.runs import config
from undiffuse.studies.presets import GROUPS as KINDS
from undiffuse.studies.presets import SECONDS

HEAVY = ["scipy", "numba", "torch", "sklearn", "matplotlib"]


def test_the_command_alone_says_what_to_try_in_lines_of_fifty_columns(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 50
    assert len(lines) <= 20
    named = {line.split()[1] for line in lines if line.startswith("  undiffuse ")}
    assert named == {"run", "show", "presets", "doctor", "--help"}


def test_help_has_every_command_in_its_section(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    at = [out.index(f" {section} ") for section in SECTIONS]
    assert at == sorted(at)
    for name in [*(name for commands in SECTIONS.values() for name in commands), *GROUPS]:
        assert f" {name} " in out
        assert name in app


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["reconstruct"], "mejora de calidad"),
        (["inpaint"], "reconstrucción parcial"),
        (["perceptron"], "perceptrón"),
        (["physics", "curie-weiss"], "ruptura espontánea de simetría"),
    ],
)
def test_help_names_the_words_of_the_thesis(capsys, monkeypatch, words, named):
    monkeypatch.setenv("COLUMNS", "200")
    assert main([*words, "--help"]) == 0
    assert named in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"], ["presets"], ["info", "RUN"]])
def test_the_start_is_quick(tiny_run_path, words):
    """Seconds are not tested, causes are."""
    given = [str(tiny_run_path) if word == "RUN" else word for word in words]
    shown = f"print([m for m in {HEAVY!r} if m in sys.modules])"
    code = f"import sys\nfrom undiffuse.cli import main\nmain({given!r})\n{shown}"
    out = subprocess.check_output([sys.executable, "-c", code], text=True, env={**os.environ, "COLUMNS": "80"})
    assert out.splitlines()[-1] == "[]"


def test_every_preset_has_a_kind_and_says_what_it_costs(capsys):
    rows = answer(capsys, "presets")["presets"]
    assert {row["name"] for row in rows} == set(config.presets())
    assert [row["group"] for row in rows] == sorted((row["group"] for row in rows), key=KINDS.index)
    assert "other" not in {row["group"] for row in rows}
    assert set(SECONDS) <= set(config.presets())
    for row in rows:
        section = config.load(row["name"])
        assert (row["networks"], row["description"]) == (section.diffusion.T, section.description)
