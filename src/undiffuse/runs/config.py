"""The configuration of a run: what a preset or a TOML file may say, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)

from undiffuse.datasets import DataSection, SpiralData, section_of
from undiffuse.diffusion.forward import ForwardProcess, Prediction
from undiffuse.diffusion.schedule import NoiseSchedule, ScheduleName
from undiffuse.networks.activations import ACTIVATIONS
from undiffuse.networks.network import Architecture, Skip, Start, Tying
from undiffuse.runs.toml import apply_change, parse
from undiffuse.support.errors import UserError, one_of, shown, unknown
from undiffuse.support.files import LARGEST_TEXT, read_file
from undiffuse.support.memory import check_memory
from undiffuse.support.settings import Count, Positive, Section, first_mistake
from undiffuse.support.streams import LARGEST_SEED

EngineName = Literal["auto", "kernel", "torch", "triton"]
Precision = Literal["auto", "float32", "bfloat16", "tf32"]
Targets = Literal["sample", "posterior", "stable"]
Share = Annotated[float, Field(gt=0, le=1)]
_LARGEST_FACTOR = 1000


def _low_and_high(value: object) -> object:
    match value:
        case [float() | int() as low, float() | int() as high] if -_LARGEST_FACTOR <= low <= high <= _LARGEST_FACTOR:
            return low, high
    raise ValueError(f"{shown(value)} is no range; wanted [low, high], up to {_LARGEST_FACTOR}, as in [0.5, 1.5]")


Range = Annotated[tuple[float, float], BeforeValidator(_low_and_high)]


def _known_activation(name: str) -> str:
    return one_of("activation", name, ACTIVATIONS)


class Block(NamedTuple):
    """A unit of work: the consecutive times ``first..last``."""

    first: int
    last: int


class DiffusionSection(Section):
    """Forward process.

    Attributes
    ----------
    T : int
        Number of diffusion times.
    schedule : {"linear", "cosine", "sigmoid", "constant"}
        Noise schedule; see :class:`undiffuse.NoiseSchedule`.
    beta_1, beta_T : float
        First and last beta; ``constant`` uses ``beta_T`` only, ``cosine`` neither.
    noise_scale : float
        ``s``, in units of the data: the row "xi" of the thesis's Table 2.
    """

    T: Annotated[int, Field(ge=2, le=100_000)] = 1000
    schedule: ScheduleName = "linear"
    beta_1: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    beta_T: Annotated[float, Field(gt=0, lt=1)] = 0.02
    noise_scale: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0


class NetworkSection(Section):
    """Architecture of each time's autoencoder, its initialisation (``start``) and preconditioning (``skip``).

    Attributes
    ----------
    hidden, prediction, skip, activation, tying, start, decoder_scale, components
        See :class:`undiffuse.Architecture`.
    """

    hidden: Count = 900
    prediction: Prediction = "xi"
    skip: Skip = "none"
    activation: Annotated[str, AfterValidator(_known_activation)] = "relu"
    tying: Tying = "untied"
    start: Start = "uniform"
    decoder_scale: Positive = 1.0
    components: Count | None = None

    @model_validator(mode="after")
    def _components_need_the_skip(self) -> Self:
        if self.components is not None and self.skip != "gaussian":
            raise ValueError("components go with skip = 'gaussian', which takes care of the other components")
        return self


class TrainingSection(Section):
    """Algorithm 1 for each time: denoising score matching, as DDPM is trained.

    Attributes
    ----------
    epochs : int
        Passes over the data.
    batch : int
        Batch size.
    learning_rate : float
    optimiser : {"adam", "sgd"}
        Adam (thesis), or plain SGD, which theories of learning describe; SGD is for the torch engine.
    decay : {"none", "linear", "cosine", "trapezoid"}
        Decay of the learning rate to zero; ``trapezoid`` is constant for the first half and then falls linearly.
    loss : {"simple", "weighted"}
        (20), or (19) with the weights of the bound. With one network a time, Adam divides the weight out.
    order : {"independent", "continuation", "sweep"}
        Where a network's training starts. ``independent`` (thesis): from fresh weights. ``continuation``: from the
        trained network of the time above, for ``warm_epochs``, inside a block. ``sweep``: the network of ``sweep_from``
        is trained from fresh weights for ``epochs``; from there one optimiser goes down to t = 1 and another up to T,
        never restarted, with ``warm_epochs`` at each time at the constant ``warm_learning_rate``.
    warm_epochs : int
        Passes of a network that does not start from fresh weights.
    warm_learning_rate, sweep_from, average
        For ``sweep`` only. The weights of a time are an exponential moving average (EMA) over its and its predecessors'
        steps, with ``average`` the share kept at each step (the decay of the EMA).
    block : int
        Number of consecutive times in a unit of work.
    engine : {"auto", "kernel", "torch", "triton"}
        The fused kernel for small piecewise-linear networks, or torch for any; ``auto`` takes the kernel where it can.
        ``triton`` is torch on a GPU, whose steps of Adam a Triton kernel makes without writing gradients out.
    precision : {"auto", "float32", "bfloat16", "tf32"}
        Of torch's and Triton's products of matrices; weights, moments, averages and losses are float32 in each.
        ``auto`` takes bfloat16 where the processor multiplies it faster (AVX512_BF16, AMX, a GPU since Ampere);
        ``tf32`` is for GPUs only.
    at_once : int
        Number of independent networks that torch trains side by side on a processor. On a GPU it is as many as its
        memory holds, and ``block`` at most.
    targets : {"sample", "posterior", "stable"}
        What the network is trained on. ``sample`` (thesis): the noise that was added. ``posterior``: its mean given
        ``x_t``, over a random share of the training samples, with far less scatter at large t; the minimiser is the
        same for a share of 1, and nearly so where many samples of a smaller one are about as likely as each other.
        ``stable``: over that share and the sample that ``x_t`` was made from (Xu, Tong & Jaakkola 2023), whose
        minimiser is that of ``sample`` for any share: given ``x_t`` and this set, each of it is the sample behind
        ``x_t`` with just its weight in the mean.
    posterior_share : float
        That share.
    blends : float
        Share of the inputs made from ``u x_a + v x_b``, a kind of mixup: two training samples in the network's
        variables. They are faint, mixed, overlaid and too bright states, which the reverse process may pass through
        and diffused data do not. Their target is always the posterior mean, for ``stable`` targets over a set with x_a.
    blend_own, blend_other : (float, float)
        Ranges on which u and v are uniform.
    """

    epochs: Count = 20
    batch: Count = 100
    learning_rate: Positive = 0.01
    optimiser: Literal["adam", "sgd"] = "adam"
    decay: Literal["none", "linear", "cosine", "trapezoid"] = "none"
    loss: Literal["simple", "weighted"] = "simple"
    order: Literal["independent", "continuation", "sweep"] = "independent"
    warm_epochs: Count | None = None
    warm_learning_rate: Positive | None = None
    sweep_from: Count | None = None
    average: Annotated[float, Field(ge=0, lt=1)] | None = None
    block: Count = 25
    engine: EngineName = "auto"
    precision: Precision = "float32"
    at_once: Count = 8
    targets: Targets = "sample"
    posterior_share: Share = 0.5
    blends: Annotated[float, Field(ge=0, le=1)] = 0.0
    blend_own: Range = (0.0, 1.5)
    blend_other: Range = (0.0, 1.5)

    @model_validator(mode="after")
    def _order_has_its_settings(self) -> Self:
        if (self.order != "independent") != (self.warm_epochs is not None):
            raise ValueError("warm_epochs is given exactly when order is 'continuation' or 'sweep'")
        for name in ("warm_learning_rate", "sweep_from", "average"):
            if (self.order == "sweep") != (getattr(self, name) is not None):
                raise ValueError(f"{name} is given exactly when order = 'sweep'")
        return self


class TimesSection(Section):
    """Settings for the times ``first..last`` alone.

    Attributes
    ----------
    first, last : int
        Range of times.
    hidden, prediction, skip, components
        Replace those of :class:`NetworkSection`.
    epochs, warm_epochs, batch, learning_rate, warm_learning_rate, targets, posterior_share
    blends, blend_own, blend_other
        Replace those of :class:`TrainingSection`.
    """

    first: Count
    last: Count
    hidden: Count | None = None
    prediction: Prediction | None = None
    skip: Skip | None = None
    components: Count | None = None
    epochs: Count | None = None
    warm_epochs: Count | None = None
    batch: Count | None = None
    learning_rate: Positive | None = None
    warm_learning_rate: Positive | None = None
    targets: Targets | None = None
    posterior_share: Share | None = None
    blends: Annotated[float, Field(ge=0, le=1)] | None = None
    blend_own: Range | None = None
    blend_other: Range | None = None


class EvaluationSection(Section):
    """How samples are evaluated.

    Attributes
    ----------
    samples : int
        Samples in a set.
    replicates : int
        Number of sets.
    """

    samples: Annotated[int, Field(ge=2)] = 2_000
    replicates: Annotated[int, Field(ge=2)] = 32


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
