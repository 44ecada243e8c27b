"""Where independent pieces of work run: a choice, and the executor that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from undiffuse.support.errors import one_of, require
from undiffuse.support.executors import ProcessExecutor, SerialExecutor, as_done
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.threads import cores

BackendName = Literal["local", "dask"]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Backend:
    """Where independent pieces of work run.

    Parameters
    ----------
    name : {"local", "dask"}
        Processes of this machine, or Dask workers: without a scheduler, a cluster is started on this machine.
    scheduler : str, optional
        Address of a running Dask scheduler.
    scheduler_file : path, optional
        File in which a running Dask scheduler left its address.
    """

    name: BackendName = "local"
    scheduler: str | None = None
    scheduler_file: Path | None = None

    def __post_init__(self) -> None:
        one_of("backend", self.name, get_args(BackendName))
        named = [self.scheduler, self.scheduler_file].count(None)
        require(named >= 1, "a scheduler's address and a scheduler file exclude each other")
        require(named == 2 or self.name == "dask", "a scheduler goes with the backend 'dask'")

    @property
    def elsewhere(self) -> bool:
        """Whether workers may be on other machines."""
        return self.scheduler is not None or self.scheduler_file is not None

    def check(self) -> None:
        """Raise a :class:`UserError`, before any work, if Dask is not installed or no scheduler answers."""
        if self.name == "dask":
            from undiffuse.support import cluster

            cluster.load_distributed()
            if self.elsewhere:
                cluster.connect(self.scheduler, self.scheduler_file).close()

    def executor(self, workers: int, gpu: bool = False) -> Executor:
        """Return an executor for a ``with`` block.

        ``workers`` is the number of processes on this machine; a scheduler has workers of its own. With ``gpu`` each
        call takes the GPU of this machine, or of a Dask worker.
        """
        if self.name == "dask":
            from undiffuse.support.cluster import DaskExecutor

            return DaskExecutor(workers, self.scheduler, self.scheduler_file, gpu)
        return SerialExecutor() if gpu or workers == 1 else ProcessExecutor(workers)

    def map(
        self,
        work: Callable[..., Answer],
        calls: Sequence[tuple[object, ...]],
        workers: int | None = None,
        on_progress: OnProgress = silent,
        gpu: bool = False,
    ) -> list[Answer]:
        """Return the results of independent calls in their order.

        Parameters
        ----------
        work : callable
            A function of a module, whose result depends on its arguments alone.
        calls : sequence of tuple
            Arguments of each call.
        workers : int, optional
            Processes of this machine; one per core by default.
        on_progress : callable
            Called with the number of calls done and their total number.
        gpu : bool
            Each call takes a GPU.
        """
        futures: list[Future[Answer]] = []

        def submitted() -> Iterator[Future[Answer]]:
            for arguments in calls:
                futures.append(executor.submit(work, *arguments))
                yield futures[-1]

        with self.executor(processes(workers, len(calls)), gpu) as executor:
            for done, future in enumerate(as_done(submitted()), start=1):
                future.result()
                on_progress(done, len(calls))
            return [future.result() for future in futures]


LOCAL = Backend()


def check_workers(workers: int | None) -> None:
    """Raise a :class:`UserError` if there are to be fewer than one."""
    require(workers is None or workers >= 1, f"workers = {workers}: wanted at least 1")


def processes(workers: int | None, tasks: int) -> int:
    """Return the number of worker processes for so many tasks: ``workers``, or one per core, and no idle ones.

    Raises
    ------
    UserError
        If there are to be fewer than one.
    """
    check_workers(workers)
    return max(1, min(workers or cores(), tasks))
