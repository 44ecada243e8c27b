"""Before a run is resumed: what of it is missing or damaged, made again or marked to be trained again."""

from __future__ import annotations

import warnings

from undiffuse.datasets import Dataset
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.runs.folder import RunFolder
from undiffuse.support.errors import UserError
from undiffuse.support.files import make_folder, sha256, sha256_of, to_bytes, write_file


def repair(run: RunFolder, data: Dataset) -> None:
    """Make the small files of a run whole, and take blocks whose weights are missing or damaged for untrained.

    A block of a sweep goes on from the training state of the block before, which is deleted after its use. Where it is
    needed again, that block is trained again as well, and so on to the start of the sweep. Random streams are keyed by
    time, so what is trained again has the bits it had.

    Raises
    ------
    UserError
        If the data no longer give the reference of the run.
    """
    make_folder(run.path / "weights")
    reference = GaussianDenoiser.from_data(run.config.forward(), data.train)
    _write_again(run, "config.toml", run.config.to_toml().encode(), run.manifest.config_sha256)
    _write_again(run, "reference.safetensors", to_bytes(reference.to_arrays()), run.manifest.reference_sha256)
    for entry in run.unfinished:
        partial = run.partial_path(entry)
        try:
            run.read_partial(entry)
        except UserError as error:
            warnings.warn(f"{error}: the block is trained from its start", stacklevel=2)
            partial.unlink()
    again = [i for i, entry in enumerate(run.blocks) if entry.state == "done" and not run.is_whole(entry)]
    for i in again:
        warnings.warn(f"{run.weights_path(run.blocks[i])} is missing or damaged: trained again", stacklevel=2)
        run.blocks[i].state = "to do"
    before = _without_state(run)
    if before:
        warnings.warn(f"{len(before)} blocks before it in the sweep are trained again with it", stacklevel=2)
    if again or before:
        run.write_manifest()


def _write_again(run: RunFolder, name: str, content: bytes, expected: str) -> None:
    path = run.path / name
    if path.is_file() and sha256_of(path) == expected:
        return
    if sha256(content) != expected:
        raise UserError(f"{path} is missing or damaged, and what configuration and data give now is another one")
    warnings.warn(f"{path} is missing or damaged: made again", stacklevel=3)
    write_file(path, content)


def _without_state(run: RunFolder) -> list[int]:
    """Mark the finished blocks whose training state is needed and cannot be read; return their indices."""
    found = []
    waiting = [i for i, entry in enumerate(run.blocks) if entry.state != "done"]
    while waiting:
        before = run.config.block_before(waiting.pop())
        if before is None or run.blocks[before].state != "done":
            continue
        try:
            run.read_state(run.blocks[before])
        except UserError:
            run.blocks[before].state = "to do"
            found.append(before)
            waiting.append(before)
    return found
