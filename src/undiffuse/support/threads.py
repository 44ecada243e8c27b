"""Threads for array work: parts of one step in parallel, each with one thread of the libraries it calls."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def one_thread() -> AbstractContextManager[Any]:
    """Limit linear algebra to one thread inside a ``with`` block, so that rounding is the same on any machine."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Limit torch to one thread inside a ``with`` block; on small products more are slower."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class PartThreads:
    """As many threads as there are cores, but no more than ``parts``, for work that releases the interpreter's lock.

    While they work, each uses one thread of linear algebra. With a single part or a single core no thread is started,
    and the libraries use as many as they like.
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

    def __enter__(self) -> PartThreads:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown()
