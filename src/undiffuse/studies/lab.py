"""``undiffuse lab``: a page in which the bank of a run on points in the plane runs by itself, in one file."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from undiffuse import datasets
from undiffuse.formats.browser import NUMBERS_OF_A_UNIT, PLANE, PlaneBank
from undiffuse.studies import report
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import Flag
from undiffuse.support import results
from undiffuse.support.errors import UserError, require
from undiffuse.support.files import check_memory, check_output, read_file, write_file

MOST_PARTICLES = 10_000
MOST_POINTS = 2_000  # every arrow of the exact score looks at each
_LARGEST_BANK = 2_800_000  # characters; with the rest of the page below 3 MB
_CHARACTERS = 4 / 3 * 2 * NUMBERS_OF_A_UNIT  # of a hidden unit: 16 bits each, three bytes in four characters
_LARGEST_SUMMARY = 50_000_000


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which run, and how much of it.

    Attributes
    ----------
    run : path
        Run folder, of points in the plane.
    out : path
        HTML file to write.
    steps : int, optional
        Number of times whose networks are in the page, spread over 1..T; as many as fit in 3 MB by default.
    particles : int
        Particles at the start, up to 10,000.
    points : int
        Training points in the page at most, up to 2,000; the exact score is theirs.
    seed : int
        Seed of the page's noise.
    overwrite : bool
        Replace a file that is there.
    """

    run: RunLike
    _: KW_ONLY
    out: Path = Path("lab.html")
    steps: int | None = None
    particles: int = 2_000
    points: int = MOST_POINTS
    seed: int = 0
    overwrite: Flag = False


@dataclass(frozen=True)
class Result(results.Result):
    """What was written.

    Attributes
    ----------
    out : str
        The page.
    bytes : int
        Its size.
    T, steps : int
        Times of the bank, and those whose networks are in the page.
    hidden : int
        Hidden units of the largest of these.
    points, of : int
        Training points in the page, and in the run.
    critical_times : dict
        Critical times marked, by name.
    """

    out: str
    bytes: int
    T: int
    steps: int
    hidden: int
    points: int
    of: int
    critical_times: Mapping[str, float]


def run(settings: Settings) -> Result:
    """Write the page.

    Raises
    ------
    UserError
        If the run is not of points in the plane, is unfinished, its data are gone, a number is out of range, or the
        file cannot be written.
    """
    out = check_output(settings.out, settings.overwrite, ".html")
    require(
        1 <= settings.particles <= MOST_PARTICLES, f"particles = {settings.particles}: wanted 1..{MOST_PARTICLES:,}"
    )
    require(1 <= settings.points <= MOST_POINTS, f"points = {settings.points}: wanted 1..{MOST_POINTS:,}")
    require(0 <= settings.seed < 2**32, f"seed = {settings.seed}: wanted 0..{2**32 - 1}")
    opened = OpenRun.of(settings.run)
    page, result = _fill_in(opened, settings)
    write_file(out, page)
    return result


def player(opened: OpenRun) -> str | None:
    """Make the page of a finished run to stand in another one; None if the run is not in the plane.

    What else is in the way is told by a warning, since it takes nothing from the other page.
    """
    if opened.model.dim != PLANE:
        return None
    try:
        return _fill_in(opened, Settings(opened))[0].decode()
    except UserError as error:
        warnings.warn(f"there is no page of {opened.path} that lives: {error}", stacklevel=2)
        return None


def _fill_in(opened: OpenRun, settings: Settings) -> tuple[bytes, Result]:
    """The page, and what is said of it."""
    model = opened.model
    require(
        model.dim == PLANE,
        f"{opened.path} is of {model.dim} variables, and lab shows points in the plane; "
        f"`undiffuse show {opened.path}` draws any",
    )
    data, bank, schedule = opened.data.train, model.bank, model.forward.schedule
    hidden = max(bank.architecture(t).hidden for t in range(1, schedule.T + 1))
    steps = _that_fit(hidden, schedule.T) if settings.steps is None else settings.steps
    times = schedule.spaced_times(steps)[::-1].tolist()
    check_memory(int(4 * _CHARACTERS * hidden * steps), f"the page of {steps} networks")
    plane = PlaneBank.of(bank, times)
    shown = data[np.unique(np.linspace(0, len(data) - 1, min(settings.points, len(data))).round().astype(int))]
    critical = _critical_times(opened.path)
    about = {
        "name": opened.config.name,
        "T": schedule.T,
        "noiseScale": model.forward.noise_scale,
        "ouTime": [0.0, *schedule.ou_time(schedule.times).tolist()],
        "times": times,
        "hidden": plane.hidden,
        "activation": plane.activation,
        "maps": plane.maps.ravel().tolist(),
        "errors": [[int(t), *_finite(errors)] for t, *errors in opened.errors.tolist()],
        "critical": critical,
        "axes": _axes(opened),
        "of": len(data),
        "particles": settings.particles,
        "seed": settings.seed,
    }
    page = report.render(
        "lab/page",
        name=opened.config.name,
        about=about,
        shown=len(shown),
        activation=bank.architecture(1).h.title,
        units=_base64(plane.units, "<f2"),
        points=_base64(shown, "<f4"),
    ).encode()
    result = Result(
        out=str(settings.out),
        bytes=len(page),
        T=schedule.T,
        steps=len(times),
        hidden=max(plane.hidden),
        points=len(shown),
        of=len(data),
        critical_times=critical,
    )
    return page, result


def _that_fit(hidden: int, T: int) -> int:
    """Number of networks that fit in the page."""
    return max(1, min(T, int(_LARGEST_BANK / (_CHARACTERS * hidden))))


def _base64(array: NDArray[np.floating[Any]], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode()


def _finite(numbers: list[float]) -> list[float | None]:
    return [float(f"{number:.5g}") if np.isfinite(number) else None for number in numbers]


def _axes(opened: OpenRun) -> list[dict[str, str | float]]:
    """Name of each axis, and ``user = centre + scale model``."""
    units = datasets.units_of(opened.config.data)
    if units is None:
        return [{"name": name, "centre": 0.0, "scale": 1.0} for name in ("x1", "x2")]
    kept = np.flatnonzero(np.broadcast_to(units.varying, units.count(PLANE))).tolist()
    centre, scale = (np.broadcast_to(each, units.count(PLANE)) for each in (units.centre, units.scale))
    names = units.columns(PLANE)
    return [{"name": names[i], "centre": float(centre[i]), "scale": float(scale[i])} for i in kept]


def _critical_times(run: Path) -> dict[str, float]:
    """Critical times that ``undiffuse analyse`` found, by name; none if it was not run.

    Raises
    ------
    UserError
        If what it wrote is damaged.
    """
    path = run / "analysis" / "summary.json"
    if not path.is_file():
        return {}
    try:
        summary = json.loads(read_file(path, _LARGEST_SUMMARY))
        found = {"covariance": summary["covariance"]["time"], **summary["times"], **summary["bank_times"]}
        return {str(name): float(time["t"]) for name, time in found.items() if time["t"] is not None}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is damaged: `undiffuse analyse {run}` writes it again") from None
