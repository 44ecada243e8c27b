"""Make the pictures of docs/gallery.md from the commands on that page: python tools/gallery.py [NAME ...].

NAME is a heading of the page, such as "Curie-Weiss"; without one, all that take minutes are made (those whose text does
not say how long they take). Commands run in the repository, with this environment's undiffuse first on the path; runs
that are there already are kept.
"""

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/gallery.md"


@dataclass(frozen=True)
class Entry:
    """A heading of the gallery.

    Attributes
    ----------
    name, commands : str
    long : bool
        Whether it takes more than minutes.
    """

    name: str
    commands: str
    long: bool


def entries(text: str) -> list[Entry]:
    """Read the headings of the page that have commands."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    found = []
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        commands = re.search(r"```sh\n(.*?)```", body, flags=re.DOTALL)
        if commands is not None:
            found.append(Entry(name, commands[1], bool(re.search(r"hour", body[: commands.start()]))))
    return found


def without_runs_that_are_there(commands: str, root: Path) -> str:
    """Leave out trainings whose run folder is finished."""
    lines = commands.splitlines()
    made = [re.match(r"undiffuse (?:run|train) .*--out (\S+)$", line) for line in lines]
    return "\n".join(
        line
        for line, run in zip(lines, made, strict=True)
        if run is None or not (root / run[1] / "manifest.json").exists()
    )


def main() -> None:
    """Run the commands of the entries that are asked for, one after the other."""
    known = {entry.name.lower(): entry for entry in entries(PAGE.read_text(encoding="utf-8"))}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    for name in names:
        if name.lower() not in known:
            parser.error(f"no heading {name!r} in {PAGE.name}; there are {', '.join(e.name for e in known.values())}")
    chosen = [known[name.lower()] for name in names] or [entry for entry in known.values() if not entry.long]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    (ROOT / "pictures").mkdir(exist_ok=True)
    for entry in chosen:
        print(f"{entry.name}:", flush=True)
        commands = without_runs_that_are_there(entry.commands, ROOT)
        subprocess.run(["bash", "-ec", commands], cwd=ROOT, env={**os.environ, "PATH": path}, check=True)  # noqa: S603, S607


if __name__ == "__main__":
    main()
