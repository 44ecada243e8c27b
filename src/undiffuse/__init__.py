"""A laboratory for diffusion models that can be read all the way down.

The network is not one black box but a bank of single-hidden-layer autoencoders, one for each diffusion time, set
beside exact denoisers that answer the same question.

*The thesis* whose equations, figures and tables docstrings cite by number is Luis Bustinduy de la Guerra,
"Out-of-Equilibrium Machine Learning", supervised by Aurélien Decelle, Universidad Complutense de Madrid, 2024. Its
noise ``xi`` is the ``eps`` (epsilon) of Ho et al. 2020.
"""

from importlib.metadata import version

from undiffuse import datasets
from undiffuse.diffusion.denoiser import Denoiser, as_denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser, LinearDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.inpainting import Inpainting, inpaint
from undiffuse.diffusion.likelihood import Bound, bound
from undiffuse.diffusion.mixture import MixtureDenoiser
from undiffuse.diffusion.reverse import reconstruct, reverse_trajectory, sample
from undiffuse.diffusion.samplers import DDIM, Ancestral, DPMSolver2M, ProbabilityFlow, Sampler
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.model import Diffusion, fit
from undiffuse.networks.bank import Bank
from undiffuse.networks.network import Architecture, Autoencoder, Weights
from undiffuse.runs import config
from undiffuse.runs.config import Config, presets
from undiffuse.runs.folder import RunFolder
from undiffuse.support.errors import UserError
from undiffuse.support.streams import Streams
from undiffuse.training import Execution

__version__ = version("undiffuse")

__all__ = [
    "DDIM",
    "Ancestral",
    "Architecture",
    "Autoencoder",
    "Bank",
    "Bound",
    "Config",
    "DPMSolver2M",
    "Denoiser",
    "Diffusion",
    "EmpiricalDenoiser",
    "Execution",
    "ForwardProcess",
    "GaussianDenoiser",
    "Inpainting",
    "LinearDenoiser",
    "MixtureDenoiser",
    "NoiseSchedule",
    "ProbabilityFlow",
    "RunFolder",
    "Sampler",
    "Streams",
    "UserError",
    "Weights",
    "as_denoiser",
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
