"""``undiffuse movie``: a run's trajectories, score, potentials or weights along diffusion time, as a moving picture."""

from __future__ import annotations

import time
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from undiffuse.datasets import ImageDataset
from undiffuse.figures.moving import rendered
from undiffuse.formats.movies import check_movie, movie_bytes
from undiffuse.studies import rates
from undiffuse.studies.movie_scenes import OF_DATA, OF_NETWORKS, SCENES, Scenes, check_scene
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import Flag, N, number_of
from undiffuse.support import results
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import one_of, require
from undiffuse.support.files import check_output, write_file
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent

MOST_FRAMES, SMALLEST, WIDEST, FASTEST, MOST_IMAGES, MOST_POINTS = 240, 120, 1080, 50, 100, 10_000
_POINTS, _IMAGES = 1_000, 9
_PER_FRAME = 0.12  # seconds of drawing and writing one of 480 pixels on one core, 2026-11-26

Of = Annotated[str, Parameter(help=f"One of {', '.join(SCENES)}.", completer=lambda _: list(SCENES))]


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which run, and what of it moves.

    Attributes
    ----------
    run : path
        Run folder.
    out : path
        File to write, .gif, .webp or, where ffmpeg is installed, .mp4.
    of : str
        reverse: samples on their way from noise to t = 0; forward: data on their way to noise; score: arrows of
        the learned score, in the plane; potential: bank and exact, along the line of class means; weights: w of
        every hidden unit in the plane, singular values of A W elsewhere.
    frames : int
        Number of times seen, spread evenly, 2 to 240.
    size : int
        Width in pixels, 120 to 1080.
    fps : int
        Frames a second, 1 to 50.
    n : int, optional
        What moves: 1,000 points or configurations, up to 10,000; 9 images, up to 100; data as many as are held out.
    seed : int
        Seed of all noise.
    overwrite : bool
        Replace a file that is there.
    """

    run: RunLike
    _: KW_ONLY
    out: Path = Path("movie.gif")
    of: Of = "reverse"
    frames: int = 48
    size: int = 480
    fps: int = 12
    n: N | None = None
    seed: int = 0
    overwrite: Flag = False


@dataclass(frozen=True, kw_only=True)
class Result(results.Result):
    """What was written.

    Attributes
    ----------
    of : str
    out : str
        The file.
    times : list of int
        Diffusion time of each frame, in order.
    n : int
        What moves.
    width, height : int
        In pixels.
    bytes : int
        Size of the file.
    seconds : float
    """

    of: str
    out: str
    times: tuple[int, ...]
    n: int
    width: int
    height: int
    bytes: int
    seconds: float


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Draw the frames and write the file; progress counts frames.

    ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If the run has no such scene or is unfinished, a number is out of range, or the file cannot be written.
    """
    began = time.monotonic()
    check_movie(settings.out)
    out = check_output(settings.out, settings.overwrite)
    one_of("scene", settings.of, SCENES)
    for name, value, low, high in (
        ("frames", settings.frames, 2, MOST_FRAMES),
        ("size", settings.size, SMALLEST, WIDEST),
        ("fps", settings.fps, 1, FASTEST),
    ):
        require(low <= value <= high, f"{name} = {value}: wanted {low}..{high}")
    opened = OpenRun.of(settings.run)
    check_scene(settings.of, opened)
    scenes = Scenes(opened, times_of(opened.model.forward.T, settings), _number(opened, settings), settings.seed)
    check_memory(8 * settings.frames * settings.size**2 * 3, f"{settings.frames} frames of {settings.size} pixels")
    if on_cost is not None:
        walk = rates.of_samples(opened.model, scenes.n) if settings.of == "reverse" else 0.0
        seconds = walk + _PER_FRAME * len(scenes.times) * max(1.0, (settings.size / 480) ** 2)
        on_cost(Cost(seconds, f"{len(scenes.times)} frames of {settings.of}", "fewer --frames or a smaller --size"))
    drawn, times = [], []
    for t, figure in SCENES[settings.of](scenes):
        drawn.append(rendered(figure, settings.size))
        times.append(t)
        on_progress(len(drawn), len(scenes.times))
    content = movie_bytes(drawn, settings.fps, out.suffix)
    write_file(out, content)
    height, width, _ = drawn[0].shape
    return Result(
        of=settings.of,
        out=str(settings.out),
        times=tuple(times),
        n=scenes.n,
        width=width,
        height=height,
        bytes=len(content),
        seconds=round(time.monotonic() - began, 2),
    )


def times_of(T: int, settings: Settings) -> list[int]:
    """Times that are seen, latest first: T..0 of states, T..1 of networks; UserError if there are fewer than frames."""
    last = 1 if settings.of in OF_NETWORKS else 0
    there = T - last + 1
    require(settings.frames <= there, f"frames = {settings.frames}: t = {last}..{T} are {there} times")
    return [int(t) for t in np.linspace(T, last, settings.frames).round()]


def _number(opened: OpenRun, settings: Settings) -> int:
    images = isinstance(opened.data, ImageDataset)
    usual, most = (_IMAGES, MOST_IMAGES) if images else (_POINTS, MOST_POINTS)
    there = len(opened.data.held_out) if settings.of in OF_DATA else usual
    return number_of("n", settings.n, min(usual, there), most)
