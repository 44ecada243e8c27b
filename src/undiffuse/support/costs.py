"""What a job will take, said before it starts: measured on a piece of the work itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from undiffuse.support.progress import OnProgress, duration

LONG = 120.0  # seconds; above, it is said how to make the job smaller
_ENOUGH = 0.2  # seconds of a measurement
_MOST = 4  # steps of a measurement


@dataclass(frozen=True)
class Cost:
    """What a job is about to take.

    Attributes
    ----------
    seconds : float
        Estimated, on this machine as it is now.
    what : str
        The work, counted.
    smaller : str
        Options that make it smaller.
    at_most : bool
        Whether parts of the work may turn out to be less than what was measured.
    """

    seconds: float
    what: str
    smaller: str = ""
    at_most: bool = False

    def line(self) -> str:
        """Return it as a sentence."""
        how = f"; sooner with {self.smaller}" if self.smaller and self.seconds > LONG else ""
        return f"{self.what}: {'at most ' if self.at_most else ''}about {duration(self.seconds)}{how}"


OnCost = Callable[[Cost], None]


def step_seconds(walk: Iterator[object]) -> float:
    """Seconds of a step of a walk, measured over a few after the first one, which loads what the others need.

    Parameters
    ----------
    walk : iterator
        Whose first item is where it starts.
    """
    next(walk)
    spent, made, start = 0.0, 0, time.perf_counter()
    for _ in walk:
        now = time.perf_counter()
        if made:  # the first step is counted only where there is no other
            spent += now - start
        else:
            first = now - start
        made, start = made + 1, now
        if spent > _ENOUGH or made > _MOST or (made > 1 and first > 1):
            break
    if made < 2:
        return first if made else 0.0
    return spent / (made - 1)


def seconds_of(call: Callable[[], object]) -> float:
    """Seconds of a call; of a second one where it takes next to none, since the first may load or compile things."""
    taken = 0.0
    for _ in range(2):
        start = time.perf_counter()
        call()
        taken = time.perf_counter() - start
        if taken > _ENOUGH:
            break
    return taken


def stages(on_progress: OnProgress, seconds: Sequence[float]) -> list[OnProgress]:
    """Progress of each of several stages of one job, told in percent of the whole.

    Parameters
    ----------
    on_progress : callable
    seconds : sequence of float
        That the stages take, as far as is known; only their proportions matter.
    """
    whole = sum(seconds) or 1.0

    def of(before: float, share: float) -> OnProgress:
        return lambda done, total: on_progress(round(100 * (before + share * done / max(total, 1)) / whole), 100)

    return [of(sum(seconds[:k]), share) for k, share in enumerate(seconds)]
