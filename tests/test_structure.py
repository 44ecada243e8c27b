"""What holds for the package as a whole."""

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import undiffuse as ud

SOURCE = Path(ud.__file__).parent
FILES = [path for path in SOURCE.rglob("*.py") if "kernels" not in path.parts]


def functions(path):
    """Functions of a module and methods of its classes, each with the class it stands in."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            yield node, None
        elif isinstance(node, ast.ClassDef):
            yield from ((item, node) for item in node.body if isinstance(item, ast.FunctionDef))


FUNCTIONS = [(f"{path.relative_to(SOURCE)}:{node.name}", node) for path in FILES for node, _ in functions(path)]


def parameters(node):
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [a.arg for a in every if a.arg not in ("self", "cls")]


def test_no_function_takes_more_than_six_parameters():
    assert {name: len(parameters(node)) for name, node in FUNCTIONS if len(parameters(node)) > 6} == {}


def test_no_public_function_but_as_dict_returns_a_dictionary_of_anything():
    found = [
        name
        for name, node in FUNCTIONS
        if node.returns is not None
        and not node.name.startswith("_")
        and node.name != "as_dict"
        and "dict[str, Any]" in ast.unparse(node.returns)
    ]
    assert found == []


def test_every_public_function_of_four_or_more_parameters_describes_them():
    """Constructors are described by their class; what a base class describes may be referred to."""
    missing = []
    for path in SOURCE.rglob("*.py"):
        for node, owner in functions(path):
            described = owner if node.name == "__init__" and owner else node
            private = described.name.startswith("_") or (owner is not None and owner.name.startswith("_"))
            if len(parameters(node)) < 4 or private:
                continue
            text = ast.get_docstring(described) or ""
            if "Parameters\n---" not in text and not text.startswith("See :class:"):
                missing.append(f"{path.relative_to(SOURCE)}:{described.name}")
    assert missing == []


def test_settings_of_every_study_are_frozen_and_their_fields_described():
    import importlib
    from dataclasses import fields

    for path in sorted((SOURCE / "studies").glob("*.py")):
        module = importlib.import_module(f"undiffuse.studies.{path.stem}")
        if not hasattr(module, "Settings"):
            continue
        assert module.Settings.__dataclass_params__.frozen, path.stem
        assert module.Result.__dataclass_params__.frozen, path.stem
        assert callable(module.run), path.stem
        for field in fields(module.Settings):
            assert f"{field.name} :" in inspect.getdoc(module.Settings), f"{path.stem}: {field.name}"


LIGHT = [["--help"], ["--version"], ["presets"], ["info", "RUN"], ["presets", "--json"]]


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_light_commands_load_nothing_heavy(words, tiny_run_path):
    heavy = ["scipy", "numba", "torch", "sklearn", "matplotlib", "jinja2", "loky"]
    words = [str(tiny_run_path) if word == "RUN" else word for word in words]
    code = (
        "import sys, json\nfrom undiffuse.cli import main\n"
        f"assert main({words!r}) == 0\n"
        f"print(json.dumps([m for m in {heavy!r} if m in sys.modules]), file=sys.stderr)"
    )
    job = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert job.returncode == 0, job.stderr
    assert json.loads(job.stderr.splitlines()[-1]) == []


def test_the_table_of_the_design_names_every_module():
    """But those of the command line, one for each group of commands."""
    page = (Path(__file__).parents[1] / "docs/design.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*)$", page, flags=re.MULTILINE))
    named = {folder: set(re.findall(r"`(\w+)`", row)) for folder, row in rows.items()}
    places = [path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if path.stem != "__init__"]
    inside = [place for place in places if len(place.parts) == 2 and place.parts[0] != "cli"]
    assert [str(place) for place in inside if place.stem not in named[place.parts[0]]] == []
