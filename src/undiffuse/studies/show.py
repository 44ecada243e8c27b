"""``undiffuse show``: what is in a run, or in a file of data."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from cyclopts import Parameter

from undiffuse.datasets import ImageDataset, Source, units_of
from undiffuse.datasets.sources import Rows, format_of
from undiffuse.datasets.views import Look, View, look
from undiffuse.studies.open_run import OpenRun
from undiffuse.studies.options import Flag
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, require
from undiffuse.support.files import check_output, trouble
from undiffuse.support.progress import OnProgress, silent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Arrays that reconstruct and inpaint write, in the order in which they are looked at.
_PICTURES = ("original", "diffused", "reconstructed", "inpainted")


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What to look at.

    Attributes
    ----------
    what : path
        Run folder; or a .npy, .npz, .csv, .tsv, .h5 or IDX file, or a folder of PNG images.
    out : path, optional
        PNG file to write the picture into, instead of drawing it in the terminal.
    key : str, optional
        Array of an .npz, or data set of an HDF5 file.
    without : tuple of str
        A column to leave out, by name or by number from 1; may be repeated.
    labels : str, optional
        A column of labels, which is left out.
    overwrite : bool
        Replace a file that is there.
    """

    what: Path
    _: KW_ONLY
    out: Path | None = None
    key: str | None = None
    without: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    labels: str | None = None
    overwrite: Flag = False


@dataclass(frozen=True)
class Result(results.Result):
    """What there is, and its picture.

    Attributes
    ----------
    what : str
        Path.
    kind : {"run", "file"}
    about : str
        One line about it.
    shown : str
        How it is shown, in words.
    rows : dict of int
        Number of rows of each panel, by title.
    report : str, optional
        Page to open.
    next : str, optional
        Command that makes what is not there.
    out : str, optional
        Picture written.
    views : tuple of View
        The panels.
    """

    what: str
    kind: str
    about: str
    shown: str
    rows: Mapping[str, int]
    views: tuple[View, ...]
    report: str | None = None
    next: str | None = None
    out: str | None = None

    _hidden: ClassVar[tuple[str, ...]] = ("views",)


def run(settings: Settings, on_progress: OnProgress = silent) -> Result:
    """Look at a run or at a file of data; write the picture where that is asked for.

    Raises
    ------
    UserError
        If there is nothing of that name or nothing can be read from it, or the picture cannot be written.
    """
    if settings.out is not None:
        check_output(settings.out, settings.overwrite, ".png")
    path = settings.what
    if (path / "manifest.json").is_file():
        given = [name for name in ("key", "without", "labels") if getattr(settings, name)]
        require(not given, f"--{' and --'.join(given)}: for files of data, and {str(path)!r} is a run")
        result = _of_run(path, settings.out)
    else:
        made = Path("runs") / path
        require(
            path.exists() or not (made / "manifest.json").is_file(),
            f"there is no file or folder {str(path)!r}; did you mean {str(made)!r}?",
        )
        result = _of_file(settings)
    if settings.out is not None:
        from undiffuse import figures as drawing

        drawing.save(figures(result)["picture"], settings.out)
    return result


def figures(result: Result) -> dict[str, Figure]:
    """The panels side by side; this is what a notebook shows."""
    from undiffuse import figures as drawing  # the terminal needs no matplotlib

    return {"picture": drawing.side_by_side(result.views)}


# -- a run ------------------------------------------------------------------------------------------------------------


def _of_run(path: Path, out: Path | None) -> Result:
    opened = OpenRun.of(path)
    unfinished = len(opened.folder.unfinished)
    state = f"{unfinished} blocks to be trained" if unfinished else "trained"
    samples = _samples(opened)
    if samples is None:
        seen, rows = _errors(opened), {}
        following = f"undiffuse evaluate {path}" if not unfinished else None
    else:
        sets, shape = {"samples": samples}, None
        try:
            sets = {"data": opened.to_user(opened.data.train), **sets}
            shape = opened.images[1].shape if isinstance(opened.data, ImageDataset) else None
        except UserError:  # an array given in Python, or a file that has changed since: the samples are there still
            state += "; its data are not to be had here"
        seen = look(sets, shape, _names(opened))
        rows, following = {title: len(x) for title, x in sets.items()}, None
    report = path / "report.html"
    return Result(
        what=str(path),
        kind="run",
        about=f"{opened.config.name}, {state}",
        shown=seen.words,
        rows=rows,
        views=seen.views,
        report=str(report) if report.is_file() else None,
        next=following,
        out=None if out is None else str(out),
    )


def _samples(opened: OpenRun) -> Floats | None:
    """Samples kept in the run, in the user's units."""
    content = opened.folder.kept("samples.npy")
    if content is None:
        return None
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False), np.float64)


def _names(opened: OpenRun) -> tuple[str, ...]:
    units = units_of(opened.config.data)
    return () if units is None or units.alike else tuple(units.columns(opened.reference.dim))


def _errors(opened: OpenRun) -> Look:
    """Errors of the networks that are trained, against the time."""
    errors = opened.errors
    require(len(errors) > 0, f"nothing of {opened.path} is trained yet: go on with --resume")
    t = (float(errors[0, 0]), float(errors[-1, 0]))
    values = (float(errors[:, 1:].min()), float(errors[:, 1:].max()))
    names = ("diffusion time", "training", "held out")
    view = View("mean square error in xi per dimension", "curves", errors, names, (t, values))
    return Look((view,), "errors of the networks that are trained")


# -- a file -----------------------------------------------------------------------------------------------------------


def _of_file(settings: Settings) -> Result:
    path = settings.what
    kind = format_of(path)
    pictures = _pictures(path) if kind == "npz" and settings.key is None else {}
    if pictures:
        seen, rows = look(pictures), next(iter(pictures.values()))
        about = f"{len(rows)} images, {', '.join(pictures)}"
    else:
        read = Source(path, None, settings.key, settings.without, settings.labels).read()
        about = _about(read)
        # The columns of a table are no pixels, however many there are.
        seen = look({path.name: read.x}, read.shape, read.names, square=kind not in ("csv",))
    return Result(
        what=str(path),
        kind="file",
        about=about,
        shown=seen.words,
        rows={view.title: len(view.x) for view in seen.views} if pictures else {path.name: len(read.x)},
        views=seen.views,
        out=None if settings.out is None else str(settings.out),
    )


def _about(rows: Rows) -> str:
    missing = int(np.isnan(rows.x).any(axis=1).sum())
    names = f" ({', '.join(rows.names[:6])}{', ...' if len(rows.names) > 6 else ''})" if rows.names else ""
    classes = f", {len(rows.classes)} classes" if rows.classes else ""
    left_out = f"; {missing} rows with missing values are not shown" if missing else ""
    columns = "one column" if rows.x.shape[1] == 1 else f"{rows.x.shape[1]} columns"
    return f"{len(rows.x)} rows of {columns}{names}{classes}{left_out}"


def _pictures(path: Path) -> dict[str, Floats]:
    """Images of a file that reconstruct or inpaint wrote, the first repeat of each; empty for other files."""
    try:
        with zipfile.ZipFile(path) as archive:
            there = {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError):
            raise trouble(f"cannot read {str(path)!r}", error) from None
        return {}  # reading it says what is wrong
    wanted = [name for name in _PICTURES if name in there]
    if wanted[:1] != ["original"] or len(wanted) < 2:
        return {}
    found = {name: Source(path, key=name).read().x for name in wanted}
    dim = found["original"].shape[1]
    return {name: x[:, :dim] for name, x in found.items()}
