"""Train a whole bank, in memory or in a run folder."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from undiffuse.datasets import Dataset, fingerprint
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.bank import Bank, MemoryBlock
from undiffuse.networks.network import Weights
from undiffuse.runs.config import Config
from undiffuse.runs.folder import RunFolder
from undiffuse.support.arrays import Arrays, Floats
from undiffuse.support.errors import UserError, require
from undiffuse.support.files import total_memory
from undiffuse.support.stats import stderr
from undiffuse.training import workers as pool
from undiffuse.training.blocks import total_passes

OnProgress = Callable[[int, int], None]  # (passes made, passes in all)


def train_bank(
    config: Config,
    data: Dataset,
    device: str = "auto",
    workers: int | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> tuple[Bank, Floats]:
    """Train a bank in memory; return it and the errors :func:`final_errors` describes."""
    device, _ = pool.resolve(config, data.dim, device, workers)
    blocks, errors = [], []
    reference = GaussianDenoiser.from_data(config.forward(), data.train)
    todo = list(enumerate(config.blocks()))
    for job, arrays in _run(config, data, reference, device, workers, todo, None, on_progress):
        weights = Weights(**{name: arrays[name] for name in Weights.NAMES})  # type: ignore[arg-type]
        blocks.append(MemoryBlock(job.first, config.architecture_at(job.last, data.dim), weights))
        errors.append(final_errors(arrays))
    bank = Bank(reference.forward, blocks, reference)
    return bank, np.concatenate(sorted(errors, key=lambda rows: rows[0, 0]))


def train_run(
    config: Config,
    data: Dataset,
    path: str | Path,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    workers: int | None = None,
    save_every: float = 30.0,
    on_progress: OnProgress = lambda done, total: None,
) -> RunFolder:
    """Train a bank into a run folder, or finish one.

    Random streams are keyed by time and pass, so a run that was killed and resumed ends with the same bits as one
    that was not, on one kind of device and engine.

    Raises
    ------
    UserError
        If the folder exists (and neither ``resume`` nor ``overwrite`` is given), or a run to be resumed is from
        another configuration, other data, another device or another version's engine.
    WorkerError
        If a worker process dies; what was done is kept.
    """
    device, engine = pool.resolve(config, data.dim, device, workers)
    identity: dict[str, Any] = {
        "package_version": version("undiffuse"),
        "data_sha256": fingerprint(data),
        "seed": config.seed,
        "device": device,
        "engine": engine,
    }
    config.forward().check_prior(data.train)
    _check_room(config, data.dim, Path(path), pool.resolve_workers(workers, len(config.blocks()), device))
    if resume:
        run = RunFolder.open(path)
        _same_run(run, config, identity)
    else:
        reference = GaussianDenoiser.from_data(config.forward(), data.train)
        run = RunFolder.create(path, config, identity, reference, overwrite)
    with run.lock():
        started, before = time.monotonic(), run.manifest.training_seconds
        todo = [(i, (e.first, e.last)) for i, e in enumerate(run.blocks) if e.state != "done"]
        if todo:
            _write_metrics(run)
        for job, arrays in _run(config, data, run.reference(), device, workers, todo, (run, save_every), on_progress):
            run.manifest.training_seconds = round(before + time.monotonic() - started, 2)
            run.enter_block(run.blocks[job.index])
            _drop_used_states(run)
            with (run.path / "metrics.jsonl").open("a", encoding="utf-8") as lines:
                lines.writelines(_metric_lines(arrays))
        # Also when nothing was left to do: a run may have been killed just before this line.
        _write_metrics(run)
    return run


def final_errors(arrays: Arrays) -> Floats:
    """Return one row ``(t, training error, held-out error)`` for each time of a block, after its last pass.

    Errors are mean squares in xi per dimension; the training error is the mean over the last pass.
    """
    last = np.cumsum(arrays["passes"]) - 1
    return np.column_stack([arrays["times"], arrays["train_error"][last], arrays["held_out_error"][last]])


def overfit(errors: Floats) -> dict[str, float]:
    """Compare held-out with training errors over all times, from rows ``(t, training, held out)``.

    ``gap`` is the mean over times of ``held_out/train - 1`` and ``gap_stderr`` its standard error; memorising shows
    as a gap many standard errors above zero. ``worst_t`` is where the gap is largest.
    """
    gap = errors[:, 2] / errors[:, 1] - 1
    return {
        "gap": float(gap.mean()),
        "gap_stderr": stderr(gap),
        "worst_t": int(errors[np.argmax(gap), 0]),
        "worst_gap": float(gap.max()),
    }


def run_errors(run: RunFolder) -> Floats:
    """:func:`final_errors` of every finished block of a run, in order of time."""
    return np.concatenate([final_errors(run.read_record(e)) for e in run.blocks if e.state == "done"])


def _run(
    config: Config,
    data: Dataset,
    reference: GaussianDenoiser,
    device: str,
    workers: int | None,
    todo: list[tuple[int, tuple[int, int]]],
    run: tuple[RunFolder, float] | None,
    on_progress: OnProgress,
) -> Iterator[tuple[pool.Job, Arrays]]:
    """Train the blocks ``(index, (first, last))`` and yield each as it is done."""
    count = pool.resolve_workers(workers, len(todo), device)
    run_path, save_every = (None, 0.0) if run is None else (str(run[0].path), run[1])
    total = total_passes(config)
    # Blocks done before count as done, all of them.
    left = total_passes(config, {block for _, block in todo})
    with tempfile.TemporaryDirectory(prefix="undiffuse-", ignore_cleanup_errors=True) as folder:
        scratch = pool.Scratch(Path(folder), data.train, data.held_out, reference, len(config.blocks()))

        def state_file(index: int) -> str:
            return f"{folder}/{index}.state" if run is None else str(run[0].state_path(run[0].blocks[index]))

        before = [config.block_before(index) for index in range(len(config.blocks()))]
        jobs = []
        for index, (first, last) in reversed(todo):
            after = before[index]
            starts_at = None if after is None else state_file(after)
            leaves_at = state_file(index) if index in before else None
            jobs.append(
                pool.Job(index, first, last, config, folder, device, run_path, save_every, after, starts_at, leaves_at)
            )
        yield from pool.run_jobs(jobs, count, lambda: on_progress(total - left + scratch.passes_done(), total))


def _drop_used_states(run: RunFolder) -> None:
    """Delete the training states that every block going on from them is done with."""
    needed = {run.config.block_before(i) for i, entry in enumerate(run.blocks) if entry.state != "done"}
    for i, entry in enumerate(run.blocks):
        if i not in needed:
            run.state_path(entry).unlink(missing_ok=True)


def _check_room(config: Config, dim: int, path: Path, workers: int) -> None:
    """Refuse a bank that the disk or the memory cannot hold, before any of it is trained."""

    def size(first: int, last: int) -> int:
        a = config.architecture_at(last, dim)
        return 4 * (last - first + 1) * (2 * a.width * a.hidden + a.hidden + a.width)

    sizes = [size(first, last) for first, last in config.blocks()]
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    require(sum(sizes) < free, f"the bank takes {sum(sizes) / 1e9:.1f} GB, {folder} has {free / 1e9:.1f} GB free")
    memory = total_memory()
    if memory is not None:
        # A finished block stands in memory three times: as it was trained, stacked, and as the bytes of its file.
        needed = 3 * max(sizes) * workers
        require(
            needed < memory,
            f"{workers} blocks of {max(sizes) / 1e9:.1f} GB at once take {needed / 1e9:.1f} GB of memory, this machine "
            f"has {memory / 1e9:.1f} GB: lower training.block (now {config.training.block}) or --workers",
        )


def _same_run(run: RunFolder, config: Config, identity: dict[str, Any]) -> None:
    if run.config != config:
        before, now = run.config.model_dump(), config.model_dump()
        different = [key for key in before if before[key] != now[key]]
        raise UserError(f"{run.path} was made with another configuration ({', '.join(different)} differ)")
    what = {"data_sha256": "other data", "device": "another device", "engine": "another engine"}
    for key, words in what.items():
        theirs = getattr(run.manifest, key)
        if theirs != identity[key]:
            raise UserError(f"{run.path} was trained on {words}: {theirs}, now {identity[key]}")


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


def _write_metrics(run: RunFolder) -> None:
    """Write ``metrics.jsonl`` anew from the finished blocks, which hold the same numbers."""
    done = [entry for entry in run.blocks if entry.state == "done"]
    run.write_text("metrics.jsonl", "".join(line for entry in done for line in _metric_lines(run.read_record(entry))))
