"""The weights of a run along diffusion time, beside the times at which diffusion decides."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from undiffuse import physics
from undiffuse.datasets import Dataset
from undiffuse.diffusion import reverse
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import EmpiricalDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.reverse import Sampler
from undiffuse.experiments import class_rule, classes_of, keep, kind_of_classes
from undiffuse.model import Diffusion
from undiffuse.physics import CurieWeissDenoiser, transitions
from undiffuse.physics import weights as followed
from undiffuse.report import captioned, render
from undiffuse.runs.folder import RunFolder
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.files import write_file
from undiffuse.support.progress import counter
from undiffuse.support.stats import mean_and_stderr, root_and_stderr
from undiffuse.support.streams import Purpose, Streams, stream
from undiffuse.workflow import readers_of, run_data

OnProgress = Callable[[int, int], None]
_TURN_STEPS = 60  # of a reverse walk whose end is all that counts
_CAPTIONS = {
    "critical_times": (
        "Left: two copies, and a U-turn from data, end in the same class. Middle: curvature of the reverse potential "
        "half way between the class means; below zero there are two wells. Right: when training points are told apart."
    ),
    "scores": (
        "The bank's score against the exact one at diffused held-out samples: root mean square difference along the "
        "line of class means and across it, in units of the noise, per dimension."
    ),
    "weights": "The networks along OU time. Dotted: speciation by the covariance; grey: seams of the recipe.",
    "spectra": "Leading singular values of encoder, decoder and their product.",
    "line_potentials": (
        "Potential, minus the logarithm of the density, along the line of class means, averaged over noise across it. "
        "The bank's is the exact integral of its score along the line."
    ),
    "plane_potentials": (
        "The same in the plane of the two leading components, by rays from its middle; contours a nat apart up to ten."
    ),
}


def exact_of(data: Dataset, forward: ForwardProcess) -> tuple[str, Denoiser]:
    """Name and exact denoiser of data: that of their law where it is known, else that of the training points."""
    if data.spins is not None:
        return "Curie-Weiss, exact", CurieWeissDenoiser(forward, data.spins)
    return "empirical", EmpiricalDenoiser(forward, data.train)


def analyse(
    run: RunFolder,
    out: Path,
    points: int = 40,
    n: int = 500,
    seed: int = 0,
    on_progress: OnProgress = lambda done, total: None,
) -> dict[str, Any]:
    """Follow a run's weights along diffusion time; write tables, figures, ``summary.json`` and ``index.html``.

    Raises
    ------
    UserError
        If the run is unfinished or its data hold a single class.
    """
    require(points >= 8, f"points = {points}: wanted at least 8 times")
    require(run.config.diffusion.T >= 8, f"T = {run.config.diffusion.T}: wanted at least 8 times to follow")
    start = time.monotonic()
    data, model = run_data(run), Diffusion.load(run)
    forward, reference = model.forward, run.reference()
    training, held_out = classes_of(data)
    n = min(n, len(held_out.x))
    require(n >= 50, f"n = {n}: wanted at least 50 held-out samples")
    times = transitions.spread_times(forward, points)
    around = times[:: max(1, points // 20)]
    step = counter(on_progress, 4 + 2 * len(around) + len(times))
    found = physics.critical_times(training, held_out, forward, reference, points, n, seed, step)
    turn = _uturn_curve(run, data, model, held_out, around, n, seed, step)
    name, exact = exact_of(data, forward)
    bank = {
        "uturn": turn,
        "potential": transitions.potential_curve(model, held_out, times, min(n, 200), seed),
    }
    bank_times = {
        "bank uturn": turn.crossing(transitions.cloned_level(held_out), forward),
        "bank potential": bank["potential"].crossing(0.0, forward),
    }
    scores = _score_differences(model, exact, held_out, around, min(n, 200), seed, step)
    _, middle = held_out.direction
    rows, spectra = followed.follow(model.bank, reference, held_out.x, middle, times, seed=seed, on_time=step)
    # Where the exact denoiser is the empirical one, this curve is there already.
    exact_potential = (
        found.curves["potential"]
        if data.spins is None
        else transitions.potential_curve(exact, held_out, times, min(n, 200), seed)
    )
    curvature = np.array(bank["potential"].value) - np.array(exact_potential.value)
    summary: dict[str, Any] = {
        "run": str(run.path),
        "classes": kind_of_classes(data),
        "exact": name,
        **found.as_dict(),
        "bank_times": {key: value.as_dict() for key, value in bank_times.items()},
        "bank_curves": {key: asdict(value) for key, value in bank.items()},
        "curvature_error": dict(zip(map(str, times), curvature.tolist(), strict=True)),
        "score_differences": {key: asdict(value) for key, value in scores.items()},
        "changes": {key: {"t": t, "tau": tau, "share": s} for key, (t, tau, s) in followed.changes(rows).items()},
        "energy": _energy_line(run, rows),
        "tables": ["weights.csv", "spectra.csv"],
    }
    from undiffuse import figures

    speciation = found.covariance.time
    drawn = {
        "critical_times": figures.critical_times(found, transitions.cloned_level(training), {"bank": bank}),
        "scores": figures.score_differences(scores),
        "weights": figures.weights_along_time(rows, speciation.tau),
        "spectra": figures.spectra(spectra, [row.tau for row in rows]),
        "line_potentials": figures.line_potentials(
            *_line_potentials(model, name, exact, held_out, speciation.tau, seed)
        ),
    }
    if data.dim > 1:
        plane = _plane_potentials(model, name, exact, reference.axes, held_out, speciation.tau, seed)
        drawn["plane_potentials"] = figures.plane_potentials(*plane)
    summary["seconds"] = round(time.monotonic() - start, 2)
    keep(out, summary, drawn)
    _write_tables(out, rows, spectra)
    write_file(out / "index.html", _page(run, out, summary, rows).encode())
    summary["page"] = str(out / "index.html")
    return summary


def _uturn_curve(
    run: RunFolder,
    data: Dataset,
    model: Diffusion,
    held_out: transitions.Classes,
    times: Sequence[int],
    n: int,
    seed: int,
    on_time: Callable[[], None],
) -> transitions.Curve:
    """Share of held-out samples whose class a U-turn through the bank keeps."""
    read = class_rule(data) if data.images is None else readers_of(run, data).strict.read
    forward, x0, labels = model.forward, held_out.x[:n], held_out.labels[:n]
    points = []
    for t in times:
        x_t = forward.jump(x0, t, stream(seed, Purpose.UTURN_CURVE, t).standard_normal(x0.shape))
        walk = Streams(seed, Purpose.UTURN_WALK, (t,))
        back = reverse.reconstruct(model, x_t, t, Sampler(steps=min(t, _TURN_STEPS)), walk)
        kept = (read(back) == labels).astype(float)
        points.append(mean_and_stderr(kept))
        on_time()
    return transitions.Curve.of(forward, times, points)


def _score_differences(
    model: Diffusion,
    exact: Denoiser,
    held_out: transitions.Classes,
    times: Sequence[int],
    n: int,
    seed: int,
    on_time: Callable[[], None],
) -> dict[str, transitions.Curve]:
    """Root mean square of ``xi_hat - xi_hat_exact`` along the line of class means and across it, per dimension."""
    forward, x0 = model.forward, held_out.x[:n]
    e, _ = held_out.direction
    along: list[tuple[float, float]] = []
    across: list[tuple[float, float]] = []
    for t in times:
        x_t = forward.jump(x0, t, stream(seed, Purpose.SCORE_DIFFERENCE, t).standard_normal(x0.shape))
        difference = model.xi_hat(x_t, t) - exact.xi_hat(x_t, t)
        on_line = difference @ e
        rest = (np.sum(difference**2, axis=1) - on_line**2) / max(1, model.dim - 1)
        for points, squares in ((along, on_line**2), (across, rest)):
            points.append(root_and_stderr(squares))
        on_time()
    return {
        "along": transitions.Curve.of(forward, times, along),
        "across": transitions.Curve.of(forward, times, across),
    }


Panels = list[tuple[float, dict[str, Floats]]]


def _shown_times(forward: ForwardProcess, speciation: float, count: int) -> list[int]:
    """Times from well above the transition to well below it, latest first; round tau = 1 if there is none."""
    q = forward.schedule
    speciation = 1.0 if np.isnan(speciation) else speciation
    top = min(speciation + 0.6, float(q.ou_time(q.T)))
    return sorted({q.time_at_ou(tau) for tau in np.linspace(max(0.3 * speciation, 0.05), top, count)}, reverse=True)


def _line_potentials(
    model: Diffusion,
    name: str,
    exact: Denoiser,
    held_out: transitions.Classes,
    speciation: float,
    seed: int,
    draws: int = 20,
) -> tuple[Floats, Panels]:
    """Potentials along the line of class means at several times, in units of half the means' distance."""
    forward = model.forward
    e, middle = held_out.direction
    means = [held_out.x[held_out.labels == c].mean(axis=0) @ e for c in np.unique(held_out.labels)]
    half = (max(means) - min(means)) / 2
    position = np.linspace(-2, 2, 81)
    panels: Panels = []
    for t in _shown_times(forward, speciation, 5):
        noise = forward.noise(t) * stream(seed, Purpose.LINE_PICTURE, t).standard_normal((draws, model.dim))
        noise -= np.outer(noise @ e, e)
        curves = {key: np.zeros(len(position)) for key in ("bank", name)}
        for across in noise:
            origin = forward.signal(t) * middle + across
            line = origin + forward.signal(t) * half * np.outer(position, e)
            for key, denoiser in (("bank", model), (name, exact)):
                curves[key] += denoiser.potential(line, t, origin) / draws
        panels.append((float(forward.schedule.ou_time(t)), curves))
    return position, panels


