"""Train a whole bank, in memory or in a run folder."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from undiffuse.datasets import Dataset, fingerprint
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.bank import Bank, MemoryBlock
from undiffuse.networks.network import Weights
from undiffuse.runs.config import Block, Config
from undiffuse.runs.folder import RunFolder
from undiffuse.runs.heartbeat import Pulse
from undiffuse.support.arrays import Arrays, Floats
from undiffuse.support.errors import UserError, require
from undiffuse.support.interrupts import stopping_softly
from undiffuse.support.memory import in_bytes, total_memory
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.scratch import scratch_folder
from undiffuse.support.stats import stderr
from undiffuse.training.blocks import IN_MEMORY, total_passes, weight_bytes
from undiffuse.training.cost import planned
from undiffuse.training.doubts import doubt_data, doubt_errors
from undiffuse.training.execution import Execution
from undiffuse.training.progress import gentler_times, named
from undiffuse.training.repair import repair
from undiffuse.training.workers import Job, Link, Scratch, run_jobs


def train_bank(config: Config, data: Dataset, execution: Execution | None = None) -> tuple[Bank, Floats]:
    """Train a bank in memory; return it and the errors :func:`final_errors` describes."""
    execution = execution or Execution()
    require(
        execution.backend.name == "local",
        f"backend {execution.backend.name!r} trains run folders: use train_run, or `undiffuse train`",
    )
    reference = GaussianDenoiser.from_data(config.forward(), data.train)
    blocks, errors = [], []
    training = _Training(config, data, reference, execution)
    for job, arrays in training.of([*range(len(config.blocks()))]):
        weights = Weights(**{name: arrays[name] for name in Weights.NAMES})  # type: ignore[arg-type]
        blocks.append(MemoryBlock(job.block.first, config.architecture_at(job.block.last, data.dim), weights))
        errors.append(final_errors(arrays))
    bank = Bank(reference.forward, blocks, reference)
    return bank, np.concatenate(sorted(errors, key=lambda rows: rows[0, 0]))


def train_run(
    config: Config,
    data: Dataset,
    path: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    execution: Execution | None = None,
) -> RunFolder:
    """Train a bank into a run folder, or finish one.

    Random streams are keyed by time and pass, so a run that was killed and resumed ends with the same bits as one
    that was not, on one kind of device and engine.

    Parameters
    ----------
    config : Config
    data : Dataset
    path : path
    resume : bool
        Go on with a run that was stopped.
    overwrite : bool
        Replace a run that is there.
    execution : Execution

    Raises
    ------
    UserError
        If the folder exists (and neither ``resume`` nor ``overwrite`` is given), or a run to be resumed is from
        another configuration, other data, another device or another version's engine.
    WorkerError
        If a worker process dies; what was done is kept.
    """
    execution = execution or Execution()
    device, engine = execution.resolve(config, data.dim)
    identity: dict[str, Any] = {
        "package_version": version("undiffuse"),
        "data_sha256": fingerprint(data),
        "seed": config.seed,
        "device": device,
        "engine": engine,
    }
    reference = GaussianDenoiser.from_data(config.forward(), data.train)
    doubt_data(reference, data.train)
    execution.backend.check()
    if resume:
        run = _open_again(path, config, identity)
    else:
        _check_room(config, data.dim, Path(path), execution.processes(len(config.blocks()), device))
        run = RunFolder.create(path, config, identity, reference, overwrite)
    with run.lock() as token:
        # What it looked like before the lock may be out of date: another training may have ended or begun there.
        run = _open_again(path, config, identity)
        if resume:
            repair(run, data)
            left = [entry.block for entry in run.unfinished]
            _check_room(config, data.dim, run.path, execution.processes(len(left), device), left)
        started, before = time.monotonic(), run.manifest.training_seconds
        todo = [i for i, entry in enumerate(run.blocks) if entry.state != "done"]
        if execution.on_plan is not None and todo:
            execution.on_plan(planned(config, data, device, execution, todo))
        records = {i: run.read_record(entry) for i, entry in enumerate(run.blocks) if i not in todo}
        _write_metrics(run, records)
        for job, arrays in _Training(config, data, run.reference(), execution, run, token).of(todo):
            run.manifest.training_seconds = round(before + time.monotonic() - started, 2)
            entry = run.blocks[job.index]
            first_time = entry.sha256
            run.enter_block(entry)
            if first_time not in (None, entry.sha256):
                warnings.warn(f"{run.weights_path(entry)} has other bits than the first time", stacklevel=2)
            _drop_used_states(run)
            records[job.index] = arrays
            with (run.path / "metrics.jsonl").open("a", encoding="utf-8") as lines:
                lines.writelines(_metric_lines(arrays))
        _write_metrics(run, records)
    doubt_errors(np.concatenate([final_errors(records[i]) for i in sorted(records)]), reference)
    return run


@dataclass(frozen=True)
class _Training:
    """What all blocks of one training share; ``run`` is the folder they go into, if any, and ``token`` its lock's."""

    config: Config
    data: Dataset
    reference: GaussianDenoiser
    execution: Execution
    run: RunFolder | None = None
    token: str = ""

    def of(self, todo: list[int]) -> Iterator[tuple[Job, Arrays]]:
        """Train the blocks of these indices and yield each as it is done."""
        blocks = self.config.blocks()
        device, engine = self.execution.resolve(self.config, self.data.dim)
        total = total_passes(self.config)
        # Blocks done before count as done, all of them.
        left = total_passes(self.config, [blocks[i] for i in todo])
        with self._scratch() as scratch:
            if not todo:
                return
            scratch.fill(self.data.train, self.data.held_out, self.reference, len(blocks))
            jobs = [self._job(i, scratch, device, engine) for i in reversed(todo)]
            soft = nullcontext() if self.run is None else stopping_softly(scratch.ask_to_stop)
            with soft, self._pulse(total - left) as beat, self.execution.executor(len(todo), device) as executor:

                def tick() -> None:
                    done = total - left + scratch.passes_done()
                    beat(done, total)
                    self.execution.on_progress(done, total)

                for job, arrays in run_jobs(jobs, executor, tick):
                    if times := gentler_times(arrays):
                        warnings.warn(
                            f"training diverged at t = {named(times)}; half the learning rate did there", stacklevel=2
                        )
                    yield job, arrays

    @contextmanager
    def _pulse(self, before: int) -> Iterator[OnProgress]:
        """Give what says in the run folder, if there is one, how far the training is."""
        if self.run is None:
            yield silent
            return
        pulse = Pulse(self.run.path, before)
        try:
            yield pulse.beat
        finally:
            pulse.end()

    @contextmanager
    def _scratch(self) -> Iterator[Scratch]:
        """Make the folder shared with workers; a run's has one place, so that what a kill left there is deleted."""
        if self.run is None:
            with scratch_folder(Path(tempfile.gettempdir())) as folder:
                yield Scratch(folder)
            return
        path = self.run.scratch_path(self.execution.scratch)
        shutil.rmtree(path, ignore_errors=True)
        try:
            path.mkdir(mode=0o700)
            yield Scratch(path)
        except FileExistsError:
            raise UserError(f"{path} is in the way of this training, and cannot be deleted") from None
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def _job(self, index: int, scratch: Scratch, device: str, engine: str) -> Job:
        before = [self.config.block_before(i) for i in range(len(self.config.blocks()))]
        after = before[index]
        link = Link(
            after,
            None if after is None else self._state_file(after, scratch),
            self._state_file(index, scratch) if index in before else None,
        )
        return Job(
            index=index,
            block=self.config.blocks()[index],
            config=self.config,
            scratch=scratch,
            device=device,
            engine=engine,
            run_path=None if self.run is None else str(self.run.path.absolute()),
            token=self.token,
            save_every=self.execution.save_every,
            link=link,
        )

    def _state_file(self, index: int, scratch: Scratch) -> str:
        if self.run is None:
            return f"{scratch.path}/{index}.state"
        return str(self.run.state_path(self.run.blocks[index]).absolute())


