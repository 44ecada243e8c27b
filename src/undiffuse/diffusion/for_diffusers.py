"""A denoiser as the schedulers and pipelines of Hugging Face's diffusers call a model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.support.errors import require
from undiffuse.support.with_torch import torch

Scheduler = TypeVar("Scheduler")
Setting = int | float | str | bool | list[float]


@dataclass(frozen=True)
class Output:
    """What a call returns; ``sample`` is the noise estimated, of the shape of the input."""

    sample: torch.Tensor


class DiffusersModel(torch.nn.Module):
    r"""Any denoiser, trained or exact, behind ``model(sample, t).sample``.

    Two conventions differ, and are turned here. Times: diffusers counts 0..T-1 where the denoiser counts 1..T; times
    between two integers, which some schedulers visit, are interpolated between both. Noise scale: diffusers knows only
    the process of unit noise, which this one is for ``x/s``; :meth:`to_data` and :meth:`from_data` multiply and divide.

    Parameters
    ----------
    denoiser : Denoiser
    shape : sequence of int, optional
        Shape of one sample, such as ``(1, 28, 28)`` for pipelines; ``(dim,)`` by default.

    Raises
    ------
    UserError
        If the shape does not hold ``dim`` numbers.

    Examples
    --------
    >>> import torch, undiffuse as ud
    >>> from diffusers import UniPCMultistepScheduler
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2), noise_scale=0.5)
    >>> model = ud.to_diffusers(ud.GaussianDenoiser(forward, [0.0], [[0.04]]))
    >>> scheduler = model.scheduler(UniPCMultistepScheduler)
    >>> scheduler.set_timesteps(20)
    >>> x = torch.randn(2_000, 1, generator=torch.Generator().manual_seed(0))
    >>> for t in scheduler.timesteps:
    ...     x = scheduler.step(model(x, t).sample, t, x).prev_sample
    >>> bool(abs(model.to_data(x).std() - 0.2) < 0.02)
    True

    See Also
    --------
    undiffuse.sample : the package's own samplers.
    """

    def __init__(self, denoiser: Denoiser, shape: Sequence[int] | None = None) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.shape = (denoiser.dim,) if shape is None else tuple(shape)
        require(
            np.prod(self.shape) == denoiser.dim,
            f"shape {self.shape} holds {np.prod(self.shape)} numbers, a sample has {denoiser.dim}",
        )
        # What image pipelines ask of a model.
        channels, size = (self.shape[0], self.shape[1:]) if len(self.shape) == 3 else (None, None)
        self.config = SimpleNamespace(in_channels=channels, out_channels=channels, sample_size=size)

    @property
    def dtype(self) -> torch.dtype:
        """Precision in which pipelines draw their noise."""
        return torch.float32

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return torch.device("cpu")

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor | float, return_dict: bool = True, **_: object
    ) -> Output | tuple[torch.Tensor]:
        """Noise in a sample ``(n, *shape)`` of the process of unit noise.

        Parameters
        ----------
        sample : tensor
        timestep : tensor or number
            In 0..T-1; one for all samples.
        return_dict : bool
            Return an :class:`Output`, or else a tuple of one.

        Raises
        ------
        UserError
            If samples are of other times or another size, or the time is out of range.
        """
        times = np.unique(np.asarray(torch.as_tensor(timestep, dtype=torch.float64, device="cpu")))
        require(len(times) == 1, f"samples are at {len(times)} times, wanted one")
        t, T = float(times[0]), self.denoiser.forward.T
        require(0 <= t <= T - 1, f"timestep {t:g} is outside 0..{T - 1}")
        x = sample.detach().to("cpu", torch.float64).numpy().reshape(len(sample), -1)
        require(x.shape[1] == self.denoiser.dim, f"a sample has {x.shape[1]} numbers, wanted {self.denoiser.dim}")
        xi = torch.from_numpy(np.ascontiguousarray(self._xi_hat(x, t))).reshape(sample.shape)
        out = xi.to(sample.device, sample.dtype)
        return Output(out) if return_dict else (out,)

    def scheduler(self, kind: type[Scheduler], **options: object) -> Scheduler:
        """Make a scheduler of diffusers that matches this denoiser's schedule.

        Parameters
        ----------
        kind : class
            Such as ``diffusers.DPMSolverMultistepScheduler``.
        **options
            Further settings of it, which replace those of :meth:`scheduler_config`.
        """
        known = inspect.signature(kind).parameters
        settings = {key: value for key, value in self.scheduler_config().items() if key in known}
        return kind(**{**settings, **options})

    def scheduler_config(self) -> Mapping[str, Setting]:
        """Settings of schedulers that follow from the denoiser: its betas, times, and that noise is predicted."""
        schedule = self.denoiser.forward.schedule
        return {
            "num_train_timesteps": schedule.T,
            "trained_betas": schedule.beta(schedule.times).tolist(),
            "prediction_type": "epsilon",
            "clip_sample": False,
            "variance_type": "fixed_large",
            "set_alpha_to_one": True,
        }

    def to_data(self, sample: torch.Tensor) -> torch.Tensor:
        """Samples of diffusers in the units of the data: times the noise scale."""
        return sample * self.denoiser.forward.noise_scale

    def from_data(self, x: Any) -> torch.Tensor:
        """Data, or states of this package, as diffusers' samples ``(n, *shape)``: over the noise scale, float32."""
        scaled = torch.as_tensor(x, dtype=torch.float64) / self.denoiser.forward.noise_scale
        return scaled.to(torch.float32).reshape(-1, *self.shape)

    def _xi_hat(self, x: Any, t: float) -> Any:
        """Noise estimate at diffusers' time ``t``, for unit noise."""
        forward, below = self.denoiser.forward, int(t)
        share = t - below
        if share == 0:
            return self.denoiser.xi_hat(forward.noise_scale * x, below + 1)
        # x = y/sqrt(1 + sigma^2), with sigma taken between those of both times as diffusers does.
        ends = (below + 1, below + 2)
        low, high = (forward.noise(e) / forward.signal(e) / forward.noise_scale for e in ends)
        y = x * np.sqrt(1 + ((1 - share) * low + share * high) ** 2)
        at_ends = [self.denoiser.xi_hat(forward.noise_scale * forward.signal(e) * y, e) for e in ends]
        return (1 - share) * at_ends[0] + share * at_ends[1]


def to_diffusers(denoiser: Denoiser, shape: Sequence[int] | None = None) -> DiffusersModel:
    """Let diffusers' schedulers and pipelines drive a denoiser; see :class:`DiffusersModel`.

    Parameters
    ----------
    denoiser : Denoiser
        A bank, a trained model, or an exact one.
    shape : sequence of int, optional
        Shape of one sample; ``(dim,)`` by default.
    """
    return DiffusersModel(denoiser, shape)