def _plane_potentials(
    model: Diffusion,
    name: str,
    exact: Denoiser,
    axes: Floats,
    held_out: transitions.Classes,
    speciation: float,
    seed: int,
    side: int = 41,
) -> tuple[Floats, Panels]:
    """Potentials in the plane of the two leading components through the middle of the classes, with noise across it."""
    forward = model.forward
    plane = axes[:, :2]
    _, middle = held_out.direction
    position = np.linspace(-2.2, 2.2, side)
    panels: Panels = []
    for t in _shown_times(forward, speciation, 4):
        noise = forward.noise(t) * stream(seed, Purpose.PLANE_PICTURE, t).standard_normal(model.dim)
        origin = forward.signal(t) * middle + noise - plane @ (plane.T @ noise)
        spread = np.sqrt(np.var((held_out.x - middle) @ plane, axis=0) * forward.signal(t) ** 2 + forward.noise(t) ** 2)
        grid = np.stack(np.meshgrid(position * spread[0], position * spread[1]), axis=-1).reshape(-1, 2)
        points = origin + grid @ plane.T
        potentials = {
            key: denoiser.potential(points, t, origin).reshape(side, side)
            for key, denoiser in (("bank", model), (name, exact))
        }
        panels.append((float(forward.schedule.ou_time(t)), potentials))
    return position, panels


