"""``undiffuse presets``: which presets there are, by kind, and what each costs."""

from __future__ import annotations

from dataclasses import dataclass

from undiffuse.datasets.base import DataSection
from undiffuse.datasets.curie_weiss import CurieWeissData
from undiffuse.datasets.mnist import FashionData, ImageData
from undiffuse.datasets.spiral import SpiralData
from undiffuse.runs import config as configuration
from undiffuse.support import results

THESIS = "the thesis's recipes, to the letter (Table 2)"
GROUPS = (THESIS, "better recipes for spirals", "images on a laptop", "spins", "other")
_OF_THESIS = ("spiral-2pi", "spiral-3pi", "mnist-01", "mnist-13")
_PIXELS = (28, 28)

# Seconds of training on two cores of a server (AVX-512), 2026-11-26: measured (README.md, docs/digits.md), and for the
# thesis's digits planned from a few passes (docs/scaling.md). Those of all ten classes were planned on
# 2026-11-28 (docs/digits.md).
SECONDS = {
    "spiral-2pi": 18.0,
    "spiral-2pi-best": 14.0,
    "spiral-3pi": 55.0,
    "spiral-3pi-best": 36.0,
    "mnist-01-quick": 120.0,
    "mnist-01-short": 700.0,
    "mnist-01-clear": 13 * 60.0,
    "mnist-01-laptop": 1260.0,
    "mnist-13-laptop": 1260.0,
    "mnist-laptop": 34 * 60.0,
    "fashion-laptop": 34 * 60.0,
    "mnist-01": 159 * 3600.0,
    "mnist-13": 159 * 3600.0,
}


@dataclass(frozen=True)
class Preset(results.Result):
    """One preset.

    Attributes
    ----------
    name, description : str
    group : str
        One of :data:`GROUPS`.
    data : str
        Rows and variables of the training set, such as 10000 x 2.
    networks, hidden : int
        One network for each diffusion time, and the hidden units of each.
    seconds : float, optional
        Of training on two cores, where that is known.
    """

    name: str
    description: str
    group: str
    data: str
    networks: int
    hidden: int
    seconds: float | None = None


@dataclass(frozen=True)
class Presets(results.Result):
    """All presets, group by group."""

    presets: tuple[Preset, ...]


def presets() -> Presets:
    """List the presets."""
    found = [_described(name) for name in configuration.presets()]
    return Presets(tuple(sorted(found, key=lambda p: (GROUPS.index(p.group), p.seconds or 0.0))))


def _described(name: str) -> Preset:
    config = configuration.load(name)
    return Preset(
        name=name,
        description=config.description,
        group=THESIS if name in _OF_THESIS else _group(config.data),
        data=_shape(config.data),
        networks=config.diffusion.T,
        hidden=config.network.hidden,
        seconds=SECONDS.get(name),
    )


def _group(data: DataSection) -> str:
    kinds = {SpiralData: GROUPS[1], ImageData: GROUPS[2], FashionData: GROUPS[2], CurieWeissData: GROUPS[3]}
    return kinds.get(type(data), GROUPS[-1])


def _shape(data: DataSection) -> str:
    """Rows and variables, as far as the section says them without making the data."""
    rows = getattr(data, "n", None)
    if isinstance(data, ImageData):
        return f"{rows} x {' x '.join(map(str, _PIXELS))}"
    variables = {SpiralData: 2, CurieWeissData: getattr(data, "spins", None)}.get(type(data))
    return f"{rows} x {variables}"
