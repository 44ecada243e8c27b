"""Pages: one HTML file each, figures inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from undiffuse.runs.folder import RunFolder
from undiffuse.workflow import schedule_summary, training_summary

_CAPTIONS = {
    "5_generated": "Data, samples drawn by Algorithm 2, and both (the thesis's Figure 5).",
    "6_generated": "Real digits, and samples drawn by Algorithm 2 (Figure 6).",
    "reverse_trajectory": "The same samples on their way from noise (t = T) to data (t = 0).",
    "7_reverse_trajectory": (
        "Samples on their way from noise to data (Figure 7). Noisy states are scaled to their own grey."
    ),
    "8_reconstructions": (
        "A held-out digit, diffused to t, and ten reconstructions from there (Figure 8). The larger t, the more the "
        "reverse process has to invent."
    ),
    "9_improved_and_reconstructed": (
        "Held-out digits with little noise, improved, and with much noise, reconstructed (Figure 9)."
    ),
    "10_inpainted": (
        "Held-out digits, the same with a hole of noise, and the hole filled in (Figure 10): going down once, as in "
        "the thesis, and with jumps back up."
    ),
    "reconstruction_curves": (
        "Reconstructions from t by the bank and by the exact denoisers; bands are two standard errors over images."
    ),
    "loss_against_time": (
        "Error of each time's network in predicting the noise, beside the best linear denoiser (closed form) and the "
        "exact denoiser of the training set, which memorises. All are mean squares per dimension."
    ),
    "bound_terms": "Terms of the bound (18) on held-out data along the time, and the totals of all its terms.",
    "1a_forward_process": "Data diffused by the forward process (Figure 1a).",
    "1b_forward_process": (
        "Digits diffused by the forward process (Figure 1b). Noisy states are scaled to their own grey."
    ),
    "2a_histograms": "Histograms of each coordinate before and after diffusion (Figure 2a).",
    "2b_histograms": "Histogram of one digit's pixels before and after diffusion (Figure 2b).",
}
_METRIC_NAMES = {
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
    "confident": "share read with a vote above 0.9, strict classifier",
    "confident_plain": "the same, plain classifier",
    "memorised": "share that copies a training image",
}


def write_report(run: RunFolder) -> Path:
    """Write ``report.html`` from what the run folder holds."""
    page = render(
        "report",
        captioned(run.path / "figures", _CAPTIONS),
        config=run.config,
        toml=run.config.to_toml(),
        training=training_summary(run),
        evaluation=run.read_json("metrics.json"),
        metric_names=_METRIC_NAMES,
        schedule=schedule_summary(run.config),
        forward=run.config.forward(),
    )
    return run.write_text("report.html", page)


def captioned(folder: Path, captions: Mapping[str, str]) -> list[dict[str, str]]:
    """Read the figures of a folder that have a caption, in the captions' order."""
    return [
        {"caption": caption, "image": base64.b64encode((folder / f"{name}.png").read_bytes()).decode()}
        for name, caption in captions.items()
        if (folder / f"{name}.png").is_file()
    ]


def render(template: str, figures: Sequence[Mapping[str, str]], **content: Any) -> str:
    """Fill in a page's template."""
    from jinja2 import Environment, PackageLoader

    pages = Environment(loader=PackageLoader("undiffuse"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return pages.get_template(f"{template}.html.jinja").render(version=version("undiffuse"), figures=figures, **content)
