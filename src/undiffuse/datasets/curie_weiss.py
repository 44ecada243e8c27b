"""Configurations of the Curie-Weiss ferromagnet as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from undiffuse.datasets.base import DataSection, Dataset, register
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.classes import Rule
from undiffuse.support.arrays import Floats
from undiffuse.support.memory import check_memory
from undiffuse.support.settings import Count, Positive
from undiffuse.support.streams import Purpose, stream

if TYPE_CHECKING:
    from undiffuse.physics.curie_weiss import CurieWeiss


@dataclass(frozen=True, kw_only=True)
class SpinDataset(Dataset):
    """Exact draws of a Curie-Weiss model, whose classes are the signs of the magnetisation.

    Attributes
    ----------
    train, held_out, fresh
        See :class:`~undiffuse.datasets.Dataset`.
    model : CurieWeiss
    """

    model: CurieWeiss

    @property
    def kind_of_classes(self) -> str:
        """What the classes are, in words."""
        return "signs of the magnetisation"

    def class_rule(self) -> Rule:
        """1 where more spins point up, 0 elsewhere."""
        return lambda x: (x.sum(axis=1) > 0).astype(int)

    def exact(self, forward: ForwardProcess) -> tuple[str, Denoiser]:
        """Return the exact denoiser of the model."""
        from undiffuse.physics.curie_weiss_denoiser import CurieWeissDenoiser

        return "Curie-Weiss, exact", CurieWeissDenoiser(forward, self.model)

    def law(self, forward: ForwardProcess) -> Denoiser:
        """Return the exact denoiser of the model."""
        return self.exact(forward)[1]

    def log_density(self, forward: ForwardProcess, x_t: Floats, t: int) -> Floats:
        """See :class:`~undiffuse.datasets.Dataset`: by one quadrature."""
        from undiffuse.physics.curie_weiss_denoiser import CurieWeissDenoiser

        return CurieWeissDenoiser(forward, self.model).log_density(x_t, t)


@register
class CurieWeissData(DataSection):
    """Configurations of the Curie-Weiss ferromagnet; see :class:`undiffuse.physics.CurieWeiss`.

    Attributes
    ----------
    spins : int
        Number of spins N.
    beta : float
        Inverse temperature.
    field : float
        Field h; it enters as h/N.
    n, held_out : int
        Number of training and of held-out samples.
    """

    name: Literal["curie-weiss"] = "curie-weiss"
    spins: Annotated[int, Field(ge=2)] = 64
    beta: Positive = 1.5
    field: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    n: Count = 20_000
    held_out: Count = 2_000

    def make(self, seed: int, samples: object = None) -> Dataset:
        """Draw configurations; see :class:`~undiffuse.datasets.base.DataSection`."""
        samples_wanted = f"drawing {self.n} + {self.held_out} configurations of {self.spins} spins"
        check_memory(2 * 8 * self.spins * (self.n + self.held_out), samples_wanted)
        from undiffuse.physics.curie_weiss import CurieWeiss  # scipy is slow to load, and other data do without

        model, rng = CurieWeiss(self.spins, self.beta, self.field), stream(seed, Purpose.DATA)
        return SpinDataset(model.sample(self.n, rng), model.sample(self.held_out, rng), model.sample, model=model)
