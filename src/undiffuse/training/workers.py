"""Where blocks run: in this process, or on worker processes with one thread each."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.network import Weights
from undiffuse.runs.config import Block, Config
from undiffuse.runs.folder import RunFolder
from undiffuse.support.arrays import Arrays, Floats
from undiffuse.support.errors import FailedJobError
from undiffuse.support.files import read_arrays, read_sealed, write_arrays, write_sealed
from undiffuse.support.threads import one_thread, one_torch_thread
from undiffuse.training.blocks import BlockTrainer, pack_state, unpack_state

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


_LOOK_EVERY = 0.5  # seconds between looks of a worker at its parent


class WorkerError(FailedJobError):
    """A worker process died, most often because memory ran out."""


@dataclass(frozen=True)
class Link:
    """Files through which a block of a sweep passes its training state on.

    Attributes
    ----------
    after : int or None
        Index of the block that this one continues.
    state_in, state_out : str or None
        File of the training state to start from, and file to write this block's last state to.
    """

    after: int | None = None
    state_in: str | None = None
    state_out: str | None = None


@dataclass(frozen=True)
class Job:
    """One block to train, in a form that can be sent to another process.

    Attributes
    ----------
    index : int
        Position of the block in the configuration's.
    block : Block
    config : Config
    scratch : str
        Folder of the :class:`Scratch`.
    device : {"cpu", "cuda"}
    run_path : str or None
        Run folder that the block is written to, if any.
    save_every : float
        Seconds between saves of the unfinished block.
    link : Link
        For the blocks of a sweep.
    """

    index: int
    block: Block
    config: Config
    scratch: str
    device: str
    run_path: str | None
    save_every: float
    link: Link = Link()


class Scratch:
    """A folder the workers share with the parent: the data, and the number of passes each block has made.

    Parameters
    ----------
    path : Path
    train, held_out : (n, dim)
    reference : GaussianDenoiser
        Linear theory of the training data.
    blocks : int
        Number of blocks.
    """

    def __init__(self, path: Path, train: Floats, held_out: Floats, reference: GaussianDenoiser, blocks: int) -> None:
        write_arrays(path / "reference.safetensors", reference.to_arrays())
        np.save(path / "train.npy", train)
        np.save(path / "held_out.npy", held_out)
        self._counts = np.lib.format.open_memmap(path / "progress.npy", mode="w+", dtype=np.int64, shape=(blocks,))

    def passes_done(self) -> int:
        """Passes over the data made so far, over all blocks."""
        return int(self._counts.sum())


def train_block(job: Job) -> Arrays:
    """Train one block in the process this is called in.

    Returns the block's arrays; with a run folder they are written there and returned without the weights.
    """
    scratch = Path(job.scratch)
    train, held_out = np.load(scratch / "train.npy"), np.load(scratch / "held_out.npy")
    counts = np.load(scratch / "progress.npy", mmap_mode="r+")
    counts[job.index] = 0

    def count(networks: int) -> None:
        counts[job.index] += networks

    reference = GaussianDenoiser.from_arrays(job.config.forward(), read_arrays(scratch / "reference.safetensors"))
    with one_thread():  # as in a worker process, so that rounding is the same in this one
        trainer = BlockTrainer(job.config, job.block, train, held_out, reference, job.device)
        return _train(job, trainer, count)


def _train(job: Job, trainer: BlockTrainer, count: Callable[[int], None]) -> Arrays:
    link = job.link
    run = RunFolder.open(job.run_path, job.config) if job.run_path else None
    key = run.manifest.identity if run else ""
    before = unpack_state(read_sealed(Path(link.state_in), key))[0] if link.state_in else None
    with one_torch_thread() if trainer.engine == "torch" and job.device == "cpu" else contextlib.nullcontext():
        if run is None:
            progress = trainer.run(before=before, on_pass=count)
        else:
            entry = run.blocks[job.index]
            progress = trainer.run(
                saved=run.read_partial(entry),
                before=before,
                save=lambda arrays: run.write_partial(entry, arrays),
                save_every=job.save_every,
                on_pass=count,
            )
    if link.state_out and progress.state:
        write_sealed(Path(link.state_out), pack_state([progress.state]), key)
    arrays = progress.to_arrays()
    if run is None:
        return arrays
    run.write_block(run.blocks[job.index], arrays)
    return {name: array for name, array in arrays.items() if name not in Weights.NAMES}


def _end_with_parent(parent: int) -> None:
    """Make a worker end when the process it works for is gone, however that ended.

    Otherwise it would train on, and write into a run that another process may hold by then.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_jobs(jobs: list[Job], workers: int, tick: Callable[[], None]) -> Iterator[tuple[Job, Arrays]]:
    """Train blocks on ``workers`` processes and yield each as it is done; ``tick`` is called while waiting.

    A job that continues another one starts when that one is done.

    Raises
    ------
    WorkerError
        If a worker process dies.
    """
    waiting = {job.index: job for job in jobs}
    running: set[int] = set()

    def ready() -> list[Job]:
        found = [job for job in waiting.values() if job.link.after not in waiting and job.link.after not in running]
        for job in found:
            del waiting[job.index]
        return found

    if workers == 1:
        while waiting:
            for job in ready():
                yield job, train_block(job)
                tick()
        return
    import psutil
    from loky import ProcessPoolExecutor
    from loky.process_executor import BrokenProcessPool

    others = set(psutil.Process().children(recursive=True))
    executor = ProcessPoolExecutor(
        max_workers=workers, env=ONE_THREAD, initializer=_end_with_parent, initargs=(os.getpid(),)
    )
    try:
        futures: dict[Future[Arrays], Job] = {}
        while futures or waiting:
            for job in ready():
                futures[executor.submit(train_block, job)] = job
                running.add(job.index)
            done, _ = wait(futures, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                job = futures.pop(future)
                yield job, future.result()
                running.discard(job.index)
            tick()
        executor.shutdown()
    except BaseException as error:
        # A worker in the middle of a block ignores the executor's shutdown, and waiting for it can hang: kill it.
        # loky's resource tracker is a child as well, and is left to clean up.
        for process in set(psutil.Process().children(recursive=True)) - others:
            with contextlib.suppress(psutil.Error):
                if "resource_tracker" not in " ".join(process.cmdline()):
                    process.kill()
        executor.shutdown(wait=False)
        if isinstance(error, BrokenProcessPool):
            raise WorkerError(
                "a worker process was killed, perhaps for want of memory; "
                "what was trained is kept, and --resume goes on from there"
            ) from None
        raise
