"""A laboratory for diffusion models that can be read all the way down.

The network is not one black box but a bank of single-hidden-layer autoencoders, one for each diffusion time, set
beside exact denoisers that answer the same question.
"""

from importlib.metadata import version

from undiffuse import datasets
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser, LinearDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.inpainting import Inpainting, inpaint
from undiffuse.diffusion.likelihood import Bound, bound
from undiffuse.diffusion.reverse import Sampler, reconstruct, reverse_trajectory, sample
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.model import Diffusion, fit
from undiffuse.networks.bank import Bank
from undiffuse.networks.network import Architecture, Autoencoder, Weights
from undiffuse.runs import config
from undiffuse.runs.config import Config, presets
from undiffuse.runs.folder import RunFolder
from undiffuse.support.errors import UserError

__version__ = version("undiffuse")

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
    "config",
    "datasets",
    "fit",
    "inpaint",
    "presets",
    "reconstruct",
    "reverse_trajectory",
    "sample",
]
