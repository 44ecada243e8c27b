"""Figures 1 to 10 of the thesis, from the run folders that hold their models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undiffuse import pictures
from undiffuse.datasets import Images
from undiffuse.model import Diffusion
from undiffuse.runs.config import Config, ImageData, SpiralData
from undiffuse.runs.folder import RunFolder
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, require
from undiffuse.support.files import make_folder
from undiffuse.support.streams import Purpose, stream
from undiffuse.workflow import run_data

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SHOWN_STEP = 200  # the time that Figures 3 and 4 show


@dataclass(frozen=True)
class Role:
    """A part that a run can play: what it is, how to know it, how to make it."""

    what: str
    fits: Callable[[Config], bool]
    command: str


def _spiral(turns: float) -> Callable[[Config], bool]:
    return lambda config: isinstance(config.data, SpiralData) and config.data.turns == turns


def _digits(digits: set[int], *losses: str) -> Callable[[Config], bool]:
    def fits(config: Config) -> bool:
        return (
            isinstance(config.data, ImageData)
            and set(config.data.digits) == digits
            and config.diffusion.T >= 1000
            and config.training.loss in losses
        )

    return fits


ROLES = {
    "spiral-2pi": Role("the 2 pi spiral", _spiral(1.0), "undiffuse train spiral-2pi-best --out runs/spiral-2pi"),
    "spiral-3pi": Role("the 3 pi spiral", _spiral(1.5), "undiffuse train spiral-3pi-best --out runs/spiral-3pi"),
    "01": Role(
        "zeros and ones, simple loss", _digits({0, 1}, "simple"), "undiffuse train mnist-01-laptop --out runs/mnist-01"
    ),
    "01-weighted": Role(
        "zeros and ones, weighted loss",
        _digits({0, 1}, "weighted"),
        "undiffuse train mnist-01-laptop --set training.loss=weighted --out runs/mnist-01-weighted",
    ),
    "13": Role(
        "ones and threes",
        _digits({1, 3}, "simple", "weighted"),
        "undiffuse train mnist-13-laptop --out runs/mnist-13",
    ),
}
NEEDS = {
    "1": ("spiral-2pi", "01"),
    "2": ("spiral-2pi", "01"),
    "3": ("01",),
    "4": ("01",),
    "5": ("spiral-2pi", "spiral-3pi"),
    "6": ("01", "01-weighted"),
    "7": ("01",),
    "8": ("01",),
    "9": ("01",),
    "10": ("01", "13"),
}


def thesis_figures(runs: list[RunFolder], out: Path, dpi: int = 300) -> dict[str, Any]:
    """Make every figure that the runs allow, as PNG files in ``out``.

    Returns
    -------
    dict
        ``figures``: paths made; ``runs``: which run plays which part; ``missing``: for each figure left out, the
        commands that make the runs it needs.

    Raises
    ------
    UserError
        If no figure can be made.
    """
    from undiffuse import figures

    cast = {name: next((run for run in runs if role.fits(run.config)), None) for name, role in ROLES.items()}
    missing = {figure: [ROLES[name].command for name in needs if cast[name] is None] for figure, needs in NEEDS.items()}
    missing = {figure: commands for figure, commands in missing.items() if commands}
    if len(missing) == len(NEEDS):
        wanted = "\n".join(f"  {role.what}: {role.command}" for role in ROLES.values())
        raise UserError(f"none of the runs given is one that the thesis's figures show; they are\n{wanted}")
    make_folder(out)
    players = {name: _Player(run) for name, run in cast.items() if run is not None}
    made: list[Path] = []
    for figure in NEEDS:
        if figure not in missing:
            for name, drawn in _DRAW[figure](players).items():
                made.append(figures.save(drawn, out / f"{name}.png", dpi=dpi))
    return {
        "figures": [str(path) for path in made],
        "runs": {name: str(player.run.path) for name, player in players.items()},
        "missing": missing,
    }


def runs_in(folder: Path) -> list[RunFolder]:
    """Finished runs directly under a folder, by name.

    Raises
    ------
    UserError
        If there is no such folder.
    """
    require(folder.is_dir(), f"there is no folder {str(folder)!r} to look for runs in; name the runs, or give --runs")
    found = [RunFolder.open(path.parent) for path in sorted(folder.glob("*/manifest.json"))]
    return [run for run in found if not run.unfinished]


class _Player:
    """A run with its model and data."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.model = Diffusion.load(run)
        self.data = run_data(run)

    @property
    def images(self) -> Images:
        assert self.data.images is not None
        return self.data.images[1]


