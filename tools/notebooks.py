"""Notebooks as they are kept: python tools/notebooks.py takes their outputs out and writes their links.

A notebook is opened elsewhere by the repository's address, ``Repository`` under ``[project.urls]`` in pyproject.toml:
Binder for any, Colab for one on GitHub. Where pyproject has none, no link is written.
"""

import json
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).parents[1]
LINKS = "links"  # id of the cell that holds them
_GITHUB = "https://github.com/"
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}

Book = dict[str, Any]


def main() -> None:
    """Write each notebook as it is kept."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        path.write_text(kept(path.read_text(encoding="utf-8"), path.name, address()), encoding="utf-8")


def address() -> str | None:
    """Address of the repository, if it has a public one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = project.get("urls", {}).get("Repository")
    return None if found is None else str(found).removesuffix("/").removesuffix(".git")


def kept(text: str, name: str, repository: str | None) -> str:
    """Return a notebook without outputs, counts and traces of who ran it, with links below its title."""
    book = json.loads(text)
    cells = [_bare(cell) for cell in book["cells"] if cell["id"] != LINKS]
    if repository is not None:
        cells.insert(1, _cell("markdown", LINKS, links(name, repository)))
    about = {"kernelspec": _KERNEL, "language_info": {"name": "python"}}
    whole = {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def links(name: str, repository: str) -> str:
    """Markdown that opens a notebook elsewhere, and the line that installs the package there."""
    path = f"notebooks/{name}"
    there = [f"[Binder](https://mybinder.org/v2/git/{quote(repository, safe='')}/main?labpath={quote(path, safe='')})"]
    if repository.startswith(_GITHUB):
        place = repository.removeprefix(_GITHUB)
        there.insert(0, f"[Colab](https://colab.research.google.com/github/{place}/blob/main/{path})")
    return f"Open in {' or '.join(there)}; in a fresh Python first `%pip install git+{repository}`."


def _bare(cell: Book) -> Book:
    source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    return _cell(cell["cell_type"], cell["id"], source)


def _cell(kind: str, name: str, source: str) -> Book:
    cell: Book = {"cell_type": kind, "id": name, "metadata": {}, "source": source.splitlines(keepends=True)}
    return cell | {"execution_count": None, "outputs": []} if kind == "code" else cell


if __name__ == "__main__":
    main()
