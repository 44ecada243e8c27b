"""``undiffuse physics locality``: how far around a pixel networks without architecture look.

Plain networks are trained on the images of a preset, on the same images with their pixels reordered, and set beside
the Wiener filter and exact denoisers that see patches; see :mod:`undiffuse.physics.locality`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from cyclopts import Parameter

from undiffuse import datasets
from undiffuse import figures as drawing
from undiffuse.datasets import ImageDataset
from undiffuse.diffusion.patches import patch_side
from undiffuse.physics.locality import correlation, explained, radius_of_everywhere, receptive_radius
from undiffuse.runs import config as configuration
from undiffuse.studies import locality_training as training
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.locality_training import Bench, Exact, Seen
from undiffuse.studies.options import Changes, IdxFolder, N, Numbers, PresetName, all_changes
from undiffuse.support import results
from undiffuse.support.arrays import Array, Floats
from undiffuse.support.backend import LOCAL, processes
from undiffuse.support.costs import Cost, OnCost, stages
from undiffuse.support.errors import require, shown
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.stats import stderrs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which images, at which times, and how large the networks are.

    Attributes
    ----------
    preset : str
        Preset or TOML file that names the images and the schedule; its network and training are not used.
    changes : tuple of str
        Replace a setting, such as data.n=500; may be repeated.
    data : path, optional
        Folder of IDX files (.gz or not) to take the images from.
    tau : tuple of float
        OU times; the nearest times of the schedule are taken.
    side : tuple of int
        Sides of the patches that exact local denoisers see, odd.
    equivariant : tuple of int
        Sides of patches that may come from anywhere in an image, odd; each costs as many times more as there are
        pixels.
    images : int
        Training images of the local denoisers, at most as many as there are.
    n : int
        Held-out images that all are measured on, at most as many as there are.
    hidden : int
        Hidden units.
    passes : int
        Passes over the images at each time.
    batch : int
        Batch size.
    seeds : int
        Trainings, and as many on reordered pixels; errors are over these.
    workers : int, optional
        Worker processes; one per core by default.
    out : path, optional
        Folder for the figures and summary.json; files of the same names are replaced.
    seed : int
        Seed that the seeds of the trainings, the noise and the order of the pixels come from.
    """

    preset: PresetName
    _: KW_ONLY
    changes: Changes = ()
    data: IdxFolder = None
    tau: Annotated[tuple[float, ...], Parameter(negative=())] = (0.01, 0.09, 0.25, 0.5, 1.0)
    side: Numbers = (3, 7, 15)
    equivariant: Numbers = ()
    images: int = 2000
    n: N = 100
    hidden: int = 300
    passes: int = 5
    batch: int = 50
    seeds: int = 5
    workers: int | None = None
    out: Path | None = None
    seed: int = 0


@dataclass(frozen=True)
class Measured(results.Result):
    """Means over trainings, one for each time, with their standard errors; None where there is no value."""

    value: tuple[float | None, ...]
    stderr: tuple[float | None, ...]

    @staticmethod
    def of(values: Sequence[Sequence[float]]) -> Measured:
        """From a row of values for each training."""
        array = np.array(values)
        return Measured(_known(array.mean(axis=0)), _known(stderrs(array)))


