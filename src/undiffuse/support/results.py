"""Results of studies: frozen dataclasses that convert themselves to dictionaries."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from undiffuse.support import html


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

    def drawn(self) -> Mapping[str, html.Picture]:
        """Return the figures of the study by name, as its module's ``figures`` draws them; none where there is none."""
        study = sys.modules[type(self).__module__]
        if getattr(study, "Result", None) is not type(self) or not hasattr(study, "figures"):
            return {}
        figures: Mapping[str, html.Picture] = study.figures(self)
        return figures

    def _repr_html_(self) -> str:
        """What a notebook shows: all that ``--json`` prints, as tables, and the figures of the study."""
        return html.described(self, *(html.picture(figure, name) for name, figure in self.drawn().items()))


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
