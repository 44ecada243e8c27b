"""The command physics cascade."""

from __future__ import annotations

from undiffuse.cli.answers import Json, answer, known, measured, say
from undiffuse.cli.tables import Part, Table
from undiffuse.studies import cascade as study
from undiffuse.support.progress import progress


def cascade(settings: study.Settings, *, json: Json = False) -> None:
    """One transition for each principal component of the data, along diffusion time and along training."""
    with progress("training", "seeds") as update:
        result = study.run(settings, update, say)
    linear, relu = result.clock["linear"], result.clock["relu"]
    rows = [
        [
            f"{k + 1}",
            f"{result.variances[k]:.3g}",
            f"{result.tau_theory[k]:.3f}",
            known(result.tau[k], result.tau_stderr[k]),
            measured(result.jacobian_gain[k], result.jacobian_gain_stderr[k]),
            f"{linear.theory[k]:.0f}",
            known(linear.steps[k], linear.stderr[k], 0),
            f"{relu.theory[k]:.0f}",
            known(relu.steps[k], relu.stderr[k], 0),
        ]
        for k in range(len(result.variances))
    ]
    names = ["", "variance", "tau", "half gain", "Jacobian", "linear", "SGD steps", "ReLU", "SGD steps"]
    lines: list[Part] = [
        f"theory beside {result.seeds} trainings of {result.hidden} hidden units, standard errors over trainings",
        Table(names, rows),
        "tau, linear, ReLU: theory; Jacobian: its mean gain at tau, 1/2 for Gaussian data",
        *(_power(name, result.clock[kind]) for kind, name in (("linear", "linear"), ("relu", "ReLU"))),
        f"SGD at OU time {result.clock_tau:.3f}; {result.seconds:.0f} s",
        *(result.figures or ()),
    ]
    answer(result, json, lines)


def _power(name: str, clock: study.Clock) -> str:
    power = known(clock.exponent, clock.exponent_stderr)
    return f"{name} units: steps go as variance^({power}), theory {clock.exponent_theory:.3f}"
