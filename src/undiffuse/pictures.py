"""From run folders to figures on disk: compute what each figure shows, draw it, write it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from undiffuse.datasets import Dataset, Images
from undiffuse.diffusion import objective, reverse
from undiffuse.diffusion.exact import EmpiricalDenoiser
from undiffuse.diffusion.inpainting import Inpainting, hole, inpaint
from undiffuse.diffusion.reverse import Sampler
from undiffuse.model import Diffusion
from undiffuse.runs.folder import RunFolder
from undiffuse.studies import reconstructions
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.files import make_folder
from undiffuse.support.streams import Purpose, Streams, stream
from undiffuse.workflow import run_data

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from undiffuse import figures

Made = dict[str, "Figure"]
_SHOWN = 1_000  # points drawn in a cloud
_REPAINT_STEPS = 250  # at most, each of them gone down ten times


def figures_of(run: RunFolder, out: Path) -> list[Path]:
    """Make every figure the run's data allow, as PNG files in ``out``."""
    from undiffuse import figures

    model, data = Diffusion.load(run), run_data(run)
    make_folder(out)
    made = {"loss_against_time": figures.loss_against_time(model.errors, *references(model, data))}
    bounds = run.read_json("bound.json")
    if bounds:
        terms = {name: np.array(b["per_t"]) for name, b in bounds.items()}
        made["bound_terms"] = figures.bound_terms(terms, {name: _total(b) for name, b in bounds.items()})
    turns = run.read_json("uturn.json")
    if turns:
        curves = {name: {key: np.array(v) for key, v in c.items()} for name, c in turns["curves"].items()}
        made["reconstruction_curves"] = figures.reconstruction_curves(curves, np.array(turns["t"]))
    if data.dim == 2:
        made |= _of_plane(run, model, data)
    if data.images is not None:
        made |= _of_images(run, model, data.images)
    return [figures.save(figure, out / f"{name}.png") for name, figure in sorted(made.items())]


def figures_of_all(runs: list[RunFolder], out: Path) -> list[Path]:
    """Make the figures of several runs, each in a folder of its own, and Figure 5 with a row for each.

    Raises
    ------
    UserError
        If the runs' folders share a name, or one is not two-dimensional.
    """
    from undiffuse import figures

    if len(runs) == 1:
        return figures_of(runs[0], out)
    names = [run.path.resolve().name for run in runs]
    require(len(set(names)) == len(names), f"the runs' folders must have different names, got {', '.join(names)}")
    figure = generated_clouds(runs)
    made = [path for run, name in zip(runs, names, strict=True) for path in figures_of(run, out / name)]
    return [*made, figures.save(figure, out / "5_generated.png")]


def generated_clouds(runs: list[RunFolder]) -> Figure:
    """Figure 5 with a row for each run."""
    from undiffuse import figures

    rows = []
    for run in runs:
        model, data = Diffusion.load(run), run_data(run)
        require(data.dim == 2, f"Figure 5 shows two-dimensional data; {run.path} has dimension {data.dim}")
        rows.append((run.config.name, data.train[:_SHOWN], model.sample(_SHOWN, run.config.seed)))
    return figures.generated(rows)


