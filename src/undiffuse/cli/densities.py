"""Commands about densities: likelihood, energy."""

from __future__ import annotations

from collections.abc import Mapping

from undiffuse.cli.answers import Json, answer, measured, say
from undiffuse.cli.tables import Part, Table
from undiffuse.studies import energy as energies
from undiffuse.studies import likelihood as densities
from undiffuse.studies.densities import Route
from undiffuse.support.progress import progress

_EVERY = 4  # of the times at which the truth is known that are shown


def likelihood(settings: densities.Settings = densities.Settings(), *, json: Json = False) -> None:  # noqa: B008
    """Density of held-out samples by the bound, by importance sampling and by the flow, and the work that is lost."""
    with progress("following trajectories", "%") as update:
        result = densities.run(settings, update, say)
    named = {
        "bound <W> (18)": result.bound,
        "importance sampling (12)": result.importance,
        "probability flow, exact trace": result.flow,
        "truth": result.truth,
    }
    lines: list[Part] = [
        f"{result.of}: -log p of {result.samples} held-out samples at t = {result.t} (OU time {result.tau:.3g}), nats",
        route_table(named),
        f"dissipated work {measured(result.dissipated, result.dissipated_stderr)} nats; W scatters by "
        f"{result.work_std:.3f} between trajectories of a sample",
        f"effective trajectories of {result.trajectories}: median {result.effective:.1f}, "
        f"least {result.effective_least:.1f}",
        f"steps of the flow are off by {result.flow_step_error:.2g} nats",
    ]
    answer(result, json, [*lines, *([] if result.warning is None else [result.warning]), *(result.figures or ())])


def energy(settings: energies.Settings = energies.Settings(), *, json: Json = False) -> None:  # noqa: B008
    """Normalise the energies of all times by Fokker-Planck, and say whether they are marginals of one process."""
    with progress("tying times together", "%") as update:
        result = energies.run(settings, update, say)
    named = {
        "energy, normalised": result.energy,
        "bound <W> (18)": result.bound,
        "probability flow": result.flow,
        "truth": result.truth,
    }
    lines: list[Part] = [
        f"{result.of}: -log p of {result.samples} held-out samples at t = {result.t} (OU time {result.tau:.3g}), nats",
        route_table(named),
        f"log Z = {measured(result.log_Z, result.log_Z_stderr)}; {result.effective:.0f} of 4096 draws at T effective",
        f"the steps from t to T say the same of every sample to within {result.mismatch:.3g} nats "
        f"({result.reference}: {result.floor:.2g}); independent of one another they would to {result.apart:.3g}",
    ]
    if result.known is not None:
        known = result.known
        rows = [
            [f"{tau:.3g}", measured(nats, nats_error), f"{mass:.3g} +- {mass_error:.2g}"]
            for tau, nats, nats_error, mass, mass_error in zip(
                known.tau, known.divergence, known.divergence_stderr, known.mass, known.mass_stderr, strict=True
            )
        ]
        lines.append(Table(["OU time", "KL(truth | energy), nats", "mass of the energy"], rows[::_EVERY]))
    answer(result, json, [*lines, *([] if result.warning is None else [result.warning]), *(result.figures or ())])


def route_table(named: Mapping[str, Route | None]) -> Table:
    """Table of ``-log p`` by each route that there is, and how far it is off the truth."""
    rows = [
        [
            name,
            measured(route.nats, route.stderr),
            "" if route.off is None or route.off_stderr is None else measured(route.off, route.off_stderr),
        ]
        for name, route in named.items()
        if route is not None
    ]
    return Table(["route", "-log p", "off the truth"], rows)
