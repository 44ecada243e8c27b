"""The run folder: everything a run is, on disk, written so that a kill at any moment loses at most seconds."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from undiffuse import config as configuration
from undiffuse.bank import Bank
from undiffuse.config import Config
from undiffuse.denoiser import GaussianDenoiser
from undiffuse.errors import UserError
from undiffuse.files import Arrays, read_arrays, sha256, sha256_of, write_arrays, write_file
from undiffuse.network import Architecture, Weights

FORMAT = 1


class RunFolder:
    """A run on disk.

    ``config.toml`` (every setting), ``manifest.json`` (version, data fingerprint, device, and the range, sha256 and
    state of every block), ``reference.safetensors`` (mean, covariance and principal axes of the training data),
    ``weights/block-*.safetensors``, ``metrics.jsonl`` (one line per time and pass), and what evaluation adds:
    ``metrics.json``, ``samples.npy``, ``figures/``, ``report.html``.

    Every file is written under another name, synced and renamed; the manifest last. A block the manifest does not
    call done does not count, whatever lies in ``weights/``.
    """

    def __init__(self, path: Path, config: Config, manifest: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        self.manifest = manifest

    # -- making and opening -----------------------------------------------------------------------------------

    @classmethod
    def create(
        cls, path: str | Path, config: Config, identity: dict[str, Any], reference: GaussianDenoiser, overwrite: bool
    ) -> RunFolder:
        """Start a new run; ``identity`` goes into the manifest.

        Raises
        ------
        UserError
            If something is there already and ``overwrite`` is false, or what is there is not a run.
        """
        path = Path(path)
        taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
        if taken and not overwrite:
            raise UserError(f"{path} exists already: continue it with --resume or replace it with --overwrite")
        if taken and not (path / "manifest.json").is_file():
            raise UserError(f"{path} is not a run folder, so --overwrite leaves it alone; choose another --out")
        text = config.to_toml()
        blocks = [
            {"first": first, "last": last, "file": f"block-{first:04d}-{last:04d}.safetensors", "state": "to do"}
            for first, last in config.blocks()
        ]
        manifest = {"format": FORMAT, **identity, "config_sha256": sha256(text.encode()), "blocks": blocks}
        # Complete under another name first, so that the name asked for is never half a run.
        path = path.absolute()
        new = cls(path.with_name(f".{path.name}.{os.getpid()}.new"), config, manifest)
        try:
            (new.path / "weights").mkdir(parents=True)
            write_file(new.path / "config.toml", text.encode())
            write_arrays(new.path / "reference.safetensors", reference.to_arrays())
            new.write_manifest()
            if path.exists():
                with _locked(path):
                    shutil.rmtree(path)
            new.path.rename(path)
        except OSError as error:
            raise UserError(f"cannot make the run folder {path}: {error.strerror}") from None
        finally:
            shutil.rmtree(new.path, ignore_errors=True)
        return cls(path, config, manifest)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open a run.

        Raises
        ------
        UserError
            If the folder is missing, is not a run, or its configuration or manifest was altered.
        """
        path = Path(path)
        if not path.is_dir():
            raise UserError(f"there is no run folder {str(path)!r}")
        try:
            manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
            text = (path / "config.toml").read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise UserError(f"{path} is not a run folder: it has no {Path(error.filename).name}") from None
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise UserError(f"{path}/manifest.json is damaged: it is not JSON") from None
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or "blocks" not in manifest:
            raise UserError(f"{path}/manifest.json is not a manifest of format {FORMAT}")
        if manifest.get("config_sha256") != sha256(text.encode()):
            raise UserError(f"{path}/config.toml is not the file this run was made with")
        config = configuration.loads(text, f"{path}/config.toml")
        ranges = [(b["first"], b["last"]) for b in manifest["blocks"]]
        if ranges != config.blocks():
            raise UserError(f"{path}/manifest.json lists other blocks than its configuration makes")
        return cls(path, config, manifest)

    # -- the manifest -----------------------------------------------------------------------------------------

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The manifest's entries: first, last, file, state, and the sha256 of done blocks."""
        entries: list[dict[str, Any]] = self.manifest["blocks"]
        return entries

    @property
    def unfinished(self) -> list[dict[str, Any]]:
        """Entries of the blocks still to be trained."""
        return [entry for entry in self.blocks if entry["state"] != "done"]

    def write_manifest(self) -> None:
        """Write the manifest, atomically."""
        write_file(self.path / "manifest.json", (json.dumps(self.manifest, indent=1) + "\n").encode())

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run against a second training; raises UserError if another process has it."""
        with _locked(self.path):
            yield

    # -- weights ----------------------------------------------------------------------------------------------

    def weights_path(self, entry: dict[str, Any]) -> Path:
        """Where a block's weights are."""
        return self.path / "weights" / str(entry["file"])

    def write_block(self, entry: dict[str, Any], arrays: Arrays) -> None:
        """Write a trained block; it counts once :meth:`enter_block` has put it in the manifest."""
        write_arrays(self.weights_path(entry), arrays)

    def enter_block(self, entry: dict[str, Any]) -> None:
        """Enter a written block in the manifest as done."""
        entry["sha256"] = sha256_of(self.weights_path(entry))
        entry["state"] = "done"
        self.write_manifest()
        self.partial_path(entry).unlink(missing_ok=True)

    def partial_path(self, entry: dict[str, Any]) -> Path:
        """Where an unfinished block's weights and optimiser state are."""
        return self.weights_path(entry).with_suffix(".partial")

    def state_path(self, entry: dict[str, Any]) -> Path:
        """Where a block of a sweep leaves its training state, for the blocks that go on from it."""
        return self.weights_path(entry).with_suffix(".state")

    def read_partial(self, entry: dict[str, Any]) -> Arrays | None:
        """State of an unfinished block, or None if there is none."""
        path = self.partial_path(entry)
        return read_arrays(path) if path.exists() else None

    def read_record(self, entry: dict[str, Any]) -> Arrays:
        """Read what a done block's training recorded, without its weights: times, passes and errors."""
        names = ("times", "passes", "train_error", "held_out_error")
        with _open_arrays(self.weights_path(entry)) as file:
            return {name: file.get_tensor(name) for name in names}

    def reference(self) -> GaussianDenoiser:
        """Return the linear theory of the training data."""
        arrays = read_arrays(self.path / "reference.safetensors")
        if not {"mean", "covariance", "variances", "axes"} <= arrays.keys():
            raise UserError(f"{self.path} was made by an older version, which kept less in it: train it again")
        return GaussianDenoiser.from_arrays(self.config.forward(), arrays)

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

    def _check(self, entry: dict[str, Any]) -> None:
        path = self.weights_path(entry)
        if not path.is_file():
            raise UserError(f"{path} is missing")
        if sha256_of(path) != entry.get("sha256"):
            raise UserError(f"{path} is damaged: its sha256 is not the one in the manifest")

    # -- everything else --------------------------------------------------------------------------------------

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file of the run, atomically."""
        return write_file(self.path / name, text.encode())

    def write_json(self, name: str, content: Any) -> Path:
        """Write a JSON file of the run, atomically."""
        return self.write_text(name, json.dumps(content, indent=1) + "\n")

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run, or return None if it is not there."""
        path = self.path / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def write_partial(self, entry: dict[str, Any], arrays: Arrays) -> None:
        """Write the state of an unfinished block."""
        write_arrays(self.partial_path(entry), arrays)


class StoredBlock:
    """A trained block on disk. Its sha256 is checked when it is first read; times are then read one by one."""

    def __init__(self, run: RunFolder, entry: dict[str, Any], dim: int) -> None:
        self.first: int = entry["first"]
        self.last: int = entry["last"]
        self.architecture: Architecture = run.config.architecture_at(self.last, dim)
        self._run, self._entry = run, entry
        self._file: Any = None

    def at(self, t: int) -> Weights:
        """Weights of one time."""
        if self._file is None:
            self._run._check(self._entry)
            self._file = _open_arrays(self._run.weights_path(self._entry))
        i = t - self.first
        return Weights(**{name: self._file.get_slice(name)[i] for name in Weights.NAMES})


# -- files --------------------------------------------------------------------------------------------------------


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
def _locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock on a folder; released by the system when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # not on Windows, where two trainings in one folder are the user's to avoid
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another process is training in {path}") from None
        yield
    finally:
        os.close(descriptor)
