"""Simple models that the diffusion model is set beside."""

from undiffuse.baselines.generators import gaussian_samples, mixture_samples
from undiffuse.baselines.normality import Mardia, mardia
from undiffuse.baselines.perceptron import Perceptron, PerceptronResult

__all__ = ["Mardia", "Perceptron", "PerceptronResult", "gaussian_samples", "mardia", "mixture_samples"]
