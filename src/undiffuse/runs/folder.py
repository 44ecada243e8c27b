"""The run folder: everything a run is, on disk, written so that a kill at any moment loses at most seconds."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.bank import Bank
from undiffuse.networks.network import Architecture, Weights
from undiffuse.runs import config as configuration
from undiffuse.runs.config import Config
from undiffuse.runs.manifest import BlockEntry, Manifest, read_manifest
from undiffuse.support.arrays import Arrays
from undiffuse.support.errors import FailedJobError, UserError
from undiffuse.support.files import (
    read_arrays,
    read_limited,
    sha256,
    sha256_of,
    to_bytes,
    write_arrays,
    write_file,
)

_LARGEST_TEXT = 16 << 20  # bytes of a configuration or a JSON file of results
# What commands put into a run folder. Deleting a run deletes these and refuses where there is anything else.
_FILES = (
    r"config\.toml|manifest\.json|reference\.safetensors|metrics\.jsonl?|bound\.json|uturn\.json|samples\.npy|"
    r"report\.html|classifier-(?:plain|strict)\.safetensors"
)
_BLOCKS = r"block-\d+-\d+\.(?:safetensors|partial|state)"
# With what a kill left half written.
_OWN = re.compile(rf"{_FILES}|\.(?:{_FILES})\.\w+|weights|figures|analysis|lock|\.scratch")
_OWN_WEIGHTS = re.compile(rf"{_BLOCKS}|\.{_BLOCKS}\.\w+")


class LostRunError(FailedJobError):
    """A run is held by another process than the one that a block of it is trained for."""


class RunFolder:
    """A run on disk.

    ``config.toml`` (every setting), ``manifest.json`` (version, data fingerprint, device, and the range, sha256 and
    state of every block), ``reference.safetensors`` (mean, variances and principal axes of the training data),
    ``weights/block-*.safetensors``, ``metrics.jsonl`` (one line per time and pass), and what evaluation adds:
    ``metrics.json``, ``samples.npy``, ``figures/``, ``report.html``.

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
        taken = path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir())))
        if taken and not overwrite:
            raise UserError(f"{path} exists already: continue it with --resume or replace it with --overwrite")
        if taken:
            _require_only_a_run(path)
        text, linear = config.to_toml().encode(), to_bytes(reference.to_arrays())
        blocks = [BlockEntry(first=first, last=last) for first, last in config.blocks()]
        manifest = Manifest(**identity, config_sha256=sha256(text), reference_sha256=sha256(linear), blocks=blocks)
        # Complete under another name first, so that the name asked for is never half a run.
        path = path.absolute()
        new = cls(path.with_name(f".{path.name}.{os.getpid()}.new"), config, manifest)
        try:
            (new.path / "weights").mkdir(parents=True)
            write_file(new.path / "config.toml", text)
            write_file(new.path / "reference.safetensors", linear)
            new.write_manifest()
            if taken:
                _replace(path, new.path)
            else:
                new.path.rename(path)
        except OSError as error:
            raise UserError(f"cannot make the run folder {path}: {error.strerror}") from None
        finally:
            shutil.rmtree(new.path, ignore_errors=True)
        return cls(path, config, manifest)

    @classmethod
    def open(cls, path: str | Path, config: Config | None = None) -> RunFolder:
        """Open a run.

        ``config`` is its configuration, where that is known already: what the folder says is then not read.

        Raises
        ------
        UserError
            If the folder is missing, is not a run, or its configuration or manifest was altered.
        """
        path = Path(path)
        if not path.is_dir():
            aside = next(path.absolute().parent.glob(f".{path.name}.*.old"), None)
            where = f"; one that was being replaced is left whole as {aside}" if aside else ""
            raise UserError(f"there is no run folder {str(path)!r}{where}")
        manifest = read_manifest(_inside(path / "manifest.json"))
        _inside(path / "weights")
        if config is None:
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

    @contextlib.contextmanager
    def lock(self) -> Iterator[str]:
        """Hold the run against a second training; raises UserError if another process has it.

        Gives a token, by which workers that write into the run know whether it is held for them.
        """
        with _locked(self.path) as token:
            # With the lock no other process trains in this folder, so half-written weights are a killed one's.
            for left in (self.path / "weights").glob(".block-*"):
                left.unlink(missing_ok=True)
            yield token

    def require_holder(self, token: str) -> None:
        """Raise a :class:`LostRunError` unless the run is held under this token of :meth:`lock`."""
        try:
            held = read_limited(_inside(self.path / "lock"), len(token))
        except (OSError, UserError):
            held = b""
        if held != token.encode():
            raise LostRunError(f"{self.path} is no longer held by the process that this block is trained for")

    def scratch_path(self, elsewhere: Path | None = None) -> Path:
        """Where a training keeps a copy of the data for its workers; in another folder, a name of this run's own."""
        whole = self.path.absolute()
        if elsewhere is None:
            return whole / ".scratch"
        return elsewhere.absolute() / f"undiffuse-{sha256(bytes(whole))[:12]}"

    # -- weights ----------------------------------------------------------------------------------------------

    def weights_path(self, entry: BlockEntry) -> Path:
        """Where a block's weights are."""
        return _inside(self.path / "weights" / f"{entry.stem}.safetensors")

    def partial_path(self, entry: BlockEntry) -> Path:
        """Where an unfinished block's weights and optimiser state are."""
        return _inside(self.path / "weights" / f"{entry.stem}.partial")

    def state_path(self, entry: BlockEntry) -> Path:
        """Where a block of a sweep leaves its training state, from which the next one continues."""
        return _inside(self.path / "weights" / f"{entry.stem}.state")

    def write_block(self, entry: BlockEntry, arrays: Arrays) -> None:
        """Write a trained block; it counts once :meth:`enter_block` has put it in the manifest."""
        write_arrays(self.weights_path(entry), arrays)

    def enter_block(self, entry: BlockEntry) -> None:
        """Enter a written block in the manifest as done."""
        entry.sha256 = sha256_of(self.weights_path(entry))
        entry.state = "done"
        self.write_manifest()
        self.partial_path(entry).unlink(missing_ok=True)

    def write_partial(self, entry: BlockEntry, arrays: Arrays) -> None:
        """Write the state of an unfinished block."""
        write_arrays(self.partial_path(entry), arrays)

    def read_partial(self, entry: BlockEntry) -> Arrays | None:
        """State of an unfinished block, or None if there is none."""
        path = self.partial_path(entry)
        return read_arrays(path) if path.exists() else None

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
        path = _inside(self.path / "reference.safetensors")
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
        return write_file(_inside(self.path / name), text.encode())

    def write_json(self, name: str, content: Any) -> Path:
        """Write a JSON file of the run, atomically."""
        return self.write_text(name, json.dumps(content, indent=1) + "\n")

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run, or return None if it is not there.

        Raises
        ------
        UserError
            If it is damaged.
        """
        path = _inside(self.path / name)
        if not path.exists():
            return None
        try:
            return json.loads(read_limited(path, _LARGEST_TEXT).decode("utf-8"))
        except (ValueError, RecursionError):
            raise UserError(f"{path} is damaged: it is not JSON") from None


class StoredBlock:
    """A trained block on disk. Its sha256 is checked when it is first read; times are then read one by one."""

    def __init__(self, run: RunFolder, entry: BlockEntry, dim: int) -> None:
        self.first, self.last = entry.first, entry.last
        self.architecture: Architecture = run.config.architecture_at(self.last, dim)
        self._path, self._sha256 = run.weights_path(entry), entry.sha256
        self._file: Any = None

    def at(self, t: int) -> Weights:
        """Weights of one time."""
        if self._file is None:
            check_sha256(self._path, self._sha256)
            self._file = _open_arrays(self._path)
        i = t - self.first
        return Weights(**{name: self._file.get_slice(name)[i] for name in Weights.NAMES})


def check_sha256(path: Path, expected: str | None) -> None:
    """Raise a :class:`UserError` unless a file is there and has the sha256 that the manifest says."""
    if not path.is_file():
        raise UserError(f"{path} is missing")
    if sha256_of(path) != expected:
        raise UserError(f"{path} is damaged: its sha256 is not the one in the manifest")


def _read_config(path: Path, manifest: Manifest) -> Config:
    try:
        content = read_limited(_inside(path / "config.toml"), _LARGEST_TEXT)
    except FileNotFoundError:
        raise UserError(f"{path} is not a run folder: it has no config.toml") from None
    if manifest.config_sha256 != sha256(content):
        raise UserError(f"{path}/config.toml is not the file this run was made with")
    return configuration.loads(content.decode("utf-8"), f"{path}/config.toml")


# -- files --------------------------------------------------------------------------------------------------------


def _inside(path: Path) -> Path:
    """Return the path of something in a run folder, unless it is a link, which may lead anywhere."""
    if path.is_symlink():
        raise UserError(f"{path} is a link: a run folder holds its files themselves")
    return path


def _require_only_a_run(path: Path) -> None:
    """Raise a :class:`UserError` unless a folder is a run, of any format, and holds nothing that is not a run's."""
    leaves_alone = "so --overwrite leaves it alone; choose another --out"
    if path.is_symlink() or not path.is_dir():
        raise UserError(f"{path} is not a run folder, {leaves_alone}")
    try:
        manifest = json.loads(read_limited(path / "manifest.json", _LARGEST_TEXT).decode("utf-8"))
        text = read_limited(path / "config.toml", _LARGEST_TEXT)
    except (OSError, ValueError, RecursionError):
        raise UserError(f"{path} is not a run folder, {leaves_alone}") from None
    # Manifests of both formats hold the checksum of the configuration beside them; other programs' do not.
    if not isinstance(manifest, dict) or manifest.get("config_sha256") != sha256(text):
        raise UserError(f"{path} is not a run folder, {leaves_alone}")
    foreign = [entry.name for entry in path.iterdir() if not _OWN.fullmatch(entry.name) or entry.is_symlink()]
    if (path / "weights").is_dir():
        inside = (path / "weights").iterdir()
        foreign += [f"weights/{e.name}" for e in inside if not _OWN_WEIGHTS.fullmatch(e.name) or e.is_symlink()]
    if foreign:
        named = ", ".join(sorted(foreign)[:3])
        raise UserError(f"{path} holds {named}, which no command put there: move it away, or choose another --out")


def _replace(path: Path, new: Path) -> None:
    """Put a new run in the place of an old one: the old one steps aside whole and is deleted last."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.old")
    with _locked(path):
        path.rename(aside)
        try:
            new.rename(path)
        except OSError:
            aside.rename(path)
            raise
        shutil.rmtree(aside)


def _open_arrays(path: Path) -> Any:
    """Open a safetensors file to read parts of it."""
    import safetensors

    try:
        return safetensors.safe_open(path, framework="numpy")
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is damaged: {error}") from None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[str]:
    """Hold an advisory lock on a folder; released by the system when the process ends, however it ends.

    A file of the folder is locked, since network file systems cannot lock folders. While the lock is held, the file
    says a token that nobody else knows.
    """
    token = secrets.token_hex(16)
    try:
        descriptor = os.open(_inside(path / "lock"), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"cannot lock {path}: {error.strerror}") from None
    try:
        _lock(descriptor, path)
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, token.encode())
            os.fsync(descriptor)
            yield token
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no such lock: a second training in the folder is not noticed there
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"another process is training in {path}") from None
    except OSError as error:
        raise UserError(f"cannot lock {path}: {error.strerror}") from None
