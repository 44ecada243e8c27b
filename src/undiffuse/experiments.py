"""Experiments that need no training, each from its settings to numbers and figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse import datasets, physics
from undiffuse.baselines import mardia
from undiffuse.datasets.sources import Dataset
from undiffuse.diffusion import reverse
from undiffuse.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser, LinearDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.reverse import Sampler
from undiffuse.diffusion.schedule import NoiseSchedule
from undiffuse.physics import transitions
from undiffuse.physics.breaking import symmetry_breaking
from undiffuse.physics.curie_weiss import CurieWeiss
from undiffuse.physics.curie_weiss_denoiser import CurieWeissDenoiser
from undiffuse.physics.langevin import forward_langevin, reverse_langevin
from undiffuse.physics.ornstein_uhlenbeck import OrnsteinUhlenbeck, fokker_planck
from undiffuse.physics.transitions import Classes
from undiffuse.runs import config as configuration
from undiffuse.runs.folder import RunFolder
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.files import make_folder, write_json
from undiffuse.support.progress import counter
from undiffuse.support.streams import Purpose, stream
from undiffuse.workflow import run_data

OnProgress = Callable[[int, int], None]
LINEAR_STEPS = 50  # a linear model solves a system as large as the data at each


def curie_weiss(
    sizes: Sequence[int],
    beta: float,
    h: float,
    n: int,
    points: int,
    seed: int,
    out: Path | None,
    on_progress: OnProgress = lambda done, total: None,
) -> dict[str, Any]:
    """Break the symmetry of the Curie-Weiss model for each size; errors of the two approximate scores; Figure 11."""
    models = [CurieWeiss(N, beta, h) for N in sizes]
    require(
        len(models) >= 1 and len(set(sizes)) == len(sizes), f"sizes {list(sizes)}: wanted different numbers of spins"
    )
    for model in models:
        model.require_two_states()
    start = time.monotonic()
    errors = score_errors(beta, h, seed=seed)
    results = []
    for i, model in enumerate(models):
        results.append(symmetry_breaking(model, n=n, points=points, seed=seed))
        on_progress(i + 1, len(models))
    deviations = np.concatenate(
        [getattr(r, name).deviations for r in results for name in ("binder", "cloning", "uturn")]
    )
    summary: dict[str, Any] = {
        "beta": beta,
        "h": h,
        "m_star": models[0].m_star,
        "walkers": n,
        "seed": seed,
        "results": [{k: v for k, v in r.as_dict().items() if k != "magnetisation"} for r in results],
        "within_two_stderr": float(np.mean(np.abs(deviations) <= 2)),
        "largest_deviation": float(np.abs(deviations).max()),
        "score_errors": errors,
    }
    summary["seconds"] = round(time.monotonic() - start, 2)
    if out is not None:
        from undiffuse import figures

        drawn = {
            "11_potentials": figure_11(models[-1]),
            "symmetry_breaking": figures.breaking(
                results, [_theory(m, r.tau) for m, r in zip(models, results, strict=True)]
            ),
            "outcomes": figures.outcomes(results, [(m.sums / m.N, np.exp(m.log_law)) for m in models]),
        }
        keep(out, summary, drawn)
    return summary


def _theory(model: CurieWeiss, taus: Sequence[float]) -> dict[str, Floats]:
    """Smooth curves of the infinite system over a range of times."""
    tau = np.linspace(min(taus), max(taus), 80)
    return {
        "tau": tau,
        "scaling": model.scaling_variable(tau),
        "binder": model.binder(tau),
        "cloning": model.cloning(tau),
    }


def figure_11(model: CurieWeiss) -> Any:
    """Potentials of one model before, at and after its transition, as a figure."""
    from undiffuse import figures

    tau = model.critical_time("potential")
    times = [0.6 * tau, 0.85 * tau, tau, tau + 1.0]
    # The grid reaches past the wells at the earliest of these times.
    mu = np.linspace(-1, 1, 601) * 3.0 * model.m_star * np.sqrt(model.N) * np.exp(-times[0])
    limits = {
        "early: two parabolas": (times[0], model.potential_early(mu, times[0])),
        "late: one parabola": (times[-1], model.potential_late(mu, times[-1])),
    }
    return figures.potentials(
        mu, {t: model.potential(mu, t) for t in times}, {t: model.potential_28(mu, t) for t in times}, limits
    )


def score_errors(
    beta: float, h: float, sizes: Sequence[int] = (256, 512, 1024, 2048), n: int = 200, seed: int = 0
) -> dict[str, Any]:
    """Root mean square error of the approximate ``x0_hat`` against the exact one, and its power of N.

    Measured at the time where ``N m*^2 e^(-2 tau) = 4``, on exact configurations diffused to it: there both states
    still compete.
    """
    errors: dict[str, list[float]] = {"two-state": [], "large-time": []}
    smallest = CurieWeiss(min(sizes), beta, h)
    require(
        smallest.N * smallest.m_star**2 > 8, f"beta = {beta:g} is too near 1 to compare scores at {smallest.N} spins"
    )
    for N in sizes:
        model = CurieWeiss(N, beta, h)
        tau = 0.5 * np.log(N * model.m_star**2 / 4)
        forward = ForwardProcess(NoiseSchedule.at_ou_times([tau, tau + 1]))
        rng = stream(seed, Purpose.SPIN_SCORE, N)
        x = forward.jump(model.sample(n, rng), 1, rng.standard_normal((n, N)))
        exact = CurieWeissDenoiser(forward, model).spin_means(x, 1)
        for method, values in errors.items():
            other = CurieWeissDenoiser(forward, model, method).spin_means(x, 1)
            values.append(float(np.sqrt(np.mean((other - exact) ** 2))))
    powers = {name: float(np.polyfit(np.log(sizes), np.log(values), 1)[0]) for name, values in errors.items()}
    return {"N": list(sizes), "rms": errors, "power": powers}


def langevin(
    walkers: int,
    seed: int,
    out: Path | None,
    on_progress: OnProgress = lambda done, total: None,
) -> dict[str, Any]:
    """Walk ``walkers`` from two points to noise and back, (24) and (25), beside Fokker-Planck and Algorithm 2."""
    require(walkers >= 100, f"walkers = {walkers}: wanted at least 100")
    start = time.monotonic()
    forward = ForwardProcess(NoiseSchedule.at_ou_times(np.linspace(0.01, 4, 400)))
    exact = EmpiricalDenoiser(forward, [[-1.0], [1.0]])
    rng = stream(seed, Purpose.LANGEVIN)
    times = [10, 25, 50, 100, 400]
    taus = [float(forward.schedule.ou_time(t)) for t in times]
    x0 = rng.choice([-1.0, 1.0], (walkers, 1))
    seen: dict[str, dict[int, Floats]] = {"forward": {}, "reverse": {}}
    for state in forward_langevin(forward, x0, rng):
        if state.t in times:
            seen["forward"][state.t] = state.x[:, 0]
    on_progress(1, 3)
    for state in reverse_langevin(exact, rng.standard_normal((walkers, 1)), rng):
        if state.t in times:
            seen["reverse"][state.t] = state.x[:, 0]
        last = state.x[:, 0]
    on_progress(2, 3)
    y = np.linspace(-4, 4, 801)
    process = OrnsteinUhlenbeck()
    solved = fokker_planck(y, _mixture(y, process, taus[0]), taus, process.drift)
    closed = np.stack([_mixture(y, process, tau) for tau in taus])
    distances = {
        name: [_kolmogorov(states[t], y, density) for t, density in zip(times, closed, strict=True)]
        for name, states in seen.items()
    }
    summary: dict[str, Any] = {
        "walkers": walkers,
        "ou_time": taus,
        "kolmogorov_distance": distances,
        "kolmogorov_5_percent": 1.358 / np.sqrt(walkers),
        "fokker_planck_error": float(np.abs(solved - closed).max()),
        "plus": float(np.mean(last > 0)),
        "plus_stderr": float(0.5 / np.sqrt(walkers)),
        "end_mean_abs": float(np.abs(last).mean()),
    }
    on_progress(3, 3)
    summary["seconds"] = round(time.monotonic() - start, 2)
    if out is not None:
        from undiffuse import figures

        rows = {f"{way} walkers": [(tau, x[t]) for t, tau in zip(times, taus, strict=True)] for way, x in seen.items()}
        keep(out, summary, {"langevin": figures.langevin(rows, y, {name: list(solved) for name in rows})})
    return summary


def critical_times(
    run_or_preset: str,
    changes: Sequence[str],
    n: int,
    points: int,
    seed: int,
    out: Path | None,
    on_progress: OnProgress = lambda done, total: None,
) -> dict[str, Any]:
    """Critical times of the data of a run, a preset or a configuration file, by every criterion."""
    start = time.monotonic()
    if Path(run_or_preset).is_dir():
        require(not changes, "--set and --data go with a preset or a file; a run's data are what they were")
        run = RunFolder.open(run_or_preset)
        settings, data = run.config, run_data(run)
    else:
        settings = configuration.load(run_or_preset, list(changes))
        data = datasets.load(settings)
    forward = settings.forward()
    training, held_out = classes_of(data)
    gaussian = GaussianDenoiser.from_data(forward, data.train)
    found = physics.critical_times(training, held_out, forward, gaussian, points, n, seed, counter(on_progress, 4))
    summary = {
        "data": run_or_preset,
        "classes": kind_of_classes(data),
        "noise_scale": forward.noise_scale,
        "samples": n,
        **found.as_dict(),
        "seconds": round(time.monotonic() - start, 2),
    }
    if out is not None:
        from undiffuse import figures

        keep(out, summary, {"critical_times": figures.critical_times(found, transitions.cloned_level(training))})
    return summary


def linear_model(
    preset: str,
    changes: Sequence[str],
    n: int,
    components: int,
    seed: int,
    out: Path | None,
    on_progress: OnProgress = lambda done, total: None,
) -> dict[str, Any]:
    """Sample with the linear model of Annex II and test data and samples for normality."""
    settings = configuration.load(preset, list(changes))
    data, forward = datasets.load(settings), settings.forward()
    require(components >= 1, f"components = {components}: wanted at least 1")
    n, k = min(n, len(data.train)), min(components, data.dim)
    model = LinearDenoiser(forward, data.train, seed=seed)
    steps = min(forward.T, LINEAR_STEPS)
    samples = reverse.sample(model, n, Sampler(steps=steps), seed, counter(on_progress, n, per=steps))
    clouds = {"data": data.train[:n], "linear model": samples}
    summary: dict[str, Any] = {
        "preset": preset,
        "samples": n,
        "components": k,
        "normality": {name: asdict(mardia(x, k)) for name, x in clouds.items()},
    }
    if out is not None:
        from undiffuse import figures

        reference = GaussianDenoiser.from_data(forward, data.train)
        _, axes = reference.leading(2)
        plane = {name: (x - reference.mean) @ axes for name, x in clouds.items()}
        keep(out, summary, {"linear_model": figures.linear_model(plane)})
    return summary


def classes_of(data: Dataset) -> tuple[Classes, Classes]:
    """Training and held-out samples with their classes; see :func:`kind_of_classes`."""
    if data.images is not None:
        seen, unseen = (Classes(images.x, images.labels) for images in data.images)
        return seen, unseen
    read = class_rule(data)
    return Classes(data.train, read(data.train)), Classes(data.held_out, read(data.held_out))


def class_rule(data: Dataset) -> Callable[[Floats], NDArray[np.integer]]:
    """Rule that gives the class of samples without labels: a spin configuration's sign, or a side of the mean."""
    if data.spins is not None:
        return lambda x: (x.sum(axis=1) > 0).astype(int)
    return transitions.sides(data.train)


def kind_of_classes(data: Dataset) -> str:
    """What the classes of data are, in words."""
    if data.images is not None:
        return "labels"
    return "signs of the magnetisation" if data.spins is not None else "sides of the first principal axis"


def keep(out: Path, summary: dict[str, Any], drawn: Mapping[str, Any]) -> None:
    """Put figures and ``summary.json`` into a folder, and name the figures in the summary."""
    from undiffuse import figures

    make_folder(out)
    summary["figures"] = [str(figures.save(figure, out / f"{name}.png")) for name, figure in drawn.items()]
    write_json(out / "summary.json", summary, overwrite=True)


def _mixture(y: Floats, process: OrnsteinUhlenbeck, tau: float) -> Floats:
    return np.asarray((process.kernel(y, 1.0, tau) + process.kernel(y, -1.0, tau)) / 2)


def _kolmogorov(x: Floats, y: Floats, density: Floats) -> float:
    """Largest difference between the walkers' distribution function and the density's."""
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2) * (y[1] - y[0])])
    ranks = np.searchsorted(np.sort(x), y, side="right") / len(x)
    return float(np.abs(ranks - cumulative).max())
