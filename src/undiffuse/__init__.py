"""A laboratory for diffusion models that can be read all the way down.

The network is not one black box but a bank of single-hidden-layer autoencoders, one for each diffusion time, set
beside exact denoisers that answer the same question.
"""

__version__ = "0.1.0"

from undiffuse import datasets
from undiffuse.bank import Bank
from undiffuse.config import Config, presets
from undiffuse.denoiser import Denoiser, EmpiricalDenoiser, GaussianDenoiser, LinearDenoiser
from undiffuse.errors import UserError
from undiffuse.forward import ForwardProcess
from undiffuse.inpainting import Inpainting, inpaint
from undiffuse.likelihood import Bound, bound
from undiffuse.model import Diffusion, fit
from undiffuse.network import Architecture, Autoencoder, Weights
from undiffuse.reverse import Sampler, reconstruct, reverse_trajectory, sample
from undiffuse.runs import RunFolder
from undiffuse.schedule import NoiseSchedule

__all__ = [
    "Architecture",
    "Autoencoder",
    "Bank",
    "Bound",
    "Config",
    "Denoiser",
    "Diffusion",
    "EmpiricalDenoiser",
    "ForwardProcess",
    "GaussianDenoiser",
    "Inpainting",
    "LinearDenoiser",
    "NoiseSchedule",
    "RunFolder",
    "Sampler",
    "UserError",
    "Weights",
    "bound",
    "datasets",
    "fit",
    "inpaint",
    "presets",
    "reconstruct",
    "reverse_trajectory",
    "sample",
]
