"""What people would pick instead of a bank, each as a generator that is trained for so long; used by ``peers.py``."""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from torch import nn

import undiffuse as ud
from undiffuse.datasets import Dataset
from undiffuse.recipes.vary import with_share_of_passes
from undiffuse.support.arrays import Floats
from undiffuse.support.threads import cores
from undiffuse.training import train_bank

RATES = (3e-4, 1e-3, 3e-3)
STEPS = 100  # of DDIM


class Peer(ABC):
    """A generator that trains as long as it is told, or at once.

    Attributes
    ----------
    name : str
    seconds : float
        Of training so far.
    """

    name: str
    seconds: float = 0.0

    @abstractmethod
    def train(self, until: float) -> None:
        """Go on training until so many seconds have gone into it, and count them."""

    @abstractmethod
    def sample(self, n: int, seed: int) -> Floats:
        """Draw samples ``(n, dim)`` in the units of the data."""


# -- one network for all times ----------------------------------------------------------------------------------------


class Shared(Peer):
    """A network that is told the time, trained by AdamW on minibatches, with an average of its weights.

    The data are shifted and scaled to have their mean and their largest standard deviation at 0 and 1, or their range
    at -1..1 where it is 0..1. The rate is the best of three by the held-out loss after a trial of each.

    Parameters
    ----------
    data : Dataset
    scheduler : object
        One of diffusers'.
    build : callable
        Makes the network.
    trial : float
        Seconds of each trial; they do not count.
    """

    batch: int
    average = 0.999

    def __init__(self, data: Dataset, scheduler: Any, build: Callable[[], nn.Module], trial: float) -> None:
        pixels = data.train.min() >= 0 and data.train.max() <= 1
        self._shift = np.full(data.dim, 0.5) if pixels else data.train.mean(axis=0)
        self._scale = 0.5 if pixels else float(data.train.std(axis=0).max())
        self._x, self._held_out = (
            torch.tensor((x - self._shift) / self._scale, dtype=torch.float32) for x in (data.train, data.held_out)
        )
        self._scheduler, self._build = scheduler, build
        trials = []
        for rate in RATES:
            self._begin(rate)
            self.train(trial)
            trials.append((self._held_out_loss(), rate))
        self._begin(min(trials)[1])

    def _begin(self, rate: float) -> None:
        torch.manual_seed(0)
        self.seconds, self.rate = 0.0, rate
        self._net = self._build()
        self._averaged, self._steps = copy.deepcopy(self._net), 0
        self._adam = torch.optim.AdamW(self._net.parameters(), lr=rate)

    def train(self, until: float) -> None:
        """Make steps."""
        start = time.perf_counter() - self.seconds
        while self.seconds < until:
            loss = self._loss(self._net, self._x[torch.randint(len(self._x), (self.batch,))])
            self._adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self._net.parameters(), 1.0)
            self._adam.step()
            self._steps += 1
            keep = min(self.average, self._steps / (self._steps + 10))
            with torch.no_grad():
                for mean, now in zip(self._averaged.parameters(), self._net.parameters(), strict=True):
                    mean.lerp_(now, 1 - keep)
            self.seconds = time.perf_counter() - start

    def _loss(self, net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        t = torch.randint(self._scheduler.config.num_train_timesteps, (len(x),))
        noise = torch.randn_like(x)
        noisy, v = self._scheduler.add_noise(x, noise, t), self._scheduler.config.prediction_type == "v_prediction"
        wanted = self._scheduler.get_velocity(x, noise, t) if v else noise
        return nn.functional.mse_loss(self._predicted(net, noisy, t), wanted)

    @torch.no_grad()
    def _held_out_loss(self) -> float:
        torch.manual_seed(1)
        return float(self._loss(self._averaged.eval(), self._held_out))

    def _predicted(self, net: nn.Module, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = net(x, t)
        return out

    @torch.no_grad()
    def sample(self, n: int, seed: int) -> Floats:
        """DDIM with eta = 1, 100 steps."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn((n, self._x.shape[1]), generator=generator)
        self._averaged.eval()
        self._scheduler.set_timesteps(STEPS)
        for t in self._scheduler.timesteps:
            parts = torch.split(x, 250)
            predicted = torch.cat([self._predicted(self._averaged, part, t.expand(len(part))) for part in parts])
            x = self._scheduler.step(predicted, t, x, eta=1.0, generator=generator).prev_sample
        return np.asarray(self._scale * x.numpy().astype(np.float64) + self._shift)


class UNet(Shared):
    """diffusers' UNet2DModel for square grey images: 16, 32 and 32 channels, attention in the last level.

    With twice the channels a step takes four times as long, too long for a core and minutes.
    """

    name, batch = "UNet", 64

    def __init__(self, data: Dataset, trial: float) -> None:
        diffusers: Any = import_module("diffusers")
        self._side = math.isqrt(data.dim)

        def build() -> nn.Module:
            net: nn.Module = diffusers.UNet2DModel(
                sample_size=self._side,
                in_channels=1,
                out_channels=1,
                layers_per_block=1,
                block_out_channels=(16, 32, 32),
                down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
                up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
                norm_num_groups=8,
            )
            return net

        super().__init__(data, diffusers.DDIMScheduler(timestep_spacing="trailing", clip_sample=True), build, trial)

    def _predicted(self, net: nn.Module, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = net(x.view(-1, 1, self._side, self._side), t).sample
        return out.view(len(x), -1)


class Residual(nn.Module):
    """Residual blocks, each told the time."""

    rates: torch.Tensor

    def __init__(self, dim: int, width: int, blocks: int) -> None:
        super().__init__()
        self.register_buffer("rates", torch.exp(torch.linspace(0, -9, 64)))
        self.enter, self.leave = nn.Linear(dim, width), nn.Linear(width, dim)
        self.time = nn.Sequential(nn.Linear(128, width), nn.SiLU())
        self.told = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """What is predicted for each sample at its time."""
        angles = t[:, None].float() * self.rates
        told = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        h = self.enter(x)
        for tell, block in zip(self.told, self.blocks, strict=True):
            h = h + block(h + tell(told))
        out: torch.Tensor = self.leave(h)
        return out


class MLP(Shared):
    """The residual network, v-prediction, cosine schedule: four blocks of 256 units for points.

    For images 512 units on 100 principal components: on pixels, with 1024 units, it was far worse after as long.
    """

    name, batch = "MLP", 256

    def __init__(self, data: Dataset, trial: float) -> None:
        diffusers: Any = import_module("diffusers")
        scheduler = diffusers.DDIMScheduler(
            beta_schedule="squaredcos_cap_v2",
            prediction_type="v_prediction",
            timestep_spacing="trailing",
            clip_sample=False,
        )
        self._axes: PCA | None = None
        if data.dim > 2:
            self._axes = PCA(min(100, data.dim), random_state=0).fit(data.train)
            data = Dataset(self._axes.transform(data.train), self._axes.transform(data.held_out))
        width = 256 if self._axes is None else 512
        super().__init__(data, scheduler, lambda: Residual(data.dim, width, 4), trial)

    def sample(self, n: int, seed: int) -> Floats:
        """See :meth:`Shared.sample`; components are turned to pixels, and the rest of the variance is left out."""
        found = super().sample(n, seed)
        return found if self._axes is None else np.asarray(self._axes.inverse_transform(found))


# -- what is fitted at once -------------------------------------------------------------------------------------------


class AtOnce(Peer):
    """A method without a dial for its time."""

    def __init__(self, data: Dataset) -> None:
        self._data = data

    def train(self, until: float) -> None:
        """Train to the end, whatever it takes."""
        start = time.perf_counter()
        self._fit()
        self.seconds = time.perf_counter() - start

    @abstractmethod
    def _fit(self) -> None: ...


class Mixture(AtOnce):
    """Gaussians on at most 50 principal components, as many as held-out samples like."""

    name = "mixture"

    def _fit(self) -> None:
        self._axes = PCA(min(50, self._data.dim), random_state=0).fit(self._data.train)
        z, held_out = self._axes.transform(self._data.train), self._axes.transform(self._data.held_out)
        fits = [GaussianMixture(k, reg_covar=1e-4, random_state=0).fit(z) for k in (10, 20, 40, 80)]
        self._fitted = max(fits, key=lambda fit: fit.score(held_out))

    def sample(self, n: int, seed: int) -> Floats:
        """Draw components and turn them to variables; the rest of the variance is left out."""
        self._fitted.random_state = seed
        drawn = self._fitted.sample(n)[0]  # Gaussian by Gaussian, and a set of them has to hold all
        return np.asarray(self._axes.inverse_transform(np.random.default_rng(seed).permutation(drawn)))


class Kernel(AtOnce):
    """Gaussian kernels around the points, with the bandwidth that cross-validation likes."""

    name = "KernelDensity"

    def _fit(self) -> None:
        bandwidths = {"bandwidth": np.geomspace(0.01, 0.5, 12) * self._data.train.std()}
        self._fitted = GridSearchCV(KernelDensity(), bandwidths).fit(self._data.train).best_estimator_

    def sample(self, n: int, seed: int) -> Floats:
        """Draw points and jitter them."""
        return np.asarray(self._fitted.sample(n, random_state=seed))


class Forest(AtOnce):
    """Trees for each time and component, on 20 components of 2,000 samples, 20 times and 5 noised copies."""

    name = "ForestDiffusion"

    def _fit(self) -> None:
        from ForestDiffusion import ForestDiffusionModel

        self._axes = PCA(20, random_state=0).fit(self._data.train)
        z = self._axes.transform(self._data.train[:2_000])
        self._model = ForestDiffusionModel(z, diffusion_type="flow", n_t=20, duplicate_K=5, n_jobs=cores(), seed=0)

    def sample(self, n: int, seed: int) -> Floats:
        """Draw components and turn them to pixels."""
        np.random.seed(seed)  # noqa: NPY002  the only source it draws from
        return np.asarray(self._axes.inverse_transform(self._model.generate(batch_size=n)))


class Bank(AtOnce):
    """Ours, by a share of a preset's passes."""

    def __init__(self, data: Dataset, preset: str, share: float) -> None:
        super().__init__(data)
        self.name = f"{preset}, {share:g} of its passes"
        self._config = with_share_of_passes(ud.config.load(preset), share)

    def _fit(self) -> None:
        self._bank, _ = train_bank(self._config, self._data)

    def sample(self, n: int, seed: int) -> Floats:
        """Algorithm 2."""
        return ud.sample(self._bank, n, seed=seed)
