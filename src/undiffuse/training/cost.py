"""What a training will cost, from a few passes of a few networks: seconds of each block, and of all of them."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from undiffuse.datasets import Dataset
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.runs.config import Block, Config
from undiffuse.support.threads import one_thread, one_torch_thread
from undiffuse.training.blocks import BlockTrainer, total_passes

_PASSES = 4  # of each network timed; the first is not counted
_TIMES = 3  # networks timed in each range


@dataclass(frozen=True)
class PassCost:
    """Cost of training one network of the times ``first..last``, which have the same settings.

    Attributes
    ----------
    first, last : int
    seconds : float
        Of one pass over the data, on one thread.
    start : float
        Seconds before the first pass.
    """

    first: int
    last: int
    seconds: float
    start: float

    def of(self, config: Config, block: Block) -> float:
        """Seconds of a block of these times."""
        return total_passes(config, [block]) * self.seconds + (block.last - block.first + 1) * self.start


def pass_costs(config: Config, data: Dataset, device: str) -> list[PassCost]:
    """Time a few passes of networks at a few times of each range of times that has its own settings."""
    reference = GaussianDenoiser.from_data(config.forward(), data.train)

    def timed(block: Block) -> tuple[float, float]:
        return _timed(BlockTrainer(_shortened(config, block), block, data.train, data.held_out, reference, device))

    def alike(block: Block) -> str:
        training, architecture = config.training_at(block.last), config.architecture_at(block.last, data.dim)
        return repr((training, architecture))

    found: list[PassCost] = []
    for _, blocks in groupby(config.blocks(), alike):
        whole = list(blocks)
        first, last = whole[0].first, whole[-1].last
        side_by_side = config.training.at_once if config.training.order == "independent" else 1
        starts = sorted({round(t) for t in np.linspace(first, max(first, last - side_by_side + 1), _TIMES)})
        trials = [Block(t, min(last, t + side_by_side - 1)) for t in starts]
        if not found:
            timed(trials[0])  # what is compiled or loaded once is not counted
        costs = np.array([timed(trial) for trial in trials])
        found.append(PassCost(first, last, *costs.mean(axis=0).tolist()))
    return found


def _shortened(config: Config, block: Block) -> Config:
    """Configuration in which a block starts by itself and is trained for a few passes."""
    sweeps, warm = config.training.order == "sweep", config.training.order != "independent"
    passes = {"epochs": _PASSES, "warm_epochs": _PASSES if warm else None}
    training = config.training.model_copy(update={**passes, "sweep_from": block.last if sweeps else None})
    times = tuple(part.model_copy(update={"epochs": None, "warm_epochs": None}) for part in config.times)
    return config.model_copy(update={"training": training, "times": times})


def _timed(trainer: BlockTrainer) -> tuple[float, float]:
    """Seconds for each network of a pass, and before the first."""
    stamps: list[tuple[float, int]] = []
    with one_thread(), one_torch_thread():
        trainer.run(on_pass=lambda networks: stamps.append((time.perf_counter(), networks)))
    moments, networks = np.array([moment for moment, _ in stamps]), np.array([count for _, count in stamps])
    # At the beginning of each group a stamp of no network; then one for each pass.
    begun = np.flatnonzero(networks[1:] == 0) + 1
    made = int(networks[begun + 1].sum())
    later = np.concatenate([np.diff(moments[at + 1 : at + _PASSES + 1]) for at in begun])
    a_pass = float(np.median(later)) * len(begun) / made
    return a_pass, max(0.0, float((moments[-1] - moments[0]) / made - _PASSES * a_pass))


def block_seconds(config: Config, costs: Iterable[PassCost]) -> list[float]:
    """Seconds of each block of a configuration."""
    of_range = list(costs)
    return [
        next(cost for cost in of_range if cost.first <= block.first <= cost.last).of(config, block)
        for block in config.blocks()
    ]


def longest_chain(seconds: Sequence[float], before: Sequence[int | None]) -> float:
    """Seconds of the longest chain of blocks of which each waits for the one before: no number of workers is faster."""
    return makespan(seconds, before, len(seconds))


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
