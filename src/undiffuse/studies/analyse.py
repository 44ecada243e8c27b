"""``undiffuse analyse``: the weights of a run along diffusion time, beside the times at which diffusion decides."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from cyclopts import Parameter

from undiffuse import figures as drawing
from undiffuse.physics import curves, transitions, weights
from undiffuse.physics.cascade import GainCurves, HalfGain, gain_at
from undiffuse.physics.crossings import Curve, Time, locate
from undiffuse.physics.locality import Look, radius_of_everywhere
from undiffuse.physics.resampling import of_starts
from undiffuse.physics.transitions import CriticalTimes, CurveOptions
from undiffuse.physics.uturns import STEPS, StepError
from undiffuse.physics.weights import Change, Row, Spectrum
from undiffuse.runs.differences import from_preset
from undiffuse.studies import rates, report
from undiffuse.studies.bank_measurements import BankMeasurements, Panels, looked_times, seconds_of_looks
from undiffuse.studies.keep import Kept, keep, prepare
from undiffuse.studies.open_run import OpenRun, RunLike
from undiffuse.studies.options import N
from undiffuse.support.arrays import Floats
from undiffuse.support.costs import Cost, OnCost
from undiffuse.support.errors import require
from undiffuse.support.files import write_file
from undiffuse.support.progress import OnProgress, counter, silent
from undiffuse.support.results import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEWEST_TIMES = 8
_WALKED = 3.2  # times the U-turns of their curve, that all measurements on a bank take, 2026-11-25
CAPTIONS = {
    "critical_times": (
        "Two copies, and a U-turn from data, end in the same class; mean over spread of the log odds of the own class; "
        "curvature of the reverse potential half way between the class means, below zero where that point repels; "
        "and when training points are told apart."
    ),
    "speciation_tree": "Successive speciation times of the classes, the first on the way back at the top.",
    "scores": (
        "The bank's score against the exact one at diffused held-out samples: root mean square difference along the "
        "line of class means and across it, in units of the noise, per dimension."
    ),
    "gains": (
        "One transition for each principal component. Left: the bank's gain by regression (points) and by its mean "
        "Jacobian (dotted), at diffused held-out samples, beside theory with no parameter (lines). Right: where it is "
        "one half. Regression measures what was learned; the Jacobian differs where the data are not Gaussian."
    ),
    "weights": (
        "The networks along OU time. Dotted: speciation by the covariance; grey: where the recipe changes the network."
    ),
    "spectra": "Leading singular values of encoder, decoder and their product.",
    "line_potentials": (
        "Potential, minus the logarithm of the density, along the line of class means, averaged over noise across it. "
        "The bank's is the exact integral of its score along the line."
    ),
    "plane_potentials": (
        "The same in the plane of the two leading components, by rays from its middle; contours a nat apart up to ten."
    ),
    "locality": (
        "The bank's mean Jacobian over diffused held-out images beside the Wiener matrix. Left: root mean square "
        "distance of the pixels that an estimate looks at, by the squares of its sensitivities. Bars: two standard "
        "errors of the images."
    ),
}


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Which run, and how many times and samples.

    Attributes
    ----------
    run : path
        Run folder.
    out : path, optional
        Folder for tables, figures and the page; RUN/analysis by default. Files of the same names are replaced.
    points : int
        Number of times.
    n : int
        Samples of each point of a curve.
    seed : int
        Seed of all noise.
    """

    run: RunLike
    _: KW_ONLY
    out: Path | None = None
    points: int = 40
    n: N = 500
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Result(Kept):
    """A run along diffusion time.

    Attributes
    ----------
    run : str
    classes : str
        What the classes of the data are, in words.
    exact : str
        Exact denoiser that the bank is compared with.
    noise_scale : float
    bank_times, bank_curves : dict
        Critical times ``bank uturn`` and ``bank potential`` of the bank, and the curves ``uturn`` and ``potential``
        that they are taken from. The bank is held fixed, so errors are those of samples and interpolation: another
        bank, trained from another seed, may differ by more.
    uturn_step_error : StepError or None
        Of the bank's U-turns, from walks in twice as many steps; None where every step is walked.
    curvature_error : dict
        Curvature of the bank's reverse potential minus the exact one's, by t.
    score_differences : dict of Curve
        Along the line of class means and across it.
    half_gain : tuple of HalfGain
        For each leading principal component.
    changes : dict of Change
    looks : tuple of Look
        How far the bank looks around a pixel, beside the Wiener filter, at some of the times; of images only.
    everywhere : float
        Receptive radius of a map that is the same for all pairs of pixels; of images only.
    energy : str
        What kind of energy the networks have, in words.
    tables : tuple of str
        Files of tables.
    page : str
        Path of ``index.html``.
    seconds : float
    found : CriticalTimes
        Of the data; its keys are those of ``as_dict`` as well.
    gains : GainCurves
        Of the leading principal components.
    rows, spectra : sequences of Row and Spectrum
        One for each time.
    line, plane : (array, panels)
        Positions, and potentials at several times; no ``plane`` for data of one dimension.
    """

    run: str
    classes: str
    exact: str
    noise_scale: float
    bank_times: Mapping[str, Time]
    bank_curves: Mapping[str, Curve]
    uturn_step_error: StepError | None
    curvature_error: Mapping[str, float]
    score_differences: Mapping[str, Curve]
    half_gain: tuple[HalfGain, ...]
    changes: Mapping[str, Change]
    energy: str
    tables: tuple[str, ...]
    page: str
    seconds: float
    found: CriticalTimes
    gains: GainCurves
    rows: Sequence[Row]
    spectra: Sequence[Spectrum]
    line: tuple[Floats, Panels]
    plane: tuple[Floats, Panels] | None
    looks: tuple[Look, ...] | None = None
    everywhere: float | None = None

    _hidden: ClassVar[tuple[str, ...]] = ("found", "gains", "rows", "spectra", "line", "plane")

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name."""
        found = self.found.as_dict()
        names = {**plain(found["names"]), **{name: transitions.NAMES[name] for name in self.bank_times}}
        return super().as_dict() | found | {"names": names}


def run(settings: Settings, on_progress: OnProgress = silent, on_cost: OnCost | None = None) -> Result:
    """Follow a run's weights; write tables, figures, ``summary.json`` and ``index.html``.

    ``on_cost`` is told before what that will take.

    Raises
    ------
    UserError
        If the run is unfinished, its data hold a single class, or a number is out of range.
    """
    start = time.monotonic()
    opened = OpenRun.of(settings.run)
    out = settings.out or opened.path / "analysis"
    prepare(out)
    T = opened.config.diffusion.T
    require(settings.points >= _FEWEST_TIMES, f"points = {settings.points}: wanted at least {_FEWEST_TIMES} times")
    require(T >= _FEWEST_TIMES, f"T = {T}: wanted at least {_FEWEST_TIMES} times to follow")
    model, data, seed = opened.model, opened.data, settings.seed
    forward = model.forward
    training, held_out = data.classes()
    n = min(settings.n, len(held_out.x))
    require(n >= 50, f"n = {n}: wanted at least 50 held-out samples")
    options = CurveOptions(settings.points, n, seed)
    times = transitions.spread_times(forward, settings.points)
    around = times[:: max(1, settings.points // 20)]
    looked = looked_times(opened)
    if on_cost is not None:
        seconds = rates.of_critical_times(forward, training.x, settings.points, n)
        seconds += STEPS * _WALKED * rates.of_step(model, n) * len(around) + seconds_of_looks(opened, looked)
        work = f"curves of {n} samples at {settings.points} times, and U-turns through the bank at {len(around)}"
        on_cost(Cost(seconds, work, "smaller -n or --points"))
    step = counter(on_progress, 5 + 3 * len(around) + len(times) + len(looked))
    found = transitions.critical_times(opened.reference, training, held_out, options, on_step=step)
    few = min(n, 200)
    measurements = BankMeasurements(opened, held_out, found.covariance.time.tau, seed)
    turns = measurements.turns(n)
    kept = cache(turns.kept)
    turn = turns.curve(around, kept, step)
    turned = locate(lambda t: of_starts(kept(t), seed), turn, transitions.cloned_level(held_out), forward)
    step_error = turns.step_error(turn, turned)
    step()
    potential = curves.potential_curve(model, held_out, times, n=few, seed=seed)
    repelled = locate(
        lambda t: of_starts(curves.curvatures(model, held_out, t, n=few, seed=seed), seed), potential, 0.0, forward
    )
    differences = measurements.score_differences(around, few, step)
    gains = measurements.gains(around, few, step)
    looks = measurements.looks(looked, step)
    _, middle = held_out.direction
    rows, spectra = weights.follow(model.bank, held_out.x, middle, times, seed=seed, on_time=step)
    # Where the exact denoiser is the empirical one, this curve has been computed already.
    exact_potential = found.curves["potential"]
    if opened.exact[1] is not opened.empirical:
        exact_potential = curves.potential_curve(opened.exact[1], held_out, times, n=few, seed=seed)
    curvature = np.array(potential.value) - np.array(exact_potential.value)
    result = Result(
        run=str(opened.path),
        classes=data.kind_of_classes,
        exact=opened.exact[0],
        noise_scale=forward.noise_scale,
        bank_times={
            "bank uturn": turned.time,
            "bank potential": repelled.time,
        },
        bank_curves={"uturn": turn, "potential": potential},
        uturn_step_error=step_error,
        curvature_error=dict(zip(map(str, times), curvature.tolist(), strict=True)),
        score_differences=differences,
        half_gain=gains.halves(opened.reference.variances[: gains.regression.shape[1]], forward.noise_scale),
        changes=weights.changes(rows, seed),
        energy=_energy_line(opened, rows),
        tables=("weights.csv", "spectra.csv"),
        page=str(out / "index.html"),
        seconds=0.0,
        found=found,
        gains=gains,
        rows=rows,
        spectra=spectra,
        line=measurements.line_potentials(),
        plane=measurements.plane_potentials() if data.dim > 1 else None,
        looks=looks or None,
        everywhere=radius_of_everywhere(opened.images[0].shape) if looks else None,
    )
    result = replace(result, seconds=round(time.monotonic() - start, 2))
    result = keep(out, result, figures(result))
    _write_tables(out, rows, spectra)
    write_file(out / "index.html", _page(opened, out, result).encode())
    return result


def figures(result: Result) -> dict[str, Figure]:
    """Critical times, scores, weights, spectra and potentials along diffusion time."""
    speciation = result.found.covariance.time
    drawn = {
        "critical_times": drawing.critical_times(result.found, {"bank": result.bank_curves}),
        "scores": drawing.score_differences(result.score_differences),
        "gains": _gains(result),
        "weights": drawing.weights_along_time(result.rows, speciation.tau),
        "spectra": drawing.spectra(result.spectra, [row.tau for row in result.rows]),
        "line_potentials": drawing.line_potentials(*result.line),
    }
    if result.found.tree is not None:
        drawn["speciation_tree"] = drawing.speciation_tree(result.found.tree)
    if result.plane is not None:
        drawn["plane_potentials"] = drawing.plane_potentials(*result.plane)
    if result.looks is not None and result.everywhere is not None:
        drawn["locality"] = drawing.looks(result.looks, result.everywhere)
    return drawn


def _gains(result: Result) -> Figure:
    found, halves, scale = result.gains, result.half_gain, result.noise_scale
    grid = np.linspace(found.tau[0], found.tau[-1], 200)
    theory = gain_at(grid[:, None], np.array([half.variance for half in halves]), scale)
    columns = [
        np.array([getattr(half, name) for half in halves], float) for name in ("theory", "regression", "jacobian")
    ]
    return drawing.gains(
        drawing.Gains(found.tau, found.regression, None, found.jacobian, grid, theory), drawing.Halves(*columns)
    )


def _energy_line(opened: OpenRun, rows: Sequence[Row]) -> str:
    network = opened.config.network
    if network.tying != "untied":
        return f"Weights are {network.tying}: each network has an energy (29), and its score is a gradient."
    low, high = min(row.asymmetry for row in rows), max(row.asymmetry for row in rows)
    turn = max(abs(row.circulation) for row in rows)
    return (
        "Weights are untied: the networks have no energy (29). The asymmetry |J - Jᵀ|/|J + Jᵀ| lies between "
        f"{low:.2g} and {high:.2g}, and round a closed loop at most {100 * turn:.2g} % of the work done remains; "
        "potentials below are integrals along straight lines."
    )


# -- what is written --------------------------------------------------------------------------------------------------


def _write_tables(out: Path, rows: Sequence[Row], spectra: Sequence[Spectrum]) -> None:
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


def _page(opened: OpenRun, out: Path, result: Result) -> str:
    found = result.found
    covariance, agreement = found.covariance, found.agreement()
    times = []
    for name, value in {"covariance": covariance.time, **found.times, **result.bank_times}.items():
        relative, error = agreement.get(name, (None, None))
        named = {"name": transitions.NAMES[name], "relative": relative, "relative_stderr": error}
        times.append({**named, **value.as_dict()})
    differences = found.against_theory()
    predicted = [
        {"against": transitions.NAMES[theory.of], "difference": differences.get(name), **theory.as_dict()}
        for name, theory in found.predictions.items()
    ]
    changed = [
        {"name": name.replace("_", " "), **asdict(value)}
        for name, value in result.changes.items()
        if value.distinguishable
    ]
    others = [name.replace("_", " ") for name, value in result.changes.items() if not value.distinguishable]
    seams = ", ".join(f"t = {a.t} to {b.t}" for a, b in pairwise(result.rows) if a.seam)
    return report.render(
        "analysis",
        report.captioned(out, CAPTIONS),
        name=opened.config.name,
        description=opened.config.description,
        changed_settings=from_preset(opened.config),
        networks=opened.config.diffusion.T,
        classes=result.classes,
        covariance=covariance,
        times=times,
        level=found.level,
        level_assumes=found.level_assumes,
        predictions=predicted,
        step_error=result.uturn_step_error,
        unchanged=", ".join(others),
        changes=sorted(changed, key=lambda row: row["tau"]),
        energy=result.energy,
        looks=result.looks,
        everywhere=result.everywhere,
        skip=opened.config.network.skip,
        seams=seams or "none here",
    )
