"""A fitted estimator on disk: its parameters as JSON, its arrays as safetensors; nothing is pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.model import Diffusion
from undiffuse.networks.bank import Bank, MemoryBlock
from undiffuse.networks.network import Weights
from undiffuse.runs import config as configuration
from undiffuse.runs.folder import check_sha256
from undiffuse.sklearn.cross_fit import reference_of
from undiffuse.sklearn.scaling import Scaling
from undiffuse.support.arrays import Arrays
from undiffuse.support.errors import UserError, require, shown
from undiffuse.support.files import (
    LARGEST_TEXT,
    check_folder,
    json_bytes,
    make_folder,
    read_arrays,
    read_file,
    sha256,
    to_bytes,
    write_file,
)

_TEXT, _ARRAYS = "estimator.json", "arrays.safetensors"
_SCALING = ("mean", "matrix", "inverse")
_PLAIN = (bool, int, float, str, type(None))

Estimator = TypeVar("Estimator")


@dataclass(frozen=True)
class Kept:
    """What is kept of a fitted estimator.

    Attributes
    ----------
    kind : str
        Name of its class.
    parameters : dict
        As ``get_params`` gives them, without nested estimators.
    columns : list of str or None
        Names of the columns it was fitted on.
    model : Diffusion
    scaling : Scaling
    """

    kind: str
    parameters: Mapping[str, Any]
    columns: list[str] | None
    model: Diffusion
    scaling: Scaling

    @staticmethod
    def of(estimator: object, parameters: Mapping[str, Any], fitted: tuple[Diffusion, Scaling]) -> Kept:
        """Take it from an estimator; a random state that is no integer is kept as None."""
        plain = {key: value if isinstance(value, _PLAIN) else _number(key, value) for key, value in parameters.items()}
        names = getattr(estimator, "feature_names_in_", None)
        return Kept(type(estimator).__name__, plain, None if names is None else list(names), *fitted)

    def write(self, folder: str | Path, overwrite: bool) -> Path:
        """Write both files, the one that names the other's checksum last."""
        path = check_folder(folder)
        there = [name for name in (_TEXT, _ARRAYS) if (path / name).exists()]
        require(
            overwrite or not there, f"{path} holds {', '.join(there)} already: choose another folder or overwrite=True"
        )
        arrays = to_bytes(self._arrays())
        text = {
            "kind": self.kind,
            "package_version": version("undiffuse"),
            "parameters": self.parameters,
            "columns": self.columns,
            "config": self.model.config.model_dump(mode="json"),
            "log_volume": self.scaling.log_volume,
            "arrays_sha256": sha256(arrays),
        }
        make_folder(path)
        write_file(path / _ARRAYS, arrays)
        write_file(path / _TEXT, json_bytes(text))
        return path

    @staticmethod
    def read(folder: str | Path, kind: str) -> Kept:
        """Read both files and check them; UserError if they are not an estimator of this kind."""
        path = Path(folder) / _TEXT
        try:
            text = json.loads(read_file(path, LARGEST_TEXT))
            config = configuration.validate(text["config"], str(path))
            found, parameters, columns = text["kind"], dict(text["parameters"]), text["columns"]
            log_volume, expected = float(text["log_volume"]), text["arrays_sha256"]
        except UserError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{path} is not what save() wrote: {type(error).__name__} {shown(str(error))}") from None
        require(found == kind, f"{path} holds a {shown(found)}, wanted a {kind}")
        check_sha256(path.with_name(_ARRAYS), expected)
        arrays = read_arrays(path.with_name(_ARRAYS))
        reference = GaussianDenoiser.from_arrays(config.forward(), arrays)
        weights = Weights(**{name: np.asarray(arrays[name], np.float32) for name in Weights.NAMES})
        block = MemoryBlock(1, config.architecture_at(1, reference.dim), weights)
        model = Diffusion(config, Bank(reference.forward, [block], reference), np.asarray(arrays["errors"], np.float64))
        mean, matrix, inverse = (np.asarray(arrays[f"scaling.{name}"], np.float64) for name in _SCALING)
        scaling = Scaling(mean, matrix, inverse, log_volume)
        return Kept(kind, parameters, columns, model, scaling)

    def name_columns(self, estimator: object) -> None:
        """Give a new estimator the attributes that scikit-learn keeps of the columns."""
        estimator.n_features_in_ = self.model.dim  # type: ignore[attr-defined]
        if self.columns is not None:
            estimator.feature_names_in_ = np.asarray(self.columns, dtype=object)  # type: ignore[attr-defined]

    def _arrays(self) -> Arrays:
        bank = self.model.bank
        weights = Weights.stack([net.weights for net in bank])
        scaling = {f"scaling.{name}": getattr(self.scaling, name) for name in _SCALING}
        return {**weights.arrays(), **reference_of(self.model).to_arrays(), **scaling, "errors": self.model.errors}


def made(kind: type[Estimator], parameters: Mapping[str, Any]) -> Estimator:
    """Make an estimator from parameters that were kept; UserError if it has no such ones."""
    try:
        return kind(**parameters)
    except TypeError as error:
        raise UserError(f"what was kept does not fit {kind.__name__}: {error}") from None


def _number(key: str, value: object) -> object:
    """A parameter of numpy's as Python's own; a generator, which no text can hold, as None."""
    if isinstance(value, np.generic):
        return value.item()
    require(key == "random_state", f"{key} = {shown(value)} cannot be kept as text")
    return None
