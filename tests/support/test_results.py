"""Results say themselves in plain types."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from undiffuse.support.results import Result


@dataclass(frozen=True)
class Inner(Result):
    value: float


@dataclass(frozen=True, kw_only=True)
class Outer(Result):
    inner: Inner
    path: Path
    numbers: tuple[np.ndarray, ...]
    by_name: dict[str, Inner]
    nothing: None
    left_out: str | None = None
    drawn: np.ndarray

    _hidden: ClassVar[tuple[str, ...]] = ("drawn",)


def test_a_result_is_what_json_can_say():
    found = Outer(
        inner=Inner(1.5),
        path=Path("a/b"),
        numbers=(np.arange(2), np.float64(0.5)),
        by_name={"x": Inner(2.0)},
        nothing=None,
        drawn=np.zeros(3),
    )
    assert json.loads(json.dumps(found.as_dict())) == {
        "inner": {"value": 1.5},
        "path": "a/b",
        "numbers": [[0, 1], 0.5],
        "by_name": {"x": {"value": 2.0}},
        "nothing": None,
    }
