"""Experiments that need no training: physics curie-weiss, langevin, critical-times; linear."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from undiffuse import experiments
from undiffuse.cli.options import IdxFolder, Json, Settings, answer, app, changes
from undiffuse.support.progress import progress

physics = App(name="physics", help="Exact scores, Langevin dynamics and critical times; no training needed.")
app.command(physics)

Folder = Annotated[
    Path | None, Parameter(help="Folder for the figures and summary.json; files of the same names are replaced.")
]


@physics.command(name="curie-weiss")
def curie_weiss(
    *,
    spins: Annotated[tuple[int, ...], Parameter(negative=(), help="Numbers of spins N.")] = (50, 200, 1000),
    beta: Annotated[float, Parameter(help="Inverse temperature, above 1.")] = 1.5,
    field: Annotated[float, Parameter(help="Field h; it enters as h/N.")] = 0.0,
    walkers: Annotated[int, Parameter(help="Trajectories, pairs of copies and U-turns at each time.")] = 800,
    points: Annotated[int, Parameter(help="Times at which they are compared.")] = 8,
    out: Folder = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Break the symmetry of the Curie-Weiss model with its exact score; section 6 and Figure 11.

    Parameters
    ----------
    seed
        Seed of all noise.
    """
    with progress("breaking symmetry", "sizes") as update:
        summary = experiments.curie_weiss(spins, beta, field, walkers, points, seed, out, update)
    lines = [f"beta = {beta:g}, h = {field:g}: m* = {summary['m_star']:.4f}"]
    for r in summary["results"]:
        critical = ", ".join(f"{name} {tau:.3f}" for name, tau in r["critical"].items() if tau is not None)
        lines += [
            f"N = {r['N']}: up {r['plus']:.3f} +- {r['plus_stderr']:.3f} (exact {r['plus_exact']:.3f}); "
            f"critical OU times: {critical}",
            "     tau   Binder          exact  theory   cloning         U-turn          exact  theory",
        ]
        for i, tau in enumerate(r["tau"]):
            b, c, u = r["binder"], r["cloning"], r["uturn"]
            lines.append(
                f"  {tau:6.3f}  {b['value'][i]:6.3f} +- {b['stderr'][i]:.3f} {b['exact'][i]:6.3f} {b['theory'][i]:7.3f}"
                f"   {c['value'][i]:.3f} +- {c['stderr'][i]:.3f}  {u['value'][i]:.3f} +- {u['stderr'][i]:.3f} "
                f"{c['exact'][i]:6.3f} {c['theory'][i]:7.3f}"
            )
    powers = summary["score_errors"]["power"]
    lines += [
        f"{100 * summary['within_two_stderr']:.0f} % of the points lie within two standard errors of the exact value",
        f"errors of the scores fall as N^{powers['two-state']:.2f} (two-state) and N^{powers['large-time']:.2f} (27)",
        *summary.get("figures", []),
    ]
    answer(json, summary, lines)


@physics.command
def langevin(
    *,
    walkers: Annotated[int, Parameter(help="Number of walkers.")] = 10_000,
    out: Folder = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Walk from two points to noise and back by (24) and (25), beside the Fokker-Planck equation.

    Parameters
    ----------
    seed
        Seed of all noise.
    """
    with progress("walking", "stages") as update:
        summary = experiments.langevin(walkers, seed, out, update)
    lines = ["     tau   largest difference of distribution functions, forward and reverse"]
    both = summary["kolmogorov_distance"]
    for tau, there, back in zip(summary["ou_time"], both["forward"], both["reverse"], strict=True):
        lines.append(f"  {tau:6.3f}   {there:.4f}   {back:.4f}")
    lines += [
        f"5 % of honest samples of {walkers} differ by more than {summary['kolmogorov_5_percent']:.4f}",
        f"Fokker-Planck against the kernel (3): at most {summary['fokker_planck_error']:.1e}",
        f"{summary['plus']:.3f} +- {summary['plus_stderr']:.3f} end on the positive side; {summary['seconds']:.1f} s",
        *summary.get("figures", []),
    ]
    answer(json, summary, lines)


@physics.command(name="critical-times")
def critical_times(
    source: str,
    *,
    set_: Settings = (),
    data: IdxFolder = None,
    n: Annotated[int, Parameter(name=["-n", "--n"], help="Samples behind each point of a curve.")] = 1000,
    points: Annotated[int, Parameter(help="Times at which curves are taken.")] = 40,
    out: Folder = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """When diffusion decides between the classes of data, and when it starts to memorise, by every criterion.

    Parameters
    ----------
    source
        Preset, TOML file or run folder that names the data and the schedule.
    seed
        Seed of all noise.
    """
    with progress("critical times", "groups of curves") as update:
        summary = experiments.critical_times(source, changes(set_, data), n, points, seed, out, update)
    answer(json, summary, [*time_lines(summary), *summary.get("figures", [])])


def time_line(name: str, time: dict[str, float | None]) -> str:
    """Line of one critical time."""
    if time["tau"] is None:
        return f"{name:20}      none"
    step = "past T" if time["t"] is None else f"{time['t']:.1f}"
    return f"{name:20} {time['tau']:9.4f} +- {time['stderr']:.4f} {step:>12}"


def time_lines(summary: dict[str, Any]) -> list[str]:
    """Lines of a table of critical times, each with its criterion."""
    covariance = summary["covariance"]
    lines = [
        f"largest variance {covariance['eigenvalue']:.4g} +- {covariance['eigenvalue_stderr']:.2g}; "
        f"overlap of its axis with the class means {covariance['overlap']:.3f}"
        + ("" if covariance["applies"] else ": the covariance criterion does not tell of these classes"),
        "criterion                  OU time             step t   against covariance",
    ]
    for name, time in {"covariance": covariance["time"], **summary["times"]}.items():
        line = time_line(name, time)
        if name in summary["agreement"]:
            gap = summary["agreement"][name]
            line += f"   {100 * gap['relative']:+.1f} +- {100 * gap['stderr']:.1f} %"
        lines.append(line)
    return lines


@app.command
def linear(
    preset: str,
    *,
    set_: Settings = (),
    data: IdxFolder = None,
    n: Annotated[int, Parameter(name=["-n", "--n"], help="Samples.")] = 2000,
    components: Annotated[int, Parameter(help="Leading components tested for normality, if there are so many.")] = 10,
    out: Folder = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Sample with the linear model of Annex II: whatever the data, a Gaussian comes out.

    Parameters
    ----------
    preset
        Preset or TOML file that names the data and the schedule.
    seed
        Seed of all noise.
    """
    with progress("sampling", "samples") as update:
        summary = experiments.linear_model(preset, changes(set_, data), n, components, seed, out, update)
    lines = [f"Mardia's test on {summary['components']} components of {summary['samples']} samples"]
    for name, m in summary["normality"].items():
        lines.append(
            f"{name:14} kurtosis {m['kurtosis_z']:+9.2f} standard errors off a Gaussian's (p = {m['kurtosis_p']:.2g}); "
            f"skewness p = {m['skewness_p']:.2g}"
        )
    answer(json, summary, [*lines, *summary.get("figures", [])])
