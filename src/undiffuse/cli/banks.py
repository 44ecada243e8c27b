"""Commands about what a bank has learned: analyse, memorise."""

from __future__ import annotations

from undiffuse.cli.answers import Json, answer, measured, say
from undiffuse.cli.tables import Part, Table
from undiffuse.cli.times import times_table
from undiffuse.studies import analyse as analysis
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
        f"{len(passed)} of {len(result.changes)} quantities have a time of fastest change that chance does not explain "
        "(p < 0.05, corrected for their number)",
        *([Table(["quantity", "changes fastest at t", "OU time", "p"], rows)] if rows else []),
        f"page: {result.page}",
    ]
    answer(result, json, lines)


def memorise(settings: memorisation.Settings, *, json: Json = False) -> None:
    """Train pairs of banks on disjoint halves and compare what they draw from the same noise."""
    with progress("training twins", "pairs") as update:
        result = memorisation.run(settings, update, say)
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
    answer(result, json, lines)
