"""analyse: a run's weights along diffusion time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from undiffuse import analysis
from undiffuse.cli.options import Json, answer, app
from undiffuse.cli.physics import time_lines
from undiffuse.progress import progress
from undiffuse.runs import RunFolder


@app.command
def analyse(
    run: Path,
    *,
    out: Path | None = None,
    points: Annotated[int, Parameter(help="Times looked at.")] = 40,
    n: Annotated[int, Parameter(name=["-n", "--n"], help="Samples behind each point of a curve.")] = 500,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Follow a run's weights along diffusion time, beside the times at which diffusion decides.

    Parameters
    ----------
    run
        Run folder.
    out
        Folder for tables, figures and the page; RUN/analysis by default. Files of the same names are replaced.
    seed
        Seed of all noise.
    """
    folder = RunFolder.open(run)
    with progress("analysing", "steps") as update:
        summary = analysis.analyse(folder, out or folder.path / "analysis", points, n, seed, update)
    lines = time_lines(summary)
    for name, value in summary["bank_times"].items():
        lines.append(f"{name:20} {value['tau']:9.4f} +- {value['stderr']:.4f} {value['t']:12.1f}")
    lines += [summary["energy"], "quantity          changes fastest at t    OU time"]
    for name, value in sorted(summary["changes"].items(), key=lambda item: item[1]["tau"]):
        lines.append(f"{name:20} {value['t']:17d} {value['tau']:10.3f}")
    answer(json, summary, [*lines, f"page: {summary['page']}"])
