"""The command show."""

from __future__ import annotations

from undiffuse.cli.answers import Json, answer
from undiffuse.cli.drawing import Picture
from undiffuse.cli.tables import Part
from undiffuse.studies import show as showing


def show(settings: showing.Settings, *, json: Json = False) -> None:
    """Draw what is in a run or a file of data, in the terminal or as a PNG file."""
    found = showing.run(settings)
    rows = ", ".join(f"{count} {title}" for title, count in found.rows.items())
    lines: list[Part] = [
        f"{found.what}: {found.about}",
        f"shown: {found.shown}{f'; {rows}' if found.kind == 'run' and rows else ''}",
        Picture(found.views) if found.out is None else f"in {found.out}",
    ]
    if found.next is not None:
        lines.append(f"no samples are kept in it; they are made by: {found.next}")
    if found.report is not None:
        lines.append(f"report, to open in a browser: {found.report}")
    answer(found, json, lines)
