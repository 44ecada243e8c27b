"""``undiffuse doctor``: what this machine has, what is installed, and what will hurt."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from cyclopts import Parameter

from undiffuse.support import machine, results
from undiffuse.support.errors import require
from undiffuse.support.memory import in_bytes
from undiffuse.support.processor import instruction_sets, multiplies_bfloat16
from undiffuse.support.progress import OnProgress, silent
from undiffuse.support.threads import cores

LIBRARIES = ("numpy", "scipy", "numba", "torch", "scikit-learn", "matplotlib", "rich", "cyclopts")
LITTLE_MEMORY = 2_000_000_000  # bytes; a spiral takes 400 MB, digits 1.8 GB with two workers
LITTLE_DISK = 2_000_000_000  # bytes; the weights of a laptop run on digits are 1.4 GB
_DEVELOPERS = {"dev", "docs"}  # extras that users have no need of
# As Linux names them, from narrow to wide.
_INSTRUCTIONS = {
    "asimd": "NEON",
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX512_BF16",
    "amx_bf16": "AMX",
}
_EXTRA = re.compile(r"^([A-Za-z0-9._-]+).*;.*\bextra\s*==\s*['\"](\w+)['\"]")


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Where runs will be kept.

    Attributes
    ----------
    folder : path
        Folder whose disk is looked at.
    """

    folder: Path = Path(".")


@dataclass(frozen=True)
class Extra(results.Result):
    """A library of one of the package's extras.

    Attributes
    ----------
    library, extra : str
    version : str or None
        None where it is not installed.
    install : str
        Command that installs it.
    """

    library: str
    extra: str
    version: str | None
    install: str


@dataclass(frozen=True)
class Blas(results.Result):
    """A library of linear algebra or of threads that is loaded.

    Attributes
    ----------
    name, version : str
    file : str
        Name of its file.
    threads : int
    """

    name: str
    version: str
    file: str
    threads: int


@dataclass(frozen=True)
class Gpu(results.Result):
    """A GPU as torch sees it; ``memory`` is in bytes."""

    name: str
    memory: int
    bfloat16: bool


@dataclass(frozen=True)
class Disk(results.Result):
    """Bytes free where something is written."""

    folder: str
    free: int


@dataclass(frozen=True)
class Result(results.Result):
    """What there is.

    Attributes
    ----------
    python, system, processor : str
    versions : dict of str
        Of the package and of the libraries it stands on.
    extras : tuple of Extra
    cores, cores_of_machine : int
        That this process is granted (affinity, quota of a container), and that there are.
    affinity : int
        Cores that this process may run on.
    load : float or None
        Processes that want a core, over the last minute.
    memory, memory_free : int
        Bytes; of the container where it has a limit of its own.
    blas : tuple of Blas
    instructions : tuple of str or None
        Instruction sets that matter here; None where the system does not say which there are.
    bfloat16 : bool
        Whether the processor multiplies matrices in bfloat16 faster than in float32, which training then does.
    torch_build : str, optional
        "cpu", or the version of CUDA or ROCm that torch was built for; None if torch is not installed.
    gpus : tuple of Gpu
    disks : dict of Disk
        ``runs`` and ``temporary``.
    warnings : tuple of str
        What will hurt, a sentence each.
    """

    python: str
    system: str
    processor: str
    versions: Mapping[str, str]
    extras: tuple[Extra, ...]
    cores: int
    cores_of_machine: int
    affinity: int
    load: float | None
    memory: int
    memory_free: int
    blas: tuple[Blas, ...]
    instructions: tuple[str, ...] | None
    bfloat16: bool
    torch_build: str | None
    gpus: tuple[Gpu, ...]
    disks: Mapping[str, Disk]
    warnings: tuple[str, ...] = ()


def run(settings: Settings = Settings(), on_progress: OnProgress = silent) -> Result:
    """Look at the machine and at what is installed; nothing is written.

    Raises
    ------
    UserError
        If the folder is missing.
    """
    import psutil

    require(settings.folder.is_dir(), f"there is no folder {str(settings.folder)!r}")
    memory = psutil.virtual_memory()
    limit = machine.memory_limit()
    blas, build, gpus = _loaded_libraries()
    found = Result(
        python=platform.python_version(),
        system=platform.platform(),
        processor=_processor(),
        versions={name: found for name in ("undiffuse", *LIBRARIES) if (found := _version(name))},
        extras=tuple(extras(requires("undiffuse") or ())),
        cores=machine.granted_cores(),
        cores_of_machine=os.cpu_count() or 1,
        affinity=cores(),
        load=machine.load(),
        memory=limit or memory.total,
        memory_free=min(memory.available, limit or memory.available),
        blas=blas,
        instructions=_instructions(),
        bfloat16=multiplies_bfloat16(),
        torch_build=build,
        gpus=gpus,
        disks={
            "runs": _disk(settings.folder),
            "temporary": _disk(Path(tempfile.gettempdir())),
        },
    )
    return replace(found, warnings=tuple(troubles(found, os.environ)))


