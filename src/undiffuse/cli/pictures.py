"""The commands figures, lab and movie."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from undiffuse.cli.answers import Json, answer, say
from undiffuse.studies import figures as drawing
from undiffuse.studies import lab as living
from undiffuse.studies import movie as moving
from undiffuse.studies import thesis
from undiffuse.studies.lab_images import ImageResult
from undiffuse.studies.lab_page import Result
from undiffuse.studies.lab_plane import PlaneResult
from undiffuse.studies.lab_spins import SpinResult
from undiffuse.support.errors import require
from undiffuse.support.memory import in_bytes
from undiffuse.support.progress import progress


def figures(
    run: Path,
    *more: Path,
    out: Path,
    runs: Annotated[
        Path | None, Parameter(help="With thesis and no runs named: where to look for them [runs].")
    ] = None,
    json: Json = False,
) -> None:
    """Make the figures of one run or several, or Figures 1 to 11 of the thesis, as PNG files.

    Parameters
    ----------
    run
        Run folder; or the word thesis, for the thesis's figures from the runs that follow.
    more
        Further run folders: each run's figures then get a folder of their own, and Figure 5 shows all runs.
    out
        Folder to put them in; files of the same names are replaced.
    """
    if str(run) != "thesis":
        require(runs is None, f"--runs {runs}: it is for the word thesis, and {run} is a run folder")
        with progress("drawing", "figures") as update:
            result = drawing.run(drawing.Settings((run, *more), out=out), update, say)
        answer(result, json, result.figures)
        return
    with progress("drawing", "figures") as update:
        found = thesis.run(thesis.Settings(runs=more, under=runs or Path("runs"), out=out), update, say)
    lines = list(found.figures)
    for number, commands in found.missing.items():
        lines += [f"Figure {number} is left out; it needs", *(f"  {command}" for command in commands)]
    answer(found, json, lines)


def lab(settings: living.Settings, *, json: Json = False) -> None:
    """Write a page in which the bank of a run, or the Curie-Weiss model, runs by itself: one file, no network."""
    result = living.run(settings)
    lines = [f"{result.out} ({in_bytes(result.bytes)}): {_said(result)}"]
    does = {
        "plane": "a click takes a point to t and back",
        "images": "draw on a digit what is to be rebuilt",
        "spins": "sliders change N, beta and h",
    }[result.kind]
    answer(result, json, [*lines, f"open it in any browser: space plays, arrows step, {does}"])


def _said(result: Result) -> str:
    """What is in a page, in words."""
    if isinstance(result, SpinResult):
        return f"{result.N} spins at beta = {result.beta:g}, h = {result.h:g} to begin with, {result.walkers} walkers"
    if not isinstance(result, PlaneResult | ImageResult):
        raise TypeError(f"a page of {result.kind} has no words here")
    networks = f"{result.steps} of {result.T} networks" if result.steps < result.T else f"all {result.T} networks"
    if isinstance(result, ImageResult):
        return (
            f"{networks} of up to {result.hidden} units on {result.components} components, "
            f"{result.bits} bits a weight, {result.held_out} held-out images"
        )
    return f"{networks} of up to {result.hidden} units, {result.points} of {result.of} training points"


def movie(settings: moving.Settings, *, json: Json = False) -> None:
    """Write a run's trajectories, score, potentials or weights along time as a moving picture."""
    with progress("drawing", "frames") as update:
        result = moving.run(settings, update, say)
    size = f"{result.width}x{result.height} pixels, {in_bytes(result.bytes)}"
    first, last = result.times[0], result.times[-1]
    answer(result, json, [f"{result.out}: {len(result.times)} frames of {result.of}, t = {first} to {last}, {size}"])
