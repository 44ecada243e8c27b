"""``undiffuse figures``: the figures of runs, one function each.

A figure of a run is a function of an :class:`~undiffuse.studies.open_run.OpenRun` that computes what is shown and
returns a matplotlib figure. The decorator :func:`~undiffuse.studies.run_figures.figure` gives its name, its caption on
the report, and the runs it is for. Their order here is their order on the report, after those of tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cyclopts import Parameter

from undiffuse import figures as drawing
from undiffuse.datasets import ImageDataset, Images, masks
from undiffuse.diffusion import objective, reverse
from undiffuse.diffusion.inpainting import Inpainting, inpaint
from undiffuse.diffusion.reverse import reconstructions
from undiffuse.diffusion.samplers import Ancestral
from undiffuse.figures import Pixels
from undiffuse.model import Diffusion
from undiffuse.studies import rates, table_figures  # noqa: F401  its figures come first on the report
from undiffuse.studies.keep import prepare, save_all
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.run_figures import FIGURES, figure
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import require
from undiffuse.support.files import make_folder
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.streams import Purpose, Streams, stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 1_000  # points drawn in a cloud
# What the figures of a run take, 2026-11-25, on digits and spirals: seconds for each, and walks of what they show.
_EACH, _WALKS = 1.5, 8.0
_REPAINT_STEPS = 250  # at most; each is made ten times


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which runs to draw.

    Attributes
    ----------
    runs : list of path
        Run folders. Of several, each one's figures get a folder of their own, and Figure 5 shows all.
    out : path
        Folder to put them in; files of the same names are replaced.
    """

    runs: Sequence[RunLike]
    _: KW_ONLY
    out: Path


