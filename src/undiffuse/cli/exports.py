"""The command export."""

from __future__ import annotations

from undiffuse.cli.answers import Json, answer, say
from undiffuse.studies import export as exporting
from undiffuse.support.memory import in_bytes
from undiffuse.support.progress import progress


def export(settings: exporting.Settings, *, json: Json = False) -> None:
    """Write a run's bank as ONNX, HDF5, arrays or torch's state, with a README of its shapes."""
    with progress("exporting", "samples") as update:
        result = exporting.run(settings, update, say)
    file, readme = result.files
    answer(
        result,
        json,
        [
            f"networks of t = {result.first}..{result.last}, {result.width} -> {result.hidden} -> {result.width}, "
            f"and {result.samples} samples: {file} ({in_bytes(result.bytes)})",
            f"its shapes: {readme}",
        ],
    )
