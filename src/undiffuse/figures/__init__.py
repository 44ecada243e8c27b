"""Figures: each function takes data and returns a matplotlib Figure; nothing is computed inside a plot.

Imported only where figures are made, since matplotlib is slow to load.
"""

from undiffuse.figures.cascade import ClockLines, Gains, Halves, cascade, gains
from undiffuse.figures.curves import (
    DensityBeside,
    StartLine,
    against_setting,
    bound_terms,
    likelihood,
    linear_model,
    one_energy,
    reconstruction_curves,
    starts,
)
from undiffuse.figures.images import Pixels, image_grid, image_rows, perceptron_weights, pixel_histograms
from undiffuse.figures.locality import Radii, locality, looks, sensitivity
from undiffuse.figures.losses import loss_against_time
from undiffuse.figures.memorisation_clock import Clocks, memorisation_clock
from undiffuse.figures.physics import breaking, langevin, outcomes, potentials, scaling
from undiffuse.figures.schemes import architecture_scheme, training_scheme
from undiffuse.figures.simplicity import simplicity
from undiffuse.figures.speciation import critical_times, speciation_tree
from undiffuse.figures.spirals import generated, histograms, process
from undiffuse.figures.style import save
from undiffuse.figures.tables import Cloud, columns_and_pairs
from undiffuse.figures.two_clusters import two_clusters
from undiffuse.figures.views import side_by_side
from undiffuse.figures.weights import (
    line_potentials,
    plane_potentials,
    score_differences,
    spectra,
    weights_along_time,
)

__all__ = [
    "ClockLines",
    "Clocks",
    "Cloud",
    "DensityBeside",
    "Gains",
    "Halves",
    "Pixels",
    "Radii",
    "StartLine",
    "against_setting",
    "architecture_scheme",
    "bound_terms",
    "breaking",
    "cascade",
    "columns_and_pairs",
    "critical_times",
    "gains",
    "generated",
    "histograms",
    "image_grid",
    "image_rows",
    "langevin",
    "likelihood",
    "line_potentials",
    "linear_model",
    "locality",
    "looks",
    "loss_against_time",
    "memorisation_clock",
    "one_energy",
    "outcomes",
    "perceptron_weights",
    "pixel_histograms",
    "plane_potentials",
    "potentials",
    "process",
    "reconstruction_curves",
    "save",
    "scaling",
    "score_differences",
    "sensitivity",
    "side_by_side",
    "simplicity",
    "speciation_tree",
    "spectra",
    "starts",
    "training_scheme",
    "two_clusters",
    "weights_along_time",
]