def _energy_line(run: RunFolder, rows: Sequence[followed.Row]) -> str:
    network = run.config.network
    if network.tying != "untied":
        return f"Weights are {network.tying}: each network has an energy (29), and its score is a gradient."
    low, high = min(row.asymmetry for row in rows), max(row.asymmetry for row in rows)
    turn = max(abs(row.circulation) for row in rows)
    return (
        "Weights are untied: the networks have no energy (29). The asymmetry |J - Jᵀ|/|J + Jᵀ| lies between "
        f"{low:.2g} and {high:.2g}, and round a closed loop at most {100 * turn:.2g} % of the work done remains; "
        "potentials below are integrals along straight lines."
    )


def _write_tables(out: Path, rows: Sequence[followed.Row], spectra: Sequence[followed.Spectrum]) -> None:
    """``weights.csv``: a line for each time. ``spectra.csv``: a line for each time, matrix and singular value."""
    text = io.StringIO()
    table = csv.DictWriter(text, [*asdict(rows[0])])
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    write_file(out / "weights.csv", text.getvalue().encode())
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(["t", "matrix", "index", "singular_value"])
    for spectrum in spectra:
        for matrix in ("W", "A", "AW"):
            values = getattr(spectrum, matrix).tolist()
            lines.writerows((spectrum.t, matrix, i + 1, value) for i, value in enumerate(values))
    write_file(out / "spectra.csv", text.getvalue().encode())


def _page(run: RunFolder, out: Path, summary: dict[str, Any], rows: Sequence[followed.Row]) -> str:
    times = []
    for name, value in {
        "covariance": summary["covariance"]["time"],
        **summary["times"],
        **summary["bank_times"],
    }.items():
        gap = summary["agreement"].get(name, {"relative": None, "stderr": None})
        times.append({"name": name, **value, "relative": gap["relative"], "relative_stderr": gap["stderr"]})
    changed = [{"name": name.replace("_", " "), **value} for name, value in summary["changes"].items()]
    seams = ", ".join(f"t = {a.t} to {b.t}" for a, b in pairwise(rows) if a.seam)
    return render(
        "analysis",
        captioned(out, _CAPTIONS),
        name=run.config.name,
        description=run.config.description,
        networks=run.config.diffusion.T,
        classes=summary["classes"],
        covariance=summary["covariance"],
        times=times,
        changes=sorted(changed, key=lambda row: row["tau"]),
        energy=summary["energy"],
        seams=seams or "none here",
    )