Cast = Mapping[str, _Player]
Drawn = dict[str, "Figure"]


def _figure_1(cast: Cast) -> Drawn:
    from undiffuse import figures

    spiral, digits = cast["spiral-2pi"], cast["01"]
    return {
        "1a_spiral": figures.process(pictures.forward_states(spiral.model, spiral.data.train[:2000])),
        "1b_digits": pictures.forward_images(digits.model, digits.images, pictures.one_of_each(digits.images)),
    }


def _figure_2(cast: Cast) -> Drawn:
    from undiffuse import figures

    spiral, digits = cast["spiral-2pi"], cast["01"]
    shown = spiral.data.train[:2000]
    last = pictures.forward_states(spiral.model, shown)[-1][1]
    forward = spiral.model.forward
    return {
        "2a_spiral": figures.histograms(shown, last, forward.noise_scale, forward.T),
        "2b_digit": pictures.image_histograms(digits.model, digits.images, pictures.one_of_each(digits.images)[0]),
    }


def _one_step(player: _Player, t: int) -> tuple[Floats, Floats, Floats, Floats]:
    """``x_0``, ``xi``, ``x_t`` and ``xi_hat`` of one image, each ``(dim,)``."""
    x0 = player.images.x[:1]
    xi = stream(player.run.config.seed, Purpose.STEP_PICTURE, t).standard_normal(x0.shape)
    x_t = player.model.forward.jump(x0, t, xi)
    return x0[0], xi[0], x_t[0], player.model.xi_hat(x_t, t)[0]


def _figure_3(cast: Cast) -> Drawn:
    from undiffuse import figures

    player = cast["01"]
    pixels = pictures.pixels_of(player.images)
    x0, xi, x_t, xi_hat = _one_step(player, SHOWN_STEP)
    return {"3_training": figures.training_scheme(x0, xi, x_t, xi_hat, SHOWN_STEP, pixels)}


def _figure_4(cast: Cast) -> Drawn:
    from undiffuse import figures

    player = cast["01"]
    _, _, x_t, xi_hat = _one_step(player, SHOWN_STEP)
    net, pixels = player.model.bank[SHOWN_STEP].architecture, pictures.pixels_of(player.images)
    return {"4_autoencoder": figures.architecture_scheme(x_t, xi_hat, net, SHOWN_STEP, pixels)}


def _figure_5(cast: Cast) -> Drawn:
    return {"5_spirals": pictures.generated_clouds([cast["spiral-2pi"].run, cast["spiral-3pi"].run])}


def _figure_6(cast: Cast) -> Drawn:
    sheets = [
        (title, cast[name].model.sample(100, seed=1))
        for title, name in (("(a) weighted loss", "01-weighted"), ("(b) simple loss", "01"))
    ]
    return {"6_generated": pictures.sample_sheet(sheets, cast["01"].images)}


def _figure_7(cast: Cast) -> Drawn:
    player = cast["01"]
    return {"7_trajectories": pictures.image_trajectory(player.model, player.images)}


def _figure_8(cast: Cast) -> Drawn:
    player = cast["01"]
    chosen = pictures.one_of_each(player.images)[0]
    return {"8_reconstructions": pictures.reconstruction_rows(player.model, player.images, chosen)}


def _figure_9(cast: Cast) -> Drawn:
    player = cast["01"]
    chosen = pictures.one_of_each(player.images)
    return {"9_improved_and_reconstructed": pictures.improvement_rows(player.model, player.images, chosen)}


def _figure_10(cast: Cast) -> Drawn:
    return {
        f"10{letters}_inpainted": pictures.inpainting_rows(
            cast[name].model, cast[name].images, pictures.one_of_each(cast[name].images), size
        )
        for letters, name, size in (("ab", "01", "14x14"), ("c", "13", "18x18"))
    }


_DRAW: dict[str, Callable[[Cast], Drawn]] = {
    "1": _figure_1,
    "2": _figure_2,
    "3": _figure_3,
    "4": _figure_4,
    "5": _figure_5,
    "6": _figure_6,
    "7": _figure_7,
    "8": _figure_8,
    "9": _figure_9,
    "10": _figure_10,
}
