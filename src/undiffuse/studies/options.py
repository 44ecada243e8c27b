"""Options that several studies share: ordinary values in Python, options on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from undiffuse.diffusion.samplers import SAMPLERS, Sampler, Variance

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
