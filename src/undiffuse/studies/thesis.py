"""``undiffuse figures thesis``: Figures 1 to 11 of the thesis, from the run folders of the models they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cyclopts import Parameter

from undiffuse import figures as drawing
from undiffuse.datasets import ImageData, SpiralData
from undiffuse.physics.curie_weiss import CurieWeiss
from undiffuse.runs.config import Config
from undiffuse.runs.folder import RunFolder
from undiffuse.studies import figures as of_runs
from undiffuse.studies.curie_weiss import figure_11
from undiffuse.studies.keep import prepare, save_all
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.costs import OnCost
from undiffuse.support.errors import UserError, require
from undiffuse.support.files import make_folder
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.streams import Purpose, stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_STEP = 200  # the time that Figures 3 and 4 show


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where to look for runs.

    Attributes
    ----------
    runs : list of path
        Run folders; those in ``under`` by default.
    under : path
        Folder to look for runs in.
    out : path
        Folder to put the figures in; files of the same names are replaced.
    dpi : int
        Dots per inch.
    """

    runs: Sequence[RunLike] = ()
    under: Path = Path("runs")
    out: Path
    dpi: int = 300


@dataclass(frozen=True)
class Model:
    """A model that the thesis's figures show.

    Attributes
    ----------
    what : str
        Its data and loss, in words.
    fits : callable
        Tells whether a configuration is one of it.
    command : str
        Command that trains it.
    """

    what: str
    fits: Callable[[Config], bool]
    command: str


@dataclass(frozen=True)
class Result(results.Result):
    """What was drawn.

    Attributes
    ----------
    figures : list of path
    runs : dict
        Which run was taken for which model.
    missing : dict
        For each figure left out, the commands that make the runs it needs.
    """

    figures: tuple[str, ...]
    runs: Mapping[str, str]
    missing: Mapping[str, list[str]]


def _spiral(turns: float) -> Callable[[Config], bool]:
    return lambda config: isinstance(config.data, SpiralData) and config.data.turns == turns


def _digits(digits: set[int], *losses: str) -> Callable[[Config], bool]:
    def fits(config: Config) -> bool:
        return (
            type(config.data) is ImageData
            and set(config.data.digits) == digits
            and config.diffusion.T >= 1000
            and config.training.loss in losses
        )

    return fits


