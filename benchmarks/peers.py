"""Banks beside what people would pick instead: the same images, the same cores, the same judge, quality against time.

    taskset -c 0 python benchmarks/peers.py --json peers.json --figure docs/images/peers.png

Zeros and ones of MNIST. Everyone gets the same cores (one, in the line above) and, as far as it can go on, one training that is
looked at after each of ``--minutes``; what trains at once is looked at when it is done. Time spent on looking does not
count. The judges are those of ``undiffuse evaluate``, trained once for all: the Frechet distance in the features of one
classifier, precision and recall there, and the share of images that a stricter one reads with a vote above 0.9.

The others, each with the best of three learning rates by held-out loss after half of the first mark (not counted):

- *UNet*: diffusers' ``UNet2DModel`` with 32, 64 and 64 channels, attention at 7 x 7, epsilon prediction, EMA;
- *MLP*: a time-conditioned residual network of four blocks of 1,024 units, v-prediction, cosine schedule, EMA;
- *mixture*: scikit-learn's ``GaussianMixture`` on 50 principal components, as many Gaussians as held-out images like;
- *ForestDiffusion*, where it is installed: on 20 principal components of 2,000 images, 20 times, 5 noised copies, what
  two cores train in minutes.

The first two are sampled by DDIM with eta = 1 in 100 steps, ours by all steps of Algorithm 2.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import nn

import undiffuse as ud
from quality import shortened
from timing import JsonFile
from undiffuse.datasets import ImageDataset
from undiffuse.figures.style import panels, save, styled
from undiffuse.metrics import Evaluation
from undiffuse.metrics.classifiers import Classifiers
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import UserError
from undiffuse.support.threads import cores
from undiffuse.training import train_bank

SAMPLES, REPLICATES = 1_000, 4
RATES = (3e-4, 1e-3, 3e-3)
MEASURES = ("frechet_distance", "confident", "precision", "recall")
SIDE = 28


@dataclass(frozen=True)
class Point:
    """What a method reaches in so many seconds of training.

    Attributes
    ----------
    method : str
    seconds : float
    sampling_seconds : float
        Of 1,000 samples.
    measures : dict
        Value and standard error over sets of samples, by name.
    """

    method: str
    seconds: float
    sampling_seconds: float
    measures: dict[str, tuple[float, float]]


class Peer(ABC):
    """A generator of images that trains as long as it is told, or at once."""

    name: str
    seconds: float = 0.0

    @abstractmethod
    def train(self, until: float) -> None:
        """Go on training until so many seconds have gone into it, and count them."""

    @abstractmethod
    def sample(self, n: int, seed: int) -> Floats:
        """Draw images ``(n, 784)`` with pixels in [0, 1]."""


# -- one network for all times ----------------------------------------------------------------------------------------


class Shared(Peer):
    """A network that is told the time, trained by Adam on minibatches, with an average of its weights."""

    batch: int
    average = 0.999

    def __init__(self, data: ImageDataset, scheduler: Any, build: Callable[[], nn.Module], tuning: float) -> None:
        self._x = torch.tensor(2 * data.train - 1, dtype=torch.float32)
        self._held_out = torch.tensor(2 * data.held_out - 1, dtype=torch.float32)
        self._scheduler, self._build = scheduler, build
        trials = []
        for rate in RATES:
            self._begin(rate)
            self.train(tuning)
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

    @abstractmethod
    def _predicted(self, net: nn.Module, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor: ...

    @torch.no_grad()
    def sample(self, n: int, seed: int) -> Floats:
        """DDIM with eta = 1, 100 steps."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn((n, SIDE * SIDE), generator=generator)
        self._averaged.eval()
        self._scheduler.set_timesteps(100)
        for t in self._scheduler.timesteps:
            parts = torch.split(x, 250)
            predicted = torch.cat([self._predicted(self._averaged, part, t.expand(len(part))) for part in parts])
            x = self._scheduler.step(predicted, t, x, eta=1.0, generator=generator).prev_sample
        return np.asarray((x.numpy().astype(np.float64) + 1) / 2)


