"""Figures of runs on tables, of any number of columns, in the user's units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from undiffuse import figures as drawing
from undiffuse.datasets import Dataset, ImageDataset, LabelledDataset, units_of
from undiffuse.datasets.units import made_up
from undiffuse.diffusion import reverse
from undiffuse.figures import Cloud
from undiffuse.studies.open_run import OpenRun
from undiffuse.studies.run_figures import figure
from undiffuse.support.arrays import Floats
from undiffuse.support.stats import PrincipalAxes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 1_000  # rows drawn
_COLUMNS = 6  # that are drawn as they are; of more, the first principal axes
_AXES = 4


def _of_table(opened: OpenRun) -> bool:
    if isinstance(opened.data, ImageDataset):
        return False
    return opened.data.dim != 2 or units_of(opened.config.data) is not None


@figure(
    "columns",
    "Each column of data (grey) and samples (red); below the diagonal pairs of columns of the data, across it the "
    "same of samples. Of more than six columns, the first principal axes.",
    _of_table,
)
def columns(opened: OpenRun) -> Figure:
    """Columns, or principal axes, of data and samples."""
    data = opened.data
    x = data.train[:_SHOWN]
    samples = reverse.sample(opened.model, len(x), seed=opened.config.seed)
    shown, generated, names = _axes_of(opened, x, samples)
    kinds = data if isinstance(data, LabelledDataset) else None
    of_data = None if kinds is None else kinds.labels[0][: len(x)]
    of_samples = None if kinds is None else kinds.class_rule()(samples)
    return drawing.columns_and_pairs(
        Cloud("data", shown, of_data),
        Cloud("samples", generated, of_samples),
        names,
        () if kinds is None else kinds.names,
    )


def _axes_of(opened: OpenRun, x: Floats, samples: Floats) -> tuple[Floats, Floats, list[str]]:
    """Columns to draw, of data and of samples, with their names."""
    data: Dataset = opened.data
    if data.dim > _COLUMNS:
        mean, variances, axes = PrincipalAxes.of(data.train)
        shares = 100 * variances / variances.sum()
        names = [f"axis {k + 1} ({shares[k]:.0f} %)" for k in range(_AXES)]
        return (x - mean) @ axes[:, :_AXES], (samples - mean) @ axes[:, :_AXES], names
    units = units_of(opened.config.data)
    if units is None:
        return x, samples, made_up(data.dim)
    kept = np.flatnonzero(units.varying) if not units.alike else np.arange(data.dim)
    names = units.columns(data.dim)
    return units.to_user(x)[:, kept], units.to_user(samples)[:, kept], [names[i] for i in kept]
