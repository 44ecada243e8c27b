"""``undiffuse linear``: Annex II's linear model, sampled and tested for normality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cyclopts import Parameter

from undiffuse import datasets
from undiffuse import figures as drawing
from undiffuse.baselines import Mardia, mardia
from undiffuse.diffusion import reverse
from undiffuse.diffusion.exact import GaussianDenoiser, LinearDenoiser
from undiffuse.diffusion.samplers import Ancestral
from undiffuse.runs import config as configuration
from undiffuse.studies import rates
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.options import Changes, IdxFolder, N, PresetName, all_changes
from undiffuse.support.arrays import Floats
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import require
from undiffuse.support.progress import OnProgress, counter, silent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 50  # at each, the linear model solves dim equations


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which data, and how many samples.

    Attributes
    ----------
    preset : str
        Preset or TOML file that names the data and the schedule.
    changes : tuple of str
        Replace a setting, such as data.n=500; may be repeated.
    data : path, optional
        Folder of IDX files (.gz or not) to take the digits from; for image presets.
    n : int
        Samples.
    components : int
        Number of leading components tested for normality, at most.
    out : path, optional
        Folder for the figure and summary.json; files of the same names are replaced.
    seed : int
        Seed of all noise.
    """

    preset: PresetName
    _: KW_ONLY
    changes: Changes = ()
    data: IdxFolder = None
    n: N = 2000
    components: int = 10
    out: Path | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """Mardia's test of the data and of the linear model's samples.

    Attributes
    ----------
    preset : str
    samples, components : int
        Number of samples and of components tested.
    normality : dict of Mardia
        Of the data and of the samples, by name.
    plane : dict of (n, 2) arrays
        Both in the two leading components.
    """

    preset: str
    samples: int
    components: int
    normality: Mapping[str, Mardia]
    plane: Mapping[str, Floats]

    _hidden: ClassVar[tuple[str, ...]] = ("plane",)


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Sample with the linear model and test data and samples; progress is counted in samples.

    ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If a setting is wrong, the data cannot be had, or there are too few of them.
    """
    prepare(settings.out)
    config = configuration.load(settings.preset, all_changes(settings.changes, settings.data))
    require(settings.components >= 1, f"components = {settings.components}: wanted at least 1")
    data, forward = datasets.load(config), config.forward()
    n, k = min(settings.n, len(data.train)), min(settings.components, data.dim)
    model = LinearDenoiser(forward, data.train, seed=settings.seed)
    steps = min(forward.T, STEPS)
    if on_cost is not None:
        seconds = rates.of_samples(model, n, Ancestral(steps=steps))
        on_cost(Cost(seconds, f"{n} samples in {steps} steps, each with a fit", "a smaller -n", at_most=True))
    samples = reverse.sample(
        model,
        n,
        sampler=Ancestral(steps=steps),
        seed=settings.seed,
        on_step=counter(on_progress, n, per=steps),
    )
    clouds = {"data": data.train[:n], "linear model": samples}
    reference = GaussianDenoiser.from_data(forward, data.train)
    axes = reference.axes[:, :2]
    result = Result(
        preset=settings.preset,
        samples=n,
        components=k,
        normality={name: mardia(x, k) for name, x in clouds.items()},
        plane={name: (x - reference.mean) @ axes for name, x in clouds.items()},
    )
    return result if settings.out is None else keep(settings.out, result, figures(result))


def figures(result: Result) -> dict[str, Figure]:
    """Both clouds in the plane of the leading components, with normal curves."""
    return {"linear_model": drawing.linear_model(result.plane)}