def references(model: Diffusion, data: Dataset, points: int = 60) -> tuple[Floats, Floats]:
    """Errors of the Gaussian and the empirical denoiser, as rows ``(t, error)``.

    The Gaussian one is closed form; the empirical one is measured on held-out data at ``points`` times.
    """
    exact = model.bank.reference
    assert exact is not None
    gaussian = np.array([(t, exact.error(t)) for t in model.schedule.times.tolist()])
    count, shown = (points, 500) if data.dim <= 16 else (points // 3, 200)
    times = np.unique(np.geomspace(1, model.forward.T, count).astype(int)).tolist()
    memorised = EmpiricalDenoiser(model.forward, data.train)
    return gaussian, np.column_stack([times, objective.xi_errors(memorised, data.held_out[:shown], times)])


def _total(b: dict[str, object]) -> str:
    unit = "bits/dim" if b["kind"] == "discretised" else "bits/sample (density)"
    return f"{b['bits_per_dim' if b['kind'] == 'discretised' else 'bits']:.3f} {unit}"


# -- two-dimensional data ---------------------------------------------------------------------------------------------


def _of_plane(run: RunFolder, model: Diffusion, data: Dataset) -> Made:
    from undiffuse import figures

    shown = data.train[: 2 * _SHOWN]
    diffused = forward_states(model, shown)
    states = _reverse_states(model, _SHOWN)
    last = diffused[-1][1]
    return {
        "1a_forward_process": figures.process(diffused),
        "2a_histograms": figures.histograms(shown, last, model.forward.noise_scale, model.forward.T),
        "reverse_trajectory": figures.process(states, forward=False),
        "5_generated": figures.generated([(run.config.name, shown[:_SHOWN], states[-1][1])]),
    }


def forward_states(model: Diffusion, x0: Floats) -> list[tuple[int, Floats]]:
    """States of one realisation of the forward process, at a few moments."""
    wanted = _moments(model.forward.T)
    walk = model.forward.trajectory(x0, stream(model.config.seed, Purpose.FORWARD_PICTURE))
    return [(t, x) for t, x in walk if t in wanted]


def _reverse_states(model: Diffusion, n: int) -> list[tuple[int, Floats]]:
    """A trajectory from noise to data, at a few moments."""
    wanted = _moments(model.forward.T)
    return [state for state in reverse.sample_trajectory(model, n, seed=model.config.seed) if state.t in wanted]


def _moments(T: int) -> list[int]:
    """Times worth showing, as shares of T."""
    return [0, *(max(1, round(share * T)) for share in (0.02, 0.08, 0.2, 0.4, 1))]


# -- images -----------------------------------------------------------------------------------------------------------


def pixels_of(images: Images) -> figures.Pixels:
    """How a run's images are drawn."""
    from undiffuse import figures

    return figures.Pixels(images.shape, images.low, images.high)


def _of_images(run: RunFolder, model: Diffusion, images: tuple[Images, Images]) -> Made:
    train, held_out = images
    chosen = one_of_each(held_out)
    samples = model.sample(100, run.config.seed)
    out = {
        "1b_forward_process": forward_images(model, held_out, chosen),
        "2b_histograms": image_histograms(model, held_out, chosen[0]),
        "6_generated": sample_sheet([("real digits", train.x[:100]), (f"{run.config.name}: samples", samples)], train),
        "7_reverse_trajectory": image_trajectory(model, held_out),
        "8_reconstructions": reconstruction_rows(model, held_out, chosen[0]),
        "9_improved_and_reconstructed": improvement_rows(model, held_out, chosen),
    }
    size = "14x14" if 3 not in held_out.labels else "18x18"
    out["10_inpainted"] = inpainting_rows(model, held_out, chosen, size)
    return out


def one_of_each(images: Images, count: int = 2) -> list[int]:
    """Indices of the first images of each class, ``count`` of each."""
    return [int(i) for label in np.unique(images.labels) for i in np.flatnonzero(images.labels == label)[:count]]


def sample_sheet(groups: list[tuple[str, Floats]], images: Images) -> Figure:
    """Figure 6: samples, in sheets of 100 side by side."""
    from undiffuse import figures

    return figures.image_grid(groups, pixels_of(images))


def forward_images(model: Diffusion, images: Images, chosen: list[int]) -> Figure:
    """Figure 1b: images on their way to noise."""
    from undiffuse import figures

    states = forward_states(model, images.x[chosen])
    rows = [[x[i] for _, x in states] for i in range(len(chosen))]
    titles = [f"$t = {t}$" for t, _ in states]
    noisy = range(1, len(states))
    return figures.image_rows(rows, titles, pixels_of(images), noisy, [""] * len(rows))


def image_histograms(model: Diffusion, images: Images, chosen: int) -> Figure:
    """Figure 2b: pixels of one image before and after diffusion."""
    from undiffuse import figures

    before = images.x[[chosen]]
    after = forward_states(model, before)[-1][1]
    return figures.pixel_histograms(before[0], after[0], model.forward.noise_scale, model.forward.T)


def image_trajectory(model: Diffusion, images: Images, n: int = 100) -> Figure:
    """Figure 7: samples of each class on their way from noise; the class is the nearest class mean's."""
    from undiffuse import figures

    T = model.forward.T
    wanted = sorted({0, *(max(1, round(share * T)) for share in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1))}, reverse=True)
    states = {t: x for t, x in reverse.sample_trajectory(model, n, seed=model.config.seed) if t in wanted}
    labels = np.unique(images.labels)
    means = np.stack([images.x[images.labels == label].mean(axis=0) for label in labels])
    nearest = np.argmin(((states[0][:, None] - means) ** 2).sum(axis=2), axis=1)
    chosen = [int(np.flatnonzero(nearest == k)[0]) for k in range(len(labels)) if (nearest == k).any()]
    rows = [[states[t][i] for t in wanted] for i in chosen]
    titles = [f"$t = {t}$" for t in wanted]
    return figures.image_rows(rows, titles, pixels_of(images), range(len(wanted) - 1), [""] * len(rows))


