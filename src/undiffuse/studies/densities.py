"""What studies of densities share: whose density it is, and the means of one by several routes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from undiffuse import datasets
from undiffuse.datasets import Dataset
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.runs import config as configuration
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.support import results
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, require
from undiffuse.support.stats import mean_and_stderr


@dataclass(frozen=True)
class Route(results.Result):
    """``-log p(x_t)`` by one route, mean over samples with its standard error, in nats.

    Attributes
    ----------
    nats, stderr : float
    off, off_stderr : float, optional
        Mean distance from the truth, where that is known, sample by sample.
    """

    nats: float
    stderr: float
    off: float | None = None
    off_stderr: float | None = None

    @staticmethod
    def of(log_p: Floats, truth: Floats | None = None) -> Route:
        """Average log densities ``(n,)``, beside true ones of the same samples."""
        mean, stderr = mean_and_stderr(-log_p)
        return Route(mean, stderr) if truth is None else Route(mean, stderr, *mean_and_stderr(truth - log_p))


def denoiser_of(run: RunLike | None, exact: str | None, changes: Sequence[str]) -> tuple[str, Denoiser, Dataset]:
    """What it is the density of, in words; the denoiser; and the data.

    Raises
    ------
    UserError
        If there is neither a run nor a preset of an exact denoiser or both, or settings of a run are to be changed.
    """
    if (run is None) == (exact is None):
        raise UserError("give either a run folder, or --exact with a preset such as curie-weiss")
    if run is not None:
        require(not changes, "--set goes with --exact; a run is what it was")
        opened = OpenRun.of(run)
        return f"bank of {opened.path}", opened.model, opened.data
    assert exact is not None  # noqa: S101  one of the two is given
    config = configuration.load(exact, list(changes))
    data = datasets.load(config)
    name, denoiser = data.exact(config.forward())
    return f"exact denoiser of {config.name} ({name})", denoiser, data
