"""Threads for array work: the parts of one step side by side, each with one thread of the libraries beneath."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class Crew:
    """As many threads as there are cores, but no more than ``parts``, for work that releases the interpreter's lock.

    While they work, linear algebra keeps to one thread each. With a single part, or a single core, work is done where
    it is asked for, by as many threads as the libraries like.
    """

    def __init__(self, parts: int) -> None:
        threads = min(cores(), parts)
        self._pool = None
        if threads > 1:
            from threadpoolctl import ThreadpoolController

            self._pool, self._libraries = ThreadPoolExecutor(threads), ThreadpoolController()

    def map(self, work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
        """Return ``work`` of each part, in their order."""
        if self._pool is None:
            return [work(part) for part in parts]
        with self._libraries.limit(limits=1):
            return list(self._pool.map(work, parts))

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown()
