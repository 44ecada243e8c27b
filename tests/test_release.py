"""What the package says of itself in different places is the same."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def names(requirements):
    return {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in requirements}


def test_torch_is_required_by_its_extra_and_by_developers_alone():
    assert "torch" not in names(PROJECT["dependencies"])
    assert {extra for extra, requirements in EXTRAS.items() if "torch" in names(requirements)} == {"torch"}
    assert any(re.match(r"undiffuse\[.*\btorch\b.*\]", requirement) for requirement in EXTRAS["dev"])


def test_every_requirement_has_its_version_in_the_constraints():
    pinned = names(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1].isalnum())
    wanted = names(PROJECT["dependencies"]).union(*map(names, EXTRAS.values())) - {"undiffuse"}
    assert {name.replace("_", "-") for name in wanted} - {name.replace("_", "-") for name in pinned} == set()


def test_every_extra_that_a_message_or_a_page_tells_to_install_exists():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.py"), ROOT / "Makefile"]
    told = set()
    for page in pages:
        text = page.read_text(encoding="utf-8")
        # An extra put in by the program, "{extra}", is one of those that `optional` is called with.
        told.update(re.findall(r"'(?:undiffuse|\.)\[([\w,]+)\]'", text))
        told.update(re.findall(r"optional\(\s*\"[\w.]+\",\s*\"(\w+)\"", text))
    assert {"torch", "onnx", "hdf5"} <= told
    assert {extra for each in told for extra in each.split(",")} - EXTRAS.keys() == set()


@pytest.mark.parametrize(
    ("file", "pattern"),
    [("CITATION.cff", r"^version: (\S+)$"), ("CHANGELOG.md", r"^## (\S+)$")],
)
def test_the_version_is_that_of_the_package(file, pattern):
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert found[1] == PROJECT["version"]
