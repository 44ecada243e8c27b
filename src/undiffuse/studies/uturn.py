"""``undiffuse uturn``: the class kept from data to a time t and back, for a bank and its exact denoisers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

import numpy as np
from cyclopts import Parameter

from undiffuse.diffusion.reverse import reconstructions
from undiffuse.metrics.reconstruction import Score, score
from undiffuse.studies import rates
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import DEFAULT_BACKEND, BackendOptions, Flag, N, Numbers, SamplerOptions
from undiffuse.support import results
from undiffuse.support.backend import LOCAL
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import require
from undiffuse.support.files import check_output, json_bytes, write_json
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which run, times and images.

    Attributes
    ----------
    run : path
        Run folder; the curves are kept in it too, for its figures.
    t : tuple of int
        Times to diffuse to; twelve over 1..T by default.
    repeats : int
        Reconstructions of each diffused image.
    n : int
        Number of held-out images.
    steps : int
        Reverse steps from each time, at most.
    out : path, optional
        JSON file to write.
    seed : int
        Seed of all noise.
    backend : BackendOptions
        Where the points of the curves are made; on this machine in this process, by threads.
    overwrite : bool
        Replace a file that is there.
    """

    run: RunLike
    _: KW_ONLY
    t: Numbers = ()
    repeats: int = 2
    n: N = 100
    steps: int = 50
    out: Path | None = None
    seed: int = 0
    backend: BackendOptions = DEFAULT_BACKEND
    overwrite: Flag = False


@dataclass(frozen=True)
class Result(results.Result):
    """Curves against the time diffused to.

    Attributes
    ----------
    run, n, repeats, steps, seed
        As in the settings.
    t : list of int
    ou_time : list of float
        Ornstein-Uhlenbeck time of each.
    curves : dict
        For each denoiser the lists ``kept``, ``pixel_error``, ``spread`` and their ``..._stderr``; see
        :class:`~undiffuse.metrics.reconstruction.Score`.
    out : str, optional
        File written.
    """

    run: str
    n: int
    repeats: int
    steps: int
    seed: int
    t: tuple[int, ...]
    ou_time: tuple[float, ...]
    curves: Mapping[str, Mapping[str, list[float]]]
    out: str | None = None


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Diffuse to each time and back with each denoiser; progress is counted in points of the curves.

    ``on_cost`` is told before what that will take, from a few steps with each denoiser.

    Raises
    ------
    UserError
        If the run is not of images, or a number is out of range.
    """
    if settings.out is not None:
        check_output(settings.out, settings.overwrite, ".json")
    opened = OpenRun.of(settings.run)
    T = opened.config.diffusion.T
    spread = np.unique((np.linspace(0.05, 1, 12) * T).astype(int).clip(1)).tolist()
    times = sorted(set(settings.t)) or spread
    backend, images = settings.backend.build(), opened.held_out_images(settings.n)
    check_memory(4 * 8 * images.x.size * settings.repeats, f"turning {settings.n} images {settings.repeats} times")
    backend.check()
    _ = opened.classifiers  # made and kept in the run before other processes ask for them
    here = backend == LOCAL
    what = replace(settings, run=opened if here else opened.path)
    require(times[0] >= 1 and times[-1] <= T, f"t = {list(times)}: wanted times in 1..{T}")
    require(settings.repeats >= 1, f"repeats = {settings.repeats}: wanted at least 1")
    SamplerOptions(steps=settings.steps).build()
    if on_cost is not None and here:
        on_cost(_cost(opened, settings, times))
    # Denoisers differ in what they cost, so each time is walked with all of them before the next.
    calls = [(what, name, t) for t in times for name in opened.denoisers]
    points = backend.map(_point, calls, 1 if here else None, on_progress)
    curves: dict[str, dict[str, list[float]]] = {}
    for (_, name, _), point in zip(calls, points, strict=True):
        curve = curves.setdefault(name, {})
        for key, value in point.as_dict().items():
            curve.setdefault(key, []).append(value)
    forward = opened.config.forward()
    result = Result(
        run=str(opened.path),
        n=settings.n,
        repeats=settings.repeats,
        steps=settings.steps,
        seed=settings.seed,
        t=tuple(times),
        ou_time=tuple(float(forward.schedule.ou_time(t)) for t in times),
        curves=curves,
        out=None if settings.out is None else str(settings.out),
    )
    content = {key: value for key, value in result.as_dict().items() if key != "out"}
    opened.folder.keep({"uturn.json": json_bytes(content)})
    if settings.out is not None:
        write_json(settings.out, content, settings.overwrite)
    return result


def _cost(opened: OpenRun, settings: Settings, times: Sequence[int]) -> Cost:
    steps = sum(min(t, settings.steps) for t in times)
    turned = settings.n * settings.repeats
    seconds = steps * sum(rates.of_step(denoiser, turned) for denoiser in opened.denoisers.values())
    work = f"U-turns of {turned} images with {len(opened.denoisers)} denoisers, {steps} steps each"
    return Cost(seconds, work, "smaller --repeats, --steps or -n, or with few --t")


def _point(settings: Settings, name: str, t: int) -> Score:
    """One point of a curve: images diffused to ``t`` and brought back by a denoiser, from any process."""
    opened = OpenRun.of(settings.run)
    images, sampler = opened.held_out_images(settings.n), SamplerOptions(steps=settings.steps).build()
    denoiser = opened.denoisers[name]
    _, back = reconstructions(denoiser, images.x, t, settings.repeats, sampler=sampler, seed=settings.seed)
    return score(images, back, opened.classifiers.strict)
