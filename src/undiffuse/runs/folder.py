"""The run folder: everything a run is, on disk, written so that a kill at any moment loses at most seconds."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.bank import Bank
from undiffuse.networks.network import Architecture, Weights
from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config
from undiffuse.runs.guard import (
    SCRATCH,
    held,
    holder,
    inside,
    new_run,
    replace_run,
    require_free,
    siblings,
)
from undiffuse.runs.manifest import BlockEntry, Manifest, read_manifest
from undiffuse.support.arrays import Arrays
from undiffuse.support.errors import FailedJobError, UserError
from undiffuse.support.files import (
    LARGEST_TEXT,
    Sha256,
    read_arrays,
    read_limited,
    read_sealed,
    sha256,
    sha256_of,
    to_bytes,
    trouble,
    write_file,
    write_sealed,
)


class LostRunError(FailedJobError):
    """A run is held by another process than the one that a block of it is trained for."""


class RunFolder:
    """A run on disk.

    ``config.toml`` (every setting), ``manifest.json`` (version, data fingerprint, device, and the range, sha256 and
    state of every block), ``reference.safetensors`` (mean, variances and principal axes of the training data),
    ``weights/block-*.safetensors``, ``metrics.jsonl`` (one line per time and pass), and what evaluation adds:
    ``metrics.json``, ``samples.npy``, ``figures/``, ``report.html``. Every file that is read again has its sha256 in
    the manifest or, while it is not finished, in itself.

    Every file is written under another name, synced and renamed; the manifest last. A block the manifest does not
    call done does not count, whatever lies in ``weights/``. Nothing outside the folder is read, written or deleted:
    names follow from the ranges of the blocks, and links inside it are refused.

    Examples
    --------
    >>> import undiffuse as ud
    >>> ud.RunFolder.open("no/such/run")
    Traceback (most recent call last):
    undiffuse.support.errors.UserError: there is no run folder 'no/such/run'

    See Also
    --------
    undiffuse.Diffusion.load : the model that a run holds.
    undiffuse.studies.open_run.OpenRun : a run with its model, data and denoisers.
    """

    def __init__(self, path: Path, config: Config, manifest: Manifest) -> None:
        self.path = path
        self.config = config
        self.manifest = manifest

    # -- making and opening -----------------------------------------------------------------------------------

    @classmethod
    def create(
        cls, path: str | Path, config: Config, identity: dict[str, Any], reference: GaussianDenoiser, overwrite: bool
    ) -> RunFolder:
        """Start a new run.

        Parameters
        ----------
        path : path
        config : Config
        identity : dict
            What else the manifest says: ``package_version``, ``data_sha256``, ``seed``, ``device``, ``engine``.
        reference : GaussianDenoiser
            Of the training data.
        overwrite : bool
            Replace a run that is there; never anything else.

        Raises
        ------
        UserError
            If something is there already and ``overwrite`` is false, or what is there is not a run alone.
        """
        path = Path(path)
        taken = require_free(path, overwrite)
        text, linear = config.to_toml().encode(), to_bytes(reference.to_arrays())
        blocks = [BlockEntry(first=first, last=last) for first, last in config.blocks()]
        manifest = Manifest(**identity, config_sha256=sha256(text), reference_sha256=sha256(linear), blocks=blocks)
        path = path.absolute()
        try:
            # Complete under another name first, so that the name asked for is never half a run.
            with new_run(path) as folder:
                new = cls(folder, config, manifest)
                (folder / "weights").mkdir()
                write_file(folder / "config.toml", text)
                write_file(folder / "reference.safetensors", linear)
                new.write_manifest()
                if taken:
                    replace_run(path, folder)
                else:
                    folder.rename(path)
        except OSError as error:
            raise trouble(f"cannot make the run folder {path}", error) from None
        return cls(path, config, manifest)

    @classmethod
    def open(cls, path: str | Path, config: Config | None = None) -> RunFolder:
        """Open a run.

        ``config`` is the configuration that it should have: if the manifest says so, the folder's is not read.

        Raises
        ------
        UserError
            If the folder is missing, is not a run, or its configuration or manifest was altered.
        """
        path = Path(path)
        if not path.is_dir():
            aside = siblings(path, "old")
            where = f"; one that was being replaced is left whole as {aside[0]}" if aside else ""
            raise UserError(f"there is no run folder {str(path)!r}{where}")
        manifest = read_manifest(inside(path / "manifest.json"))
        inside(path / "weights")
        if config is None or sha256(config.to_toml().encode()) != manifest.config_sha256:
            config = _read_config(path, manifest)
        if [(entry.first, entry.last) for entry in manifest.blocks] != config.blocks():
            raise UserError(f"{path}/manifest.json lists other blocks than its configuration makes")
        return cls(path, config, manifest)

    # -- the manifest -----------------------------------------------------------------------------------------

    @property
    def blocks(self) -> list[BlockEntry]:
        """The manifest's entries: first, last, state, and the sha256 of done blocks."""
        return self.manifest.blocks

    @property
    def unfinished(self) -> list[BlockEntry]:
        """Entries of the blocks still to be trained."""
        return [entry for entry in self.blocks if entry.state != "done"]

    def write_manifest(self) -> None:
        """Write the manifest, atomically."""
        write_file(self.path / "manifest.json", self.manifest.to_json())

    def lock(self) -> AbstractContextManager[str]:
        """Hold the run against a second training; raises UserError if another process has it.

        Gives a token, by which workers that write into the run know whether it is held for them.
        """
        return held(self.path)

    def require_holder(self, token: str) -> None:
        """Raise a :class:`LostRunError` unless the run is held under this token of :meth:`lock`."""
        if holder(self.path) != token:
            raise LostRunError(f"{self.path} is no longer held by the process that this block is trained for")

    def scratch_path(self, elsewhere: Path | None = None) -> Path:
        """Where a training keeps a copy of the data for its workers; in another folder, a name of this run's own."""
        whole = self.path.absolute()
        return whole / SCRATCH if elsewhere is None else elsewhere.absolute() / f"undiffuse-{sha256(bytes(whole))[:12]}"

    # -- weights ----------------------------------------------------------------------------------------------

    def weights_path(self, entry: BlockEntry) -> Path:
        """Where a block's weights are."""
        return inside(self.path / "weights" / f"{entry.stem}.safetensors")

    def partial_path(self, entry: BlockEntry) -> Path:
        """Where an unfinished block's weights and optimiser state are."""
        return inside(self.path / "weights" / f"{entry.stem}.partial")

    def state_path(self, entry: BlockEntry) -> Path:
        """Where a block of a sweep leaves its training state, from which the next one continues."""
        return inside(self.path / "weights" / f"{entry.stem}.state")

    def write_block(self, entry: BlockEntry, arrays: Arrays) -> Sha256:
        """Write a trained block, which counts once :meth:`enter_block` has put it in the manifest; its sha256."""
        content = to_bytes(arrays)
        write_file(self.weights_path(entry), content)
        return sha256(content)

    def enter_block(self, entry: BlockEntry) -> None:
        """Enter a written block in the manifest as done."""
        entry.sha256 = sha256_of(self.weights_path(entry))
        entry.state = "done"
        self.write_manifest()
        self.partial_path(entry).unlink(missing_ok=True)

    def write_partial(self, entry: BlockEntry, arrays: Arrays) -> None:
        """Write the state of an unfinished block."""
        write_sealed(self.partial_path(entry), arrays, self.manifest.identity)

    def read_partial(self, entry: BlockEntry) -> Arrays | None:
        """State of an unfinished block, or None if there is none; UserError if it is damaged or another run's."""
        path = self.partial_path(entry)
        return read_sealed(path, self.manifest.identity) if path.exists() else None

    def read_state(self, entry: BlockEntry) -> Arrays:
        """Training state that a block of a sweep left; UserError if it is missing, damaged or another run's."""
        return read_sealed(self.state_path(entry), self.manifest.identity)

    def is_whole(self, entry: BlockEntry) -> bool:
        """Whether the weights of a done block are those that were written."""
        path = self.weights_path(entry)
        return path.is_file() and sha256_of(path) == entry.sha256

    def read_record(self, entry: BlockEntry) -> Arrays:
        """Read what a done block's training recorded, without its weights: times, passes and errors."""
        names = ("times", "passes", "train_error", "held_out_error")
        with _open_arrays(self.weights_path(entry)) as file:
            return {name: file.get_tensor(name) for name in names}

    def reference(self) -> GaussianDenoiser:
        """Return the linear theory of the training data.

        Raises
        ------
        UserError
            If its file is missing or damaged.
        """
        path = inside(self.path / "reference.safetensors")
        check_sha256(path, self.manifest.reference_sha256)
        return GaussianDenoiser.from_arrays(self.config.forward(), read_arrays(path))

    def bank(self) -> Bank:
        """Return the trained bank, its weights read from disk one time at a time as they are used.

        Raises
        ------
        UserError
            If training is not finished, or a block is missing or damaged.
        """
        if self.unfinished:
            done = len(self.blocks) - len(self.unfinished)
            raise UserError(f"{self.path} has {done} of {len(self.blocks)} blocks trained: finish it with --resume")
        reference = self.reference()
        for entry in self.blocks:
            if not self.weights_path(entry).is_file():
                raise UserError(f"{self.weights_path(entry)} is missing")
        blocks = [StoredBlock(self, entry, reference.dim) for entry in self.blocks]
        return Bank(reference.forward, blocks, reference)

    # -- everything else --------------------------------------------------------------------------------------

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file of the run, atomically."""
        return write_file(inside(self.path / name), text.encode())

    def keep(self, results: Mapping[str, bytes]) -> None:
        """Write results that later commands read, all of them or none, and enter their checksums in the manifest.

        A folder that cannot be written to stays as it is, with a warning.
        """
        if not os.access(self.path, os.W_OK):
            warnings.warn(f"{self.path} cannot be written to: {', '.join(results)} not kept", stacklevel=2)
            return
        with held(self.path, wait=True):
            # Out of the manifest, written, and in again: after a kill in between, what is there does not count.
            self._enter_results(dict.fromkeys(results))
            for name, content in results.items():
                write_file(inside(self.path / name), content)
            self._enter_results({name: sha256(content) for name, content in results.items()})

    def _enter_results(self, sums: Mapping[str, str | None]) -> None:
        current = read_manifest(inside(self.path / "manifest.json"))
        both = {**current.results, **sums}
        current.results = {name: found for name, found in both.items() if found is not None}
        write_file(self.path / "manifest.json", current.to_json())
        self.manifest.results = current.results

    def kept(self, name: str) -> bytes | None:
        """Return the content of a result, or None if the run has none of that name.

        Raises
        ------
        UserError
            If it is missing or is not what was written.
        """
        expected = self.manifest.results.get(name)
        if expected is None:
            return None
        path = inside(self.path / name)
        check_sha256(path, expected)
        return path.read_bytes()

    def kept_json(self, name: str) -> Any:
        """Return the content of a result in JSON, or None if the run has none of that name; see :meth:`kept`."""
        content = self.kept(name)
        return None if content is None else json.loads(content)


class StoredBlock:
    """A trained block on disk. Its sha256 is checked when it is first read; times are then read one by one."""

    def __init__(self, run: RunFolder, entry: BlockEntry, dim: int) -> None:
        self.first, self.last = entry.first, entry.last
        self.architecture: Architecture = run.config.architecture_at(self.last, dim)
        self._path, self._sha256 = run.weights_path(entry), entry.sha256
        self._arrays: Arrays | None = None

    def at(self, t: int) -> Weights:
        """Weights of one time."""
        if self._arrays is None:
            check_sha256(self._path, self._sha256)
            self._arrays = _mapped_weights(self._path)
        return Weights(**{name: self._arrays[name][t - self.first] for name in Weights.NAMES})


def _mapped_weights(path: Path) -> Arrays:
    """Weights of a block that stay in its file until they are used, and cannot be written to.

    A safetensors file is eight bytes with the length of a header in JSON, the header, and the arrays.
    """
    with _open_arrays(path):  # checks the header
        content = np.asarray(np.memmap(path, np.uint8, "r"))
    size = int(content[:8].view("<u8")[0])
    header, arrays = json.loads(content[8 : 8 + size].tobytes()), content[8 + size :]
    return {
        name: arrays[slice(*header[name]["data_offsets"])].view("<f4").reshape(header[name]["shape"])
        for name in Weights.NAMES
    }


def _open_arrays(path: Path) -> Any:
    """Open a safetensors file to read parts of it."""
    import safetensors

    try:
        return safetensors.safe_open(path, framework="numpy")
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is damaged: {error}") from None


def check_sha256(path: Path, expected: str | None) -> None:
    """Raise a :class:`UserError` unless a file is there and has the sha256 that the manifest says."""
    if not path.is_file():
        raise UserError(f"{path} is missing")
    if sha256_of(path) != expected:
        raise UserError(f"{path} is damaged: its sha256 is not the one in the manifest")


def _read_config(path: Path, manifest: Manifest) -> Config:
    try:
        content = read_limited(inside(path / "config.toml"), LARGEST_TEXT)
    except FileNotFoundError:
        raise UserError(f"{path} is not a run folder: it has no config.toml") from None
    if manifest.config_sha256 != sha256(content):
        raise UserError(f"{path}/config.toml is not the file this run was made with")
    return configuration.loads(content, f"{path}/config.toml")
