"""Options that several studies share: ordinary values in Python, options on the command line."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from undiffuse.datasets import Missing
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.diffusion.samplers import SAMPLERS, Sampler, Variance
from undiffuse.diffusion.starts import GaussianStart
from undiffuse.runs.config import presets
from undiffuse.support import gpu
from undiffuse.support.backend import LOCAL, Backend, BackendName
from undiffuse.support.errors import UserError, require, shown

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext

N = Annotated[int, Parameter(alias="-n")]
Flag = Annotated[bool, Parameter(negative=())]
Changes = Annotated[tuple[str, ...], Parameter(name="--set", negative=())]
IdxFolder = Annotated[Path | None, Parameter(name="--data")]
Start = Annotated[str, Parameter(completer=lambda _: [PURE_NOISE, "gaussian"])]
Numbers = Annotated[tuple[int, ...], Parameter(negative=())]
SamplerName = Annotated[str, Parameter(help=f"One of {', '.join(SAMPLERS)}.", completer=lambda _: list(SAMPLERS))]


def _presets_and_files(context: CompletionContext) -> list[str]:
    """What may stand in the place of a preset, for the shell's completion: presets, and files that begin so."""
    here = glob.glob(f"{glob.escape(context.incomplete)}*")
    return [*presets(), *(f"{path}/" if os.path.isdir(path) else path for path in here)]


PresetName = Annotated[str, Parameter(completer=_presets_and_files)]


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
PURE_NOISE = "noise"


def number_of(name: str, asked: int | None, usual: int, most: int) -> int:
    """How many there are to be.

    Parameters
    ----------
    name : str
        What is counted.
    asked : int or None
        Number that is wanted, None for the usual one.
    usual, most : int

    Raises
    ------
    UserError
        If that is not in 1..most.
    """
    require(asked is None or 1 <= asked <= most, f"{name} = {asked}: wanted 1..{most:,}")
    return min(usual, most) if asked is None else asked


def started(sampler: Sampler, start: str, law: Callable[[], GaussianDenoiser]) -> Sampler:
    """Give a sampler the start that is named ``noise``, ``gaussian`` (at the speciation time) or ``gaussian:TAU``.

    Parameters
    ----------
    sampler : Sampler
    start : str
    law : callable
        Returns the Gaussian of the data, called only where it is needed.

    Raises
    ------
    UserError
        If it is none of them, or TAU is no OU time of the schedule.
    """
    name, colon, words = start.partition(":")
    if start == PURE_NOISE:
        return sampler
    require(name == "gaussian", f"--start {shown(start)}: wanted noise, gaussian or gaussian:TAU, such as gaussian:1.4")
    tau = None
    if colon:
        try:
            tau = float(words)
        except ValueError:
            raise UserError(f"--start {shown(start)}: wanted a number, the OU time, after the colon") from None
    return replace(sampler, start=GaussianStart.of(law(), tau))


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


SampleDevice = Literal["cpu", "cuda", "auto"]


@dataclass(frozen=True)
class Place:
    """Where samples are made, as :meth:`of` finds out.

    Attributes
    ----------
    backend : Backend
    device : {"cpu", "cuda"}
    """

    backend: Backend = LOCAL
    device: str = "cpu"

    @staticmethod
    def of(backend: Backend, device: SampleDevice) -> Place:
        """Choose the device; ``auto`` takes a GPU of this machine, if there is one and samples are made here.

        Raises
        ------
        UserError
            If there is no GPU where one is asked for, or it is asked for beside another backend.
        """
        if device == "auto":
            return Place(backend, gpu.CUDA if backend == LOCAL and gpu.is_there() else "cpu")
        if device == gpu.CUDA:
            require(backend == LOCAL, "--device cuda is of this machine: leave --backend out")
            gpu.require_it()
        return Place(backend, device)


HERE = Place()


@Parameter(name="*")
@dataclass(frozen=True)
class OwnOptions:
    """Your own data in place of a preset.

    Attributes
    ----------
    labels : str, optional
        Of your own data: a column, an array of an .npz or HDF5 file, or a file of labels.
    classes : tuple of str
        Of your own data: labels whose rows are kept; may be repeated.
    without : tuple of str
        Of your own data: a column to leave out, by name or by number from 1; may be repeated.
    missing : {"refuse", "drop", "mean"}, optional
        Of your own data: leave out rows with missing values, or fill in the column's mean; refused by default.
    minutes : float, optional
        Of your own data: minutes that training may take, 1 by default.
    save_preset : path, optional
        Of your own data: TOML file to write the settings chosen into, with their reasons.
    """

    _: KW_ONLY
    labels: str | None = None
    classes: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    without: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    missing: Missing | None = None
    minutes: float | None = None
    save_preset: Path | None = None

    def given(self) -> list[str]:
        """Names of those that were given."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "_"}
        return [f"--{name.replace('_', '-')}" for name, value in values.items() if value not in (None, ())]


NO_OWN_OPTIONS = OwnOptions()
