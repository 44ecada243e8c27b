"""The page of points in the plane: a trained bank that moves particles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from undiffuse import datasets
from undiffuse.formats.browser import NUMBERS_OF_A_UNIT, PLANE, PlaneBank
from undiffuse.studies.lab_page import Asked, BankResult, Page, about_bank, critical_times, in_base64
from undiffuse.studies.open_run import OpenRun
from undiffuse.studies.options import number_of
from undiffuse.studies.report import render
from undiffuse.support.memory import check_memory

MOST_PARTICLES = 10_000
MOST_POINTS = 2_000  # every arrow of the exact score looks at each
_LARGEST_BANK = 2_800_000  # characters; with the rest of the page below 3 MB
_CHARACTERS = 4 / 3 * 2 * NUMBERS_OF_A_UNIT  # of a hidden unit: 16 bits each, three bytes in four characters


@dataclass(frozen=True, kw_only=True)
class PlaneResult(BankResult):
    """What was written of points in the plane.

    Attributes
    ----------
    points, of : int
        Training points in the page, and in the run.
    """

    points: int
    of: int


def plane_page(opened: OpenRun, asked: Asked) -> Page:
    """Make the page of a run on points in the plane.

    Raises
    ------
    UserError
        If a number is out of range, the run's data are gone or its analysis is damaged.
    """
    particles = number_of("particles", asked.particles, 2_000, MOST_PARTICLES)
    points = number_of("points", asked.points, MOST_POINTS, MOST_POINTS)
    model = opened.model
    data, bank, schedule = opened.data.train, model.bank, model.forward.schedule
    hidden = max(bank.architecture(t).hidden for t in range(1, schedule.T + 1))
    steps = _that_fit(hidden, schedule.T) if asked.steps is None else asked.steps
    times = schedule.spaced_times(steps)[::-1].tolist()
    check_memory(int(4 * _CHARACTERS * hidden * steps), f"the page of {steps} networks")
    plane = PlaneBank.of(bank, times)
    shown = data[np.unique(np.linspace(0, len(data) - 1, min(points, len(data))).round().astype(int))]
    critical = critical_times(opened.path)
    about = about_bank(opened, times, critical) | {
        "particles": particles,
        "seed": asked.seed,
        "hidden": plane.hidden,
        "activation": plane.activation,
        "tied": plane.tied,
        "maps": plane.maps.ravel().tolist(),
        "axes": _axes(opened),
        "of": len(data),
    }
    page = render(
        "lab/points/page",
        name=opened.config.name,
        about=about,
        shown=len(shown),
        activation=bank.architecture(1).h.title,
        units=in_base64(plane.units, "<f2"),
        points=in_base64(shown, "<f4"),
    ).encode()
    result = PlaneResult(
        kind="plane",
        out=str(asked.out),
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


def _axes(opened: OpenRun) -> list[dict[str, str | float]]:
    """Name of each axis, and ``user = centre + scale model``."""
    units = datasets.units_of(opened.config.data)
    if units is None:
        return [{"name": name, "centre": 0.0, "scale": 1.0} for name in ("x1", "x2")]
    kept = np.flatnonzero(np.broadcast_to(units.varying, units.count(PLANE))).tolist()
    centre, scale = (np.broadcast_to(each, units.count(PLANE)) for each in (units.centre, units.scale))
    names = units.columns(PLANE)
    return [{"name": names[i], "centre": float(centre[i]), "scale": float(scale[i])} for i in kept]
