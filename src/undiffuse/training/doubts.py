"""What is doubtful in a training, said as a warning: before it, from the data, and after it, from the errors."""

from __future__ import annotations

import warnings

import numpy as np

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.support.arrays import Floats

_ROUNDING = 1e-10  # an error of this size is that of float32
_LARGEST_ERROR = 2.0  # that a single time may have without a warning


def doubt_data(reference: GaussianDenoiser, train: Floats) -> None:
    """Warn if the schedule does not fit the data: too little noise at the end, or too much at the start."""
    forward, widest = reference.forward, float(np.sqrt(reference.variances.max()))
    forward.check_prior(train)
    least = forward.noise(1)
    if widest <= np.finfo(float).eps * float(np.abs(reference.mean).max()):
        warnings.warn("all samples are the same: there is nothing to learn from them", stacklevel=3)
    elif widest < least:
        warnings.warn(
            f"the data spread by {widest:.3g} at most, less than the noise of the first time, {least:.3g}: no network "
            f"sees their shape; lower the noise scale ({forward.noise_scale:g}) or beta_1, or rescale the data",
            stacklevel=3,
        )


def doubt_errors(errors: Floats, reference: GaussianDenoiser) -> None:
    """Warn if errors are not what a training should give.

    An error is 1 without any knowledge of the noise, and linear theory's is what the mean and the covariance of the
    data give. At single times an error may be a little above 1, or well above linear theory's where that is small.

    Parameters
    ----------
    errors : (times, 3)
        Rows ``(t, training error, held-out error)``.
    reference : GaussianDenoiser
        Linear theory of the training data.
    """
    found = _doubts(errors, np.array([reference.error(int(t)) for t in errors[:, 0]]))
    if found:
        warnings.warn(found, stacklevel=3)


def _doubts(errors: Floats, linear: Floats) -> str:
    held_out, expected = float(errors[:, 2].mean()), float(linear.mean())
    t, _, largest = errors[np.argmax(errors[:, 2])]
    if held_out > 1:
        return f"mean held-out xi-error {held_out:.3g}, above the 1 of no knowledge at all: nothing has been learned"
    if held_out > max(2 * expected, _ROUNDING):
        return f"mean held-out xi-error {held_out:.3g}, above twice the {expected:.3g} of a linear denoiser"
    if largest > _LARGEST_ERROR:
        return f"held-out xi-error {largest:.3g} at t = {t:.0f}, above the 1 of no knowledge at all"
    return ""
