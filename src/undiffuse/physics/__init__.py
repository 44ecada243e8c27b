"""Diffusion as physics: exact scores, Langevin dynamics, transitions, energies and weights along diffusion time."""

from undiffuse.physics.curie_weiss import CurieWeiss
from undiffuse.physics.curie_weiss_denoiser import CurieWeissDenoiser
from undiffuse.physics.langevin import forward_langevin, reverse_langevin
from undiffuse.physics.ornstein_uhlenbeck import OrnsteinUhlenbeck, fokker_planck
from undiffuse.physics.transitions import Classes, CriticalTimes, critical_times

__all__ = [
    "Classes",
    "CriticalTimes",
    "CurieWeiss",
    "CurieWeissDenoiser",
    "OrnsteinUhlenbeck",
    "critical_times",
    "fokker_planck",
    "forward_langevin",
    "reverse_langevin",
]
