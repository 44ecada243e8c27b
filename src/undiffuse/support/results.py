"""Results of studies: frozen dataclasses that convert themselves to dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np


@dataclass(frozen=True)
class Result:
    """Result of a study.

    A field that is None by default and is None does not appear in :meth:`as_dict`; nor do the fields in ``_hidden``,
    which figures are drawn from.
    """

    _hidden: ClassVar[tuple[str, ...]] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, in plain Python types: what ``--json`` prints."""
        values = ((item, getattr(self, item.name)) for item in fields(self) if item.name not in self._hidden)
        return {item.name: plain(value) for item, value in values if not (value is None and item.default is None)}


def plain(value: Any) -> Any:
    """Turn a value into what JSON knows: results by their ``as_dict``, tuples and arrays as lists, paths as text."""
    if hasattr(value, "as_dict"):
        return value.as_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return str(value) if isinstance(value, Path) else value
