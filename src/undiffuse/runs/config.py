"""The configuration of a run: what a preset or a TOML file may say, checked before anything starts."""

from __future__ import annotations

import tomllib
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.networks.network import Architecture
from undiffuse.support.errors import UserError, unknown

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SpiralData(_Section):
    """Points on an Archimedean spiral; see :func:`undiffuse.datasets.spiral`."""

    name: Literal["spiral"] = "spiral"
    n: Count = 10_000
    turns: Positive = 1.0
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.02
    held_out: Count = 2_000


class ImageData(_Section):
    """Digits of MNIST, or of IDX files in ``folder``; see :func:`undiffuse.datasets.mnist`.

    The first ``n`` training and ``held_out`` test images in the files' order; all of them by default.
    """

    name: Literal["mnist"]
    digits: Annotated[tuple[Annotated[int, Field(ge=0, le=255)], ...], Field(min_length=1)] = (0, 1)
    n: Count | None = None
    held_out: Count | None = None
    pixels: Literal["unit", "symmetric"] = "unit"
    folder: str | None = None


class CurieWeissData(_Section):
    """Configurations of the Curie-Weiss ferromagnet; see :class:`undiffuse.physics.CurieWeiss`."""

    name: Literal["curie-weiss"]
    spins: Annotated[int, Field(ge=2)] = 64
    beta: Positive = 1.5
    field: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    n: Count = 20_000
    held_out: Count = 2_000


class FileData(_Section):
    """Rows of a ``.npy`` array of shape ``(n, dim)``; the last ``held_out`` rows are kept for testing."""

    name: Literal["file"] = "file"
    path: str
    held_out: Count


class ArrayData(_Section):
    """Samples handed over in Python; a run folder keeps their fingerprint, not the samples."""

    name: Literal["array"] = "array"
    held_out: Count


DataSection = Annotated[SpiralData | ImageData | CurieWeissData | FileData | ArrayData, Field(discriminator="name")]


class DiffusionSection(_Section):
    """Forward process: number of times, schedule, noise scale s (the row "xi" of the thesis's Table 2)."""

    T: Annotated[int, Field(ge=2)] = 1000
    schedule: Literal["linear", "cosine", "sigmoid", "constant"] = "linear"
    beta_1: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    beta_T: Annotated[float, Field(gt=0, lt=1)] = 0.02
    noise_scale: Positive = 1.0


class NetworkSection(_Section):
    """Architecture of each time's autoencoder; see :class:`undiffuse.networks.network.Architecture`."""

    hidden: Count = 900
    prediction: Literal["xi", "x0", "v"] = "xi"
    skip: Literal["none", "scalar", "gaussian"] = "none"
    activation: Literal["relu", "linear", "sigmoid"] = "relu"
    tying: Literal["untied", "tied", "signed"] = "untied"
    start: Literal["uniform", "data"] = "uniform"
    decoder_scale: Positive = 1.0
    components: Count | None = None

    @model_validator(mode="after")
    def _components_need_the_skip(self) -> Self:
        if self.components is not None and self.skip != "gaussian":
            raise ValueError("components go with skip = 'gaussian', which answers for the other components")
        return self


class TrainingSection(_Section):
    """Algorithm 1, for each time.

    ``order`` says where a network starts. ``independent`` (thesis): from fresh weights. ``continuation``: from the
    trained network of the time above, for ``warm_epochs``, inside a block. ``sweep``: the network of ``sweep_from`` is
    trained from fresh weights for ``epochs``; from there one optimiser goes down to t = 1 and another up to T, never
    restarted, with ``warm_epochs`` at each time at the constant ``warm_learning_rate``, and the weights of a time are
    the running average of its and its predecessors' steps, with ``average`` the share kept at each step.

    ``targets`` says what a network is shown as the answer. ``sample`` (thesis): the noise that was added.
    ``posterior``: its mean given ``x_t``, over a random half of the training images, which has the same minimiser and
    far less scatter at large t (Xu, Tong & Jaakkola 2023). A share ``blends`` of the inputs is made from
    ``u x_a + v x_b``, two training samples in the network's variables with u and v uniform on [0, 1.5]: faint, mixed,
    overlaid and too bright states, which the reverse process may pass through and diffused data do not. Their answer is
    always the posterior mean.
    """

    epochs: Count = 20
    batch: Count = 100
    learning_rate: Positive = 0.01
    decay: Literal["none", "linear", "cosine", "trapezoid"] = "none"
    loss: Literal["simple", "weighted"] = "simple"
    order: Literal["independent", "continuation", "sweep"] = "independent"
    warm_epochs: Count | None = None
    warm_learning_rate: Positive | None = None
    sweep_from: Count | None = None
    average: Annotated[float, Field(ge=0, lt=1)] | None = None
    block: Count = 25
    engine: Literal["auto", "kernel", "torch"] = "auto"
    at_once: Count = 8
    targets: Literal["sample", "posterior"] = "sample"
    blends: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _order_has_its_settings(self) -> Self:
        if (self.order != "independent") != (self.warm_epochs is not None):
            raise ValueError("warm_epochs is given exactly when order is 'continuation' or 'sweep'")
        for name in ("warm_learning_rate", "sweep_from", "average"):
            if (self.order == "sweep") != (getattr(self, name) is not None):
                raise ValueError(f"{name} is given exactly when order = 'sweep'")
        return self


