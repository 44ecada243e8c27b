"""Tables of critical times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from undiffuse.cli.answers import measured, table
from undiffuse.physics.transitions import CriticalTimes, Time


def times_table(found: CriticalTimes, more: Sequence[list[str]] = ()) -> list[str]:
    """Lines of a table of critical times, each with its criterion; ``more`` rows come last."""
    covariance = found.covariance
    missing = "" if covariance.applies else ": too little for the covariance criterion to be about these classes"
    rows = time_rows({"covariance": covariance.time, **found.times})
    for row in rows:
        if row[0] in (agreement := found.agreement()):
            relative, stderr = agreement[row[0]]
            row[-1] = f"{100 * relative:+.1f} +- {100 * stderr:.1f} %"
    return [
        f"largest variance {covariance.eigenvalue:.4g} +- {covariance.eigenvalue_stderr:.2g}; "
        f"overlap of its axis with the class means {covariance.overlap:.3f}{missing}",
        *table(["criterion", "OU time", "step t", "against covariance"], [*rows, *more]),
    ]


def time_rows(times: Mapping[str, Time]) -> list[list[str]]:
    """Rows of a table, one for each time."""
    rows = []
    for name, time in times.items():
        if np.isnan(time.tau):
            rows.append([name, "none", "", ""])
        else:
            rows.append(
                [name, measured(time.tau, time.stderr, 4), "past T" if np.isnan(time.t) else f"{time.t:.1f}", ""]
            )
    return rows
