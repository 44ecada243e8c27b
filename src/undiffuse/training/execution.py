"""Where and how training runs. Of all this, only the kind of device changes the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from undiffuse.runs.config import Config
from undiffuse.support import gpu
from undiffuse.support.backend import LOCAL, Backend, check_workers, processes
from undiffuse.support.errors import UserError, one_of, require
from undiffuse.support.progress import OnProgress, in_notebook, notebook_bar, silent
from undiffuse.training import engines

if TYPE_CHECKING:
    from undiffuse.training.plan import PassCost, Plan

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
    notebook_bar : bool
        Whether :func:`undiffuse.fit` shows a bar in a notebook, where no ``on_progress`` is given.
    backend : Backend
        Processes of this machine, or Dask workers; these train run folders, which they must reach by the same path.
    scratch : path, optional
        Folder that all workers reach, for a copy of the data while a run is trained; the run folder by default.
    on_plan : callable, optional
        Called once with the :class:`~undiffuse.training.plan.Plan` of the training of a run, before it starts; a few
        passes are timed for it, unless they have been.
    costs : sequence of PassCost
        Of passes that have been timed already.
    """

    device: DeviceName = "auto"
    workers: int | None = None
    save_every: float = 30.0
    on_progress: OnProgress = silent
    backend: Backend = LOCAL
    scratch: Path | None = None
    on_plan: Callable[[Plan], None] | None = None
    costs: Sequence[PassCost] = ()
    notebook_bar: bool = True

    def __post_init__(self) -> None:
        check_workers(self.workers)
        one_of("device", self.device, DEVICES)
        require(self.scratch is None or self.scratch.is_dir(), f"there is no folder {str(self.scratch)!r} for scratch")

    @contextmanager
    def shown(self, label: str) -> Iterator[Execution]:
        """The same, with a bar in a notebook until the block ends, if none is shown otherwise."""
        if self.on_progress is not silent or not self.notebook_bar or not in_notebook():
            yield self
            return
        with notebook_bar(label, "passes") as update:
            yield replace(self, on_progress=update)

    def resolve(self, config: Config, dim: int) -> tuple[str, str]:
        """Return the device and the engine to train on.

        Raises
        ------
        UserError
            If the device is not there or the engine cannot do what is asked.
        """
        architectures = [config.architecture_at(t, dim) for t in {1, *(part.first for part in config.times)}]

        def chosen(device: str) -> set[str]:
            return {engines.choose(config.training, a, device) for a in architectures}

        def small() -> bool:
            return chosen("cpu") == {engines.KERNEL}

        device: str = self.device
        if device == "auto":
            # The GPUs of other machines are not seen from here, and have to be asked for.
            able = not self.backend.elsewhere and gpu.is_there()
            wanted = config.training.precision == "tf32" or config.training.engine == "triton"
            device = "cuda" if able and (wanted or not small()) else "cpu"
        elif device == gpu.CUDA and not self.backend.elsewhere:
            gpu.require_it()
        engine = "+".join(sorted(chosen(device)))
        if not all(map(engines.is_kernel, engine.split("+"))) and not self.backend.elsewhere:
            from undiffuse.support import with_torch  # noqa: F401  its absence is said before anything is written

            if config.training.engine == "triton":
                from undiffuse.training import fused_adam

                fused_adam.kernel()
        if config.training.precision in ("bfloat16", "tf32") and engine == engines.KERNEL:
            raise UserError(
                f"training.precision = {config.training.precision!r} is of matrix products, and networks as small as "
                "these are trained by the fused kernel: leave it out, or set training.engine = 'torch'"
            )
        return device, engine

    def processes(self, blocks: int, device: str) -> int:
        """Return the number of worker processes of this machine for so many blocks on a device."""
        return processes(self.workers, blocks) if device == "cpu" else 1

    def executor(self, blocks: int, device: str) -> Executor:
        """Return what makes the calls that train so many blocks, to be used in a ``with`` block."""
        return self.backend.executor(self.processes(blocks, device), gpu=device == gpu.CUDA)
