"""The configuration of a run: what a preset or a TOML file may say, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, field_validator, model_validator

from undiffuse.datasets import DataSection, SpiralData, section_of
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.networks.network import Architecture
from undiffuse.runs.sections import DiffusionSection, EvaluationSection, NetworkSection, TimesSection, TrainingSection
from undiffuse.runs.toml import apply_change, parse
from undiffuse.support.errors import UserError, shown, unknown
from undiffuse.support.files import LARGEST_TEXT, read_file
from undiffuse.support.memory import check_memory
from undiffuse.support.settings import Section, first_mistake
from undiffuse.support.streams import LARGEST_SEED


class Block(NamedTuple):
    """A unit of work: the consecutive times ``first..last``."""

    first: int
    last: int


class Config(Section):
    """Every setting of a run. Unknown keys are errors.

    Attributes
    ----------
    name, description : str
    seed : int
        Of every random stream.
    data : DataSection
        Data set; see :mod:`undiffuse.datasets`.
    diffusion : DiffusionSection
    network : NetworkSection
    training : TrainingSection
    times : tuple of TimesSection
        Ranges of times with settings of their own.
    evaluation : EvaluationSection

    Examples
    --------
    >>> import undiffuse as ud
    >>> config = ud.config.load("spiral-2pi", ["training.batch=50"])
    >>> config.network.hidden, config.training.batch, config.forward().T
    (900, 50, 1000)

    See Also
    --------
    undiffuse.presets : names of the presets.
    undiffuse.fit : trains with a configuration.
    """

    name: str = "custom"
    description: str = ""
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    data: SerializeAsAny[DataSection] = SpiralData()
    diffusion: DiffusionSection = DiffusionSection()
    network: NetworkSection = NetworkSection()
    training: TrainingSection = TrainingSection()
    times: Annotated[tuple[TimesSection, ...], Field(strict=False)] = ()
    evaluation: EvaluationSection = EvaluationSection()

    @field_validator("data", mode="before")
    @classmethod
    def _data_of_a_kind(cls, value: object) -> object:
        return section_of(value) if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        last = 0
        for part in sorted(self.times, key=lambda part: part.first):
            if not last < part.first <= part.last <= self.diffusion.T:
                raise ValueError(
                    f"times {part.first}..{part.last} do not lie inside 1..{self.diffusion.T} "
                    "or overlap the range before"
                )
            last = part.last
        start = self.training.sweep_from
        if start is not None:
            if start > self.diffusion.T:
                raise ValueError(f"training.sweep_from = {start} is outside 1..{self.diffusion.T}")
            if any(part.hidden or part.skip or part.prediction for part in self.times):
                raise ValueError("in a sweep only the number of components may differ between networks")
        return self

    @model_validator(mode="after")
    def _errors_fit(self) -> Self:
        training, T = self.training, self.diffusion.T
        passes = [training.epochs, training.warm_epochs, *(e for p in self.times for e in (p.epochs, p.warm_epochs))]
        most = max(number or 0 for number in passes)
        check_memory(2 * 8 * T * most, f"training for {shown(most)} epochs at {T} times: keeping their errors")
        return self

    # -- what follows from the settings -----------------------------------------------------------------------

    def forward(self) -> ForwardProcess:
        """Build the forward process."""
        d = self.diffusion
        return ForwardProcess(NoiseSchedule.named(d.schedule, d.T, d.beta_1, d.beta_T), d.noise_scale)

    def largest_batch(self) -> int:
        """Size of the largest minibatch of training."""
        return max(self.training_at(t).batch for t in (1, *(part.first for part in self.times)))

    def training_at(self, t: int) -> TrainingSection:
        """Training settings at time ``t``, with the replacements of its range of times."""
        return self.training.model_copy(update=self._replacements(t, TrainingSection))

    def architecture_at(self, t: int, dim: int) -> Architecture:
        """Architecture of time ``t``'s network for data of dimension ``dim``."""
        section = self.network.model_copy(update=self._replacements(t, NetworkSection))
        return Architecture(dim=dim, **section.model_dump())

    def blocks(self) -> list[Block]:
        """Cut 1..T into units of work ``(first, last)``; no block crosses the border of a range of times."""
        size, start = self.training.block, self.training.sweep_from
        edges = {1, self.diffusion.T + 1}
        for part in self.times:
            edges |= {part.first, part.last + 1}
        if start is not None:
            edges |= {start, start + 1}
        out: list[Block] = []
        for first, stop in pairwise(sorted(edges)):
            if start is not None and first > start:
                out += [Block(low, min(low + size, stop) - 1) for low in range(first, stop, size)]
            else:
                # Cut from the top, so that in continuation a short block, with its fresh start, is not at large t.
                out += [Block(max(first, high - size + 1), high) for high in range(stop - 1, first - 1, -size)]
        return sorted(out)

    def block_before(self, index: int) -> int | None:
        """Index of the block that block ``index`` of a sweep continues; None for a block that starts by itself."""
        start, blocks = self.training.sweep_from, self.blocks()
        first, last = blocks[index]
        if start is None or first == start:
            return None
        return index + 1 if last < start else index - 1

    def _replacements(self, t: int, section: type[Section]) -> dict[str, Any]:
        for part in self.times:
            if part.first <= t <= part.last:
                given = part.model_dump(exclude_none=True)
                return {key: value for key, value in given.items() if key in section.model_fields}
        return {}

    def to_toml(self) -> str:
        """Return every setting as TOML, defaults included."""
        import tomli_w

        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


# -- reading --------------------------------------------------------------------------------------------------------


def presets() -> list[str]:
    """Return the names of the presets that come with the package."""
    folder = resources.files("undiffuse.runs") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load(source: str | Path, changes: list[str] | None = None, seed: int | None = None) -> Config:
    """Read a preset by name or a TOML file by path, then apply ``section.key=value`` changes.

    Raises
    ------
    UserError
        If the preset or file does not exist, is not TOML, or says something that is not known or not valid.
    """
    text = str(source)
    if text.endswith(".toml"):
        path = Path(text)
        if not path.is_file():
            raise UserError(f"there is no configuration file {text!r}")
        content = read_file(path, LARGEST_TEXT)
    else:
        if text not in presets():
            if Path(text).is_file():
                raise UserError(f"{text} is no preset or .toml; `undiffuse run FILE --save-preset` makes one of data")
            raise unknown("preset", text, presets())
        content = (resources.files("undiffuse.runs") / "presets" / f"{text}.toml").read_bytes()
    settings = parse(content, text)
    for change in changes or []:
        apply_change(settings, change)
    if seed is not None:
        settings["seed"] = seed
    return validate(settings, text)


def loads(content: str | bytes, where: str) -> Config:
    """Read a configuration from TOML, as text or as it lies in a file; ``where`` names it in errors."""
    return validate(parse(content, where), where)


def validate(settings: dict[str, Any], where: str) -> Config:
    """Check settings; the first mistake becomes a :class:`UserError` of one line."""
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise UserError(f"{where}: {first_mistake(error, _SECTIONS)}") from None


_SECTIONS: dict[str, type[BaseModel]] = {
    "": Config,
    "diffusion": DiffusionSection,
    "network": NetworkSection,
    "training": TrainingSection,
    "times": TimesSection,
    "evaluation": EvaluationSection,
}
