"""``undiffuse info``: what a run folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import Parameter

from undiffuse.runs.differences import from_preset
from undiffuse.runs.folder import RunFolder
from undiffuse.runs.heartbeat import Heartbeat
from undiffuse.support import results
from undiffuse.support.progress import OnProgress, silent


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What to describe.

    Attributes
    ----------
    run : path
        Run folder.
    """

    run: Path


@dataclass(frozen=True)
class Progress(results.Result):
    """How far a training is.

    Attributes
    ----------
    host : str
        Machine that hands out the work.
    passes_done, passes : int
        Passes over the data, made and in all.
    passes_per_second : float
    seconds_left : float or None
        If the passes to come cost what those made did; None before the first.
    seconds_since : float
        Since the training last said so, which it does every few seconds.
    late : bool
        Whether that is so long that it was probably killed.
    """

    host: str
    passes_done: int
    passes: int
    passes_per_second: float
    seconds_left: float | None
    seconds_since: float
    late: bool

    @staticmethod
    def of(beat: Heartbeat) -> Progress:
        """Make it of what the training wrote."""
        return Progress(
            beat.host, beat.done, beat.total, beat.rate, beat.seconds_left, round(beat.age, 1), beat.is_late
        )


@dataclass(frozen=True)
class Result(results.Result):
    """What a run folder is, how far it is, and where its schedule ends.

    Attributes
    ----------
    run, preset, description, package_version : str
    changes : tuple of str
        What is not as in the preset, such as ``training.epochs = 5 instead of 20``.
    state : {"trained", "unfinished"}
    blocks, blocks_done, dim, seed : int
    device, engine, data_sha256 : str
    training_seconds : float
    schedule : dict
        ``T``, ``alpha_bar_T``, ``ou_time_T`` and ``prior_kl``, in nats per dimension.
    config : dict
        Every setting.
    progress : Progress or None
        Of a training that is going on, or was killed.
    """

    run: str
    preset: str
    description: str
    changes: tuple[str, ...]
    package_version: str
    state: str
    blocks: int
    blocks_done: int
    dim: int
    seed: int
    device: str
    engine: str
    data_sha256: str
    training_seconds: float
    schedule: Mapping[str, float]
    config: Mapping[str, Any]
    progress: Progress | None


def run(settings: Settings, on_progress: OnProgress = silent) -> Result:
    """Describe a run folder.

    Raises
    ------
    UserError
        If it is missing, is not a run, or was altered.
    """
    folder = RunFolder.open(settings.run)
    config, manifest, reference = folder.config, folder.manifest, folder.reference()
    second_moment = float((reference.variances.sum() + (reference.mean**2).sum()) / reference.dim)
    forward, beat = config.forward(), Heartbeat.read(folder.path)
    return Result(
        run=str(folder.path),
        preset=config.name,
        description=config.description,
        changes=from_preset(config),
        package_version=manifest.package_version,
        state="unfinished" if folder.unfinished else "trained",
        blocks=len(folder.blocks),
        blocks_done=len(folder.blocks) - len(folder.unfinished),
        dim=reference.dim,
        seed=manifest.seed,
        device=manifest.device,
        engine=manifest.engine,
        data_sha256=manifest.data_sha256,
        training_seconds=manifest.training_seconds,
        schedule={**forward.schedule.end(), "prior_kl": forward.prior_kl_of(second_moment)},
        config=config.model_dump(mode="json", exclude_none=True),
        progress=None if beat is None else Progress.of(beat),
    )
