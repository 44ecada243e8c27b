"""Commands that need no run: physics curie-weiss, langevin, critical-times, simplicity, two-clusters; linear."""

from __future__ import annotations

import numpy as np

from undiffuse.cli.answers import Json, answer, measured, say
from undiffuse.cli.tables import Part, Table
from undiffuse.cli.times import times_table
from undiffuse.physics.agreement import Agreement
from undiffuse.physics.breaking import Breaking
from undiffuse.physics.scaling import Scaling
from undiffuse.studies import critical_times as transitions
from undiffuse.studies import curie_weiss as breaking
from undiffuse.studies import langevin as walks
from undiffuse.studies import linear as linear_model
from undiffuse.studies import simplicity as simple
from undiffuse.studies import two_clusters as clusters
from undiffuse.support.progress import progress
from undiffuse.support.stats import Line


def curie_weiss(settings: breaking.Settings = breaking.Settings(), *, json: Json = False) -> None:  # noqa: B008
    """Break the symmetry of the Curie-Weiss model with its exact score; section 6 and Figure 11."""
    with progress("breaking symmetry", "sizes") as update:
        result = breaking.run(settings, update, say)
    powers = {
        name: measured(power, result.score_errors.power_stderr[name], 2)
        for name, power in result.score_errors.power.items()
    }
    lines = [
        f"beta = {result.beta:g}, h = {result.h:g}: m* = {result.m_star:.4f}",
        *(line for r in result.results for line in _breaking_lines(r)),
        f"all sizes: {_chi2(result.agreement)}",
        *(() if result.scaling is None else _scaling_lines(result.scaling)),
        f"errors of the scores fall as N^({powers['two-state']}) (two-state) and N^({powers['large-time']}) (27)",
        *(result.figures or ()),
    ]
    answer(result, json, lines)


def _breaking_lines(r: Breaking) -> list[Part]:
    critical = ", ".join(f"{name} {tau:.3f}" for name, tau in r.critical.items() if tau is not None)
    b, c, u = r.binder, r.cloning, r.uturn
    rows = [
        [
            f"{tau:.3f}",
            measured(b.value[i], b.stderr[i]),
            f"{b.exact[i]:.3f}",
            f"{b.theory[i]:.3f}",
            measured(c.value[i], c.stderr[i]),
            measured(u.value[i], u.stderr[i]),
            f"{c.exact[i]:.3f}",
            f"{c.theory[i]:.3f}",
        ]
        for i, tau in enumerate(r.tau)
    ]
    return [
        f"N = {r.N}: up {measured(r.plus, r.plus_stderr)} (exact {r.plus_exact:.3f}); critical OU times: {critical}",
        Table(["tau", "Binder", "exact", "theory", "cloning", "U-turn", "exact", "theory"], rows),
        f"Binder {_chi2(b.agreement)}; cloning {_chi2(c.agreement)}; U-turn {_chi2(u.agreement)}; "
        f"together {_chi2(r.agreement)}",
    ]


def _chi2(found: Agreement | Line) -> str:
    return f"chi2/dof {found.chi2:.1f}/{found.degrees}, p = {found.p_value:.3f}"


def _scaling_lines(s: Scaling) -> list[Part]:
    rows = [
        [
            f"{N}",
            measured(s.tau[i], s.stderr[i]),
            "walk" if s.walked[i] else "draws",
            f"{s.exact[i]:.3f}",
            f"{s.theory[i]:.3f}",
        ]
        for i, N in enumerate(s.N)
    ]
    walks = "" if s.walks is None else f"; walks only {measured(s.walks.slope, s.walks.stderr)}"
    return [
        f"Binder cumulant falls to {s.level:.3f} at",
        Table(["N", "tau", "from", "exact", "theory"], rows),
        f"slope against log N {measured(s.slope.slope, s.slope.stderr)}, {_chi2(s.slope)}{walks}; "
        f"exact law {s.exact_slope:.3f}, between the two largest {s.exact_local[-1]:.4f} (theory 1/2)",
        f"collapse onto log(N e^(-2 tau)): {_chi2(s.collapse)}, of which corrections to scaling {s.excess:.1f}; "
        f"exact curves approach their limit as N^{s.correction:.2f}",
    ]


def langevin(settings: walks.Settings = walks.Settings(), *, json: Json = False) -> None:  # noqa: B008
    """Walk from two points to noise and back by (24) and (25), beside the Fokker-Planck equation."""
    with progress("walking", "stages") as update:
        result = walks.run(settings, update, say)
    both = result.kolmogorov_distance
    rows = [
        [f"{tau:.3f}", f"{there:.4f}", f"{back:.4f}"]
        for tau, there, back in zip(result.ou_time, both["forward"], both["reverse"], strict=True)
    ]
    lines: list[Part] = [
        "largest difference of distribution functions",
        Table(["tau", "forward", "reverse"], rows),
        f"of {result.walkers} draws from the law itself, 5 % differ by more than {result.kolmogorov_5_percent:.4f}",
        f"Fokker-Planck against the kernel (3): at most {result.fokker_planck_error:.1e}",
        f"{measured(result.plus, result.plus_stderr)} end on the positive side; {result.seconds:.1f} s",
        *(result.figures or ()),
    ]
    answer(result, json, lines)


