"""Progress on standard error: a live bar on a terminal, otherwise a plain line every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

_LOG_EVERY = 10.0  # seconds between lines where there is no terminal


class Update(Protocol):
    """Called with how much is done and how much there is in all."""

    def __call__(self, done: int, total: int) -> None:
        """Show progress."""
        ...


OnProgress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Show nothing; the default."""


def duration(seconds: float) -> str:
    """A time in the unit that suits it, such as 38 s, 12 min, 3.5 h or 6.6 days."""
    for unit, length, digits in (("s", 1, 0), ("min", 60, 0), ("h", 3600, 1)):
        if seconds < 100 * length:
            return f"{seconds / length:.{digits}f} {unit}"
    return f"{seconds / 86400:.1f} days"


def counter(update: OnProgress, total: int, per: int = 1) -> Callable[..., None]:
    """Return ``step(count=1)``, which adds up counts and reports ``sum // per`` of ``total`` after each."""
    made = 0

    def step(count: int = 1) -> None:
        nonlocal made
        made += count
        update(made // per, total)

    return step


@contextmanager
def progress(label: str, unit: str) -> Iterator[Update]:
    """Show how far ``label`` is, counted in ``unit``, with the time left, until the block ends."""
    with _bar(label, unit) if sys.stderr.isatty() else _lines(label, unit) as update:
        yield update


@contextmanager
def _bar(label: str, unit: str) -> Iterator[Update]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield update


@contextmanager
def _lines(label: str, unit: str) -> Iterator[Update]:
    start = last = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _LOG_EVERY:
            return
        last = now
        left = f", {duration((now - start) * (total - done) / done)} left" if done else ""
        print(f"{label}: {done} of {total} {unit}, {duration(now - start)}{left}", file=sys.stderr, flush=True)  # noqa: T201

    yield update
    print(f"{label}: done in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)  # noqa: T201
