"""What the pages of ``undiffuse lab`` share."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from undiffuse.studies.open_run import OpenRun
from undiffuse.support import results
from undiffuse.support.errors import UserError
from undiffuse.support.files import read_file

_LARGEST_SUMMARY = 50_000_000


@dataclass(frozen=True)
class Asked:
    """What a page is to have, None where it is to choose; see :class:`undiffuse.studies.lab.Settings`."""

    out: Path
    steps: int | None = None
    particles: int | None = None
    points: int | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Result(results.Result):
    """What was written.

    Attributes
    ----------
    kind : str
        "plane", "images" or "spins".
    out : str
        The page.
    bytes : int
        Its size.
    """

    kind: str
    out: str
    bytes: int


Page: TypeAlias = tuple[bytes, Result]


@dataclass(frozen=True, kw_only=True)
class BankResult(Result):
    """What was written of a bank.

    Attributes
    ----------
    T, steps : int
        Times of the bank, and those whose networks are in the page.
    hidden : int
        Hidden units of the largest of these.
    critical_times : dict
        Critical times marked, by name.
    """

    T: int
    steps: int
    hidden: int
    critical_times: Mapping[str, float]


def about_bank(opened: OpenRun, times: Sequence[int], critical: Mapping[str, float]) -> dict[str, object]:
    """What every page of a bank is told of its run: schedule, times of its networks, errors, critical times."""
    schedule = opened.model.forward.schedule
    return {
        "name": opened.config.name,
        "T": schedule.T,
        "noiseScale": opened.model.forward.noise_scale,
        "ouTime": [0.0, *schedule.ou_time(schedule.times).tolist()],
        "times": list(times),
        "errors": [[int(t), *rounded(errors)] for t, *errors in opened.errors.tolist()],
        "critical": critical,
    }


def in_base64(array: NDArray[Any], kind: str) -> str:
    """Write numbers as text, in the given format of numpy."""
    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode()


def rounded(numbers: Iterable[float]) -> list[float | None]:
    """Round to five digits; what is not finite becomes None."""
    return [float(f"{number:.5g}") if np.isfinite(number) else None for number in numbers]


def critical_times(run: Path) -> dict[str, float]:
    """Critical times that ``undiffuse analyse`` found, by name; none if it was not run.

    Raises
    ------
    UserError
        If what it wrote is damaged.
    """
    path = run / "analysis" / "summary.json"
    if not path.is_file():
        return {}
    try:
        summary = json.loads(read_file(path, _LARGEST_SUMMARY))
        found = {"covariance": summary["covariance"]["time"], **summary["times"], **summary["bank_times"]}
        return {str(name): float(time["t"]) for name, time in found.items() if time["t"] is not None}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is damaged: `undiffuse analyse {run}` writes it again") from None