def extras(requirements: Iterable[str]) -> list[Extra]:
    """Libraries of the extras that users may want, from the requirements in a package's metadata."""
    found = []
    for match in filter(None, map(_EXTRA.match, requirements)):
        library, extra = match.groups()
        if extra not in _DEVELOPERS:
            found.append(Extra(library, extra, _version(library), f"pip install 'undiffuse[{extra}]'"))
    return found


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def troubles(found: Result, environment: Mapping[str, str]) -> list[str]:
    """Say of each thing that will hurt what it does and what helps.

    Parameters
    ----------
    found : Result
    environment : mapping
        Variables of the environment.
    """
    said = []
    if environment.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        said.append("NUMBA_DISABLE_JIT is set: every other command refuses to work; unset it")
    if found.cores == 1:
        said.append("one core: training takes twice as long as the times in the README, which are of two")
    if found.cores < found.affinity:
        said.append(
            f"this container may use {found.cores} of the {found.affinity} cores it sees: "
            f"give --workers {found.cores}, or the workers wait for one another"
        )
    if found.load is not None and found.load > found.cores + 0.5:
        said.append(f"other work: {found.load:.1f} processes want {found.cores} cores, so all takes longer")
    if found.memory < LITTLE_MEMORY:
        said.append(f"{in_bytes(found.memory)} of memory: enough for spirals, too little for digits with two workers")
    elif found.memory_free < LITTLE_MEMORY / 2:
        said.append(f"{in_bytes(found.memory_free)} of memory are free: close other programs before training on digits")
    for what, disk in found.disks.items():
        if disk.free < LITTLE_DISK:
            helps = "set TMPDIR to a larger disk" if what == "temporary" else "keep runs on another, with --out"
            said.append(f"{in_bytes(disk.free)} free in {disk.folder}: {helps}")
    if found.instructions is not None and found.processor == "x86_64" and "AVX2" not in found.instructions:
        said.append("no AVX2: kernels fall back to narrower instructions, and spirals take several times as long")
    if found.torch_build not in (None, "cpu") and not found.gpus:
        said.append(f"torch is built for a GPU ({found.torch_build}) and sees none; all work is done by the processor")
    if any(environment.get(name) == "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")) and found.cores > 1:
        said.append("OMP_NUM_THREADS or MKL_NUM_THREADS is 1: classifiers and distances use one core")
    return said


def _loaded_libraries() -> tuple[tuple[Blas, ...], str | None, tuple[Gpu, ...]]:
    """Libraries of linear algebra, with those that scipy and torch bring along, torch's build, and its GPUs."""
    import scipy.linalg  # noqa: F401  loaded for what it brings along
    from threadpoolctl import threadpool_info

    build, gpus = _torch()
    # Which libraries, not where: two of the same name and version are one.
    pools = {
        (pool["internal_api"], pool["version"] or "", Path(pool["filepath"]).name, pool["num_threads"])
        for pool in threadpool_info()
    }
    return tuple(Blas(*each) for each in sorted(pools)), build, gpus


def _torch() -> tuple[str | None, tuple[Gpu, ...]]:
    """What torch was built for, if it is installed, and the GPUs it sees."""
    if find_spec("torch") is None:
        return None, ()
    import torch

    gpus = []
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(i)
            gpus.append(Gpu(properties.name, properties.total_memory, torch.cuda.is_bf16_supported()))
    build = torch.version.cuda or torch.version.hip
    return f"CUDA {build}" if build else "cpu", tuple(gpus)


def _instructions() -> tuple[str, ...] | None:
    there = instruction_sets()
    return tuple(name for flag, name in _INSTRUCTIONS.items() if flag in there) if there else None


def _processor() -> str:
    return platform.machine() or sys.platform


def _disk(folder: Path) -> Disk:
    return Disk(str(folder.absolute()), shutil.disk_usage(folder).free)
