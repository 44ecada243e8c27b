"""Executors: calls in this process or on worker processes of this machine, behind one interface.

All of them take, as the argument of a call, the future of an earlier call; the later one then waits for it and gets its
result. :class:`~undiffuse.support.cluster.DaskExecutor` is the third.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from undiffuse.support.errors import KEPT, FailedJobError
from undiffuse.support.interrupts import ignore_signals

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_LOOK_EVERY = 0.5  # seconds between looks of a worker at its parent
_TICK_EVERY = 0.2  # seconds between ticks while waiting


class WorkerError(FailedJobError):
    """A worker died, most often because memory ran out, or what hands out the work was lost."""


class SerialExecutor(Executor):
    """Makes each call in this process, at once."""

    def submit(self, fn: Callable[Given, Answer], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Answer]:
        """Make the call; the future is done when this returns."""
        future: Future[Answer] = Future()
        try:
            future.set_result(fn(*_results(args), **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class ProcessExecutor(Executor):
    """Makes calls on worker processes with one thread each, which end with this one, however it ends.

    Left by an exception, it kills its workers, since one in the middle of a long call ignores a shutdown.

    Parameters
    ----------
    workers : int
        Number of processes.
    """

    def __init__(self, workers: int) -> None:
        import psutil
        from loky import ProcessPoolExecutor

        self._others = set(psutil.Process().children(recursive=True))
        self._pool = ProcessPoolExecutor(
            max_workers=workers, env=_ONE_THREAD, initializer=_end_with_parent, initargs=(os.getpid(),)
        )

    def submit(self, fn: Callable[Given, Answer], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Answer]:
        """Make the call on a worker, once the futures among its arguments are done."""
        before = next((a for a in args if isinstance(a, Future) and not a.done()), None)
        later: Future[Answer] = Future()
        if before is None:
            try:
                return self._pool.submit(fn, *_results(args), **kwargs)
            except BrokenExecutor:
                raise
            except Exception as error:  # of a call that this one waited for
                later.set_exception(error)
                return later

        def go_on(_: Future[Any]) -> None:
            try:
                self.submit(fn, *args, **kwargs).add_done_callback(lambda made: _pass_on(made, later))
            except Exception as error:
                later.set_exception(error)

        before.add_done_callback(go_on)
        return later

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers."""
        self._pool.shutdown(wait=wait, kill_workers=cancel_futures)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self.shutdown()
            return
        self._kill()
        self.shutdown(wait=False)
        if isinstance(error, BrokenExecutor):
            raise WorkerError(f"a worker process was killed, perhaps for want of memory; {KEPT}") from None

    def _kill(self) -> None:
        """Kill the workers; loky's resource tracker is a child as well, and is left to clean up."""
        import psutil

        for process in set(psutil.Process().children(recursive=True)) - self._others:
            with contextlib.suppress(psutil.Error):
                if "resource_tracker" not in " ".join(process.cmdline()):
                    process.kill()


def as_done(futures: Iterable[Future[Answer]], tick: Callable[[], None] = lambda: None) -> Iterator[Future[Answer]]:
    """Yield futures as they are done, those at hand before the next is submitted; ``tick`` is called while waiting.

    ``futures`` may be a generator that submits one call after the other.
    """
    waiting: set[Future[Answer]] = set()

    def done(timeout: float) -> Iterator[Future[Answer]]:
        found, _ = wait(waiting, timeout, FIRST_COMPLETED)
        waiting.difference_update(found)
        yield from found
        tick()

    for future in futures:
        waiting.add(future)
        yield from done(0.0)
    while waiting:
        yield from done(_TICK_EVERY)


def _results(args: Iterable[Any]) -> list[Any]:
    return [arg.result() if isinstance(arg, Future) else arg for arg in args]


def _pass_on(made: Future[Answer], later: Future[Answer]) -> None:
    if made.cancelled():
        later.cancel()
    elif (error := made.exception()) is not None:
        later.set_exception(error)
    else:
        later.set_result(made.result())


def _end_with_parent(parent: int) -> None:
    """Make a worker end when the process it works for is gone, however that ended, and by nothing else.

    Otherwise it would train on, and write into a run that another process may hold by then. Signals to the whole
    group of processes are for the parent, which asks its workers to stop.
    """
    ignore_signals()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