# -- errors -----------------------------------------------------------------------------------------------------------


def final_errors(arrays: Arrays) -> Floats:
    """Return one row ``(t, training error, held-out error)`` for each time of a block, after its last pass.

    Errors are mean squares in xi per dimension; the training error is the mean over the last pass.
    """
    last = np.cumsum(arrays["passes"]) - 1
    return np.column_stack([arrays["times"], arrays["train_error"][last], arrays["held_out_error"][last]])


@dataclass(frozen=True)
class Overfit:
    """Held-out against training errors over all times.

    Attributes
    ----------
    gap, gap_stderr : float
        Mean over times of ``held_out/train - 1`` and its standard error; memorising shows as a gap many standard
        errors above zero.
    worst_t, worst_gap : int, float
        Where the gap is largest, and how large it is there.
    """

    gap: float
    gap_stderr: float
    worst_t: int
    worst_gap: float

    @staticmethod
    def of(errors: Floats) -> Overfit:
        """Compare from rows ``(t, training, held out)``."""
        gap = errors[:, 2] / errors[:, 1] - 1
        return Overfit(float(gap.mean()), stderr(gap), int(errors[np.argmax(gap), 0]), float(gap.max()))

    def as_dict(self) -> dict[str, float]:
        """Return the numbers by name."""
        return asdict(self)


