"""Where and how training runs. Of all this, only the kind of device changes the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from undiffuse.runs.config import Config
from undiffuse.support.errors import UserError, one_of, require
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.threads import cores
from undiffuse.training import engines

DeviceName = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[str, ...] = get_args(DeviceName)


@dataclass(frozen=True)
class Execution:
    """Where and how training runs.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        ``auto`` takes a GPU where there is one and the fused kernel cannot be used.
    workers : int, optional
        Worker processes, with one thread each; one per core by default.
    save_every : float
        Seconds between saves of a block that is not finished, in a run folder.
    on_progress : callable
        Called with the number of passes over the data made and their total number.
    """

    device: DeviceName = "auto"
    workers: int | None = None
    save_every: float = 30.0
    on_progress: OnProgress = silent

    def __post_init__(self) -> None:
        require(self.workers is None or self.workers >= 1, f"workers = {self.workers}: wanted at least 1")
        one_of("device", self.device, DEVICES)

    def resolve(self, config: Config, dim: int) -> tuple[str, str]:
        """Return the device and the engine to train on.

        Raises
        ------
        UserError
            If the device is not there or the engine cannot do what is asked.
        """
        averaging = config.training.order == "sweep"
        architectures = [config.architecture_at(t, dim) for t in {1, *(part.first for part in config.times)}]

        def chosen(device: str) -> set[str]:
            return {engines.choose(config.training.engine, a, device, averaging) for a in architectures}

        device: str = self.device
        if device == "auto":
            device = "cuda" if chosen("cpu") != {"kernel"} and _has_gpu() else "cpu"
        elif device == "cuda" and not _has_gpu():
            raise UserError("device 'cuda': torch sees no GPU here; use 'cpu' or 'auto'")
        return device, "+".join(sorted(chosen(device)))

    def processes(self, blocks: int, device: str) -> int:
        """Return the number of worker processes for so many blocks on a device."""
        return max(1, min(self.workers or cores(), blocks)) if device == "cpu" else 1


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
