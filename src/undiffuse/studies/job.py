"""``undiffuse run``: train, sample, evaluate and report, the main job."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from undiffuse.studies import evaluate, lab, report, train
from undiffuse.studies.figures import figures_of
from undiffuse.studies.options import SampleDevice
from undiffuse.studies.run_figures import FIGURES
from undiffuse.support import gpu, results
from undiffuse.support.progress import OnProgress, silent

Settings = train.Settings
Stage = Callable[[str, str], AbstractContextManager[OnProgress]]


@dataclass(frozen=True)
class Result(results.Result):
    """Result of the whole job.

    Attributes
    ----------
    run, preset : str
    training, evaluation
        Results of both stages; ``metrics`` in ``as_dict`` are those of the evaluation.
    figures : list of path
    report : path
    """

    run: str
    preset: str
    training: train.Result
    evaluation: evaluate.Result
    figures: tuple[str, ...]
    report: str

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name."""
        out = super().as_dict()
        return out | {"metrics": out["evaluation"]["metrics"]}


def _quiet(label: str, unit: str) -> AbstractContextManager[OnProgress]:
    return nullcontext(silent)


def run(settings: Settings, stage: Stage = _quiet, before: train.Before = train.UNTOLD) -> Result:
    """Do the whole job; ``stage(label, unit)`` opens the progress of each of its three stages.

    The run is opened once, by the training; all later stages use its data, bank and denoisers.

    Raises
    ------
    UserError, WorkerError
        See :func:`undiffuse.studies.train.train`.
    """
    with stage("training", "passes") as update:
        opened = train.train(settings, update, before)
    with stage("sampling and measuring", "%") as update:
        # What was trained on a GPU is sampled there, if it is one of this machine.
        device: SampleDevice = "auto" if opened.folder.manifest.device == gpu.CUDA else "cpu"
        how = evaluate.Settings(opened, seed=opened.config.seed, device=device, backend=settings.backend)
        judged = evaluate.run(how, update, before.on_cost)
    with stage("drawing", "figures") as update:
        drawn = figures_of(opened, opened.path / "figures", update)
    page = report.write(opened, {name: each.caption for name, each in FIGURES.items()}, lab.player(opened))
    return Result(
        run=str(opened.path),
        preset=opened.config.name,
        training=train.summary(opened),
        evaluation=judged,
        figures=tuple(map(str, drawn)),
        report=str(page),
    )
