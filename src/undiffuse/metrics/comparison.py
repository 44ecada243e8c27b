"""A measure of samples beside its floor."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from undiffuse.support import html
from undiffuse.support.arrays import Floats
from undiffuse.support.stats import stderr


@dataclass(frozen=True)
class Comparison:
    """A distance, or another measure of samples, beside its floor: its value between two fresh sets of data.

    Attributes
    ----------
    value, value_stderr : float
        Mean over replicates, samples against fresh data, and its standard error.
    floor, floor_stderr : float
        The same for fresh data against the same fresh data.
    ratio, ratio_stderr : float or None
        ``value/floor``; 1 means that this measure does not distinguish samples from data. Standard error by jackknife
        over replicates, which share their reference sets. None where the floor is zero.
    baselines : dict
        The same measure of simple generators: mean over replicates, by name.

    Examples
    --------
    >>> import numpy as np
    >>> from undiffuse.metrics import Comparison
    >>> w2 = Comparison.of(np.array([0.30, 0.34]), floors=np.array([0.20, 0.20]))
    >>> round(w2.value, 3), round(w2.value_stderr, 3), round(w2.ratio, 3)
    (0.32, 0.02, 1.6)

    See Also
    --------
    undiffuse.metrics.evaluate : all measures of a set of samples.
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
        """Summarise one measure over replicates."""
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

    def _repr_html_(self) -> str:
        return html.described(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return asdict(self)
