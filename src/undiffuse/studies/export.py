"""``undiffuse export``: a run's bank in a file that other programs read."""

from __future__ import annotations

import io
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from undiffuse.diffusion.samplers import Ancestral
from undiffuse.formats.arrays import BankArrays
from undiffuse.formats.readme import readme
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import Flag
from undiffuse.studies.sample import cost, draw
from undiffuse.support import results
from undiffuse.support.costs import OnCost
from undiffuse.support.errors import one_of, require
from undiffuse.support.files import check_folder, check_output, make_folder, write_file
from undiffuse.support.memory import check_memory
from undiffuse.support.progress import OnProgress, silent

Format = Literal["onnx", "hdf5", "npz", "torch-state"]
FORMATS: tuple[str, ...] = get_args(Format)
_NAMES = {"onnx": "bank.onnx", "hdf5": "bank.h5", "npz": "bank.npz", "torch-state": "bank.pt"}
_README = "README.md"


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What to export, and how.

    Attributes
    ----------
    run : path
        Run folder.
    to : {"onnx", "hdf5", "npz", "torch-state"}
        Format of the file.
    out : path
        Folder for the file and a README of its shapes.
    first : int
        First diffusion time.
    last : int, optional
        Last diffusion time; T by default.
    samples : int
        Samples of the bank in the data set ``samples`` of an HDF5 file, as rbms reads it; none by default.
    binary : bool
        Put each value of these samples to the nearer end of the data's range: 0 and 1, or -1 and 1 for spins.
    seed : int
        Seed of the samples' random streams.
    overwrite : bool
        Replace files that are there.
    """

    run: RunLike
    _: KW_ONLY
    to: Format
    out: Path
    first: int = 1
    last: int | None = None
    samples: int = 0
    binary: Flag = False
    seed: int = 0
    overwrite: Flag = False


@dataclass(frozen=True)
class Result(results.Result):
    """What was written.

    Attributes
    ----------
    files : tuple of str
        The bank and its README.
    to : str
    first, last : int
        Diffusion times exported.
    dim, hidden, width, samples : int
        Variables; hidden units and inputs of the largest network; samples.
    bytes : int
        Size of the bank's file.
    """

    files: tuple[str, ...]
    to: str
    first: int
    last: int
    dim: int
    hidden: int
    width: int
    samples: int
    bytes: int


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Export a bank; progress is counted in samples, and ``on_cost`` is told before what these will take.

    Raises
    ------
    UserError
        If the run is unfinished, a library is not installed, a number is out of range, or the files cannot be written.
    """
    name = _NAMES[one_of("format", settings.to, FORMATS)]
    require(settings.samples >= 0, f"samples = {settings.samples}: wanted 0 or more")
    require(
        settings.to == "hdf5" or not settings.samples,
        f"samples = {settings.samples} go into an HDF5 file: use --to hdf5, or `undiffuse sample`",
    )
    require(settings.samples or not settings.binary, "binary is about samples: give --samples as well")
    folder = check_folder(settings.out)
    require(
        not (folder / "manifest.json").exists(),
        f"{folder} is a run folder, which holds what commands put there: choose another",
    )
    paths = [folder / name, folder / _README]
    if folder.is_dir():
        for path in paths:
            check_output(path, settings.overwrite)
    opened = OpenRun.of(settings.run)
    bank = BankArrays.of(opened.model.bank, settings.first, settings.last)
    if settings.samples and on_cost is not None:
        on_cost(cost(opened, settings.samples, Ancestral()))
    content = _content(opened, bank, settings, on_progress)
    make_folder(folder)
    write_file(paths[0], content)
    write_file(paths[1], readme(bank, opened.config.name, settings.to).encode())
    _, hidden, width = bank.weights.W.shape
    return Result(
        files=tuple(map(str, paths)),
        to=settings.to,
        first=bank.times[0],
        last=bank.times[-1],
        dim=bank.dim,
        hidden=hidden,
        width=width,
        samples=settings.samples,
        bytes=len(content),
    )


def _content(opened: OpenRun, bank: BankArrays, settings: Settings, on_progress: OnProgress) -> bytes:
    """Content of the bank's file; each format's library is loaded only here."""
    if settings.to == "onnx":
        from undiffuse.formats import onnx

        return onnx.to_bytes(bank)
    if settings.to == "torch-state":
        from undiffuse.formats import torch_state

        return torch_state.to_bytes(opened.model.bank, bank)
    if settings.to == "hdf5":
        from undiffuse.formats import hdf5

        hdf5.h5py()  # its absence is said before samples are drawn
        return hdf5.to_bytes(_samples(opened, settings, on_progress), groups={"bank": bank.arrays()})
    buffer = io.BytesIO()
    np.savez(buffer, **bank.arrays())  # type: ignore[arg-type]
    return buffer.getvalue()


def _samples(opened: OpenRun, settings: Settings, on_progress: OnProgress) -> NDArray[Any] | None:
    """Samples for an HDF5 file: float32, or integers where they are binary."""
    if not settings.samples:
        return None
    check_memory(3 * 8 * settings.samples * opened.reference.dim, f"{settings.samples} samples")
    x = opened.to_user(draw(opened, settings.samples, Ancestral(), settings.seed, on_progress))
    if not settings.binary:
        return x.astype(np.float32)
    data = opened.to_user(opened.data.train)
    low, high = data.min(), data.max()
    above = (x > (low + high) / 2).astype(np.int8)
    return 2 * above - 1 if (low, high) == (-1, 1) else above