class TimesSection(_Section):
    """What differs on the times ``first..last``: any of these replaces the value of the whole run there."""

    first: Count
    last: Count
    hidden: Count | None = None
    prediction: Literal["xi", "x0", "v"] | None = None
    skip: Literal["none", "scalar", "gaussian"] | None = None
    components: Count | None = None
    epochs: Count | None = None
    warm_epochs: Count | None = None
    batch: Count | None = None
    learning_rate: Positive | None = None
    warm_learning_rate: Positive | None = None
    targets: Literal["sample", "posterior"] | None = None
    blends: Annotated[float, Field(ge=0, le=1)] | None = None


class EvaluationSection(_Section):
    """How samples are judged: sets of ``samples`` points, ``replicates`` times over."""

    samples: Annotated[int, Field(ge=2)] = 2_000
    replicates: Annotated[int, Field(ge=2)] = 32


class Config(_Section):
    """A whole run. Unknown keys are errors."""

    name: str = "custom"
    description: str = ""
    seed: Annotated[int, Field(ge=0)] = 0
    data: DataSection = SpiralData()
    diffusion: DiffusionSection = DiffusionSection()
    network: NetworkSection = NetworkSection()
    training: TrainingSection = TrainingSection()
    times: tuple[TimesSection, ...] = ()
    evaluation: EvaluationSection = EvaluationSection()

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

    # -- what the rest of the package asks of it --------------------------------------------------------------

    def forward(self) -> ForwardProcess:
        """Build the forward process."""
        d = self.diffusion
        return ForwardProcess(NoiseSchedule.named(d.schedule, d.T, d.beta_1, d.beta_T), d.noise_scale)

    def training_at(self, t: int) -> TrainingSection:
        """Training settings at time ``t``, its range's replacements applied."""
        return self.training.model_copy(update=self._replacements(t, TrainingSection))

    def architecture_at(self, t: int, dim: int) -> Architecture:
        """Architecture of time ``t``'s network for data of dimension ``dim``."""
        section = self.network.model_copy(update=self._replacements(t, NetworkSection))
        return Architecture(dim=dim, **section.model_dump())

    def blocks(self) -> list[tuple[int, int]]:
        """Cut 1..T into units of work ``(first, last)``; no block crosses the border of a range of times."""
        size, start = self.training.block, self.training.sweep_from
        edges = {1, self.diffusion.T + 1}
        for part in self.times:
            edges |= {part.first, part.last + 1}
        if start is not None:
            edges |= {start, start + 1}
        out = []
        for first, stop in pairwise(sorted(edges)):
            if start is not None and first > start:
                out += [(low, min(low + size, stop) - 1) for low in range(first, stop, size)]
            else:
                # Counted from the top, so that in continuation a short block's cold start is not the one at large t.
                out += [(max(first, high - size + 1), high) for high in range(stop - 1, first - 1, -size)]
        return sorted(out)

    def block_before(self, index: int) -> int | None:
        """Index of the block that block ``index`` of a sweep goes on from; None where nothing needs to come before."""
        start, blocks = self.training.sweep_from, self.blocks()
        first, last = blocks[index]
        if start is None or first == start:
            return None
        return index + 1 if last < start else index - 1

    def _replacements(self, t: int, section: type[_Section]) -> dict[str, Any]:
        for part in self.times:
            if part.first <= t <= part.last:
                given = part.model_dump(exclude_none=True)
                return {key: value for key, value in given.items() if key in section.model_fields}
        return {}

    def to_toml(self) -> str:
        """Write every setting out, defaults included."""
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
        content, where = path.read_text(encoding="utf-8"), text
    else:
        if text not in presets():
            raise unknown("preset", text, presets())
        content, where = (
            (resources.files("undiffuse.runs") / "presets" / f"{text}.toml").read_text(encoding="utf-8"),
            text,
        )
    settings = _parse(content, where)
    for change in changes or []:
        _apply_change(settings, change)
    if seed is not None:
        settings["seed"] = seed
    return validate(settings, where)


def loads(content: str, where: str) -> Config:
    """Read a configuration from TOML text; ``where`` names it in errors."""
    return validate(_parse(content, where), where)


def validate(settings: dict[str, Any], where: str) -> Config:
    """Check settings and turn the first thing wrong with them into one line."""
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise UserError(f"{where}: {_first_line(error)}") from None


def _parse(content: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where} is not valid TOML: {error}") from None


def _apply_change(settings: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals:
        raise UserError(f"--set {change!r}: wanted section.key=value, such as training.epochs=5")
    try:
        parsed = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        parsed = value
    *path, last = key.strip().split(".")
    for name in path:
        settings = settings.setdefault(name, {})
        if not isinstance(settings, dict):
            raise UserError(f"--set {change!r}: {name!r} is a value, not a section")
    settings[last] = parsed


_SECTIONS: dict[str, type[BaseModel]] = {
    "data": SpiralData,
    "diffusion": DiffusionSection,
    "network": NetworkSection,
    "training": TrainingSection,
    "times": TimesSection,
    "evaluation": EvaluationSection,
    "mnist": ImageData,
    "file": FileData,
    "array": ArrayData,
    "spiral": SpiralData,
}


def _first_line(error: ValidationError) -> str:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        section: type[BaseModel] = Config
        for part in place[:-1]:
            section = _SECTIONS.get(part, section)
        what = f"key in [{place[0]}]" if len(place) > 1 else "key"
        return str(unknown(what, place[-1], section.model_fields))
    message = first["msg"].removeprefix("Value error, ")
    got = first.get("input")
    shown = f" = {got!r}" if isinstance(got, (int, float, str, bool)) else ""
    return f"{'.'.join(place)}{shown}: {message}" if place else message
