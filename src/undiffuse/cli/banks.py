"""Commands about what a bank has learned: analyse, memorise."""

from __future__ import annotations

from undiffuse.cli.answers import Json, answer, known, measured, say
from undiffuse.cli.tables import Part, Table
from undiffuse.cli.times import times_table
from undiffuse.physics.memory_clock import Power, Reached
from undiffuse.studies import analyse as analysis
from undiffuse.studies import memorisation_clock as clock
from undiffuse.studies import memorise as memorisation
from undiffuse.support.progress import progress


def analyse(settings: analysis.Settings, *, json: Json = False) -> None:
    """Follow a run's weights along diffusion time, beside the times at which diffusion decides."""
    with progress("analysing", "steps") as update:
        result = analysis.run(settings, update, say)
    passed = {name: change for name, change in result.changes.items() if change.distinguishable}
    changes = sorted(passed.items(), key=lambda item: item[1].tau)
    rows = [[name, str(change.t), f"{change.tau:.3f}", f"{change.p_value:.4f}"] for name, change in changes]
    steps = result.uturn_step_error
    lines = [
        *times_table(result.found, result.bank_times),
        *(
            [
                f"bank's U-turns in {steps.finer} steps instead of {steps.steps}: "
                f"crossing moves by {measured(steps.tau, steps.tau_stderr)} in tau"
            ]
            if steps
            else []
        ),
        result.energy,
        *_looks(result),
        f"{len(passed)} of {len(result.changes)} quantities have a time of fastest change that chance does not explain "
        "(p < 0.05, corrected for their number)",
        *([Table(["quantity", "changes fastest at t", "OU time", "p"], rows)] if rows else []),
        f"page: {result.page}",
    ]
    answer(result, json, lines)


def _looks(result: analysis.Result) -> list[Part]:
    """Receptive radii of a bank of images, and how far its maps are from the Wiener matrix."""
    if result.looks is None:
        return []
    rows = [
        [
            f"{one.tau:.3g}",
            str(one.t),
            known(one.radius, one.radius_stderr, 2),
            "-" if one.wiener_radius is None else f"{one.wiener_radius:.2f}",
            known(one.correlation, one.correlation_stderr, 4),
            known(one.difference, one.difference_stderr, 3),
            known(one.difference_radius, one.difference_radius_stderr, 2),
        ]
        for one in result.looks
    ]
    return [
        f"receptive radius of the mean Jacobian J, in pixels; where all are looked at alike {result.everywhere:.1f}; "
        "G: Wiener matrix; errors over images",
        Table(["OU time", "t", "radius", "of G", "correlation J, G", "|J - G|/|G|", "radius of J - G"], rows, words=()),
    ]


def memorise(settings: memorisation.Settings, *, json: Json = False) -> None:
    """Train pairs of banks on disjoint halves and compare what they draw; or follow networks along their training."""
    twins = settings.along != "training"
    with progress("training twins" if twins else "training", "pairs" if twins else "trainings") as update:
        result = memorisation.run(settings, update, say)
    answer(result, json, _twins(result) if isinstance(result, memorisation.Result) else _clocks(result))


def _twins(result: memorisation.Result) -> list[Part]:
    rows = [
        [
            str(t.n),
            str(t.hidden),
            measured(t.copies, t.copies_stderr),
            f"{t.copies_of_data:.3f}",
            measured(t.apart, t.apart_stderr),
            measured(t.gaussian_apart, t.gaussian_apart_stderr),
            measured(t.empirical_apart, t.empirical_apart_stderr),
            f"{100 * t.gap:+.1f} %",
        ]
        for t in result.twins
    ]
    seeds = result.twins[0].seeds
    twins = Table(
        ["n", "hidden", "copies", "of unseen data", "twins apart", "gaussian twins", "empirical twins", "held-out gap"],
        rows,
    )
    errors = f"{seeds} pairs each; errors over pairs" if seeds > 1 else "one pair each; errors over samples only"
    lines: list[Part] = [twins, errors]
    for hidden, powers in (result.powers or {}).items():
        found = ", ".join(f"{name} n^({measured(power.exponent, power.stderr, 2)})" for name, power in powers.items())
        lines.append(f"{hidden} hidden units, distances fall as: {found}")
    return lines


def _clocks(result: clock.Result) -> list[Part]:
    rows = [
        [
            str(r.hidden),
            str(r.t),
            f"{r.ou_time:.3f}",
            str(r.n),
            _reached(r.generalised, result, result.updates // 2),
            _reached(r.memorised, result, result.updates),
            measured(r.ratio, r.ratio_stderr, 2),
            f"{r.empirical_held_out / max(r.empirical_training, 1e-300):.3g}",
            f"{r.gaussian_held_out / max(r.gaussian_training, 1e-300):.3g}",
            f"{r.held_out:.4f}",
            f"{r.gaussian_held_out:.4f}",
        ]
        for r in result.readings
    ]
    head = ["hidden", "t", "tau", "n", "tau_gen", "tau_mem", "ratio", "of memory", "Gaussian", "error", "Gaussian"]
    powers = [
        [str(g.hidden), str(g.t), f"{g.ou_time:.3f}", _power(g.generalised), _power(g.memorised)] for g in result.growth
    ]
    return [
        f"{result.seeds} trainings each, {result.updates} steps of Adam at rate {result.learning_rate:g} in batches of "
        f"{result.batch}, on {result.components} components ({100 * result.variance_kept:.1f} % of the variance)",
        Table(head, rows, words=()),
        f"tau_gen: steps until the held-out xi-error is within {100 * result.within:g} % of its minimum",
        f"tau_mem: steps until held-out over training error exceeds {result.threshold:g}",
        "ratio: held-out over training error after the last step, beside those of the empirical denoiser (memory) and "
        "of the Gaussian one",
        "error: smallest held-out xi-error, beside the Gaussian denoiser's; standard errors over trainings",
        Table(["hidden", "t", "tau", "tau_gen ~ n^", "tau_mem ~ n^"], powers, words=()),
        "powers of n from the sizes at which every training got there, where there are three",
        f"{result.seconds:.0f} s",
        *(result.figures or ()),
    ]


def _reached(found: Reached, result: clock.Result, last: int) -> str:
    """Steps, or how many trainings got there in so many."""
    if found.steps is not None and found.stderr is not None:
        return measured(found.steps, found.stderr, 0)
    return f"{found.trainings or 'none'} of {result.seeds} within {last}"


def _power(power: Power | None) -> str:
    return "-" if power is None else f"{measured(power.exponent, power.stderr, 2)} ({len(power.sizes)} sizes)"