@dataclass(frozen=True)
class Result(results.Result):
    """Paths of the figures made."""

    figures: tuple[str, ...]


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Draw every figure that each run can have; progress counts figures of a run.

    ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If a run is unfinished, folders share a name, or Figure 5 is asked for of data that are not in the plane.
    """
    prepare(settings.out)
    runs = [OpenRun.of(each) for each in settings.runs]
    if on_cost is not None:
        on_cost(cost(runs))
    if len(runs) == 1:
        return Result(tuple(map(str, figures_of(runs[0], settings.out, on_progress))))
    names = [opened.path.resolve().name for opened in runs]
    require(len(set(names)) == len(names), f"the runs' folders must have different names, got {', '.join(names)}")
    together = generated_clouds(runs)
    made = [
        path
        for opened, name in zip(runs, names, strict=True)
        for path in figures_of(opened, settings.out / name, on_progress)
    ]
    return Result(tuple(map(str, [*made, *save_all(settings.out, {"5_generated": together})])))


def cost(runs: Sequence[OpenRun]) -> Cost:
    """What the figures of runs will take, most of it walks of what they show."""
    shown = {opened: 100 if _of_images(opened) else _SHOWN for opened in runs}
    walks = sum(rates.of_samples(opened.model, n) for opened, n in shown.items())
    seconds = _WALKS * walks + _EACH * sum(each.applies(opened) for opened in runs for each in FIGURES.values())
    return Cost(seconds, f"figures of {len(runs)} run{'s' if len(runs) > 1 else ''}", "fewer runs")


def figures_of(opened: OpenRun, out: Path, on_progress: OnProgress = silent) -> list[Path]:
    """Make every figure that a run can have, as PNG files in ``out``."""
    make_folder(out)
    wanted = [each for each in FIGURES.values() if each.applies(opened)]
    made = []
    for done, each in enumerate(wanted, start=1):
        made += save_all(out, {each.name: each.draw(opened)})
        on_progress(done, len(wanted))
    return sorted(made)


def _any(opened: OpenRun) -> bool:
    return True


def _in_the_plane(opened: OpenRun) -> bool:
    return opened.data.dim == 2


def _of_images(opened: OpenRun) -> bool:
    return isinstance(opened.data, ImageDataset)


def _has(name: str) -> Callable[[OpenRun], bool]:
    return lambda opened: opened.folder.kept_json(name) is not None


# -- samples ----------------------------------------------------------------------------------------------------------


@figure("5_generated", "Data, samples drawn by Algorithm 2, and both (the thesis's Figure 5).", _in_the_plane)
def generated(opened: OpenRun) -> Figure:
    """Figure 5 of one run."""
    return generated_clouds([opened])


def generated_clouds(runs: Sequence[OpenRun]) -> Figure:
    """Figure 5 with a row for each run."""
    rows = []
    for opened in runs:
        require(
            opened.data.dim == 2,
            f"Figure 5 shows two-dimensional data; {opened.path} has dimension {opened.data.dim}",
        )
        samples = reverse.sample(opened.model, _SHOWN, seed=opened.config.seed)
        rows.append((opened.config.name, opened.data.train[:_SHOWN], samples))
    return drawing.generated(rows)


@figure("6_generated", "Real images, and samples drawn by Algorithm 2 (Figure 6).", _of_images)
def generated_images(opened: OpenRun) -> Figure:
    """Figure 6 of one run."""
    train, _ = opened.images
    samples = reverse.sample(opened.model, 100, seed=opened.config.seed)
    real = "real digits" if opened.config.data.name == "mnist" else "data"
    groups = [(real, train.x[:100]), (f"{opened.config.name}: samples", samples)]
    return drawing.image_grid(groups, pixels_of(train))


@figure("reverse_trajectory", "The same samples on their way from noise (t = T) to data (t = 0).", _in_the_plane)
def reverse_states(opened: OpenRun) -> Figure:
    """A trajectory from noise to data, at a few moments."""
    wanted = _moments(opened.model.forward.T)
    walk = reverse.sample_trajectory(opened.model, _SHOWN, seed=opened.config.seed)
    return drawing.process([state for state in walk if state.t in wanted], forward=False)


@figure(
    "7_reverse_trajectory",
    "Samples on their way from noise to data (Figure 7). Noisy states are scaled to their own grey.",
    _of_images,
)
def image_trajectory(opened: OpenRun, n: int = 100) -> Figure:
    """Figure 7: samples of each class on their way from noise; the class is the nearest class mean's."""
    images, T = opened.images[1], opened.model.forward.T
    wanted = sorted({0, *(max(1, round(share * T)) for share in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1))}, reverse=True)
    walk = reverse.sample_trajectory(opened.model, n, seed=opened.config.seed)
    states = {t: x for t, x in walk if t in wanted}
    labels = np.unique(images.labels)
    means = np.stack([images.x[images.labels == label].mean(axis=0) for label in labels])
    nearest = np.argmin(((states[0][:, None] - means) ** 2).sum(axis=2), axis=1)
    chosen = [int(np.flatnonzero(nearest == k)[0]) for k in range(len(labels)) if (nearest == k).any()]
    rows = [[states[t][i] for t in wanted] for i in chosen]
    titles = [f"$t = {t}$" for t in wanted]
    return drawing.image_rows(rows, titles, pixels_of(images), range(len(wanted) - 1), [""] * len(rows))


# -- reconstruction ---------------------------------------------------------------------------------------------------


@figure(
    "8_reconstructions",
    "A held-out image, diffused to t, and ten reconstructions from there (Figure 8). The larger t, the more the "
    "reverse process has to invent.",
    _of_images,
)
def reconstruction_rows(opened: OpenRun, repeats: int = 10) -> Figure:
    """Figure 8: one image, its more and more diffused states, and ``repeats`` reconstructions of each."""
    images, model = opened.images[1], opened.model
    chosen = one_of_each(images)[0]
    times = [max(1, round(share * model.forward.T)) for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]
    rows = []
    for t in times:
        diffused, back = reconstructions(model, images.x[[chosen]], t, repeats, seed=opened.config.seed)
        rows.append([images.x[chosen], diffused[0], *back[0]])
    titles = ["original", "diffused", "back", *[""] * (repeats - 1)]
    return drawing.image_rows(rows, titles, pixels_of(images), [1], [f"$t = {t}$" for t in times])