class UNet(Shared):
    """diffusers' UNet2DModel, small."""

    name, batch = "UNet", 64

    def __init__(self, data: ImageDataset, tuning: float) -> None:
        diffusers: Any = import_module("diffusers")

        def build() -> nn.Module:
            net: nn.Module = diffusers.UNet2DModel(
                sample_size=SIDE,
                in_channels=1,
                out_channels=1,
                layers_per_block=1,
                block_out_channels=(32, 64, 64),
                down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
                up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
                norm_num_groups=8,
            )
            return net

        super().__init__(data, diffusers.DDIMScheduler(timestep_spacing="trailing", clip_sample=True), build, tuning)

    def _predicted(self, net: nn.Module, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = net(x.view(-1, 1, SIDE, SIDE), t).sample
        return out.view(len(x), -1)


class Residual(nn.Module):
    """Residual blocks on the pixels, each told the time."""

    rates: torch.Tensor

    def __init__(self, width: int = 1024, blocks: int = 4) -> None:
        super().__init__()
        self.register_buffer("rates", torch.exp(torch.linspace(0, -9, 64)))
        self.enter, self.leave = nn.Linear(SIDE * SIDE, width), nn.Linear(width, SIDE * SIDE)
        self.time = nn.Sequential(nn.Linear(128, width), nn.SiLU())
        self.told = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """What is predicted for each image at its time."""
        angles = t[:, None].float() * self.rates
        told = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        h = self.enter(x)
        for tell, block in zip(self.told, self.blocks, strict=True):
            h = h + block(h + tell(told))
        out: torch.Tensor = self.leave(h)
        return out


class MLP(Shared):
    """The residual network, v-prediction."""

    name, batch = "MLP", 256

    def __init__(self, data: ImageDataset, tuning: float) -> None:
        diffusers: Any = import_module("diffusers")
        scheduler = diffusers.DDIMScheduler(
            beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="trailing"
        )
        super().__init__(data, scheduler, Residual, tuning)

    def _predicted(self, net: nn.Module, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = net(x, t)
        return out


# -- what is fitted at once -------------------------------------------------------------------------------------------


class AtOnce(Peer):
    """A method without a dial for its time."""

    def __init__(self, data: ImageDataset) -> None:
        self._data = data

    def train(self, until: float) -> None:
        """Train to the end, whatever it takes."""
        start = time.perf_counter()
        self._fit()
        self.seconds = time.perf_counter() - start

    @abstractmethod
    def _fit(self) -> None: ...


class Mixture(AtOnce):
    """Gaussians on principal components."""

    name = "mixture"

    def _fit(self) -> None:
        self._axes = PCA(50, random_state=0).fit(self._data.train)
        z, held_out = self._axes.transform(self._data.train), self._axes.transform(self._data.held_out)
        fits = [GaussianMixture(k, reg_covar=1e-4, random_state=0).fit(z) for k in (10, 20, 40, 80)]
        self._fitted = max(fits, key=lambda fit: fit.score(held_out))

    def sample(self, n: int, seed: int) -> Floats:
        """Draw components and turn them to pixels; the rest of the variance is left out."""
        self._fitted.random_state = seed
        return np.asarray(self._axes.inverse_transform(self._fitted.sample(n)[0]))


class Forest(AtOnce):
    """Trees for each time and component."""

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


class Ours(AtOnce):
    """A bank, by a share of a preset's passes."""

    def __init__(self, data: ImageDataset, preset: str, share: float) -> None:
        super().__init__(data)
        self.name, self._config = f"{preset}, {share:g} of its passes", shortened(ud.config.load(preset), share)

    def _fit(self) -> None:
        self._bank, _ = train_bank(self._config, self._data)

    def sample(self, n: int, seed: int) -> Floats:
        """Algorithm 2."""
        return ud.sample(self._bank, n, seed=seed)


# -- the comparison ---------------------------------------------------------------------------------------------------


def entrants(data: ImageDataset, marks: Sequence[float], banks: Sequence[str]) -> Iterator[Peer]:
    """Everyone, one after the other."""
    for bank in banks:
        preset, _, share = bank.partition(":")
        yield Ours(data, preset, float(share or 1))
    yield Mixture(data)
    if importlib.util.find_spec("ForestDiffusion") is None:
        print("ForestDiffusion is not installed: pip install ForestDiffusion")
    else:
        yield Forest(data)
    yield MLP(data, marks[0] / 2)
    yield UNet(data, marks[0] / 2)


def looked_at(peer: Peer, data: ImageDataset, judge: Classifiers) -> Point:
    """Draw images and measure them."""
    start = time.perf_counter()
    samples = peer.sample(SAMPLES * REPLICATES, 1)
    sampling = (time.perf_counter() - start) / REPLICATES
    found = Evaluation(data, REPLICATES, 0, judge).of(samples)
    measures = {name: (found[name].value, found[name].value_stderr) for name in MEASURES}
    return Point(peer.name, peer.seconds, sampling, measures)


@styled
def drawn(points: Sequence[Point]) -> Figure:
    """Frechet distance, and what the strict classifier does not read, against seconds of training."""
    figure, (axes,) = panels(1, 2, 8.6, 3.4)
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault("banks" if "passes" in point.method else point.method, []).append(point)
    for name, group in groups.items():
        group.sort(key=lambda point: point.seconds)
        taken = [point.seconds for point in group]
        frechet = np.array([point.measures["frechet_distance"] for point in group])
        unread = np.array([point.measures["confident"] for point in group]) * 100
        style = "o-" if name == "banks" else "s--"
        axes[0].errorbar(taken, frechet[:, 0], frechet[:, 1], fmt=style, ms=4, label=name)
        axes[1].errorbar(taken, 100 - unread[:, 0], unread[:, 1], fmt=style, ms=4, label=name)
    axes[0].set(xscale="log", yscale="log", xlabel="training (s)", ylabel="Fréchet distance")
    axes[1].set(xscale="log", yscale="log", xlabel="training (s)", ylabel="not read with a vote above 0.9 (%)")
    axes[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Train everyone, print a line for each look, and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[JsonFile.options()]
    )
    parser.add_argument("--minutes", nargs="+", type=float, default=[1.0, 5.0, 20.0], help="when to look (default 1 5 20)")
    parser.add_argument(
        "--banks", nargs="+", default=["mnist-01-quick:0.3", "mnist-01-quick", "mnist-01-short"],
        metavar="PRESET[:SHARE]", help="ours, with a share of their passes",
    )  # fmt: skip
    parser.add_argument("--figure", type=Path, metavar="FILE", help="also draw the curves here, as PNG")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # of mixtures that do not converge
    torch.set_num_threads(cores())
    found = []
    try:
        file = JsonFile(parser, argv, options)
        data = cast(ImageDataset, ud.datasets.load(ud.config.load("mnist-01-quick")))
        judge = Classifiers.train(*data.images)
        marks = sorted(60 * minutes for minutes in options.minutes)
        for peer in entrants(data, marks, options.banks):
            for mark in marks[:1] if isinstance(peer, AtOnce) else marks:
                peer.train(mark)
                found.append(looked_at(peer, data, judge))
                cells = [f"{name} {value:.3f} ± {error:.3f}" for name, (value, error) in found[-1].measures.items()]
                rate = f", rate {peer.rate:g}" if isinstance(peer, Shared) else ""
                print(f"{peer.name}{rate}: {peer.seconds:.0f} s; {', '.join(cells)}", flush=True)
    except UserError as error:
        parser.error(str(error))
    if options.figure is not None:
        save(drawn(found), options.figure)
    file.write({"points": [point.__dict__ for point in found]})


if __name__ == "__main__":
    main()