def reconstruction_rows(model: Diffusion, images: Images, chosen: int, repeats: int = 10) -> Figure:
    """Figure 8: one image, its more and more diffused states, and ``repeats`` reconstructions of each."""
    from undiffuse import figures

    T = model.forward.T
    times = [max(1, round(share * T)) for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]
    rows = []
    for t in times:
        diffused, back = reconstructions(model, images.x[[chosen]], t, repeats, seed=model.config.seed)
        rows.append([images.x[chosen], diffused[0], *back[0]])
    titles = ["original", "diffused", "back", *[""] * (repeats - 1)]
    return figures.image_rows(rows, titles, pixels_of(images), [1], [f"$t = {t}$" for t in times])


def improvement_rows(model: Diffusion, images: Images, chosen: list[int]) -> Figure:
    """Figure 9: held-out images, slightly and strongly diffused, and what the reverse process makes of them."""
    from undiffuse import figures

    T = model.forward.T
    low, high = max(1, round(0.1 * T)), max(1, round(0.4 * T))
    rows = []
    turned = [reconstructions(model, images.x[chosen], t, 1, seed=model.config.seed) for t in (low, high)]
    for i, index in enumerate(chosen):
        row = [images.x[index]]
        for diffused, back in turned:
            row += [diffused[i], back[i, 0]]
        rows.append(row)
    titles = ["original", f"$t = {low}$", "improved", f"$t = {high}$", "reconstructed"]
    return figures.image_rows(rows, titles, pixels_of(images), [1, 3], [""] * len(rows))


def inpainting_rows(model: Diffusion, images: Images, chosen: list[int], size: str) -> Figure:
    """Figure 10: held-out images with a hole of noise, and the hole filled in by both methods."""
    from undiffuse import figures

    mask = hole(size, images.shape)
    x = images.x[chosen]
    noise = model.forward.noise_scale * Streams(model.config.seed, Purpose.HOLE_PICTURE).noise(*x.shape)()
    damaged = np.where(mask, noise, x)
    once = inpaint(model, x, mask, seed=model.config.seed)
    few = Sampler(steps=min(_REPAINT_STEPS, model.forward.T))
    again = inpaint(model, x, mask, Inpainting("repaint"), few, model.config.seed)
    rows = [list(row) for row in zip(x, damaged, once, again, strict=True)]
    titles = ["original", f"{size} destroyed", "filled in", "with jumps"]
    return figures.image_rows(rows, titles, pixels_of(images), [], [""] * len(rows))
