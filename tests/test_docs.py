"""The documentation: its code runs, its links lead somewhere, its commands exist."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import check_links, links

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "README.es.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = {page: re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL) for page in PAGES}


@pytest.mark.parametrize("page", [page for page in PAGES if CODE[page]], ids=lambda page: page.name)
def test_code_on_the_page_runs_from_top_to_bottom(page, tmp_path):
    """As one script, in a process of its own: some pages add to the package's registries."""
    script = tmp_path / "page.py"
    script.write_text("\n".join(CODE[page]))
    job = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(script)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert job.returncode == 0, job.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page):
    check_links(page, page.read_text(encoding="utf-8"))


def test_commands_on_the_pages_exist():
    from undiffuse.cli import app

    found = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for command, sub in re.findall(r"^(?:\$ )?undiffuse ([a-z]+)(?: ([a-z-]+))?", text, flags=re.MULTILINE):
            found.add(command)
            assert command in app, f"{page.name}: undiffuse {command}"
            if app[command].default_command is None:
                assert sub in app[command], f"{page.name}: undiffuse {command} {sub}"
    assert {"run", "train", "sample", "physics"} <= found


def test_the_site_builds_without_a_warning(tmp_path):
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-b",
        "html",
        "-q",
        "-W",
        "--keep-going",
        "-d",
        tmp_path / "trees",
        "docs",
    ]
    job = subprocess.run([*command, tmp_path / "site"], cwd=ROOT, capture_output=True, text=True)
    assert job.returncode == 0, job.stderr
    assert "NoiseSchedule" in (tmp_path / "site/reference.html").read_text(encoding="utf-8")


def test_every_page_is_in_the_contents():
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").as_posix()
        assert name == "index.md" or f"]({name})" in index, name


def test_every_picture_is_in_the_gallery():
    gallery = (ROOT / "docs/gallery.md").read_text(encoding="utf-8")
    for picture in (ROOT / "docs/images").iterdir():
        assert f"](images/{picture.name})" in gallery, picture.name


@pytest.mark.parametrize(
    "package", ["", ".baselines", ".datasets", ".figures", ".metrics", ".physics", ".recipes", ".sklearn", ".training"]
)
def test_every_public_name_is_in_the_reference(package):
    names = {*importlib.import_module(f"undiffuse{package}").__all__} - {"config", "datasets", "physics"}
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    reference = {word.rpartition(".")[2] for word in text.split()}
    assert names - reference == set()


def test_the_gallery_leaves_out_runs_that_are_there(tmp_path):
    sys.path.insert(0, str(ROOT / "tools"))
    from gallery import PAGE, entries, without_runs_that_are_there

    found = {entry.name: entry for entry in entries(PAGE.read_text(encoding="utf-8"))}
    assert found["Digits at full size"].long
    assert not found["Spirals"].long
    (tmp_path / "runs/spiral-2pi-best").mkdir(parents=True)
    (tmp_path / "runs/spiral-2pi-best/manifest.json").touch()
    left = without_runs_that_are_there(found["Spirals"].commands, tmp_path)
    assert "run spiral-2pi-best" not in left
    assert "run spiral-3pi-best" in left


def test_both_readmes_show_the_same_commands_pages_and_numbers():
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.es.md")]
    # A command ends where what is said of it begins, after two blanks or more.
    commands = [re.findall(r"^(undiffuse\b.*?)(?: {2,}|$)", page, flags=re.MULTILINE) for page in pages]
    assert commands[0] == commands[1]
    targets = [[link for link in links(page) if not link[0].startswith("README")] for page in pages]
    assert targets[0] == targets[1]
    rows = [re.findall(r"^\| `(.*)$", page.replace(",", "."), flags=re.MULTILINE) for page in pages]
    numbers = [[re.findall(r"\d[\d.]*", row) for row in table] for table in rows]
    assert numbers[0] == numbers[1]


def test_the_table_of_speed_is_that_of_its_measurements():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from speed_page import DOCS, filled

    page = (DOCS / "speed.md").read_text(encoding="utf-8")
    assert page == filled(page, json.loads((DOCS / "speed.json").read_text(encoding="utf-8")))
