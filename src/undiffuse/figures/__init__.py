"""Figures: each function takes data and returns a matplotlib Figure; nothing is computed inside a plot.

Imported only where figures are made, since matplotlib is slow to load.
"""

from undiffuse.figures.losses import loss_against_time
from undiffuse.figures.spirals import generated, histograms, process
from undiffuse.figures.style import save

__all__ = ["generated", "histograms", "loss_against_time", "process", "save"]
