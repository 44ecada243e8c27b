"""The sections of a configuration: what each may say, and what its settings mean."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from undiffuse.diffusion.forward import Prediction
from undiffuse.diffusion.schedule import ScheduleName
from undiffuse.networks.activations import ACTIVATIONS
from undiffuse.networks.network import Skip, Start, Tying
from undiffuse.support.errors import one_of, shown
from undiffuse.support.settings import Count, Positive, Section

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


class DiffusionSection(Section):
    """Forward process.

    Attributes
    ----------
    T : int
        Number of diffusion times.
    schedule : {"linear", "cosine", "sigmoid", "constant"}
        Noise schedule; see :class:`undiffuse.NoiseSchedule`.
    beta_1, beta_T : float
        First and last beta, for ``sigmoid`` their limits; ``constant`` uses ``beta_T`` only, ``cosine`` neither.
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
