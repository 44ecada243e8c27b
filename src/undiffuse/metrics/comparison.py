"""A figure of merit beside its floor."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from undiffuse.support.arrays import Floats
from undiffuse.support.stats import stderr


@dataclass(frozen=True)
class Comparison:
    """A distance, or another figure of merit, beside its floor: what it is between two fresh sets of data.

    Attributes
    ----------
    value, value_stderr : float
        Mean over replicates, samples against fresh data, and its standard error.
    floor, floor_stderr : float
        The same for fresh data against the same fresh data.
    ratio, ratio_stderr : float or None
        ``value/floor``; 1 means that samples cannot be told from data by this figure. Standard error by jackknife
        over replicates, which share their reference sets. None where the floor is zero.
    baselines : dict
        What simple generators reach: mean over replicates, by name.
    """

    value: float
    value_stderr: float
    floor: float
    floor_stderr: float
    ratio: float | None
    ratio_stderr: float | None
    baselines: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def of(values: Floats, floors: Floats, baselines: dict[str, float] | None = None) -> Comparison:
        """Summarise one figure over replicates."""
        n = len(values)
        ratio = spread = None
        if np.all(floors.sum() - floors > 0):
            kept = (values.sum() - values) / (floors.sum() - floors)
            ratio = float(values.mean() / floors.mean())
            spread = float(np.sqrt((n - 1) / n * np.sum((kept - kept.mean()) ** 2)))
        return Comparison(
            value=float(values.mean()),
            value_stderr=stderr(values),
            floor=float(floors.mean()),
            floor_stderr=stderr(floors),
            ratio=ratio,
            ratio_stderr=spread,
            baselines=baselines or {},
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return asdict(self)
