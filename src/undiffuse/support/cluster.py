"""Calls on the workers of a Dask cluster: one started on this machine, or one that runs already.

``distributed`` is loaded when an executor is made. What crosses the wire is pickled, so a scheduler is as trusted as a
shell: see ``docs/SECURITY.md``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from undiffuse.support.errors import KEPT, FailedJobError, UserError, require
from undiffuse.support.executors import Answer, Given, WorkerError
from undiffuse.support.optional import optional

_RETRIES = 3  # of a call that fails by no mistake of the user's, such as a file system that was away
_WAIT = 10  # seconds for a scheduler to answer

# For a cluster of our own, whose dashboard nobody opens. Dask's watchers look at a worker up to a hundred times a
# second, each time taking Python's lock from the training; and it has glibc give memory back to the system at once, so
# that every large array is made of new pages, which alone costs a training a tenth of its time.
_QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
}


@dataclass(frozen=True)
class _Refusal:
    """An error that another try would only repeat, in the place of a result."""

    error: UserError | FailedJobError


class DaskExecutor(Executor):
    """Makes calls on Dask workers with one thread each; calls that wait for others are Dask's task graph.

    A call whose worker dies is made again on another one. Left by an exception, it takes back the calls not begun.

    Parameters
    ----------
    workers : int
        Processes of a cluster on this machine, which ends with the executor; not used with a scheduler.
    scheduler : str, optional
        Address of a running scheduler, such as ``tcp://node1:8786``.
    scheduler_file : path, optional
        File in which a running scheduler left its address.
    gpu : bool
        Give each call a worker's resource ``GPU``.

    Raises
    ------
    UserError
        If ``distributed`` is not installed, or no scheduler answers.
    """

    def __init__(
        self, workers: int = 1, scheduler: str | None = None, scheduler_file: Path | None = None, gpu: bool = False
    ) -> None:
        self._resources = {"GPU": 1} if gpu else None
        self._cluster = None
        if scheduler is None and scheduler_file is None:
            self._cluster = _cluster_here(workers, self._resources)
            scheduler = self._cluster.scheduler_address
        self._client = connect(scheduler, scheduler_file)
        self._tasks: dict[Future[Any], Any] = {}

    def submit(self, fn: Callable[Given, Answer], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Answer]:
        """Have a worker make the call, once the futures among its arguments are done."""
        given = [self._tasks[arg] if isinstance(arg, Future) else arg for arg in args]
        task = self._client.submit(
            _call, version("undiffuse"), fn, *given, **kwargs, pure=False, retries=_RETRIES, resources=self._resources
        )
        future: Future[Answer] = Future()
        self._tasks[future] = task
        self._client.loop.add_callback(_settle, task, future)
        return future

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None and self._client.status == "running":
            self._client.cancel(list(self._tasks.values()), force=True)
        self._tasks.clear()
        self._client.close(timeout=2)
        if self._cluster is not None:
            self._cluster.close()


def _cluster_here(workers: int, resources: dict[str, int] | None) -> Any:
    distributed = load_distributed()
    import dask

    with dask.config.set(_QUIET):  # the workers are sent these settings as they start
        return distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            resources=resources,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )


def load_distributed() -> Any:
    """Import ``distributed``, without its logs: what goes wrong is answered in a line, and they say it in many.

    Raises
    ------
    UserError
        If it is not installed.
    """
    distributed = optional("distributed", "distributed", "Dask is not installed")
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return distributed


def connect(scheduler: str | None, scheduler_file: Path | None) -> Any:
    """Return a client of a running scheduler.

    Raises
    ------
    UserError
        If none answers.
    """
    distributed = load_distributed()
    where = str(scheduler or scheduler_file)
    require(scheduler_file is None or scheduler_file.is_file(), f"there is no scheduler file {where!r}")
    try:
        if scheduler is not None:
            distributed.comm.resolve_address(scheduler)  # a client of a misspelt address cannot be closed
        return distributed.Client(scheduler, scheduler_file=scheduler_file, timeout=_WAIT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"no Dask scheduler answers at {where!r}: {error}") from None


def _call(package: str, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Make a call on a worker, unless one that it waits for was refused."""
    from distributed import get_worker

    refused = next((arg for arg in args if isinstance(arg, _Refusal)), None)
    if refused is not None:
        return refused
    worker = get_worker()
    try:
        threads, installed = worker.state.nthreads, version("undiffuse")
        require(threads == 1, f"worker {worker.name} has {threads} threads: start Dask workers with --nthreads 1")
        require(package == installed, f"worker {worker.name} has undiffuse {installed}, wanted {package}")
        return fn(*args, **kwargs)
    except (UserError, FailedJobError) as error:
        return _Refusal(error)


async def _settle(task: Any, future: Future[Any]) -> None:
    """Give a future what becomes of its task.

    On the client's event loop, as Dask's own executor does it: a thread that waited would outlive a lost scheduler.
    """
    try:
        result = await task._result(raiseit=False)
    except Exception as error:
        future.set_exception(_explained(error))
        return
    if task.status != "finished":
        future.set_exception(_explained(result[1] if task.status == "error" else CancelledError()))
    elif isinstance(result, _Refusal):
        future.set_exception(result.error)
    else:
        future.set_result(result)


def _explained(error: Exception) -> Exception:
    """What an error of Dask's own means for the work; any other error as it is."""
    from distributed import KilledWorker
    from distributed.comm.core import CommClosedError

    if isinstance(error, (CancelledError, CommClosedError)):
        return WorkerError(f"the Dask scheduler was lost; {KEPT}")
    if isinstance(error, KilledWorker):
        return WorkerError(f"Dask workers were killed again and again, perhaps for want of memory; {KEPT}")
    return error