@figure(
    "9_improved_and_reconstructed",
    "Held-out images with little noise, improved, and with much noise, reconstructed (Figure 9).",
    _of_images,
)
def improvement_rows(opened: OpenRun) -> Figure:
    """Figure 9: held-out images, slightly and strongly diffused, and what the reverse process makes of them."""
    images, model = opened.images[1], opened.model
    chosen, T = one_of_each(images), model.forward.T
    low, high = max(1, round(0.1 * T)), max(1, round(0.4 * T))
    turned = [reconstructions(model, images.x[chosen], t, 1, seed=opened.config.seed) for t in (low, high)]
    rows = []
    for i, index in enumerate(chosen):
        row = [images.x[index]]
        for diffused, back in turned:
            row += [diffused[i], back[i, 0]]
        rows.append(row)
    titles = ["original", f"$t = {low}$", "improved", f"$t = {high}$", "reconstructed"]
    return drawing.image_rows(rows, titles, pixels_of(images), [1, 3], [""] * len(rows))


@figure(
    "10_inpainted",
    "Held-out images, the same with a hole of noise, and the hole filled in (Figure 10): going down once, as in the "
    "thesis, and with jumps back up.",
    lambda opened: _of_images(opened) and min(opened.images[1].shape) > 1,
)
def inpainting_rows(opened: OpenRun) -> Figure:
    """Figure 10: held-out images with a hole of noise, and the hole filled in by both methods."""
    images, model, seed = opened.images[1], opened.model, opened.config.seed
    share = 14 / 28 if 3 not in images.labels else 18 / 28
    size = "x".join(str(max(1, round(share * pixels))) for pixels in images.shape)
    mask, x = masks.hole(size, images.shape), images.x[one_of_each(images)]
    noise = model.forward.noise_scale * Streams(seed, Purpose.HOLE_FIGURE).noise(*x.shape)()
    once = inpaint(model, x, mask, seed=seed)
    few = Ancestral(steps=min(_REPAINT_STEPS, model.forward.T))
    again = inpaint(model, x, mask, how=Inpainting("repaint"), sampler=few, seed=seed)
    rows = [list(row) for row in zip(x, np.where(mask, noise, x), once, again, strict=True)]
    titles = ["original", f"{size} destroyed", "filled in", "with jumps"]
    return drawing.image_rows(rows, titles, pixels_of(images), [], [""] * len(rows))


@figure(
    "reconstruction_curves",
    "Reconstructions from t by the bank and by the exact denoisers; bands are two standard errors over images.",
    _has("uturn.json"),
)
def reconstruction_curves(opened: OpenRun) -> Figure:
    """Curves that ``undiffuse uturn`` left in the folder."""
    turns = opened.folder.kept_json("uturn.json")
    curves = {name: {key: np.array(v) for key, v in c.items()} for name, c in turns["curves"].items()}
    return drawing.reconstruction_curves(curves, np.array(turns["t"]))


# -- errors and bounds ------------------------------------------------------------------------------------------------


