"""The page of Curie-Weiss spins: exact, and without a bank."""

from __future__ import annotations

from dataclasses import dataclass

from undiffuse.physics.curie_weiss import CurieWeiss
from undiffuse.studies.lab_page import Asked, Page, Result
from undiffuse.studies.options import number_of
from undiffuse.studies.report import render
from undiffuse.support.errors import require

MOST_WALKERS = 3_000
_USUAL = 1_000


@dataclass(frozen=True, kw_only=True)
class SpinResult(Result):
    """What was written of Curie-Weiss spins.

    Attributes
    ----------
    N : int
        Number of spins at the start.
    beta, h : float
        Inverse temperature and field at the start.
    walkers : int
        Walkers at the start.
    """

    N: int
    beta: float
    h: float
    walkers: int


def spin_page(name: str, model: CurieWeiss, asked: Asked) -> Page:
    """Make the page of Curie-Weiss spins, whose sliders begin at a model.

    Raises
    ------
    UserError
        If a number is out of range, or networks or training points are asked for.
    """
    for what, number in (("steps", asked.steps), ("points", asked.points)):
        require(number is None, f"{what} = {number}: the page of spins is exact, without networks or training points")
    walkers = number_of("particles", asked.particles, _USUAL, MOST_WALKERS)
    about = {
        "name": name,
        "N": model.N,
        "beta": model.beta,
        "h": model.h,
        "T": 1,  # until the page has made its times
        "particles": walkers,
        "seed": asked.seed,
    }
    page = render("lab/spins/page", name=name, about=about).encode()
    result = SpinResult(
        kind="spins", out=str(asked.out), bytes=len(page), N=model.N, beta=model.beta, h=model.h, walkers=walkers
    )
    return page, result
