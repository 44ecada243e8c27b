"""The manifest of a run folder: what the run is and which of its blocks are done, checked when it is read.

File names follow from the range of a block and are never read from the manifest, so an altered manifest cannot point to
other files.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from undiffuse.runs.config import Block
from undiffuse.support.errors import UserError
from undiffuse.support.files import Sha256, json_bytes, read_limited

FORMAT = 2  # 2: random streams keyed by length, axes largest first, file names derived from ranges
_LARGEST = 64 << 20  # bytes; a manifest of 10,000 blocks has 2 MB

Digest = Annotated[Sha256, Field(pattern="^[0-9a-f]{64}$")]
Time = Annotated[int, Field(ge=1, le=10_000_000)]
# Files that evaluation adds to a run and later commands read.
RESULTS = (
    "metrics.json",
    "bound.json",
    "uturn.json",
    "samples.npy",
    "classifier-plain.safetensors",
    "classifier-strict.safetensors",
)
ResultName = Annotated[str, Field(pattern=f"^({'|'.join(map(re.escape, RESULTS))})$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, validate_assignment=True)


class BlockEntry(_Strict):
    """One block of consecutive times.

    Attributes
    ----------
    first, last : int
        Range of times.
    state : {"to do", "done"}
    sha256 : str, optional
        Of the file of a block that is done, in hexadecimal.
    """

    first: Time
    last: Time
    state: Literal["to do", "done"] = "to do"
    sha256: Digest | None = None

    @property
    def block(self) -> Block:
        """Its range of times."""
        return Block(self.first, self.last)

    @property
    def stem(self) -> str:
        """Name of its files, without what follows the dot."""
        return f"block-{self.first:04d}-{self.last:04d}"


class Manifest(_Strict):
    """What a run is: the program and version that made it, its data and configuration, and every block.

    Only ``training_seconds`` and the entries of ``blocks`` change while it is trained, and ``results`` afterwards.

    Attributes
    ----------
    program, format, package_version
        What wrote the run.
    data_sha256, config_sha256, reference_sha256 : str
        Of the samples, of ``config.toml`` and of ``reference.safetensors``, in hexadecimal.
    seed : int
    device : {"cpu", "cuda"}
    engine : {"kernel", "kernel-avx512", "torch", "torch-bfloat16", ...} or two of them joined by a plus
    training_seconds : float
    blocks : list of BlockEntry
    results : dict of str
        sha256 of the files that evaluation has added and later commands read, by name.
    """

    program: Literal["undiffuse"] = "undiffuse"
    format: Literal[2] = 2
    package_version: Annotated[str, Field(max_length=100)]
    data_sha256: Digest
    config_sha256: Digest
    reference_sha256: Digest
    seed: Annotated[int, Field(ge=0)]
    device: Literal["cpu", "cuda"]
    engine: Annotated[str, Field(pattern="^(kernel(-avx512)?|(kernel(-avx512)?\\+)?(torch|triton)(-bfloat16|-tf32)?)$")]
    training_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    blocks: list[BlockEntry]
    results: dict[ResultName, Digest] = {}

    @property
    def identity(self) -> str:
        """What makes the weights of two runs different: the key of their unfinished files."""
        return " ".join((self.config_sha256, self.data_sha256, self.reference_sha256, self.device, self.engine))

    def to_json(self) -> bytes:
        """Content of ``manifest.json``."""
        return json_bytes(self.model_dump(exclude_none=True))


def read_manifest(path: Path) -> Manifest:
    """Read and check a ``manifest.json``.

    Raises
    ------
    UserError
        If it is missing, damaged, another program's, or of another format.
    """
    try:
        content = json.loads(read_limited(path, _LARGEST).decode("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path.parent} is not a run folder: it has no {path.name}") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged: it is not JSON") from None
    if not isinstance(content, dict) or "format" not in content or "blocks" not in content:
        raise UserError(f"{path} is not the manifest of a run")
    if content["format"] != FORMAT:
        raise UserError(_other_format(path, content))
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} is damaged: {place}: {first['msg']}") from None


def _other_format(path: Path, content: dict[str, Any]) -> str:
    version, given = content.get("package_version"), content["format"]
    by = f" by undiffuse {version}" if isinstance(version, str) and len(version) < 30 else ""
    if isinstance(given, int) and not isinstance(given, bool) and given < FORMAT:
        return (
            f"{path} is of run format {given}, made{by}; this version reads format {FORMAT}, "
            "whose random streams are others: train it again"
        )
    return (
        f"{path} is of run format {given!r:.30}{', made' + by if by else ''}; this version reads format {FORMAT} only"
    )