@figure(
    "loss_against_time",
    "Error of each time's network in predicting the noise, beside the best linear denoiser (closed form) and the exact "
    "denoiser of the training set, which memorises. All are mean squares per dimension.",
    _any,
)
def loss_against_time(opened: OpenRun, points: int = 60) -> Figure:
    """Errors of the bank and of both exact denoisers.

    The Gaussian one is closed form; the empirical one is measured on held-out data at ``points`` times.
    """
    data, times = opened.data, opened.model.schedule.times.tolist()
    gaussian = np.array([(t, opened.reference.error(t)) for t in times])
    count, shown = (points, 500) if data.dim <= 16 else (points // 3, 200)
    some = np.unique(np.geomspace(1, opened.model.forward.T, count).astype(int)).tolist()
    empirical = objective.xi_errors(opened.empirical, data.held_out[:shown], some)
    return drawing.loss_against_time(opened.errors, gaussian, np.column_stack([some, empirical]))


@figure(
    "bound_terms",
    "Terms of the bound (18), the negative ELBO, on held-out data along the time, and the totals of all its terms.",
    _has("bound.json"),
)
def bound_terms(opened: OpenRun) -> Figure:
    """Terms that ``undiffuse evaluate`` left in the folder."""
    bounds = opened.folder.kept_json("bound.json")
    terms = {name: np.array(b["per_t"]) for name, b in bounds.items()}
    return drawing.bound_terms(terms, {name: _total(b) for name, b in bounds.items()})


def _total(b: dict[str, Any]) -> str:
    unit = "bits/dim" if b["kind"] == "discretised" else "bits/sample (density)"
    return f"{b['bits_per_dim' if b['kind'] == 'discretised' else 'bits']:.3f} {unit}"


# -- the forward process ----------------------------------------------------------------------------------------------


@figure("1a_forward_process", "Data diffused by the forward process (Figure 1a).", _in_the_plane)
def forward_clouds(opened: OpenRun) -> Figure:
    """Figure 1a: points on their way to noise."""
    return drawing.process(forward_states(opened.model, opened.data.train[: 2 * _SHOWN]))


@figure(
    "1b_forward_process",
    "Images diffused by the forward process (Figure 1b). Noisy states are scaled to their own grey.",
    _of_images,
)
def forward_images(opened: OpenRun) -> Figure:
    """Figure 1b: images on their way to noise."""
    images = opened.images[1]
    chosen = one_of_each(images)
    states = forward_states(opened.model, images.x[chosen])
    rows = [[x[i] for _, x in states] for i in range(len(chosen))]
    titles = [f"$t = {t}$" for t, _ in states]
    return drawing.image_rows(rows, titles, pixels_of(images), range(1, len(states)), [""] * len(rows))


@figure("2a_histograms", "Histograms of each coordinate before and after diffusion (Figure 2a).", _in_the_plane)
def point_histograms(opened: OpenRun) -> Figure:
    """Figure 2a: coordinates before and after diffusion."""
    shown, forward = opened.data.train[: 2 * _SHOWN], opened.model.forward
    return drawing.histograms(shown, forward_states(opened.model, shown)[-1][1], forward.noise_scale, forward.T)


@figure("2b_histograms", "Histogram of one image's pixels before and after diffusion (Figure 2b).", _of_images)
def image_histograms(opened: OpenRun) -> Figure:
    """Figure 2b: pixels of one image before and after diffusion."""
    images, forward = opened.images[1], opened.model.forward
    before = images.x[[one_of_each(images)[0]]]
    after = forward_states(opened.model, before)[-1][1]
    return drawing.pixel_histograms(before[0], after[0], forward.noise_scale, forward.T)


# -- shared ------------------------------------------------------------------------------------------------------------


def forward_states(model: Diffusion, x0: Floats) -> list[tuple[int, Floats]]:
    """States of one realisation of the forward process, at a few moments."""
    wanted = _moments(model.forward.T)
    walk = model.forward.trajectory(x0, stream(model.config.seed, Purpose.FORWARD_FIGURE))
    return [(t, x) for t, x in walk if t in wanted]


def _moments(T: int) -> list[int]:
    """Times worth showing, as shares of T."""
    return [0, *(max(1, round(share * T)) for share in (0.02, 0.08, 0.2, 0.4, 1))]


def pixels_of(images: Images) -> Pixels:
    """How images are drawn."""
    return Pixels(images.shape, images.low, images.high)


def one_of_each(images: Images, count: int = 2) -> list[int]:
    """Indices of the first images of each class, ``count`` of each."""
    return [int(i) for label in np.unique(images.labels) for i in np.flatnonzero(images.labels == label)[:count]]
