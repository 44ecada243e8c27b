"""A block as a call that any process can make, and make again; what it shares with the one that asked for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.network import Weights
from undiffuse.runs.config import Block, Config
from undiffuse.runs.folder import RunFolder
from undiffuse.support.arrays import Arrays, Floats
from undiffuse.support.errors import UserError
from undiffuse.support.executors import SerialExecutor, as_done
from undiffuse.support.files import (
    Sha256,
    read_arrays,
    read_sealed,
    sha256_of,
    trouble,
    write_arrays,
    write_file,
    write_sealed,
)
from undiffuse.support.interrupts import StoppedError
from undiffuse.support.threads import one_thread
from undiffuse.training import engines
from undiffuse.training.blocks import BlockTrainer, DivergedError
from undiffuse.training.progress import Progress, pack_state, unpack_state

_COUNT = np.dtype("<i8")


@dataclass(frozen=True)
class Scratch:
    """A folder that workers share with the process they work for, while it trains.

    It holds the data, the number of passes each block has made, a mark for each block that is written, and one that
    asks for a stop.

    Attributes
    ----------
    path : Path
    """

    path: Path

    def fill(self, train: Floats, held_out: Floats, reference: GaussianDenoiser, blocks: int) -> None:
        """Write what workers read.

        Parameters
        ----------
        train, held_out : (n, dim)
        reference : GaussianDenoiser
            Linear theory of the training data.
        blocks : int
            Number of blocks.
        """
        write_arrays(self.path / "reference.safetensors", reference.to_arrays())
        try:
            np.save(self.path / "train.npy", train)
            np.save(self.path / "held_out.npy", held_out)
            np.zeros(blocks, _COUNT).tofile(self._passes)
        except OSError as error:
            raise trouble(f"cannot write into {self.path}", error) from None

    def trainer(self, config: Config, block: Block, device: str) -> BlockTrainer:
        """Return what trains a block on these data."""
        reference = GaussianDenoiser.from_arrays(config.forward(), read_arrays(self.path / "reference.safetensors"))
        train, held_out = np.load(self.path / "train.npy"), np.load(self.path / "held_out.npy")
        return BlockTrainer(config, block, train, held_out, reference, device)

    @contextlib.contextmanager
    def counter(self, index: int) -> Iterator[Callable[[int], None]]:
        """Give a function that counts passes of a block, from none."""
        made = 0
        # Not a memory map: over a network two machines that write to one page would undo each other's counts.
        with self._passes.open("r+b", buffering=0) as file:

            def count(networks: int) -> None:
                nonlocal made
                made += networks
                file.seek(index * _COUNT.itemsize)
                file.write(np.array(made, _COUNT).tobytes())

            count(0)
            yield count

    def passes_done(self) -> int:
        """Passes over the data made so far, over all blocks."""
        return int(np.fromfile(self._passes, _COUNT).sum())

    def ask_to_stop(self) -> None:
        """Ask all workers to save and stop after their next pass."""
        (self.path / "stop").touch()

    def stopping(self) -> bool:
        """Whether workers have been asked to stop."""
        return (self.path / "stop").exists()

    def mark_written(self, index: int, digest: Sha256) -> None:
        """Note that a block's file is complete, and its sha256."""
        write_file(self._mark(index), digest.encode())

    def is_written(self, index: int, path: Path) -> bool:
        """Whether a block's file was completed in this training, and is whole."""
        mark = self._mark(index)
        return mark.exists() and path.is_file() and mark.read_text() == sha256_of(path)

    @property
    def _passes(self) -> Path:
        return self.path / "passes"

    def _mark(self, index: int) -> Path:
        return self.path / f"{index}.written"


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
    scratch : Scratch
    device : {"cpu", "cuda"}
    engine : str
        Of the whole training.
    run_path : str or None
        Run folder that the block is written to, if any.
    token : str
        What the run's lock gave to the process that trains it.
    save_every : float
        Seconds between saves of the unfinished block.
    link : Link
        For the blocks of a sweep.
    tick : callable, optional
        Called after each pass, where the block is trained in the process that asked for it.
    """

    index: int
    block: Block
    config: Config
    scratch: Scratch
    device: str
    engine: str
    run_path: str | None
    token: str
    save_every: float
    link: Link = Link()
    tick: Callable[[], None] | None = None


def train_block(job: Job, after: object = None) -> Arrays:
    """Train one block in the process this is called in, and return its arrays.

    With a run folder it is written there and returned without the weights, and the call may be made again, after its
    process was killed at any moment: what was saved is gone on from, what was written is not trained again. Nothing is
    written once another process holds the run.

    Parameters
    ----------
    job : Job
    after : object, optional
        Result of the block that this one continues. It is not looked at: that it is there says that this one may begin.

    Raises
    ------
    LostRunError
        If another process holds the run.
    StoppedError
        If workers have been asked to stop.
    """
    if job.scratch.stopping():
        raise StoppedError("training was asked to stop")
    if job.run_path is None:
        progress = _trained(job)
        _write_state(job, progress)
        return progress.to_arrays()
    run = RunFolder.open(job.run_path, job.config)
    entry = run.blocks[job.index]
    path = run.weights_path(entry)

    def save(arrays: Arrays) -> None:
        run.require_holder(job.token)
        run.write_partial(entry, arrays)

    run.require_holder(job.token)
    if job.scratch.is_written(job.index, path):
        return run.read_record(entry)
    key = run.manifest.identity
    progress = _trained(job, key, run.read_partial(entry), save)
    run.require_holder(job.token)
    _write_state(job, progress, key)
    run.require_holder(job.token)
    arrays = progress.to_arrays()
    job.scratch.mark_written(job.index, run.write_block(entry, arrays))
    return {name: array for name, array in arrays.items() if name not in Weights.NAMES}


def _trained(
    job: Job, key: str = "", saved: Arrays | None = None, save: Callable[[Arrays], None] | None = None
) -> Progress:
    """Train a block, or what is left of it, on one thread, so that rounding is the same in any process.

    ``key`` says whose the training states are.
    """
    before = unpack_state(read_sealed(Path(job.link.state_in), key))[0] if job.link.state_in else None
    with one_thread():
        trainer = job.scratch.trainer(engines.settled(job.config, job.engine), job.block, job.device)
    if trainer.engine not in job.engine.split("+"):
        raise UserError(
            f"the training is on {job.engine}, this worker's processor takes {trainer.engine}: leave it out"
        )
    with trainer.alone(), job.scratch.counter(job.index) as count:

        def on_pass(networks: int) -> None:
            count(networks)
            if job.tick is not None:
                job.tick()

        return trainer.run(saved, before, save, job.save_every, on_pass, job.scratch.stopping)


def _write_state(job: Job, progress: Progress, key: str = "") -> None:
    if job.link.state_out and progress.state:
        write_sealed(Path(job.link.state_out), pack_state([progress.state]), key)


def run_jobs(jobs: Sequence[Job], executor: Executor, tick: Callable[[], None]) -> Iterator[tuple[Job, Arrays]]:
    """Train blocks and yield each as it is done; ``tick`` is called while waiting.

    Raises
    ------
    WorkerError
        If a worker dies.
    StoppedError
        If workers were asked to stop, when all have.
    DivergedError
        If times of some blocks diverged, when the other blocks are trained.
    """
    asked: dict[Future[Arrays], Job] = {}

    def submitted() -> Iterator[Future[Arrays]]:
        by_index: dict[int, Future[Arrays]] = {}
        for job in _in_order(jobs):
            after = job.link.after
            # A block done before this training has no future, and nothing to wait for.
            # In this process nobody ticks while a block is trained, unless the block does.
            call = replace(job, tick=tick) if isinstance(executor, SerialExecutor) else job
            future = by_index[job.index] = executor.submit(
                train_block, call, None if after is None else by_index.get(after)
            )
            asked[future] = job
            yield future

    stopped, diverged = None, set[int]()
    for future in as_done(submitted(), tick):
        if isinstance(error := future.exception(), StoppedError):
            stopped = error  # the others are still saving
        elif isinstance(error, DivergedError):
            diverged.update(error.times)  # those of a block that waited for another are the other's
        else:
            yield asked.pop(future), future.result()
    if stopped is not None:
        raise stopped
    if diverged:
        raise DivergedError(sorted(diverged))


def _in_order(jobs: Sequence[Job]) -> Iterator[Job]:
    """Jobs in an order in which each comes after the one that it continues."""
    waiting = {job.index: job for job in jobs}
    while waiting:
        for job in [job for job in waiting.values() if job.link.after not in waiting]:
            yield waiting.pop(job.index)
