"""What a training will cost, from a pass of a few networks: seconds of each block, and of all of them."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from undiffuse.datasets import Dataset
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.runs.config import Block, Config
from undiffuse.support.progress import OnProgress, silent
from undiffuse.training.blocks import BlockTrainer, side_by_side, weight_bytes
from undiffuse.training.execution import Execution
from undiffuse.training.plan import PassCost, Plan

_QUICK = 0.1  # seconds; a trial that takes less is made again with more passes
_MORE = 10  # passes of that one
_SLOW = {"learning_rate": 1e-6, "warm_learning_rate": None}  # nothing diverges while it is timed
_UNSET = dict.fromkeys(("epochs", "warm_epochs", *_SLOW))


def pass_costs(config: Config, data: Dataset, device: str, on_progress: OnProgress = silent) -> list[PassCost]:
    """Time a pass or more of the network in the middle of each range of times that has its own settings.

    Parameters
    ----------
    config : Config
    data : Dataset
    device : {"cpu", "cuda"}
    on_progress : callable
        Called with the number of ranges timed and how many there are.
    """
    reference = GaussianDenoiser.from_data(config.forward(), data.train)

    def timed(block: Block, passes: int) -> tuple[float, float]:
        short = _shortened(config, block, passes)
        return _timed(BlockTrainer(short, block, data.train, data.held_out, reference, device), passes)

    def alike(block: Block) -> str:
        training, architecture = config.training_at(block.last), config.architecture_at(block.last, data.dim)
        return repr((training, architecture))

    ranges = [[*blocks] for _, blocks in groupby(config.blocks(), alike)]
    found: list[PassCost] = []
    for blocks in ranges:
        first, last = blocks[0].first, blocks[-1].last
        training, architecture = config.training_at(last), config.architecture_at(last, data.dim)
        samples = len(data.train), len(data.held_out)
        together = side_by_side(training, architecture, blocks[0], samples, device)
        middle = max(first, (first + last - together + 1) // 2)
        trial = Block(middle, min(last, middle + together - 1))
        if not found:
            timed(trial, 1)  # what is compiled or loaded once is not counted
        cost = timed(trial, 1)
        found.append(PassCost(first, last, *(timed(trial, _MORE) if sum(cost) < _QUICK else cost)))
        on_progress(len(found), len(ranges))
    return found


def _shortened(config: Config, block: Block, passes: int) -> Config:
    """Configuration in which a block starts by itself and is trained for a few passes."""
    sweeps, warm = config.training.order == "sweep", config.training.order != "independent"
    few = {"epochs": passes, "warm_epochs": passes if warm else None, **_SLOW}
    training = config.training.model_copy(update={**few, "sweep_from": block.last if sweeps else None})
    times = tuple(part.model_copy(update=_UNSET) for part in config.times)
    return config.model_copy(update={"training": training, "times": times})


def _timed(trainer: BlockTrainer, passes: int) -> tuple[float, float]:
    """Seconds for each network of a pass, and before the first."""
    stamps: list[tuple[float, int]] = []
    with trainer.alone():
        trainer.run(on_pass=lambda networks: stamps.append((time.perf_counter(), networks)))
    # One stamp before anything, one when the networks are made, and then one for each pass.
    begun, *made = [moment for moment, _ in stamps[1:]]
    networks = stamps[-1][1]
    return float(np.median(np.diff([begun, *made]))) / networks, (begun - stamps[0][0]) / networks


def planned(config: Config, data: Dataset, device: str, execution: Execution, blocks: Sequence[int]) -> Plan:
    """Plan the training of these blocks of a configuration; a few passes are timed.

    Parameters
    ----------
    config : Config
    data : Dataset
    device : str
    execution : Execution
    blocks : sequence of int
        Indices of those left to train.
    """
    ranges, workers, seconds = config.blocks(), execution.processes(len(blocks), device), None
    if not execution.backend.elsewhere:
        seconds = training_seconds(config, execution.costs or pass_costs(config, data, device), workers, blocks)
    return Plan(
        networks=sum(ranges[i].last - ranges[i].first + 1 for i in blocks),
        blocks=len(blocks),
        workers=workers,
        seconds=seconds,
        disk_bytes=sum(weight_bytes(config, ranges[i], data.dim) for i in blocks),
        data_bytes=data.train.nbytes + data.held_out.nbytes,
    )


def block_seconds(config: Config, costs: Iterable[PassCost]) -> list[float]:
    """Seconds of each block of a configuration."""
    of_range = list(costs)
    return [
        next(cost for cost in of_range if cost.first <= block.first <= cost.last).of(config, block)
        for block in config.blocks()
    ]


def training_seconds(
    config: Config, costs: Iterable[PassCost], workers: int, left: Sequence[int] | None = None
) -> float:
    """Seconds until a configuration is trained.

    Parameters
    ----------
    config : Config
    costs : iterable of PassCost
    workers : int
    left : sequence of int, optional
        Indices of the blocks left to train; all by default.
    """
    each = block_seconds(config, costs)
    left = range(len(each)) if left is None else left
    position = {index: k for k, index in enumerate(left)}
    # A block that continues one done before has nothing to wait for.
    before = [None if (after := config.block_before(i)) is None else position.get(after) for i in left]
    return makespan([each[i] for i in left], before, workers)


def makespan(seconds: Sequence[float], before: Sequence[int | None], workers: int) -> float:
    """Seconds until all blocks are trained, when a free worker takes the next one.

    Parameters
    ----------
    seconds : sequence of float
        Of each block.
    before : sequence of int or None
        Index of the block that each one continues.
    workers : int
    """
    ends: dict[int, float] = {}
    free = [0.0] * min(workers, len(seconds))
    waiting = dict.fromkeys(reversed(range(len(seconds))))
    while waiting:
        for i in [i for i in waiting if before[i] not in waiting]:
            del waiting[i]
            after = before[i]
            start = max(heapq.heappop(free), 0.0 if after is None else ends[after])
            ends[i] = start + seconds[i]
            heapq.heappush(free, ends[i])
    return max(ends.values())
