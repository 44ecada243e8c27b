"""What a training will take is said before it starts: sizes are exact, times follow from measured passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import ORDERS, TINY, answer, complaint
from undiffuse import datasets
from undiffuse.runs import config
from undiffuse.runs.folder import RunFolder
from undiffuse.training import Execution, train_run
from undiffuse.training.cost import block_seconds, makespan, pass_costs
from undiffuse.training.plan import PassCost

SECONDS = st.floats(0.01, 100)


@st.composite
def chains(draw):
    """Seconds of blocks, and which block each continues: any number of chains, in any order of their blocks."""
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    before = []
    for length in lengths:
        before += [None, *range(len(before), len(before) + length - 1)]
    places = draw(st.permutations(range(len(before))))
    shuffled = [None] * len(before)
    for i, after in enumerate(before):
        shuffled[places[i]] = None if after is None else places[after]
    return draw(st.lists(SECONDS, min_size=len(before), max_size=len(before))), shuffled


def length_of_chain(seconds, before, i):
    return seconds[i] + (0 if before[i] is None else length_of_chain(seconds, before, before[i]))


@given(chains())
def test_one_worker_takes_the_sum_and_very_many_the_longest_chain(blocks):
    seconds, before = blocks
    assert makespan(seconds, before, 1) == pytest.approx(sum(seconds))
    longest = max(length_of_chain(seconds, before, i) for i in range(len(seconds)))
    assert makespan(seconds, before, len(seconds)) == pytest.approx(longest)


@given(chains(), st.integers(1, 8))
def test_no_schedule_is_faster_than_its_longest_chain_or_than_work_shared_evenly(blocks, workers):
    seconds, before = blocks
    took = makespan(seconds, before, workers)
    assert took >= max(makespan(seconds, before, len(seconds)), sum(seconds) / workers) * (1 - 1e-9)
    assert took <= sum(seconds) * (1 + 1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_a_block_takes_its_passes_and_its_starts(order):
    settings = config.loads(TINY.replace("[training]", f"[training]\n{ORDERS[order]}"), order)
    found = block_seconds(settings, [PassCost(1, settings.diffusion.T, seconds=2.0, start=0.5)])
    T, epochs = settings.diffusion.T, settings.training.epochs
    cold = {"independent": T, "continuation": len(settings.blocks()), "sweep": 1}[order]
    assert sum(found) == pytest.approx(2.0 * (cold * epochs + (T - cold) * 2 * (order != "independent")) + 0.5 * T)


def test_every_time_belongs_to_one_range_of_costs():
    times = "\n[[times]]\nfirst = 3\nlast = 6\nhidden = 9\n"
    settings = config.loads(TINY + times, "ranges")
    seen = []
    data = datasets.load(settings)
    costs = pass_costs(settings, data, "cpu", lambda done, total: seen.append((done, total)))
    assert [(cost.first, cost.last) for cost in costs] == [(1, 2), (3, 6), (7, 12)]
    assert all(cost.seconds > 0 and cost.start >= 0 for cost in costs)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_training_is_told_its_plan_before_it_starts_and_a_resumed_one_what_is_left(tmp_path):
    settings = config.loads(TINY, "tiny")
    data, plans = datasets.load(settings), []
    run = train_run(settings, data, tmp_path / "run", execution=Execution(workers=1, on_plan=plans.append))
    blocks = [run.weights_path(entry) for entry in run.blocks]
    assert (plans[0].networks, plans[0].blocks, plans[0].workers) == (12, 3, 1)
    assert 0 < plans[0].disk_bytes <= sum(path.stat().st_size for path in blocks)
    assert plans[0].seconds > 0
    blocks[1].unlink()
    with pytest.warns(UserWarning, match="trained again"):
        train_run(settings, data, run.path, resume=True, execution=Execution(workers=1, on_plan=plans.append))
    assert (plans[1].networks, plans[1].blocks) == (4, 1)
    train_run(settings, data, run.path, resume=True, execution=Execution(workers=1, on_plan=plans.append))
    assert len(plans) == 2
    assert not RunFolder.open(run.path).unfinished


def test_passes_that_were_timed_before_are_not_timed_again_for_the_plan(tmp_path):
    settings = config.loads(TINY, "tiny")
    plans, costs = [], [PassCost(1, settings.diffusion.T, seconds=1000.0, start=0.0)]
    execution = Execution(workers=1, on_plan=plans.append, costs=costs)
    train_run(settings, datasets.load(settings), tmp_path / "run", execution=execution)
    assert plans[0].seconds == 1000.0 * settings.diffusion.T * settings.training.epochs


def test_plan_says_what_more_workers_bring_and_writes_nothing(capsys, tiny_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    found = answer(capsys, "plan", tiny_file, "--workers", 1, "--workers", 3)
    assert found["networks"] == 12
    assert found["seconds"]["1"] >= found["seconds"]["3"] == pytest.approx(found["chain_seconds"])
    assert found["disk_bytes"] > 0
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("words", [["--workers", "0"], ["--workers", "1.5"], ["--set", "training.epochs=0"]])
def test_plan_refuses_what_cannot_be_trained(capsys, tiny_file, words):
    complaint(capsys, "plan", tiny_file, *words, lines=1)
