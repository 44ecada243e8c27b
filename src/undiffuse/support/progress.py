"""Progress: a live bar on a terminal and in a notebook, otherwise a plain line on standard error every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, Protocol

_LOG_EVERY = 10.0  # seconds between lines where there is no terminal
_DRAWN_EVERY = 0.2  # seconds between drawings in a notebook


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
    how = notebook_bar if in_notebook() else _bar if sys.stderr.isatty() else _lines
    with how(label, unit) as update:
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


# -- in a notebook -----------------------------------------------------------------------------------------------------


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, so that what is displayed is a page."""
    shell = sys.modules.get("IPython")  # a kernel has loaded it; nothing else makes us wait for it
    running = None if shell is None else shell.get_ipython()
    return getattr(running, "kernel", None) is not None


@contextmanager
def notebook_bar(label: str, unit: str) -> Iterator[Update]:
    """Show a bar in the output of the cell, with the time left, until the block ends; a line is what stays."""
    from IPython.display import display

    start = last = time.monotonic()
    seen = (0, 0)
    handle: Any = display(_shown(label, unit, seen, 0.0), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def update(done: int, total: int) -> None:
        nonlocal last, seen
        seen, now = (done, total), time.monotonic()
        if now - last >= _DRAWN_EVERY:
            last = now
            handle.update(_shown(label, unit, seen, now - start), raw=True)

    how = "stopped after"
    try:
        yield update
        how = "done in"
    finally:
        done, total = seen
        count = f", {done} of {total} {unit}" if total else ""
        handle.update(_both(f"{label}: {how} {duration(time.monotonic() - start)}{count}"), raw=True)


def _shown(label: str, unit: str, seen: tuple[int, int], seconds: float) -> dict[str, str]:
    done, total = seen
    if not total:
        return _both(f"{label} ...")
    left = f", {duration(seconds * (total - done) / done)} left" if done else ""
    words = f"{label}: {done} of {total} {unit}, {duration(seconds)}{left}"
    return _both(words, f'<progress value="{done}" max="{total}" style="width:16em"></progress> ')


def _both(words: str, before: str = "") -> dict[str, str]:
    """The same as HTML and as text, for what shows no HTML."""
    return {"text/html": f"<div>{before}{escape(words)}</div>", "text/plain": words}
