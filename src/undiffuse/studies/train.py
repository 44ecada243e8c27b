"""``undiffuse train``: a bank, from a configuration into a run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

from cyclopts import Parameter

from undiffuse import datasets
from undiffuse.datasets import Dataset
from undiffuse.recipes import Recipe
from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config
from undiffuse.runs.guard import require_free
from undiffuse.studies import own_data
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import (
    DEFAULT_BACKEND,
    NO_OWN_OPTIONS,
    BackendOptions,
    Changes,
    Flag,
    IdxFolder,
    OwnOptions,
    PresetName,
    all_changes,
)
from undiffuse.support import results
from undiffuse.support.costs import OnCost
from undiffuse.support.errors import require
from undiffuse.support.progress import OnProgress, silent
from undiffuse.training import Execution, Overfit, train_run
from undiffuse.training.execution import DeviceName
from undiffuse.training.plan import PassCost, Plan


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What to train, and the run folder to make.

    Attributes
    ----------
    preset : str
        Name of a preset (see `undiffuse presets`), a TOML file, or your own data: a .npy, .npz, .csv, .tsv, .h5 or IDX
        file, or a folder of PNG images, for which settings are chosen.
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
    own : OwnOptions
    backend : BackendOptions
    scratch : path, optional
        Folder that all workers reach, for a copy of the data while it trains; the run folder by default.
    """

    preset: PresetName
    _: KW_ONLY
    out: Path | None = None
    changes: Changes = ()
    seed: int | None = None
    resume: Flag = False
    overwrite: Flag = False
    device: DeviceName = "auto"
    workers: int | None = None
    data: IdxFolder = None
    own: OwnOptions = NO_OWN_OPTIONS
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


@dataclass(frozen=True)
class Before:
    """Whom to tell what is known before a training starts.

    Attributes
    ----------
    on_recipe : callable, optional
        Told the settings chosen for data without a preset.
    on_plan : callable, optional
        Told what the training will take.
    on_cost : callable, optional
        Told what the evaluation after it will take.
    """

    on_recipe: Callable[[Recipe], None] | None = None
    on_plan: Callable[[Plan], None] | None = None
    on_cost: OnCost | None = None


UNTOLD = Before()


def train(settings: Settings, on_progress: OnProgress = silent, before: Before = UNTOLD) -> OpenRun:
    """Train, and return the run with the data it was trained on.

    Raises
    ------
    UserError
        If a setting is wrong, the data cannot be had, or the folder is taken.
    WorkerError
        If a worker process dies.
    """
    require(not (settings.resume and settings.overwrite), "--resume and --overwrite exclude each other")
    out = settings.out or Path("runs") / Path(settings.preset).stem
    execution = Execution(
        settings.device,
        settings.workers,
        on_progress=on_progress,
        backend=settings.backend.build(),
        scratch=settings.scratch,
        on_plan=before.on_plan,
    )
    config, data, costs = _configured(settings, out, execution, before)
    execution = replace(execution, costs=costs)
    folder = train_run(config, data, out, resume=settings.resume, overwrite=settings.overwrite, execution=execution)
    return OpenRun(folder, data)


def _configured(
    settings: Settings, out: Path, execution: Execution, before: Before
) -> tuple[Config, Dataset, Sequence[PassCost]]:
    """Configuration and data, of a preset or chosen for one's own data, and the costs of passes that were timed."""
    if not own_data.named(settings.preset):
        given = settings.own.given()
        require(not given, f"{', '.join(given)}: for data of your own, and {settings.preset!r} is a preset")
        config = configuration.load(settings.preset, all_changes(settings.changes, settings.data), settings.seed)
        return config, datasets.load(config), ()
    require(settings.data is None, f"--data is for image presets; {settings.preset!r} is data itself")
    if settings.resume:
        return *own_data.resumed(settings.preset, settings.own, settings.changes, settings.seed, out), ()
    require_free(out, settings.overwrite)
    recipe = own_data.recipe(settings.preset, settings.own, settings.changes, settings.seed, execution)
    if before.on_recipe is not None:
        before.on_recipe(recipe)
    return recipe.config, recipe.data, recipe.costs


def run(settings: Settings, on_progress: OnProgress = silent, before: Before = UNTOLD) -> Result:
    """Train a bank into a run folder; see :func:`train`."""
    require(settings.out is not None, "train wants --out RUN, the run folder to make")
    return summary(train(settings, on_progress, before))


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
