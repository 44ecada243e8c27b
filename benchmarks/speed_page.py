"""Write the table of docs/speed.md from what benchmarks/floors.py measured.

python benchmarks/floors.py --json docs/speed.json --overwrite
python benchmarks/speed_page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- table of speed.json -->", "<!-- end of the table -->"


def table(measured: dict[str, Any]) -> str:
    """The table in Markdown, with its command and date."""
    lines = [
        "| | cores | products, s | normals, s | bytes, s | floor, s | ours, s | ours over the floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in measured["rows"]:
        parts = [f"{row[name]:.1f}" for name in ("products", "normals", "bytes", "floor", "ours")]
        lines.append(f"| {row['job']} | {row['of']} | {' | '.join(parts)} | {row['ratio']:.2f} |")
    lines += ["", f"(`python benchmarks/{measured['command']}`, {measured['measured']}, {measured['processor']})"]
    return "\n".join(lines)


def filled(page: str, measured: dict[str, Any]) -> str:
    """The page with the table between its marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table(measured)}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Write the page."""
    page, measured = DOCS / "speed.md", json.loads((DOCS / "speed.json").read_text(encoding="utf-8"))
    page.write_text(filled(page.read_text(encoding="utf-8"), measured), encoding="utf-8")


if __name__ == "__main__":
    main()
