"""What a training takes: what was measured of it, and what is said before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from undiffuse.runs.config import Block, Config
from undiffuse.support.memory import in_bytes
from undiffuse.support.progress import duration
from undiffuse.training.blocks import total_passes


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


@dataclass(frozen=True)
class Plan:
    """What a training is about to take.

    Attributes
    ----------
    networks, blocks : int
        Left to train.
    workers : int
        Processes of this machine.
    seconds : float or None
        Estimated; None where workers of other machines do the work.
    disk_bytes : int
        Weights in the run folder.
    data_bytes : int
        Copy of the data, kept only while it trains.
    """

    networks: int
    blocks: int
    workers: int
    seconds: float | None
    disk_bytes: int
    data_bytes: int

    def line(self) -> str:
        """Return it as a sentence."""
        often = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        took = "" if self.seconds is None else f" on {often}: about {duration(self.seconds)}"
        room = f"{in_bytes(self.disk_bytes)} on disk, and {in_bytes(self.data_bytes)} while it trains"
        return f"{self.networks} networks in {self.blocks} blocks{took}, {room}"
