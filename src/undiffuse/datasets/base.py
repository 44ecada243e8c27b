"""What every data set offers, and the section of a configuration that makes one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.classes import Classes, Rule, sides
from undiffuse.support.arrays import Floats
from undiffuse.support.settings import Section

Measure = Callable[[Floats], float]


@dataclass(frozen=True)
class Dataset:
    """Training samples, held-out samples and, where the law of the data is known, a way to draw more.

    A subclass for another kind of data defines what differs: the classes, the exact denoiser, and further measures of
    samples.

    Attributes
    ----------
    train, held_out : (n, dim)
    fresh : callable or None
        ``fresh(n, rng)`` draws ``n`` new samples from the true law.

    Examples
    --------
    >>> import numpy as np, undiffuse as ud
    >>> data = ud.datasets.Dataset(np.eye(4), np.eye(4)[:1])
    >>> data.dim, data.kind_of_classes
    (4, 'sides of the first principal axis')

    See Also
    --------
    undiffuse.datasets.load
    """

    train: Floats
    held_out: Floats
    fresh: Callable[[int, np.random.Generator], Floats] | None = None

    @property
    def dim(self) -> int:
        """Number of variables."""
        return self.train.shape[1]

    # -- what subclasses define -------------------------------------------------------------------------------

    @property
    def kind_of_classes(self) -> str:
        """What the classes of the data are, in words."""
        return "sides of the first principal axis"

    def class_rule(self) -> Rule:
        """Rule that gives the class of samples without labels."""
        return sides(self.train)

    def classes(self) -> tuple[Classes, Classes]:
        """Training and held-out samples with their classes.

        Raises
        ------
        UserError
            If there is a single class.
        """
        classify = self.class_rule()
        return Classes(self.train, classify(self.train)), Classes(self.held_out, classify(self.held_out))

    def exact(self, forward: ForwardProcess) -> tuple[str, Denoiser]:
        """Name of the exact denoiser that banks are set beside, and the denoiser: that of the training points.

        Spins put that of their law in its place. Spirals do not, whose law only :meth:`law` has.
        """
        return "empirical", EmpiricalDenoiser(forward, self.train)

    def law(self, forward: ForwardProcess) -> Denoiser | None:
        """Exact denoiser of the data's law where it is known, whose xi-error is the least there is; else None."""
        return None

    def log_density(self, forward: ForwardProcess, x_t: Floats, t: int) -> Floats | None:
        """``log q_t(x_t)`` in nats where the law of the data is known, shape ``(n,)``; None where it is not.

        Parameters
        ----------
        forward : ForwardProcess
        x_t : (n, dim)
        t : int
            In 1..T.
        """
        return None

    def measures(self) -> Mapping[str, Measure]:
        """Measures of samples of these data, one number each, beside the distances that any data have."""
        return {}

    # -- sets to compare with ---------------------------------------------------------------------------------

    def largest_set(self) -> int | None:
        """Largest number of samples that :meth:`two_sets` can give; None where fresh ones can be drawn."""
        return None if self.fresh is not None else min(len(self.held_out), len(self.train))

    def two_sets(self, size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Two sets to compare with: fresh ones, or a choice of the held-out and one of the training samples."""
        if self.fresh is not None:
            return self.fresh(size, rng), self.fresh(size, rng)
        return rng.choice(self.held_out, size, replace=False), rng.choice(self.train, size, replace=False)


class DataSection(Section):
    """The ``[data]`` section of a configuration; a subclass for each kind of data, entered in :data:`DATASETS`."""

    name: str

    @abstractmethod
    def make(self, seed: int, samples: object = None) -> Dataset:
        """Draw or read the data; ``samples`` are those given in Python, for the section that takes them.

        Raises
        ------
        UserError
            If a file is missing or is not a finite ``(n, dim)`` array, or there are too few samples.
        """


DATASETS: dict[str, type[DataSection]] = {}


def register(section: type[DataSection]) -> type[DataSection]:
    """Enter a kind of data, under the name its section has by default; to be used as a decorator."""
    DATASETS[section.model_fields["name"].default] = section
    return section
