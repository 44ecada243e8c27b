"""An open run: its folder with the model, data, denoisers, classifiers and errors, each loaded or made once."""

from __future__ import annotations

import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from undiffuse import datasets
from undiffuse.datasets import Dataset, ImageDataset, Images
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser
from undiffuse.model import Diffusion
from undiffuse.runs.config import Config
from undiffuse.runs.folder import RunFolder
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError, require
from undiffuse.training import run_errors

if TYPE_CHECKING:
    from typing import TypeAlias

    from undiffuse.metrics.classifiers import Classifiers

    RunLike: TypeAlias = "str | Path | RunFolder | OpenRun"
else:
    RunLike = Path  # what the command line makes of an argument


class OpenRun:
    """A run with its model, data, denoisers and classifiers; each is made when it is first used, and once.

    Parameters
    ----------
    folder : RunFolder
    data : Dataset, optional
        The data it was trained on, if they are loaded already.

    Examples
    --------
    After ``undiffuse train mnist-01-quick --out runs/quick``::

        run = OpenRun.of("runs/quick")
        run.model.sample(10), run.data.held_out, run.denoisers["empirical"], run.classifiers.strict

    See Also
    --------
    undiffuse.Diffusion.load : the model alone.
    """

    def __init__(self, folder: RunFolder, data: Dataset | None = None) -> None:
        self.folder = folder
        if data is not None:
            self.data = data

    def __repr__(self) -> str:
        return f"OpenRun({str(self.path)!r})"

    @staticmethod
    def of(run: RunLike) -> OpenRun:
        """Open a run by its path or folder; an open one comes back as it is.

        Raises
        ------
        UserError
            If the folder is missing, is not a run, or was altered.
        """
        if isinstance(run, OpenRun):
            return run
        return OpenRun(run if isinstance(run, RunFolder) else RunFolder.open(run))

    @property
    def path(self) -> Path:
        """The run folder's path."""
        return self.folder.path

    @property
    def config(self) -> Config:
        """Every setting of the run."""
        return self.folder.config

    @cached_property
    def model(self) -> Diffusion:
        """The trained model; UserError if training is unfinished or the folder is damaged."""
        return Diffusion(self.config, self.folder.bank(), self.errors)

    def to_user(self, x: Floats) -> Floats:
        """Take rows in the model's units to the user's, which are the same unless settings were chosen from data."""
        units = datasets.units_of(self.config.data)
        return x if units is None else units.to_user(x)

    @cached_property
    def errors(self) -> Floats:
        """Rows ``(t, training error, held-out error)`` of the times that are trained."""
        return run_errors(self.folder)

    @cached_property
    def data(self) -> Dataset:
        """The data it was trained on.

        Raises
        ------
        UserError
            If they were an array given in Python, or have changed since.
        """
        data = datasets.load(self.config)
        if datasets.fingerprint(data) != self.folder.manifest.data_sha256:
            raise UserError(f"{self.path} was trained on other data than its configuration now gives")
        return data

    @cached_property
    def reference(self) -> GaussianDenoiser:
        """Linear theory of the training data."""
        return self.model.bank.reference or self.folder.reference()

    @cached_property
    def empirical(self) -> EmpiricalDenoiser:
        """Exact denoiser of the training samples."""
        return EmpiricalDenoiser(self.config.forward(), self.data.train)

    @property
    def denoisers(self) -> dict[str, Denoiser]:
        """The bank and both exact denoisers of its training data, by name."""
        return {"bank": self.model, "gaussian": self.reference, "empirical": self.empirical}

    @cached_property
    def exact(self) -> tuple[str, Denoiser]:
        """See :meth:`~undiffuse.datasets.Dataset.exact`; the empirical one is made once."""
        name, denoiser = self.data.exact(self.config.forward())
        return (name, self.empirical) if name == "empirical" else (name, denoiser)

    # -- images -----------------------------------------------------------------------------------------------

    @property
    def images(self) -> tuple[Images, Images]:
        """Training and held-out images; UserError if the data are not images."""
        if not isinstance(self.data, ImageDataset):
            raise UserError(f"{self.path} was not trained on images")
        return self.data.images

    def held_out_images(self, n: int) -> Images:
        """Return the first ``n`` held-out images; UserError if there are not as many."""
        require(n >= 2, f"n = {n}: wanted at least two images")
        return self.images[1].first(n)

    @cached_property
    def classifiers(self) -> Classifiers:
        """Classifiers of its images: those kept in its folder, or new ones, which are then kept.

        Raises
        ------
        UserError
            If the data are not labelled images, or are of one class.
        """
        from undiffuse.metrics.classifiers import Classifiers  # torch is slow to load, and only images need it

        try:
            files = {name: self.folder.kept(name) for name in Classifiers.FILES}
        except UserError as error:
            warnings.warn(f"{error}: both classifiers are trained again", stacklevel=2)
            files = {}
        whole = {name: content for name, content in files.items() if content is not None}
        if len(whole) == len(Classifiers.FILES):
            return Classifiers.from_files(whole)
        found = Classifiers.train(*self.images, self.config.seed)
        self.folder.keep(found.to_files())
        return found
