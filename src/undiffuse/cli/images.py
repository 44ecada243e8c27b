"""Commands for runs trained on images: reconstruct, inpaint, uturn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import Parameter

from undiffuse import workflow
from undiffuse.cli.options import SAMPLER, Flag, Json, SamplerOptions, answer, app
from undiffuse.diffusion import inpainting
from undiffuse.diffusion.inpainting import Inpainting
from undiffuse.runs.folder import RunFolder
from undiffuse.support import files
from undiffuse.support.errors import UserError
from undiffuse.support.progress import progress

Number = Annotated[int, Parameter(name=["-n", "--n"], help="Number of held-out images.")]


@app.command
def reconstruct(
    run: Path,
    *,
    t: int,
    repeats: int = 10,
    n: Number = 100,
    out: Path,
    options: SamplerOptions = SAMPLER,
    seed: int = 0,
    overwrite: Flag = False,
    json: Json = False,
) -> None:
    """Diffuse held-out images to time t and bring each back several times.

    The .npz file holds `original` (n, dim), `label` (n,), `diffused` (n, dim) and `reconstructed` (n, repeats, dim).

    Parameters
    ----------
    run
        Run folder.
    t
        Time to diffuse to, 1..T.
    repeats
        Reconstructions of each diffused image.
    out
        File to write.
    seed
        Seed of all noise.
    overwrite
        Replace a file that is there.
    """
    folder, way = RunFolder.open(run), options.build()
    files.check_output(out, overwrite)
    arrays, summary = workflow.reconstruct_run(folder, t, repeats, n, way, seed)
    summary["out"] = str(files.write_npz(out, arrays, overwrite))
    answer(json, summary, [_score_line(summary), f"spread of repeats {summary['spread']:.4f}", f"in {out}"])


@app.command
def inpaint(
    run: Path,
    *,
    hole: Annotated[str | None, Parameter(help="Rectangle to destroy: 14x14 in the middle, or 14x14+TOP+LEFT.")] = None,
    mask: Annotated[
        Path | None, Parameter(help="Mask instead of a hole, .npy or an image: white (nonzero) is destroyed.")
    ] = None,
    method: Annotated[
        Literal["thesis", "repaint"], Parameter(help="Down once, or with jumps back up (Lugmayr et al. 2022).")
    ] = "thesis",
    jump: Annotated[int, Parameter(help="Steps of a jump; repaint only.")] = 10,
    repeats: Annotated[int, Parameter(help="Times each stretch is gone down; repaint only.")] = 10,
    n: Number = 100,
    out: Path,
    options: SamplerOptions = SAMPLER,
    seed: int = 0,
    overwrite: Flag = False,
    json: Json = False,
) -> None:
    """Destroy a part of held-out images and fill it in again.

    The .npz file holds `original` (n, dim), `label` (n,), `destroyed` (dim,) and `inpainted` (n, dim).

    Parameters
    ----------
    run
        Run folder.
    out
        File to write.
    seed
        Seed of all noise.
    overwrite
        Replace a file that is there.
    """
    folder, way = RunFolder.open(run), options.build()
    files.check_output(out, overwrite)
    if (hole is None) == (mask is None):
        raise UserError("give either --hole, such as 14x14, or --mask FILE")
    shape = workflow.held_out_images(folder, n)[1].shape
    destroyed = inpainting.hole(hole, shape) if hole is not None else inpainting.read_mask(str(mask), shape)
    with progress("filling in", "steps") as update:
        arrays, summary = workflow.inpaint_run(
            folder, destroyed, Inpainting(method, jump, repeats), n, way, seed, update
        )
    summary["out"] = str(files.write_npz(out, arrays, overwrite))
    answer(json, summary, [_score_line(summary), f"in {out}"])


@app.command
def uturn(
    run: Path,
    *,
    t: Annotated[tuple[int, ...], Parameter(negative=(), help="Times to turn at; twelve over 1..T by default.")] = (),
    repeats: int = 5,
    n: Number = 100,
    steps: Annotated[int, Parameter(help="Reverse steps from each time, at most.")] = 100,
    out: Path | None = None,
    seed: int = 0,
    overwrite: Flag = False,
    json: Json = False,
) -> None:
    """Diffuse held-out images to t and back: class kept, pixel error and spread, beside the exact denoisers.

    The curves are kept in the run folder too, for its figures.

    Parameters
    ----------
    run
        Run folder.
    repeats
        Reconstructions of each diffused image.
    out
        JSON file to write.
    seed
        Seed of all noise.
    overwrite
        Replace a file that is there.
    """
    folder = RunFolder.open(run)
    if out is not None:
        files.check_output(out, overwrite)
    T = folder.config.diffusion.T
    times = sorted(set(t)) if t else np.unique(np.linspace(0.05, 1, 12) * T // 1).astype(int).clip(1).tolist()
    way = SamplerOptions(steps=steps).build()
    with progress("turning", "curves' points") as update:
        summary = workflow.uturn_run(folder, times, repeats, n, way, seed, update)
    folder.write_json("uturn.json", summary)
    if out is not None:
        summary["out"] = str(files.write_json(out, summary, overwrite))
    names = list(summary["curves"])
    lines = ["class kept from t  " + "".join(f"{name:>18}" for name in names)]
    for i, time in enumerate(times):
        cells = (summary["curves"][name] for name in names)
        lines.append(f"{time:17d}  " + "".join(f"{c['kept'][i]:9.3f} +- {c['kept_stderr'][i]:.3f}" for c in cells))
    answer(json, summary, lines)


def _score_line(summary: dict[str, float]) -> str:
    return (
        f"class kept {summary['kept']:.3f} +- {summary['kept_stderr']:.3f}, "
        f"rms pixel error {summary['pixel_error']:.4f} +- {summary['pixel_error_stderr']:.4f} of the pixel range"
    )
