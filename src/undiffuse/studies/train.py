"""``undiffuse train``: a bank, from a configuration into a run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from cyclopts import Parameter

from undiffuse import datasets
from undiffuse.runs import config as configuration
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import DEFAULT_BACKEND, BackendOptions, Changes, Flag, IdxFolder, all_changes
from undiffuse.support import results
from undiffuse.support.errors import require
from undiffuse.support.progress import OnProgress, silent
from undiffuse.training import Execution, Overfit, train_run
from undiffuse.training.execution import DeviceName
from undiffuse.training.plan import Plan


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What to train, and the run folder to make.

    Attributes
    ----------
    preset : str
        Name of a preset (see `undiffuse presets`) or a TOML file.
    out : path, optional
        Run folder to make; for run, runs/PRESET by default.
    changes : tuple of str
        Replace a setting, such as training.epochs=5; may be repeated.
    seed : int, optional
        Seed of every random stream; the preset's by default.
    resume : bool
        Continue a run that was stopped, to the same bits.
    overwrite : bool
        Replace a run that is there.
    device : {"auto", "cpu", "cuda"}
        Where to train; auto uses a GPU if there is one and the fused kernel cannot be used.
    workers : int, optional
        Worker processes; one per core by default.
    data : path, optional
        Folder of IDX files (.gz or not) to take the digits from; for image presets.
    backend : BackendOptions
    scratch : path, optional
        Folder that all workers reach, for a copy of the data while it trains; the run folder by default.
    """

    preset: str
    _: KW_ONLY
    out: Path | None = None
    changes: Changes = ()
    seed: int | None = None
    resume: Flag = False
    overwrite: Flag = False
    device: DeviceName = "auto"
    workers: int | None = None
    data: IdxFolder = None
    backend: BackendOptions = DEFAULT_BACKEND
    scratch: Path | None = None


@dataclass(frozen=True)
class Result(results.Result):
    """A trained run in numbers.

    Attributes
    ----------
    run : path
    preset : str
    networks, blocks : int
    device, engine : str
    training_seconds : float
    train_error, held_out_error : float
        Mean square errors in xi per dimension, means over times.
    overfit : Overfit
    """

    run: str
    preset: str
    networks: int
    blocks: int
    device: str
    engine: str
    training_seconds: float
    train_error: float
    held_out_error: float
    overfit: Overfit


def train(
    settings: Settings, on_progress: OnProgress = silent, on_plan: Callable[[Plan], None] | None = None
) -> OpenRun:
    """Train, and return the run with the data it was trained on; ``on_plan`` is told before what it will take.

    Raises
    ------
    UserError
        If a setting is wrong, the data cannot be had, or the folder is taken.
    WorkerError
        If a worker process dies.
    """
    require(not (settings.resume and settings.overwrite), "--resume and --overwrite exclude each other")
    config = configuration.load(settings.preset, all_changes(settings.changes, settings.data), settings.seed)
    data = datasets.load(config)
    folder = train_run(
        config,
        data,
        settings.out or Path("runs") / Path(settings.preset).stem,
        resume=settings.resume,
        overwrite=settings.overwrite,
        execution=Execution(
            settings.device,
            settings.workers,
            on_progress=on_progress,
            backend=settings.backend.build(),
            scratch=settings.scratch,
            on_plan=on_plan,
        ),
    )
    return OpenRun(folder, data)


def run(settings: Settings, on_progress: OnProgress = silent, on_plan: Callable[[Plan], None] | None = None) -> Result:
    """Train a bank into a run folder; see :func:`train`."""
    require(settings.out is not None, "train wants --out RUN, the run folder to make")
    return summary(train(settings, on_progress, on_plan))


def summary(run: RunLike) -> Result:
    """Summarise a finished run."""
    opened = OpenRun.of(run)
    manifest, errors = opened.folder.manifest, opened.errors
    return Result(
        run=str(opened.path),
        preset=opened.config.name,
        networks=opened.config.diffusion.T,
        blocks=len(manifest.blocks),
        device=manifest.device,
        engine=manifest.engine,
        training_seconds=manifest.training_seconds,
        train_error=float(errors[:, 1].mean()),
        held_out_error=float(errors[:, 2].mean()),
        overfit=Overfit.of(errors),
    )
