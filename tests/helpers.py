"""What tests share beside fixtures: tiny configurations, and commands run as a user would."""

from __future__ import annotations

import json
import re
from pathlib import Path

from undiffuse.cli import main
from undiffuse.datasets import idx

TINY = """
name = "tiny"
[data]
name = "spiral"
n = 400
held_out = 100
[diffusion]
T = 12
beta_1 = 0.02
beta_T = 0.6
[network]
hidden = 20
[training]
epochs = 3
batch = 50
block = 4
[evaluation]
samples = 60
replicates = 3
"""

# Lines for its [training] section, for each order of training.
_WARM = "warm_epochs = 2\n"
ORDERS = {
    "independent": "",
    "continuation": f'order = "continuation"\n{_WARM}',
    "sweep": f'order = "sweep"\nsweep_from = 6\nwarm_learning_rate = 0.001\naverage = 0.9\n{_WARM}',
}

DIGITS = """
name = "tiny-digits"
[data]
name = "mnist"
digits = [0, 1]
n = 600
held_out = 200
[diffusion]
T = 12
beta_1 = 0.001
beta_T = 0.9
[network]
hidden = 64
skip = "gaussian"
prediction = "x0"
decoder_scale = 0.1
components = 40
[training]
order = "sweep"
sweep_from = 6
epochs = 8
batch = 50
learning_rate = 0.004
decay = "trapezoid"
warm_epochs = 2
warm_learning_rate = 0.001
average = 0.99
block = 2
[[times]]
first = 1
last = 3
components = 60
[[times]]
first = 8
last = 12
components = 20
targets = "posterior"
blends = 0.3
[evaluation]
samples = 60
replicates = 2
"""


def answer(capsys, *words):
    """Run a command with --json; its one object, standard output holding nothing else."""
    code = main([*map(str, words), "--json"])
    out = capsys.readouterr()
    assert code == 0, out.err
    return json.loads(out.out)


def complaint(capsys, *words, lines=2):
    """Run a command that must fail with code 2; what it says, a few lines at most."""
    assert main([*map(str, words)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert len(err.splitlines()) <= lines
    return err


def write_folder(path, images, labels, pack=lambda content: content, suffix=""):
    """Write images and labels as IDX files, the same for training and test."""
    path.mkdir(exist_ok=True)
    for stem in idx.SPLITS.values():
        (path / f"{stem}-images-idx3-ubyte{suffix}").write_bytes(pack(idx.encode(images)))
        (path / f"{stem}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx.encode(labels)))
    return path


def links(text: str) -> list[tuple[str, str]]:
    """File and heading of every link and picture of a page that leads to a file."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", text)
    return [(target, heading) for target, heading in found if not target.startswith("http")]


def check_links(page: Path, text: str) -> None:
    """Assert that every link leads to a file and, in a page of text, to a heading."""
    for target, heading in links(text):
        file = page.parent / target if target else page
        assert file.exists(), target
        if heading and file.suffix == ".md":
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            names = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in names, f"{target}#{heading}"
