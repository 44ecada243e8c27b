"""analyse and memorise: what a bank has learned, time by time and point by point."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from undiffuse import analysis, memorisation
from undiffuse.cli.options import IdxFolder, Json, Settings, answer, app, changes
from undiffuse.cli.physics import time_line, time_lines
from undiffuse.runs.folder import RunFolder
from undiffuse.support.progress import progress


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
        lines.append(time_line(name, value))
    lines += [summary["energy"], "quantity          changes fastest at t    OU time"]
    for name, value in sorted(summary["changes"].items(), key=lambda item: item[1]["tau"]):
        lines.append(f"{name:20} {value['t']:17d} {value['tau']:10.3f}")
    answer(json, summary, [*lines, f"page: {summary['page']}"])


@app.command
def memorise(
    preset: str,
    *,
    n: Annotated[tuple[int, ...], Parameter(name=["-n", "--n"], negative=(), help="Training points of each twin.")],
    hidden: Annotated[tuple[int, ...], Parameter(negative=(), help="Hidden units; the preset's by default.")] = (),
    set_: Settings = (),
    data: IdxFolder = None,
    samples: Annotated[int, Parameter(help="Samples compared.")] = 500,
    workers: Annotated[int | None, Parameter(help="Worker processes; one per core by default.")] = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Train pairs of banks on disjoint halves and compare what they draw from the same noise.

    Parameters
    ----------
    preset
        Preset or TOML file.
    seed
        Seed of the split and of the samples.
    """
    with progress("training twins", "pairs") as update:
        summary = memorisation.study(preset, changes(set_, data), n, hidden, samples, seed, workers, update)
    lines = ["     n  hidden   copies          of unseen data   twins apart      held-out gap"]
    for t in summary["twins"]:
        lines.append(
            f"{t['n']:6d} {t['hidden']:7d}   {t['copies']:.3f} +- {t['copies_stderr']:.3f} {t['copies_of_data']:10.3f}"
            f"        {t['apart']:.3f} +- {t['apart_stderr']:.3f} {100 * t['gap']:+9.1f} %"
        )
    answer(json, summary, lines)