MODELS = {
    "spiral-2pi": Model("the 2 pi spiral", _spiral(1.0), "undiffuse train spiral-2pi-best --out runs/spiral-2pi"),
    "spiral-3pi": Model("the 3 pi spiral", _spiral(1.5), "undiffuse train spiral-3pi-best --out runs/spiral-3pi"),
    "01": Model(
        "zeros and ones, simple loss", _digits({0, 1}, "simple"), "undiffuse train mnist-01-laptop --out runs/mnist-01"
    ),
    "01-weighted": Model(
        "zeros and ones, weighted loss",
        _digits({0, 1}, "weighted"),
        "undiffuse train mnist-01-laptop --set training.loss=weighted --out runs/mnist-01-weighted",
    ),
    "13": Model(
        "ones and threes",
        _digits({1, 3}, "simple", "weighted"),
        "undiffuse train mnist-13-laptop --out runs/mnist-13",
    ),
}
Runs = Mapping[str, OpenRun]


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Make every figure for which there are runs, as PNG files; progress counts figures.

    ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If no figure can be made, or there is no folder to look for runs in.
    """
    prepare(settings.out)
    runs = [OpenRun.of(each) for each in settings.runs or runs_in(settings.under)]
    chosen = {name: next((r for r in runs if model.fits(r.config)), None) for name, model in MODELS.items()}
    missing = {
        number: [MODELS[name].command for name in needs if chosen[name] is None]
        for number, (needs, _) in FIGURES.items()
    }
    missing = {number: commands for number, commands in missing.items() if commands}
    if len(missing) == sum(1 for needs, _ in FIGURES.values() if needs):
        wanted = "\n".join(f"  {model.what}: {model.command}" for model in MODELS.values())
        raise UserError(f"none of the runs given is one that the thesis's figures show; they are\n{wanted}")
    found = {name: opened for name, opened in chosen.items() if opened is not None}
    if on_cost is not None:
        on_cost(of_runs.cost([*found.values()]))
    make_folder(settings.out)
    made: list[Path] = []
    for done, (number, (_, draw)) in enumerate(FIGURES.items(), start=1):
        if number not in missing:
            made += save_all(settings.out, draw(found), dpi=settings.dpi)
        on_progress(done, len(FIGURES))
    return Result(tuple(map(str, made)), {name: str(opened.path) for name, opened in found.items()}, missing)


def runs_in(folder: Path) -> list[RunFolder]:
    """Finished runs directly under a folder, by name.

    Raises
    ------
    UserError
        If there is no such folder.
    """
    require(folder.is_dir(), f"there is no folder {str(folder)!r} to look for runs in; name the runs, or give --runs")
    found = [RunFolder.open(path.parent) for path in sorted(folder.glob("*/manifest.json"))]
    return [each for each in found if not each.unfinished]


# -- the figures ------------------------------------------------------------------------------------------------------


def _figure_1(runs: Runs) -> dict[str, Figure]:
    return {
        "1a_spiral": of_runs.forward_clouds(runs["spiral-2pi"]),
        "1b_digits": of_runs.forward_images(runs["01"]),
    }


def _figure_2(runs: Runs) -> dict[str, Figure]:
    return {
        "2a_spiral": of_runs.point_histograms(runs["spiral-2pi"]),
        "2b_digit": of_runs.image_histograms(runs["01"]),
    }


def _one_step(opened: OpenRun, t: int) -> tuple[Floats, Floats, Floats, Floats]:
    """``x_0``, ``xi``, ``x_t`` and ``xi_hat`` of one image, each ``(dim,)``."""
    x0 = opened.images[1].x[:1]
    xi = stream(opened.config.seed, Purpose.STEP_FIGURE, t).standard_normal(x0.shape)
    x_t = opened.model.forward.jump(x0, t, xi)
    return x0[0], xi[0], x_t[0], np.asarray(opened.model.xi_hat(x_t, t)[0])


def _figure_3(runs: Runs) -> dict[str, Figure]:
    opened = runs["01"]
    pixels = of_runs.pixels_of(opened.images[1])
    return {"3_training": drawing.training_scheme(_one_step(opened, SHOWN_STEP), SHOWN_STEP, pixels)}


def _figure_4(runs: Runs) -> dict[str, Figure]:
    opened = runs["01"]
    _, _, x_t, xi_hat = _one_step(opened, SHOWN_STEP)
    net, pixels = opened.model.bank[SHOWN_STEP].architecture, of_runs.pixels_of(opened.images[1])
    return {"4_autoencoder": drawing.architecture_scheme(x_t, xi_hat, net, SHOWN_STEP, pixels)}


def _figure_5(runs: Runs) -> dict[str, Figure]:
    return {"5_spirals": of_runs.generated_clouds([runs["spiral-2pi"], runs["spiral-3pi"]])}


def _figure_6(runs: Runs) -> dict[str, Figure]:
    sheets = [
        (title, runs[name].model.sample(100, seed=1))
        for title, name in (("(a) weighted loss", "01-weighted"), ("(b) simple loss", "01"))
    ]
    return {"6_generated": drawing.image_grid(sheets, of_runs.pixels_of(runs["01"].images[1]))}


def _figure_7(runs: Runs) -> dict[str, Figure]:
    return {"7_trajectories": of_runs.image_trajectory(runs["01"])}


def _figure_8(runs: Runs) -> dict[str, Figure]:
    return {"8_reconstructions": of_runs.reconstruction_rows(runs["01"])}


def _figure_9(runs: Runs) -> dict[str, Figure]:
    return {"9_improved_and_reconstructed": of_runs.improvement_rows(runs["01"])}


def _figure_10(runs: Runs) -> dict[str, Figure]:
    return {
        f"10{letters}_inpainted": of_runs.inpainting_rows(runs[name]) for letters, name in (("ab", "01"), ("c", "13"))
    }


def _figure_11(runs: Runs) -> dict[str, Figure]:
    return {"11_potentials": figure_11(CurieWeiss(1000))}


# Models that each figure needs, and what draws it.
FIGURES: dict[str, tuple[tuple[str, ...], Callable[[Runs], dict[str, Figure]]]] = {
    "1": (("spiral-2pi", "01"), _figure_1),
    "2": (("spiral-2pi", "01"), _figure_2),
    "3": (("01",), _figure_3),
    "4": (("01",), _figure_4),
    "5": (("spiral-2pi", "spiral-3pi"), _figure_5),
    "6": (("01", "01-weighted"), _figure_6),
    "7": (("01",), _figure_7),
    "8": (("01",), _figure_8),
    "9": (("01",), _figure_9),
    "10": (("01", "13"), _figure_10),
    "11": ((), _figure_11),
}
