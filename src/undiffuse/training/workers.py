"""Where blocks run: in this process, or on worker processes with one thread each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.network import Weights
from undiffuse.runs.config import Config
from undiffuse.runs.folder import RunFolder
from undiffuse.support.arrays import Arrays, Floats
from undiffuse.support.errors import UserError, one_of, require
from undiffuse.support.files import read_arrays, write_arrays
from undiffuse.support.threads import cores, one_thread, one_torch_thread
from undiffuse.training import engines
from undiffuse.training.blocks import BlockTrainer, pack_state, unpack_state

DEVICES = ("auto", "cpu", "cuda")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class WorkerError(RuntimeError):
    """A worker process died, most often for want of memory."""


@dataclass(frozen=True)
class Job:
    """One block to train, in a form that travels to another process."""

    index: int
    first: int
    last: int
    config: Config
    scratch: str
    device: str
    run_path: str | None
    save_every: float
    after: int | None = None  # block whose training state this one goes on from
    starts_at: str | None = None  # file with that state
    leaves_at: str | None = None  # file to leave the own state in


class Scratch:
    """A folder the workers share with the parent: the data, and how many passes each block has made."""

    def __init__(
        self,
        path: Path,
        train: Floats,
        held_out: Floats,
        reference: GaussianDenoiser,
        blocks: int,
    ) -> None:
        write_arrays(path / "reference.safetensors", reference.to_arrays())
        np.save(path / "train.npy", train)
        np.save(path / "held_out.npy", held_out)
        self._counts = np.lib.format.open_memmap(path / "progress.npy", mode="w+", dtype=np.int64, shape=(blocks,))

    def passes_done(self) -> int:
        """Passes over the data made so far, over all blocks."""
        return int(self._counts.sum())


def train_block(job: Job) -> Arrays:
    """Train one block in the process this is called in.

    Returns the block's arrays; those of a run folder are written there, and come back without the weights.
    """
    scratch = Path(job.scratch)
    train, held_out = np.load(scratch / "train.npy"), np.load(scratch / "held_out.npy")
    counts = np.load(scratch / "progress.npy", mmap_mode="r+")
    counts[job.index] = 0

    def count(networks: int) -> None:
        counts[job.index] += networks

    reference = GaussianDenoiser.from_arrays(job.config.forward(), read_arrays(scratch / "reference.safetensors"))
    with one_thread():  # as in a worker process, so that rounding is the same in this one
        return _train(job, train, held_out, reference, count)


def _train(
    job: Job,
    train: Floats,
    held_out: Floats,
    reference: GaussianDenoiser,
    count: Callable[[int], None],
) -> Arrays:
    trainer = BlockTrainer(job.config, job.first, job.last, train, held_out, reference, job.device)
    before = unpack_state(read_arrays(Path(job.starts_at)))[0] if job.starts_at else None
    with one_torch_thread() if trainer.engine == "torch" and job.device == "cpu" else contextlib.nullcontext():
        if job.run_path is None:
            progress = trainer.run(before=before, on_pass=count)
        else:
            run = RunFolder.open(job.run_path)
            entry = run.blocks[job.index]
            progress = trainer.run(
                saved=run.read_partial(entry),
                before=before,
                save=lambda arrays: run.write_partial(entry, arrays),
                save_every=job.save_every,
                on_pass=count,
            )
    if job.leaves_at and progress.state:
        write_arrays(Path(job.leaves_at), pack_state([progress.state]))
    arrays = progress.to_arrays()
    if job.run_path is None:
        return arrays
    run.write_block(entry, arrays)
    return {name: array for name, array in arrays.items() if name not in Weights.NAMES}


def run_jobs(jobs: list[Job], workers: int, tick: Callable[[], None]) -> Iterator[tuple[Job, Arrays]]:
    """Train blocks on ``workers`` processes and yield each as it is done; ``tick`` is called while waiting.

    A job that goes on from another one's state starts when that one is done.

    Raises
    ------
    WorkerError
        If a worker process dies.
    """
    waiting = {job.index: job for job in jobs}

    def ready() -> list[Job]:
        found = [job for job in waiting.values() if job.after not in waiting and job.after not in running]
        for job in found:
            del waiting[job.index]
        return found

    running: set[int] = set()
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
    executor = ProcessPoolExecutor(max_workers=workers, env=ONE_THREAD)
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
        # Workers in the middle of a block do not hear a shutdown, and waiting for one can hang: end them outright.
        # loky's resource tracker is a child as well, and is left to tidy up after them.
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


def resolve_workers(workers: int | None, blocks: int, device: str) -> int:
    """Return the number of worker processes: what was asked for, or one per core this process may use."""
    if device != "cpu":
        return 1
    return max(1, min(workers or cores(), blocks))


def resolve(config: Config, dim: int, device: str, workers: int | None) -> tuple[str, str]:
    """Return the device and the engine to train on; ``auto`` takes a GPU only where the kernel cannot be used.

    Raises
    ------
    UserError
        If the device is unknown or not there, the engine cannot do what is asked, or ``workers`` is below 1.
    """
    require(workers is None or workers >= 1, f"workers = {workers}: wanted at least 1")
    one_of("device", device, DEVICES)
    averaging = config.training.order == "sweep"
    architectures = [config.architecture_at(t, dim) for t in {1, *(part.first for part in config.times)}]
    if device == "auto":
        chosen = {engines.choose(config.training.engine, a, "cpu", averaging) for a in architectures}
        device = "cuda" if chosen != {"kernel"} and _has_gpu() else "cpu"
    elif device == "cuda" and not _has_gpu():
        raise UserError("device 'cuda': torch sees no GPU here; use 'cpu' or 'auto'")
    return device, "+".join(
        sorted({engines.choose(config.training.engine, a, device, averaging) for a in architectures})
    )


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
