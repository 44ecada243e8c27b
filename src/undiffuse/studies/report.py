"""HTML pages, each one file with its figures inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from undiffuse.runs.differences import from_preset
from undiffuse.studies import train
from undiffuse.studies.open_run import OpenRun

_MEASURES = {
    "w2": "2-Wasserstein distance, exact",
    "sliced_w2": "2-Wasserstein distance, sliced",
    "energy_distance": "energy distance",
    "distance_to_curve": "root mean square distance to the curve",
    "coverage_gap": "coverage gap along the curve (total variation)",
    "frechet_distance": "Fréchet distance of classifier features",
    "precision": "precision (samples near data)",
    "recall": "recall (data near samples)",
    "density": "density",
    "coverage": "coverage",
    "confident": "share classified with a vote above 0.9, strict classifier",
    "confident_plain": "the same, plain classifier",
    "memorised": "share that copies a training image",
}


def write(opened: OpenRun, captions: Mapping[str, str], player: str | None = None) -> Path:
    """Write ``report.html`` from what the run folder holds, its figures in the order of ``captions``.

    ``player`` is a page in which the run moves, where there is one; it stands in a frame.
    """
    page = render(
        "report",
        captioned(opened.path / "figures", captions),
        config=opened.config,
        changed_settings=from_preset(opened.config),
        toml=opened.config.to_toml(),
        player=player,
        training=train.summary(opened),
        evaluation=opened.folder.kept_json("metrics.json"),
        measures=_MEASURES,
        schedule=opened.config.forward().schedule.end(),
        forward=opened.config.forward(),
    )
    return opened.folder.write_text("report.html", page)


def captioned(folder: Path, captions: Mapping[str, str]) -> list[dict[str, str]]:
    """Read the figures of a folder that have a caption, in the captions' order."""
    return [
        {"name": name, "caption": caption, "image": base64.b64encode((folder / f"{name}.png").read_bytes()).decode()}
        for name, caption in captions.items()
        if (folder / f"{name}.png").is_file()
    ]


def render(template: str, figures: Sequence[Mapping[str, str]] = (), **content: Any) -> str:
    """Fill in a page's template."""
    pages = Environment(
        loader=PackageLoader("undiffuse.studies"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return pages.get_template(f"{template}.html.jinja").render(version=version("undiffuse"), figures=figures, **content)
