"""Errors along the diffusion time."""

from __future__ import annotations

from matplotlib.figure import Figure

from undiffuse.figures.style import DATA, EMPIRICAL, GAUSSIAN, MODEL, panels, styled
from undiffuse.support.arrays import Floats


@styled
def loss_against_time(errors: Floats, gaussian: Floats, empirical: Floats) -> Figure:
    """Held-out xi-error of the bank beside its references, all as rows ``(t, ...)``.

    Parameters
    ----------
    errors : (T, 3)
        ``(t, training error, held-out error)`` of the bank.
    gaussian, empirical : (k, 2)
        ``(t, error)`` of the best linear denoiser and of the exact denoiser of the training set.
    """
    figure, axes = panels(1, 1, 6.4, 3.6)
    axis = axes[0, 0]
    axis.plot(errors[:, 0], errors[:, 2], color=MODEL, lw=0.8, label="bank, held-out data")
    axis.plot(errors[:, 0], errors[:, 1], color=DATA, lw=0.6, alpha=0.6, label="bank, training data (last pass)")
    axis.plot(*gaussian.T, color=GAUSSIAN, ls="--", label="Gaussian reference (best linear)")
    axis.plot(*empirical.T, color=EMPIRICAL, ls="", marker="o", ms=3, label="empirical reference, held-out data")
    axis.set(
        xlabel="diffusion time $t$",
        ylabel=r"$\langle(\xi-\hat\xi)^2\rangle$ per dimension",
        yscale="log",
        xlim=(0, errors[-1, 0]),
    )
    axis.legend(loc="upper right", fontsize=8)
    return figure
