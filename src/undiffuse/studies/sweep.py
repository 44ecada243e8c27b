"""``undiffuse sweep``: a run for every combination of some settings, one table, and a measure drawn against a setting.

Every run is trained, and evaluated where the measure asks for it, by one worker, with the bits of one trained alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from undiffuse import datasets
from undiffuse import figures as drawing
from undiffuse.metrics import measure_names
from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config
from undiffuse.studies import evaluate, train
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.open_run import OpenRun
from undiffuse.studies.options import DEFAULT_BACKEND, BackendOptions, Changes, Flag, IdxFolder, PresetName, all_changes
from undiffuse.support import gpu, results
from undiffuse.support.backend import check_workers, processes
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import one_of, require
from undiffuse.support.files import make_folder
from undiffuse.support.progress import OnProgress, silent
from undiffuse.training import Execution
from undiffuse.training.cost import pass_costs, training_seconds
from undiffuse.training.execution import DeviceName

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OF_TRAINING = ("held_out_error", "train_error", "training_seconds")
Setting = tuple[str, str]  # key and value, as on the command line


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which settings to vary, and what to measure.

    Attributes
    ----------
    preset : str
        Name of a preset or a TOML file.
    over : tuple of str
        A setting and its values, such as training.epochs=5,20; repeated, every combination is trained.
    out : path
        Folder for the runs, the table and the figure.
    metric : str
        Error of training (held_out_error, train_error) or a measure of samples, such as w2.
    against : str, optional
        Setting on the horizontal axis; the first by default.
    changes : tuple of str
        Replace a setting in all runs, such as data.n=1000; may be repeated.
    seed : int, optional
        Seed of every random stream; the preset's by default.
    resume : bool
        Go on with a sweep that was stopped, or add values or another measure to one.
    device : {"auto", "cpu", "cuda"}
        Where to train; auto uses a GPU if there is one and the fused kernel cannot be used.
    workers : int, optional
        Worker processes, each with a run of its own; one per core by default.
    data : path, optional
        Folder of IDX files (.gz or not) to take the digits from; for image presets.
    backend : BackendOptions
    """

    preset: PresetName
    _: KW_ONLY
    over: Annotated[tuple[str, ...], Parameter(negative=())]
    out: Path
    metric: str = "held_out_error"
    against: str | None = None
    changes: Changes = ()
    seed: int | None = None
    resume: Flag = False
    device: DeviceName = "auto"
    workers: int | None = None
    data: IdxFolder = None
    backend: BackendOptions = DEFAULT_BACKEND


@dataclass(frozen=True)
class Measured(results.Result):
    """A number, with its standard error where it has one."""

    value: float
    stderr: float = 0.0


