"""``undiffuse plan``: what a training will cost on 1, 2, 10, ... workers, from a few passes of a few networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

import psutil
from cyclopts import Parameter

from undiffuse import datasets
from undiffuse.runs import config as configuration
from undiffuse.studies.options import Changes, IdxFolder, Numbers, PresetName, all_changes
from undiffuse.support import results
from undiffuse.support.errors import require
from undiffuse.support.progress import OnProgress, silent
from undiffuse.training import Execution
from undiffuse.training.blocks import IN_MEMORY, total_passes, weight_bytes
from undiffuse.training.cost import pass_costs, training_seconds
from undiffuse.training.execution import DeviceName
from undiffuse.training.plan import PassCost


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What would be trained, and on how many workers.

    Attributes
    ----------
    preset : str
        Name of a preset or a TOML file.
    workers : tuple of int
        Numbers of workers to plan for, each like one core of this machine.
    changes : tuple of str
        Replace a setting, such as training.epochs=5; may be repeated.
    seed : int, optional
        Seed of every random stream; the preset's by default.
    device : {"auto", "cpu", "cuda"}
        Where to train.
    data : path, optional
        Folder of IDX files (.gz or not) to take the digits from; for image presets.
    """

    preset: PresetName
    _: KW_ONLY
    workers: Numbers = (1, 2, 10, 100, 1000)
    changes: Changes = ()
    seed: int | None = None
    device: DeviceName = "auto"
    data: IdxFolder = None


@dataclass(frozen=True)
class Result(results.Result):
    """Cost of a training.

    Attributes
    ----------
    preset : str
    device, engine : str
    networks, blocks, passes : int
        In all.
    costs : tuple of PassCost
        What was measured, for each range of times with settings of its own.
    seconds : dict of float
        Of the whole training, by number of workers.
    chain_seconds : float
        Of the longest chain of blocks that wait for one another; no number of workers is faster.
    disk_bytes : int
        Weights in the run folder; a copy of the data comes to it while it trains.
    data_bytes : int
        That copy.
    worker_bytes : int
        Memory of a worker: that of this process after the measurement, and the largest block three times.
    """

    preset: str
    device: str
    engine: str
    networks: int
    blocks: int
    passes: int
    costs: tuple[PassCost, ...]
    seconds: Mapping[int, float]
    chain_seconds: float
    disk_bytes: int
    data_bytes: int
    worker_bytes: int


def run(settings: Settings, on_progress: OnProgress = silent) -> Result:
    """Measure a few passes and plan the whole; nothing is written.

    Raises
    ------
    UserError
        If a setting is wrong or the data cannot be had.
    """
    require(settings.workers and min(settings.workers) >= 1, f"workers = {list(settings.workers)}: wanted at least 1")
    config = configuration.load(settings.preset, all_changes(settings.changes, settings.data), settings.seed)
    data = datasets.load(config)
    device, engine = Execution(settings.device).resolve(config, data.dim)
    costs = pass_costs(config, data, device, on_progress)
    blocks = config.blocks()
    sizes = [weight_bytes(config, block, data.dim) for block in blocks]
    return Result(
        preset=config.name,
        device=device,
        engine=engine,
        networks=config.diffusion.T,
        blocks=len(blocks),
        passes=total_passes(config),
        costs=tuple(costs),
        seconds={n: training_seconds(config, costs, n) for n in sorted(set(settings.workers))},
        chain_seconds=training_seconds(config, costs, len(blocks)),
        disk_bytes=sum(sizes),
        data_bytes=data.train.nbytes + data.held_out.nbytes,
        worker_bytes=psutil.Process().memory_info().rss + IN_MEMORY * max(sizes),
    )