@dataclass(frozen=True)
class Beside(results.Result):
    """An exact denoiser beside the networks, at each time.

    Attributes
    ----------
    radius : tuple of float or None
        Receptive radius in pixels; None where it looks at nothing, being sure of one image.
    error : tuple of float
        Mean square error of x0_hat per pixel.
    correlation : Measured
        Of its sensitivity map with the networks'.
    explained : Measured
        Share r^2 of the networks' outputs that its outputs explain.
    """

    radius: tuple[float | None, ...]
    error: tuple[float, ...]
    correlation: Measured
    explained: Measured


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """Locality of networks and exact denoisers.

    Attributes
    ----------
    preset : str
    shape : (rows, columns)
    seeds, hidden, images, n : int
    ou_time : tuple of float
    radius : Measured
        Receptive radius of the networks, in pixels.
    error : Measured
        Mean square error of their x0_hat per pixel.
    everywhere : float
        Radius of a map that is the same for all pairs of pixels.
    beside : dict of Beside
        By name: ``wiener``, ``empirical``, ``patch 3``, ``equivariant 3`` and so on.
    reordered_radius : Measured
        Of networks trained on reordered pixels, as their pixels stand.
    put_back_radius, put_back_correlation : Measured
        The same after the order is undone; correlation with the Wiener matrix.
    seconds : float
    pixel : int
        The one whose map is drawn: that of the largest variance.
    maps : dict of (times, dim) arrays
        What it looks at, in one training and in the exact denoisers.
    """

    preset: str
    shape: tuple[int, int]
    seeds: int
    hidden: int
    images: int
    n: int
    ou_time: tuple[float, ...]
    radius: Measured
    error: Measured
    everywhere: float
    beside: Mapping[str, Beside]
    reordered_radius: Measured
    put_back_radius: Measured
    put_back_correlation: Measured
    seconds: float
    pixel: int
    maps: Mapping[str, Floats]

    _hidden: ClassVar[tuple[str, ...]] = ("maps",)


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Train the networks and measure how far they look; progress is told in percent.

    ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If a setting is out of range, or the data are no images.
    """
    from undiffuse.support import with_torch  # noqa: F401  its absence is said before any work

    prepare(settings.out)
    begun = time.monotonic()
    bench, x = _bench(settings)
    denoisers, trainings = _denoisers(settings), 2 * settings.seeds
    seconds = (1.0, 1.0)
    if on_cost is not None:
        each = training.seconds_of_training(bench, x) * -(-trainings // processes(settings.workers, trainings))
        of_exact = [training.seconds_of_exact(bench, x, one) for one in denoisers]
        seconds = (max(sum(of_exact) / processes(settings.workers, len(denoisers)), max(of_exact)), each)
        work = f"{trainings} trainings at {len(bench.times)} times, and {len(denoisers)} exact denoisers"
        on_cost(Cost(sum(seconds), work, "fewer --seeds, --tau, --passes, --images, --side or --equivariant"))
    variances = x.var(axis=0)
    del x
    first, second = stages(on_progress, seconds)
    references = LOCAL.map(training.seen_by, [(bench, one) for one in denoisers], settings.workers, first)
    calls = [(bench, replicate, reordered) for replicate in range(settings.seeds) for reordered in (False, True)]
    networks = LOCAL.map(training.trained, calls, settings.workers, second)
    named = {one.name: seen for one, seen in zip(denoisers, references, strict=True)}
    result = _summed_up(settings, bench, named, (networks[::2], networks[1::2]), (int(np.argmax(variances)), begun))
    return result if settings.out is None else keep(settings.out, result, figures(result))


def figures(result: Result) -> dict[str, Figure]:
    """Radius, correlation and explained share against OU time; and what one pixel looks at."""
    tau = np.array(result.ou_time)
    radii = {"networks": _bars(result.radius), "reordered, put back": _bars(result.put_back_radius)}
    as_they_stand = _bars(result.reordered_radius)
    exact = {name: np.array(one.radius, np.float64) for name, one in result.beside.items()}
    radius = drawing.Radii(radii, as_they_stand, exact, result.everywhere)
    agreement = {name: (_bars(one.correlation), _bars(one.explained)) for name, one in result.beside.items()}
    return {
        "locality": drawing.locality(tau, radius, agreement),
        "sensitivity": drawing.sensitivity(result.ou_time, result.maps, result.pixel, result.shape),
    }


# -- inside -----------------------------------------------------------------------------------------------------------


def _bench(settings: Settings) -> tuple[Bench, Floats]:
    """Check the settings, and say what is trained on which images."""
    for name in ("images", "n", "hidden", "passes", "batch"):
        require(getattr(settings, name) >= 1, f"{name} = {getattr(settings, name)}: wanted at least 1")
    require(settings.n >= 2, f"n = {settings.n}: wanted at least 2 images")
    require(settings.seeds >= 2, f"seeds = {settings.seeds}: wanted at least 2, for errors over trainings")
    config = configuration.load(settings.preset, all_changes(settings.changes, settings.data))
    data = datasets.load(config)
    require(isinstance(data, ImageDataset), f"{shown(settings.preset)} has no images, and only images have places")
    assert isinstance(data, ImageDataset)  # noqa: S101  for the types
    shape, m = data.images[0].shape, len(data.train)
    for name, sides in (("side", settings.side), ("equivariant", settings.equivariant)):
        for side in sides:
            patch_side(side, shape)
        require(len({*sides}) == len(sides), f"{name} = {sides}: wanted different ones")
    require(settings.batch <= m, f"batch = {settings.batch}: there are {m} training images")
    require(len(data.held_out) >= 2, f"{len(data.held_out)} held-out images: wanted at least 2")
    require(np.ptp(data.train, axis=0).any(), "all images are the same: there is nothing to learn")
    schedule = config.forward().schedule
    end = float(schedule.ou_time(schedule.T))
    for tau in settings.tau:
        require(0 < tau <= end, f"tau = {tau:g}: wanted OU times in 0..{end:.3g}")
    times = tuple(sorted({schedule.time_at_ou(tau) for tau in settings.tau}))
    require(times, "no tau: wanted at least one OU time")
    dim = data.dim
    count = 2 * settings.seeds + len(_denoisers(settings))
    check_memory(
        4 * len(times) * count * dim * dim + 4 * 4 * 2 * dim * settings.hidden + 3 * 8 * m * dim,
        f"{count} sets of maps of {dim} x {dim} and networks of {shown(settings.hidden)} hidden units",
    )
    bench = Bench(
        config=config,
        shape=shape,
        times=times,
        hidden=settings.hidden,
        passes=settings.passes,
        batch=settings.batch,
        images=min(settings.images, m),
        n=min(settings.n, len(data.held_out)),
        seed=settings.seed,
    )
    return bench, data.train - data.train.mean(axis=0)


def _denoisers(settings: Settings) -> list[Exact]:
    patches = [Exact("patch", side) for side in settings.side]
    return [Exact("wiener"), Exact("empirical"), *patches, *(Exact("equivariant", k) for k in settings.equivariant)]


def _summed_up(
    settings: Settings,
    bench: Bench,
    exact: Mapping[str, Seen],
    networks: tuple[Sequence[Seen], Sequence[Seen]],
    rest: tuple[int, float],
) -> Result:
    """Means over trainings with their errors.

    Parameters
    ----------
    settings : Settings
    bench : Bench
    exact : dict of Seen
    networks : two sequences of Seen
        Of pixels in order, and reordered.
    rest : (int, float)
        The pixel that is drawn, and when the work began.
    """
    plain, reordered = networks
    pixel, begun = rest
    times, x0 = range(len(bench.times)), bench.samples()[1]

    def radii(maps: Array) -> list[float]:
        return [receptive_radius(one, bench.shape) if one.any() else float("nan") for one in maps]

    def errors(seen: Seen) -> list[float]:
        return [float(np.mean((one - x0) ** 2)) for one in seen.outputs]

    def agreement(of: Callable[[Array, Array], float], many: Sequence[Array], one: Array) -> Measured:
        return Measured.of([[of(each[k], one[k]) for k in times] for each in many])

    put_back = [training.in_order(bench, one.maps) for one in reordered]
    beside = {
        name: Beside(
            _known(radii(seen.maps)),
            tuple(errors(seen)),
            agreement(correlation, [one.maps for one in plain], seen.maps),
            agreement(explained, [one.outputs for one in plain], seen.outputs),
        )
        for name, seen in exact.items()
    }
    moved = int(np.flatnonzero(bench.order() == pixel)[0])
    looks = {
        "network": plain[0].maps[:, pixel],
        **{name: seen.maps[:, pixel] for name, seen in exact.items()},
        "reordered": reordered[0].maps[:, moved],
        "put back": put_back[0][:, pixel],
    }
    return Result(
        preset=settings.preset,
        shape=bench.shape,
        seeds=settings.seeds,
        hidden=bench.hidden,
        images=bench.images,
        n=bench.n,
        ou_time=tuple(bench.config.forward().schedule.ou_time(bench.times).tolist()),
        radius=Measured.of([radii(one.maps) for one in plain]),
        error=Measured.of([errors(one) for one in plain]),
        everywhere=radius_of_everywhere(bench.shape),
        beside=beside,
        reordered_radius=Measured.of([radii(one.maps) for one in reordered]),
        put_back_radius=Measured.of([radii(maps) for maps in put_back]),
        put_back_correlation=agreement(correlation, put_back, exact["wiener"].maps),
        seconds=round(time.monotonic() - begun, 2),
        pixel=pixel,
        maps={name: of_pixel.astype(np.float64) for name, of_pixel in looks.items()},
    )


def _known(values: Sequence[float] | Floats) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values)


def _bars(found: Measured) -> tuple[Floats, Floats]:
    """Values and errors as arrays, NaN for what is not known."""
    return np.array(found.value, np.float64), np.array(found.stderr, np.float64)
