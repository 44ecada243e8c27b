"""Speciation by covariance: a time from the largest variance of data, and whether it is about their classes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.classes import Classes
from undiffuse.physics.crossings import NEVER, Time
from undiffuse.support.stats import PrincipalAxes, stderr

LOW_OVERLAP = 0.7  # |cosine| below which the covariance criterion does not apply to the classes


@dataclass(frozen=True)
class Covariance:
    """Criterion ``covariance``: speciation by covariance (Biroli et al. 2024).

    Attributes
    ----------
    time : Time
        ``log(Lambda/s^2)/2``.
    eigenvalue, eigenvalue_stderr : float
        Lambda, in squared units of the data.
    overlap : float
        ``|cosine|`` between its eigenvector and the line of class means.
    """

    time: Time
    eigenvalue: float
    eigenvalue_stderr: float
    overlap: float

    @property
    def applies(self) -> bool:
        """Whether there is such a time and the eigenvector points from class to class."""
        return self.why_not == ""

    @property
    def why_not(self) -> str:
        """Why the criterion does not apply, in words; nothing where it does."""
        if self.overlap < LOW_OVERLAP:
            return "too little for the covariance criterion to be about these classes"
        none = np.isnan(self.time.tau)
        return "but the noise is larger than the data, so the covariance gives no time" if none else ""

    def as_dict(self) -> dict[str, object]:
        """Return everything by name."""
        return asdict(self) | {"time": self.time.as_dict(), "applies": self.applies}


def covariance_criterion(forward: ForwardProcess, classes: Classes) -> Covariance:
    """Speciation time from the largest eigenvalue of the covariance, and its overlap with the class means.

    There is no such time where the noise is larger than the data, ``s^2 >= Lambda``.
    """
    mean, values, axes = PrincipalAxes.of(classes.x)
    largest, top = float(values[0]), axes[:, 0]
    error = stderr(((classes.x - mean) @ top) ** 2)
    inverse = largest / forward.noise_scale**2
    time = NEVER if inverse <= 1 else Time.at(0.5 * np.log(inverse), error / (2 * largest), forward)
    return Covariance(time, largest, error, float(abs(top @ classes.direction[0])))
