"""Diffusion as physics: exact scores, Langevin dynamics, transitions, energies and weights along diffusion time.

Equations are numbered as in *the thesis*: Luis Bustinduy de la Guerra, "Out-of-Equilibrium Machine Learning",
supervised by Aurélien Decelle, Universidad Complutense de Madrid, 2024.
"""

from typing import TYPE_CHECKING

from undiffuse.support.lazy import lazy_names

if TYPE_CHECKING:
    from undiffuse.physics.class_gaussians import TwoGaussians as TwoGaussians
    from undiffuse.physics.class_moments import ClassMoments as ClassMoments
    from undiffuse.physics.class_moments import GaussianClass as GaussianClass
    from undiffuse.physics.classes import Classes as Classes
    from undiffuse.physics.curie_weiss import CurieWeiss as CurieWeiss
    from undiffuse.physics.curie_weiss_denoiser import CurieWeissDenoiser as CurieWeissDenoiser
    from undiffuse.physics.langevin import forward_langevin as forward_langevin
    from undiffuse.physics.langevin import reverse_langevin as reverse_langevin
    from undiffuse.physics.magnetisation import Magnetisation as Magnetisation
    from undiffuse.physics.ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
    from undiffuse.physics.ornstein_uhlenbeck import fokker_planck as fokker_planck
    from undiffuse.physics.transitions import CriticalTimes as CriticalTimes
    from undiffuse.physics.transitions import critical_times as critical_times
    from undiffuse.physics.trees import SpeciationTree as SpeciationTree
    from undiffuse.physics.trees import Split as Split
    from undiffuse.physics.trees import speciation_tree as speciation_tree

__getattr__, __all__ = lazy_names(  # scipy is slow to load, and data sets need the classes only
    __name__,
    {
        "ClassMoments": "class_moments",
        "Classes": "classes",
        "CriticalTimes": "transitions",
        "CurieWeiss": "curie_weiss",
        "CurieWeissDenoiser": "curie_weiss_denoiser",
        "GaussianClass": "class_moments",
        "Magnetisation": "magnetisation",
        "OrnsteinUhlenbeck": "ornstein_uhlenbeck",
        "SpeciationTree": "trees",
        "Split": "trees",
        "TwoGaussians": "class_gaussians",
        "critical_times": "transitions",
        "fokker_planck": "ornstein_uhlenbeck",
        "forward_langevin": "langevin",
        "reverse_langevin": "langevin",
        "speciation_tree": "trees",
    },
)
