"""What a training says of itself while it runs, in a file of its run: read by `info`, from any machine."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from undiffuse.runs.guard import PROGRESS, inside
from undiffuse.support.files import json_bytes, read_limited, write_file

_EVERY = 5.0  # seconds between writes
_LARGEST = 10_000  # bytes


@dataclass(frozen=True)
class Heartbeat:
    """How far a training is.

    Attributes
    ----------
    host : str
        Machine of the process that hands out the work.
    done, total : int
        Passes over the data, those of earlier trainings of the run included.
    before : int
        Of those, made before this training began.
    seconds : float
        Since this training began.
    at : float
        When this was written, in seconds since 1970.
    """

    host: str
    done: int
    total: int
    before: int
    seconds: float
    at: float

    @property
    def rate(self) -> float:
        """Passes per second, in this training."""
        return (self.done - self.before) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time left if the passes to come cost what those made did; None before the first."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None

    @property
    def age(self) -> float:
        """Seconds since this was written, by the clock of the machine that reads it."""
        return max(0.0, time.time() - self.at)

    @property
    def is_late(self) -> bool:
        """Whether the next one should have come long ago: the training was killed, or its machine sleeps."""
        return self.age > 6 * _EVERY

    @staticmethod
    def read(run: Path) -> Heartbeat | None:
        """Return the one of a run that is being trained, or None; one that cannot be read is none."""
        try:
            return Heartbeat(**json.loads(read_limited(inside(run / PROGRESS), _LARGEST)))
        except (OSError, ValueError, TypeError):
            return None


class Pulse:
    """Writes a :class:`Heartbeat` every few seconds, and deletes it at the end.

    Parameters
    ----------
    run : path
    before : int
        Passes made before this training.
    """

    def __init__(self, run: Path, before: int) -> None:
        self._path, self._before = inside(run / PROGRESS), before
        self._start = time.monotonic()
        self._last = -_EVERY

    def beat(self, done: int, total: int) -> None:
        """Write how far the training is, unless that was written a moment ago."""
        now = time.monotonic() - self._start
        if now - self._last < _EVERY:
            return
        self._last = now
        beat = Heartbeat(socket.gethostname(), done, total, self._before, round(now, 2), round(time.time(), 2))
        write_file(self._path, json_bytes(asdict(beat)))

    def end(self) -> None:
        """Delete it."""
        self._path.unlink(missing_ok=True)