def run_errors(run: RunFolder) -> Floats:
    """:func:`final_errors` of every finished block of a run, in order of time."""
    return np.concatenate([final_errors(run.read_record(e)) for e in run.blocks if e.state == "done"])


# -- before and around ------------------------------------------------------------------------------------------------


def _drop_used_states(run: RunFolder) -> None:
    """Delete the training states that every block going on from them is done with."""
    needed = {run.config.block_before(i) for i, entry in enumerate(run.blocks) if entry.state != "done"}
    for i, entry in enumerate(run.blocks):
        if i not in needed:
            run.state_path(entry).unlink(missing_ok=True)


def _check_room(config: Config, dim: int, path: Path, workers: int, blocks: list[Block] | None = None) -> None:
    """Refuse a bank, or ``blocks`` of it, that the disk or the memory cannot hold, before any of it is trained."""
    sizes = [weight_bytes(config, block, dim) for block in (config.blocks() if blocks is None else blocks)]
    if not sizes:
        return
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    require(sum(sizes) < free, f"the bank takes {in_bytes(sum(sizes))}, {folder} has {in_bytes(free)} free")
    memory = total_memory()
    if memory is not None:
        needed = IN_MEMORY * max(sizes) * workers
        require(
            needed < memory,
            f"{workers} blocks of {in_bytes(max(sizes))} at once take {in_bytes(needed)} of memory, this machine "
            f"has {in_bytes(memory)}: lower training.block (now {config.training.block}) or --workers",
        )


def _open_again(path: str | Path, config: Config, identity: dict[str, Any]) -> RunFolder:
    """Open a run that is to be trained on with this configuration; UserError if it was begun as another one."""
    run = RunFolder.open(path, config)
    if run.config != config:
        before, now = run.config.model_dump(), config.model_dump()
        different = [key for key in before if before[key] != now[key]]
        raise UserError(f"{run.path} was made with another configuration ({', '.join(different)} differ)")
    what = {"data_sha256": "other data", "device": "another device", "engine": "another engine"}
    for key, words in what.items():
        theirs = getattr(run.manifest, key)
        if theirs != identity[key]:
            raise UserError(f"{run.path} was trained on {words}: {theirs}, now {identity[key]}")
    return run


def _metric_lines(arrays: Arrays) -> Iterator[str]:
    at = 0
    for t, passes in zip(arrays["times"].tolist(), arrays["passes"].tolist(), strict=True):
        for epoch in range(1, passes + 1):
            line = {
                "t": t,
                "epoch": epoch,
                "train": arrays["train_error"][at],
                "held_out": arrays["held_out_error"][at],
            }
            yield json.dumps({key: float(f"{v:.6g}") if isinstance(v, float) else v for key, v in line.items()}) + "\n"
            at += 1


def _write_metrics(run: RunFolder, records: dict[int, Arrays]) -> None:
    """Write ``metrics.jsonl`` anew, in order of time, from what the training of finished blocks recorded."""
    run.write_text("metrics.jsonl", "".join(line for i in sorted(records) for line in _metric_lines(records[i])))
