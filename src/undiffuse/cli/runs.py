"""The commands run, evaluate, starts and sweep."""

from __future__ import annotations

from undiffuse.cli.answers import Json, answer, measured, say
from undiffuse.cli.tables import Part, Table
from undiffuse.cli.training import ANNOUNCED, training_lines
from undiffuse.studies import evaluate as evaluation
from undiffuse.studies import job
from undiffuse.studies import starts as starting
from undiffuse.studies import sweep as grid
from undiffuse.support.progress import progress


def run(settings: job.Settings, *, json: Json = False) -> None:
    """Train, sample, evaluate and report: the main job."""
    result = job.run(settings, progress, ANNOUNCED)
    lines = [*training_lines(result.training), *measure_lines(result.evaluation), f"report: {result.report}"]
    answer(result, json, lines)


def evaluate(settings: evaluation.Settings, *, json: Json = False) -> None:
    """Judge a run's samples by their distances to fresh data, each beside its floor."""
    with progress("sampling and measuring", "%") as update:
        result = evaluation.run(settings, update, say)
    answer(result, json, measure_lines(result))


def starts(settings: starting.Settings, *, json: Json = False) -> None:
    """Measure samples against the time at which the reverse process starts from the data's Gaussian."""
    with progress("sampling and measuring", "sets") as update:
        result = starting.run(settings, update, say)
    wanted = f"the speciation time, tau = {result.speciation:.3f}, is where theory wants the start"
    none = "the noise is larger than the data, so there is no speciation time to start at"
    lines: list[Part] = [f"{wanted if result.speciation > 0 else none}; T is at tau = {result.ou_time_T:.3f}"]
    for curve in result.curves:
        names = [name for name in curve.value if not name.startswith("share")]
        rows = [
            [f"{tau:.3f}", *(measured(curve.value[name][i], curve.stderr[name][i]) for name in names)]
            for i, tau in enumerate(curve.tau)
        ]
        rows.append(["noise", *(measured(curve.noise[name], curve.noise_stderr[name]) for name in names)])
        lines += [
            f"{curve.steps} steps of {result.sampler}: best start at tau = "
            f"{measured(curve.best_tau, curve.best_tau_stderr)} by {result.judged_by.replace('_', ' ')}",
            Table(["start", *names], rows),
        ]
    answer(result, json, [*lines, *(result.figures or ())])


def sweep(settings: grid.Settings, *, json: Json = False) -> None:
    """Train a run for every combination of some settings, with one table and one figure."""
    with progress("sweeping", "runs") as update:
        result = grid.run(settings, update, say)
    keys, names = list(result.points[0].settings), list(result.points[0].measured)
    rows = [
        [*point.settings.values(), *(f"{one.value:.4g}" for one in point.measured.values())] for point in result.points
    ]
    answer(result, json, [Table([*keys, *names], rows), *(result.figures or ())])


def measure_lines(result: evaluation.Result) -> list[Part]:
    """Table of measures, each with its floor, their ratio, and what simple generators reach; and the bounds."""
    others = list(next(iter(result.metrics.values())).baselines)
    rows = []
    for name, m in result.metrics.items():
        ratio = "" if m.ratio is None or m.ratio_stderr is None else measured(m.ratio, m.ratio_stderr, 2)
        numbers = [measured(m.value, m.value_stderr, 4), measured(m.floor, m.floor_stderr, 4), ratio]
        rows.append([name, *numbers, *(f"{m.baselines[other]:.4f}" for other in others)])
    lines: list[Part] = [Table(["", "samples", "floor", "ratio", *others], rows)]
    for name, b in result.bound.items():
        whole = f"{b['bits_per_dim']:.4f} bits/dim" if b["kind"] == "discretised" else f"{b['bits']:.3f} bits (density)"
        lines.append(f"bound, {name + ':':10} {whole}")
    return lines
