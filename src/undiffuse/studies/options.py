"""Options that several studies share: ordinary values in Python, options on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from undiffuse.diffusion.samplers import SAMPLERS, Sampler, Variance
from undiffuse.support.backend import Backend, BackendName

N = Annotated[int, Parameter(alias="-n")]
Flag = Annotated[bool, Parameter(negative=())]
Changes = Annotated[tuple[str, ...], Parameter(name="--set", negative=())]
IdxFolder = Annotated[Path | None, Parameter(name="--data")]
Numbers = Annotated[tuple[int, ...], Parameter(negative=())]
SamplerName = Annotated[str, Parameter(help=f"One of {', '.join(SAMPLERS)}.")]


def all_changes(changes: Sequence[str], data: Path | None) -> list[str]:
    """List the changes of a preset's settings: those of ``--set``, and the folder of ``--data``."""
    return [*changes, *([] if data is None else [f"data.folder={json.dumps(str(data.absolute()))}"])]


@Parameter(name="*")
@dataclass(frozen=True)
class SamplerOptions:
    """The sampler of the reverse process.

    Attributes
    ----------
    sampler : str
        Name of a sampler; ``ancestral`` is DDPM.
    steps : int, optional
        Reverse steps, spread over the times; all by default.
    variance : {"beta", "posterior"}, optional
        Variance of the noise of an ancestral (DDPM) step: beta (thesis) or the posterior's.
    eta : float, optional
        Noise of DDIM, 0 to 1; 0 by default.
    """

    _: KW_ONLY
    sampler: SamplerName = "ancestral"
    steps: int | None = None
    variance: Variance | None = None
    eta: float | None = None

    def build(self) -> Sampler:
        """Return the sampler they describe."""
        return Sampler.named(self.sampler, steps=self.steps, variance=self.variance, eta=self.eta)


DEFAULT_SAMPLER = SamplerOptions()


@Parameter(name="*")
@dataclass(frozen=True)
class BackendOptions:
    """Where independent pieces of work run.

    Attributes
    ----------
    backend : {"local", "dask"}
        Processes of this machine, or Dask workers: without a scheduler, a cluster is started on this machine.
    scheduler : str, optional
        Address of a running Dask scheduler, such as tcp://node1:8786.
    scheduler_file : path, optional
        File in which a running Dask scheduler left its address.
    """

    _: KW_ONLY
    backend: BackendName = "local"
    scheduler: str | None = None
    scheduler_file: Path | None = None

    def build(self) -> Backend:
        """Return the backend they describe."""
        return Backend(self.backend, self.scheduler, self.scheduler_file)


DEFAULT_BACKEND = BackendOptions()
