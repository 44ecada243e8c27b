"""A laboratory for diffusion models that can be read all the way down.

The network is not one black box but a bank of single-hidden-layer autoencoders, one for each diffusion time, set
beside exact denoisers that answer the same question.

*The thesis* whose equations, figures and tables docstrings cite by number is Luis Bustinduy de la Guerra,
"Out-of-Equilibrium Machine Learning", supervised by Aurélien Decelle, Universidad Complutense de Madrid, 2024. Its
noise ``xi`` is the ``eps`` (epsilon) of Ho et al. 2020.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING

from undiffuse.support.lazy import lazy_names

if TYPE_CHECKING:
    from undiffuse import datasets as datasets
    from undiffuse import physics as physics
    from undiffuse.diffusion.denoiser import Denoiser as Denoiser
    from undiffuse.diffusion.denoiser import as_denoiser as as_denoiser
    from undiffuse.diffusion.exact import EmpiricalDenoiser as EmpiricalDenoiser
    from undiffuse.diffusion.exact import GaussianDenoiser as GaussianDenoiser
    from undiffuse.diffusion.exact import LinearDenoiser as LinearDenoiser
    from undiffuse.diffusion.for_diffusers import to_diffusers as to_diffusers
    from undiffuse.diffusion.forward import ForwardProcess as ForwardProcess
    from undiffuse.diffusion.inpainting import Inpainting as Inpainting
    from undiffuse.diffusion.inpainting import inpaint as inpaint
    from undiffuse.diffusion.likelihood import Bound as Bound
    from undiffuse.diffusion.likelihood import bound as bound
    from undiffuse.diffusion.mixture import MixtureDenoiser as MixtureDenoiser
    from undiffuse.diffusion.patches import PatchDenoiser as PatchDenoiser
    from undiffuse.diffusion.reverse import reconstruct as reconstruct
    from undiffuse.diffusion.reverse import reverse_trajectory as reverse_trajectory
    from undiffuse.diffusion.reverse import sample as sample
    from undiffuse.diffusion.samplers import DDIM as DDIM
    from undiffuse.diffusion.samplers import Ancestral as Ancestral
    from undiffuse.diffusion.samplers import DPMSolver2M as DPMSolver2M
    from undiffuse.diffusion.samplers import ProbabilityFlow as ProbabilityFlow
    from undiffuse.diffusion.samplers import Sampler as Sampler
    from undiffuse.diffusion.schedule import NoiseSchedule as NoiseSchedule
    from undiffuse.diffusion.starts import GaussianStart as GaussianStart
    from undiffuse.model import Diffusion as Diffusion
    from undiffuse.model import fit as fit
    from undiffuse.networks.bank import Bank as Bank
    from undiffuse.networks.network import Architecture as Architecture
    from undiffuse.networks.network import Autoencoder as Autoencoder
    from undiffuse.networks.network import Weights as Weights
    from undiffuse.recipes import Budget as Budget
    from undiffuse.runs import config as config
    from undiffuse.runs.config import Config as Config
    from undiffuse.runs.config import presets as presets
    from undiffuse.runs.folder import RunFolder as RunFolder
    from undiffuse.support.errors import UserError as UserError
    from undiffuse.support.streams import Streams as Streams
    from undiffuse.training import Execution as Execution

__version__ = version("undiffuse")

__getattr__, __all__ = lazy_names(  # numpy and pydantic take a third of a second, in which Ctrl-C has no answer
    __name__,
    {
        "Ancestral": "diffusion.samplers",
        "Architecture": "networks.network",
        "Autoencoder": "networks.network",
        "Bank": "networks.bank",
        "Bound": "diffusion.likelihood",
        "Budget": "recipes",
        "Config": "runs.config",
        "DDIM": "diffusion.samplers",
        "DPMSolver2M": "diffusion.samplers",
        "Denoiser": "diffusion.denoiser",
        "Diffusion": "model",
        "EmpiricalDenoiser": "diffusion.exact",
        "Execution": "training",
        "ForwardProcess": "diffusion.forward",
        "GaussianDenoiser": "diffusion.exact",
        "GaussianStart": "diffusion.starts",
        "Inpainting": "diffusion.inpainting",
        "LinearDenoiser": "diffusion.exact",
        "MixtureDenoiser": "diffusion.mixture",
        "NoiseSchedule": "diffusion.schedule",
        "PatchDenoiser": "diffusion.patches",
        "ProbabilityFlow": "diffusion.samplers",
        "RunFolder": "runs.folder",
        "Sampler": "diffusion.samplers",
        "Streams": "support.streams",
        "UserError": "support.errors",
        "Weights": "networks.network",
        "as_denoiser": "diffusion.denoiser",
        "bound": "diffusion.likelihood",
        "config": "runs.config",
        "datasets": "datasets",
        "fit": "model",
        "inpaint": "diffusion.inpainting",
        "physics": "physics",
        "presets": "runs.config",
        "reconstruct": "diffusion.reverse",
        "reverse_trajectory": "diffusion.reverse",
        "sample": "diffusion.reverse",
        "to_diffusers": "diffusion.for_diffusers",
    },
)


def __dir__() -> list[str]:
    """List the public names, for completion."""
    return __all__
