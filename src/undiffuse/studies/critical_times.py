"""``undiffuse physics critical-times``: when diffusion decides between the classes of data, and when it memorises."""

from __future__ import annotations

import time
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cyclopts import Parameter

from undiffuse import datasets
from undiffuse import figures as drawing
from undiffuse.datasets import Dataset
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics import transitions
from undiffuse.physics.transitions import CriticalTimes, CurveOptions
from undiffuse.runs import config as configuration
from undiffuse.studies import rates
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.open_run import OpenRun
from undiffuse.studies.options import Changes, IdxFolder, N, PresetName, all_changes
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import require
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, counter, silent

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which data, and how many times and samples.

    Attributes
    ----------
    source : str
        Preset, TOML file or run folder that names the data and the schedule.
    changes : tuple of str
        Replace a setting, such as data.n=500; may be repeated. Not for runs.
    data : path, optional
        Folder of IDX files (.gz or not) to take the digits from; for image presets.
    n : int
        Samples of each point of a curve.
    points : int
        Number of times at which curves are measured.
    out : path, optional
        Folder for the figure and summary.json; files of the same names are replaced.
    seed : int
        Seed of all noise.
    """

    source: PresetName
    _: KW_ONLY
    changes: Changes = ()
    data: IdxFolder = None
    n: N = 1000
    points: int = 40
    out: Path | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """Critical times by every criterion.

    Attributes
    ----------
    data : str
        Preset, file or run that names the data.
    classes : str
        What their classes are, in words.
    noise_scale : float
    samples : int
    seconds : float
    found : CriticalTimes
        Its keys are those of ``as_dict`` as well.
    """

    data: str
    classes: str
    noise_scale: float
    samples: int
    seconds: float
    found: CriticalTimes

    _hidden: ClassVar[tuple[str, ...]] = ("found",)

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name."""
        return super().as_dict() | self.found.as_dict()


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Find every critical time; progress counts groups of curves, and ``on_cost`` is told before what they will take.

    Raises
    ------
    UserError
        If the source is unknown, its data hold a single class, or a number is out of range.
    """
    prepare(settings.out)
    start = time.monotonic()
    options = CurveOptions(settings.points, settings.n, settings.seed)
    data, forward = _data_of(settings)
    check_memory(8 * 8 * settings.n * data.dim, f"diffusing n = {settings.n} samples")
    training, held_out = data.classes()
    if on_cost is not None:
        seconds = rates.of_critical_times(forward, data.train, settings.points, settings.n)
        on_cost(Cost(seconds, f"curves of {settings.n} samples at {settings.points} times", "smaller -n or --points"))
    gaussian = GaussianDenoiser.from_data(forward, data.train)
    found = transitions.critical_times(gaussian, training, held_out, options, on_step=counter(on_progress, 4))
    result = Result(
        data=settings.source,
        classes=data.kind_of_classes,
        noise_scale=forward.noise_scale,
        samples=settings.n,
        seconds=round(time.monotonic() - start, 2),
        found=found,
    )
    return result if settings.out is None else keep(settings.out, result, figures(result))


def figures(result: Result) -> dict[str, Figure]:
    """Curves with the critical times marked and, for more than two classes, the tree of their speciation times."""
    drawn = {"critical_times": drawing.critical_times(result.found)}
    if result.found.tree is not None:
        drawn["speciation_tree"] = drawing.speciation_tree(result.found.tree)
    return drawn


def _data_of(settings: Settings) -> tuple[Dataset, ForwardProcess]:
    changes = all_changes(settings.changes, settings.data)
    if Path(settings.source).is_dir():
        require(not changes, "--set and --data go with a preset or a file; a run's data are what they were")
        opened = OpenRun.of(settings.source)
        return opened.data, opened.config.forward()
    config = configuration.load(settings.source, changes)
    return datasets.load(config), config.forward()
