"""Long jobs say what they will take before they start: at once, of the right order, and only to who wants it."""

import time

import numpy as np
import pytest

from undiffuse.studies import (
    analyse,
    cascade,
    critical_times,
    curie_weiss,
    evaluate,
    export,
    figures,
    inpaint,
    langevin,
    linear,
    locality,
    memorisation_clock,
    memorise,
    perceptron,
    reconstruct,
    sample,
    simplicity,
    sweep,
    train,
    two_clusters,
    uturn,
)


def trained(spiral, out):
    return train.run(train.Settings(str(spiral), out=out / "spiral", workers=1)).run


JOBS = {
    "sample": lambda run, spiral, out: (sample, sample.Settings(run, n=50, out=out / "x.npy")),
    "evaluate": lambda run, spiral, out: (evaluate, evaluate.Settings(run, samples=40, replicates=2)),
    "reconstruct": lambda run, spiral, out: (reconstruct, reconstruct.Settings(run, t=5, n=4, out=out / "r.npz")),
    "inpaint": lambda run, spiral, out: (inpaint, inpaint.Settings(run, hole="4x4", n=4, out=out / "i.npz")),
    "uturn": lambda run, spiral, out: (uturn, uturn.Settings(run, t=(3, 9), n=4)),
    "figures": lambda run, spiral, out: (figures, figures.Settings((run,), out=out / "f")),
    "analyse": lambda run, spiral, out: (
        analyse,
        analyse.Settings(trained(spiral, out), out=out / "a", points=8, n=60),
    ),
    "export": lambda run, spiral, out: (export, export.Settings(run, to="hdf5", out=out / "e", samples=10)),
    "linear": lambda run, spiral, out: (linear, linear.Settings(str(spiral), n=60)),
    "memorise": lambda run, spiral, out: (memorise, memorise.Settings(str(spiral), n=(60,), samples=20, workers=1)),
    "memorise along training": lambda run, spiral, out: (
        memorise,
        memorise.Settings(
            str(spiral),
            n=(20,),
            along="training",
            hidden=(8,),
            seeds=2,
            workers=1,
            clock=memorisation_clock.ClockOptions(t=(3,), updates=20),
        ),
    ),
    "sweep": lambda run, spiral, out: (
        sweep,
        sweep.Settings(str(spiral), over=("training.epochs=3,4",), out=out / "grid", workers=1),
    ),
    "critical-times": lambda run, spiral, out: (
        critical_times,
        critical_times.Settings(str(spiral), n=60, points=8),
    ),
    "cascade": lambda run, spiral, out: (
        cascade,
        cascade.Settings(
            "curie-weiss",
            changes=("data.spins=8", "data.n=400", "data.beta=0.8"),
            components=2,
            hidden=8,
            points=4,
            passes=1,
            seeds=2,
            workers=1,
        ),
    ),
    "locality": lambda run, spiral, out: (
        locality,
        locality.Settings(
            "mnist-01-quick",
            changes=("data.n=100", "data.held_out=10"),
            tau=(0.5,),
            side=(1,),
            images=10,
            n=4,
            hidden=8,
            passes=1,
            seeds=2,
            workers=1,
        ),
    ),
    "curie-weiss": lambda run, spiral, out: (curie_weiss, curie_weiss.Settings(spins=(60,), walkers=100, points=2)),
    "langevin": lambda run, spiral, out: (langevin, langevin.Settings(walkers=100)),
    "two-clusters": lambda run, spiral, out: (
        two_clusters,
        two_clusters.Settings(n=(4, 8), dim=200, times=6, seeds=2, samples=20),
    ),
    "simplicity": lambda run, spiral, out: (
        simplicity,
        simplicity.Settings(str(spiral), only=("hidden",), hidden=(4, 8), seeds=2, samples=20, replicates=2, workers=1),
    ),
    "perceptron": lambda run, spiral, out: (perceptron, perceptron.Settings(orders=1)),
}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_says_once_and_before_any_progress_what_it_will_take(image_run_path, tiny_file, tmp_path, name):
    study, settings = JOBS[name](image_run_path, tiny_file, tmp_path)
    told = []
    study.run(settings, lambda done, total: told.append((done, total)), told.append)
    costs = [each for each in told if not isinstance(each, tuple)]
    assert len(costs) == 1
    assert told[0] is costs[0]
    assert 0 < costs[0].seconds < 300
    assert costs[0].smaller


def test_progress_goes_up_to_all_there_is(image_run_path, tmp_path):
    for name in ("evaluate", "reconstruct", "uturn", "inpaint", "figures"):
        study, settings = JOBS[name](image_run_path, None, tmp_path)
        seen = []
        study.run(settings, lambda done, total, seen=seen: seen.append((done, total)))
        done, totals = np.array(seen).T
        assert len(set(totals)) == 1
        assert (np.diff(done) >= 0).all()
        assert done[-1] == totals[-1], name


def test_what_is_said_is_of_the_order_of_what_it_takes(image_run_path, tmp_path):
    """Loading is over. Machines are shared, so a factor of five is allowed."""
    settings = uturn.Settings(image_run_path, t=(6, 12), n=100, repeats=4)
    said = []
    uturn.run(settings, on_cost=said.append)
    start = time.perf_counter()
    uturn.run(settings)
    taken = time.perf_counter() - start
    assert taken / 5 < said[0].seconds < 5 * taken
