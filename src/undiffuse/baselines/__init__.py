"""Simple models that the diffusion model is set beside."""

from undiffuse.baselines.generators import gaussian_samples, mixture_samples
from undiffuse.baselines.perceptron import Perceptron, PerceptronResult

__all__ = ["Perceptron", "PerceptronResult", "gaussian_samples", "mixture_samples"]