@dataclass(frozen=True)
class Point(results.Result):
    """One run of a sweep.

    Attributes
    ----------
    run : str
        Its folder.
    settings : dict of str
        The settings that vary, as they were given.
    measured : dict of Measured
        Everything that was measured, by name.
    """

    run: str
    settings: Mapping[str, str]
    measured: Mapping[str, Measured]


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """All runs of a sweep.

    Attributes
    ----------
    preset, metric, against : str
    points : tuple of Point
        In the order of the settings, the last one varying fastest.
    """

    preset: str
    metric: str
    against: str
    points: tuple[Point, ...]


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Train a run for every combination, measure it, and write table and figure; progress is counted in runs.

    ``on_cost`` is told before what the trainings will take, from a few passes of the first.

    Raises
    ------
    UserError
        If a setting, the metric or a combination is wrong; nothing is trained then.
    WorkerError
        If a worker dies; what was trained is kept.
    """
    prepare(settings.out)
    check_workers(settings.workers)
    points = combinations(settings.over)
    given = {change.partition("=")[0].strip() for change in settings.changes}
    given |= set() if settings.seed is None else {"seed"}
    for key, _ in points[0]:
        require(key not in given, f"--over {key}: it is given once more, by {'--seed' if key == 'seed' else '--set'}")
    against = one_of("setting to draw against", settings.against or points[0][0][0], [key for key, _ in points[0]])
    trainings = [_training(settings, point) for point in points]
    judged = settings.metric not in _OF_TRAINING
    configs = [configuration.load(t.preset, all_changes(t.changes, t.data), t.seed) for t in trainings]
    dims = {}
    for source, config in {(config.data, config.seed): config for config in configs}.items():
        data = datasets.load(config)
        one_of("metric", settings.metric, [*_OF_TRAINING, *measure_names(data)])
        dims[source] = data.dim
    require(
        settings.resume or not settings.out.exists() or not any(settings.out.iterdir()),
        f"{settings.out} exists already: go on with it with --resume, or choose another --out",
    )
    backend = settings.backend.build()
    backend.check()
    execution = Execution(settings.device, backend=backend)
    devices = [execution.resolve(config, dims[config.data, config.seed])[0] for config in configs]
    if on_cost is not None and not backend.elsewhere:
        on_cost(_cost(configs, devices[0], settings.workers))
    make_folder(settings.out)
    calls = [(training, judged) for training in trainings]
    found = backend.map(_measured, calls, settings.workers, on_progress, gpu=gpu.CUDA in devices)
    result = Result(
        preset=settings.preset,
        metric=settings.metric,
        against=against,
        points=tuple(
            Point(str(training.out), dict(point), measured)
            for training, point, measured in zip(trainings, points, found, strict=True)
        ),
    )
    return keep(settings.out, result, figures(result))


def _cost(configs: Sequence[Config], device: str, workers: int | None) -> Cost:
    """What the trainings will take if each takes what the first does on this device."""
    config, data = configs[0], datasets.load(configs[0])
    several = processes(workers, len(configs))
    seconds = len(configs) * training_seconds(config, pass_costs(config, data, device), 1) / several
    return Cost(seconds, f"{len(configs)} trainings on {several} workers, if all are like the first", "fewer values")


def combinations(over: Sequence[str]) -> list[tuple[Setting, ...]]:
    """Every combination of settings given as ``section.key=value,value``, the last setting varying fastest.

    Raises
    ------
    UserError
        If one is not of this form, or a setting or a value comes twice.
    """
    axes: dict[str, list[str]] = {}
    for words in over:
        key, equals, values = words.partition("=")
        listed = [value.strip() for value in values.split(",")]
        require(equals and all(listed), f"--over {words!r}: wanted a form such as training.epochs=5,20")
        require(key not in axes and len(set(listed)) == len(listed), f"--over {words!r}: it comes twice")
        axes[key] = listed
    require(axes, "a sweep wants a setting to vary, such as --over training.epochs=5,20")
    return [tuple(zip(axes, values, strict=True)) for values in product(*axes.values())]


def folder_name(point: Sequence[Setting]) -> str:
    """Name of the folder of a combination, such as ``training.epochs=5,network.hidden=64``."""
    return ",".join(f"{key}={re.sub(r'[^A-Za-z0-9.+-]', '_', value)}" for key, value in point)


def _training(settings: Settings, point: Sequence[Setting]) -> train.Settings:
    changes = (*settings.changes, *(f"{key}={value}" for key, value in point))
    # A worker trains with itself alone: no worker processes below worker processes.
    return train.Settings(
        settings.preset,
        out=settings.out.absolute() / folder_name(point),
        changes=changes,
        seed=settings.seed,
        device=settings.device,
        workers=1,
        data=settings.data,
    )


def _measured(training: train.Settings, judged: bool) -> dict[str, Measured]:
    """Train a run, or what is left of it, and return its measures; called on a worker, and again if that one dies."""
    resume = training.out is not None and (training.out / "manifest.json").exists()
    opened = train.train(replace(training, resume=resume))
    summary = train.summary(opened)
    found = {name: Measured(getattr(summary, name)) for name in _OF_TRAINING}
    if not judged:
        return found
    return found | _judged(opened)


def _judged(opened: OpenRun) -> dict[str, Measured]:
    """Measures of a run's samples: those kept in its folder, or new ones."""
    kept = opened.folder.kept_json("metrics.json")
    if kept is None:
        kept = evaluate.run(evaluate.Settings(opened, seed=opened.config.seed)).as_dict()
    return {name: Measured(one["value"], one["value_stderr"]) for name, one in kept["metrics"].items()}


def figures(result: Result) -> dict[str, Figure]:
    """Draw the metric against one setting, a line for each combination of the others."""
    lines: dict[str, list[tuple[str, float, float]]] = {}
    for point in result.points:
        others = ", ".join(f"{key} = {value}" for key, value in point.settings.items() if key != result.against)
        one = point.measured[result.metric]
        lines.setdefault(others, []).append((point.settings[result.against], one.value, one.stderr))
    return {result.metric: drawing.against_setting(lines, result.against, result.metric.replace("_", " "))}
