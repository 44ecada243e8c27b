"""``undiffuse lab``: a page in which a run, or the Curie-Weiss model, moves by itself, in one file."""

from __future__ import annotations

import warnings
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from cyclopts import Parameter

from undiffuse.datasets import ImageDataset
from undiffuse.datasets.curie_weiss import SpinDataset
from undiffuse.formats.browser import PLANE
from undiffuse.physics.curie_weiss import CurieWeiss
from undiffuse.studies.lab_images import LARGEST_PAGE, fits, image_page
from undiffuse.studies.lab_page import Asked, Page, Result
from undiffuse.studies.lab_plane import plane_page
from undiffuse.studies.lab_spins import spin_page
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import Flag
from undiffuse.support.errors import UserError, require
from undiffuse.support.files import check_output, write_file

SPINS = "curie-weiss"
_LARGEST_IN_REPORT = 14_000_000  # of images: a report is sent and opened whole
_SPINS_AT_FIRST = CurieWeiss(200, beta=1.5)


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which run, and how much of it.

    Attributes
    ----------
    run : path
        Run folder, of points in the plane, images or spins; or the word curie-weiss, for the model without a run.
    out : path
        HTML file to write.
    steps : int, optional
        Number of times whose networks are in the page, spread over 1..T: by default as many as fit in 3 MB, and of
        images 50 in 25 MB.
    particles : int, optional
        What moves at the start: 2,000 particles in the plane, up to 10,000; 16 images, up to 36; 1,000 walkers of
        spins, up to 3,000.
    points : int, optional
        Training points in the page at most, up to 2,000, in the plane; the exact score is theirs.
    seed : int
        Seed of the page's noise.
    overwrite : bool
        Replace a file that is there.
    """

    run: RunLike
    _: KW_ONLY
    out: Path = Path("lab.html")
    steps: int | None = None
    particles: int | None = None
    points: int | None = None
    seed: int = 0
    overwrite: Flag = False


def run(settings: Settings) -> Result:
    """Write the page.

    Raises
    ------
    UserError
        If there is no page for such a run, it is unfinished, its data are gone, a number is out of range, or the file
        cannot be written.
    """
    out = check_output(settings.out, settings.overwrite, ".html")
    require(0 <= settings.seed < 2**32, f"seed = {settings.seed}: wanted 0..{2**32 - 1}")
    asked = Asked(settings.out, settings.steps, settings.particles, settings.points, settings.seed)
    if str(settings.run) == SPINS and not Path(SPINS).exists():
        page, result = spin_page("Curie-Weiss", _SPINS_AT_FIRST, asked)
    else:
        page, result = _page_of(OpenRun.of(settings.run), asked)
    write_file(out, page)
    return result


def player(opened: OpenRun) -> str | None:
    """Make the page of a finished run to stand in another one; None if there is none for such a run.

    What else is in the way is told by a warning, since it takes nothing from the other page.
    """
    try:
        if not (opened.model.dim == PLANE or _shows_images(opened)):
            return None
        return _page_of(opened, Asked(Path("report.html")), _LARGEST_IN_REPORT)[0].decode()
    except UserError as error:
        warnings.warn(f"there is no page of {opened.path} that lives: {error}", stacklevel=2)
        return None


def _shows_images(opened: OpenRun) -> bool:
    """Whether the run is of images, with networks that a report has room for."""
    return isinstance(opened.data, ImageDataset) and fits(opened.model.bank, _LARGEST_IN_REPORT)


def _page_of(opened: OpenRun, asked: Asked, largest: int = LARGEST_PAGE) -> Page:
    """Make the page of a run; ``largest`` is its size, in bytes, if it is of images."""
    if opened.model.dim == PLANE:
        return plane_page(opened, asked)
    if isinstance(opened.data, SpinDataset):
        return spin_page(opened.config.name, opened.data.model, asked)
    if isinstance(opened.data, ImageDataset):
        return image_page(opened, asked, largest)
    raise UserError(
        f"{opened.path} is of {opened.model.dim} variables, and lab shows points in the plane, images and spins; "
        f"`undiffuse show {opened.path}` draws any"
    )
