"""Threads for array work: parts of one step in parallel, each with one thread of the libraries it calls."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from types import TracebackType
from typing import Any, TypeVar

_BRINGING = {"torch", "scipy.linalg", "sklearn"}  # modules that may load a library of linear algebra of their own

Part = TypeVar("Part")
Result = TypeVar("Result")


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def one_thread() -> AbstractContextManager[Any]:
    """Limit linear algebra to one thread inside a ``with`` block, so that rounding is the same on any machine."""
    return _libraries(frozenset(_BRINGING & sys.modules.keys())).limit(limits=1)


@cache
def _libraries(loaded: frozenset[str]) -> Any:
    """Libraries of linear algebra in this process, looked for once for each set of modules that bring some along."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Limit torch to one thread inside a ``with`` block; on small products more are slower."""
    from undiffuse.support.with_torch import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_ahead(work: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[tuple[Part, Result]]:
    """Yield each part and ``work`` of it, which a thread does while the part before is used."""
    with ThreadPoolExecutor(1) as pool:
        waiting: list[tuple[Part, Future[Result]]] = []
        for part in parts:
            waiting.append((part, pool.submit(work, part)))
            if len(waiting) == 2:
                before, done = waiting.pop(0)
                yield before, done.result()
        for last, done in waiting:
            yield last, done.result()


class PartThreads:
    """As many threads as there are cores, but no more than ``parts``, for work that releases the interpreter's lock.

    While they work, each uses one thread of linear algebra, so that rounding does not depend on the number of cores.
    With a single part or a single core no thread is started.
    """

    def __init__(self, parts: int) -> None:
        threads = min(cores(), parts)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def map(self, work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
        """Return ``work`` of each part, in their order."""
        return list(self.each(work, parts))

    def each(self, work: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
        """Yield ``work`` of each part, in their order, as they are done."""
        with one_thread():
            yield from map(work, parts) if self._pool is None else self._pool.map(work, parts)

    def __enter__(self) -> PartThreads:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