def critical_times(settings: transitions.Settings, *, json: Json = False) -> None:
    """When diffusion decides between the classes of data, and when it starts to memorise, by every criterion."""
    with progress("critical times", "groups of curves") as update:
        result = transitions.run(settings, update, say)
    answer(result, json, [*times_table(result.found), *(result.figures or ())])


def simplicity(settings: simple.Settings, *, json: Json = False) -> None:
    """Change hidden units, T, passes and training points of a recipe one at a time: what quality is left."""
    with progress("training and measuring", "banks") as update:
        result = simple.run(settings, update, say)
    exact = "law" if result.exact == "law" else "training points"
    lines: list[Part] = [
        f"{result.preset} with T = {result.T}, {result.hidden} hidden units, {result.passes:g} passes at each time, "
        f"n = {result.n}; {result.seeds} trainings of each"
    ]
    for name, points in result.columns.items():
        rows = [
            [
                f"{point.value:g}",
                measured(point.xi_error, point.xi_error_stderr, 4),
                f"{point.gaussian:.4f}",
                f"{point.exact:.4f}",
                measured(point.distance, point.distance_stderr, 2),
                f"{point.gaussian_distance:.2f}",
            ]
            for point in points
        ]
        lines.append(Table([name, "xi-error", "Gaussian", exact, f"{result.metric} over floor", "Gaussian"], rows))
    if result.exact == "empirical":
        lines.append("the law of these data is not known: errors of the training points' denoiser are no floor")
    lines.append("smallest within two standard errors of the best (* the largest tried: more may be better)")
    ends = {True: " *", False: ""}
    rows = [
        [name, f"{k.xi_error:g}{ends[k.xi_error_at_end]}", f"{k.distance:g}{ends[k.distance_at_end]}"]
        for name, k in result.knees.items()
    ]
    lines.append(Table(["", "by xi-error", f"by {result.metric}"], rows))
    answer(result, json, [*lines, f"{result.seconds:.1f} s", *(result.figures or ())])


def two_clusters(settings: clusters.Settings = clusters.Settings(), *, json: Json = False) -> None:  # noqa: B008
    """Learn two Gaussian clusters from n points with one hidden unit for each time, beside the closed form."""
    with progress("training", "networks") as update:
        result = clusters.run(settings, update, say)
    even = int(np.argmin(np.abs(np.log(result.signal_to_noise))))
    rows = [
        [
            f"{size.noises}",
            f"{size.n}",
            measured(size.error, size.error_stderr, 4),
            f"{size.error_closed_form:.4f}",
            f"{size.bayes:.4f}",
            measured(size.variance, size.variance_stderr),
            f"{size.variance_closed_form:.3f}",
            measured(size.overlap[even], size.overlap_stderr[even], 4),
            f"{size.overlap_closed_form[even]:.4f}",
        ]
        for size in result.sizes
    ]
    head = ["noises", "n", "mean's error", "theory", "Bayes", "variance", "theory", "cos(w, mu)", "theory"]
    lines: list[Part] = [
        f"two clusters in {result.dim} dimensions, sigma = {result.sigma:g}, ridge = {result.ridge:g}; "
        f"{result.seeds} training sets of each size",
        Table(head, rows),
        f"cos(w, mu) is that of the time where signal over noise is {result.signal_to_noise[even]:.2f}",
    ]
    for rate in result.rates:
        noises = f"{rate.noises} noise{'s' if rate.noises > 1 else ''} a point"
        lines.append(f"{noises}: mean's error over theory {measured(rate.ratio, rate.ratio_stderr)}")
        if rate.slope is not None and rate.slope_stderr is not None:
            theory = f"theory {rate.slope_closed_form:.3f}, for large n -1"
            lines.append(f"{noises}: slope against log n {measured(rate.slope, rate.slope_stderr)} ({theory})")
    answer(result, json, [*lines, f"{result.seconds:.1f} s", *(result.figures or ())])


def linear(settings: linear_model.Settings, *, json: Json = False) -> None:
    """Sample with the linear model of Annex II: whatever the data, a Gaussian comes out."""
    with progress("sampling", "samples") as update:
        result = linear_model.run(settings, update, say)
    lines = [f"Mardia's test on {result.components} components of {result.samples} samples"]
    for name, m in result.normality.items():
        lines.append(
            f"{name:14} kurtosis {m.kurtosis_z:+9.2f} standard errors off a Gaussian's (p = {m.kurtosis_p:.2g}); "
            f"skewness p = {m.skewness_p:.2g}"
        )
    answer(result, json, [*lines, *(result.figures or ())])
