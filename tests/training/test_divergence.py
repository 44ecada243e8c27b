"""A time whose training leaves the finite numbers starts again once, with half the rate; the others do not notice."""

import re
import warnings

import numpy as np
import pytest

from helpers import ORDERS, TINY, complaint
from undiffuse import datasets
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.network import Weights
from undiffuse.runs import config
from undiffuse.runs.folder import RunFolder
from undiffuse.support.interrupts import StoppedError
from undiffuse.training import Execution, train_bank, train_run
from undiffuse.training.blocks import BlockTrainer, DivergedError
from undiffuse.training.progress import gentler_times, named

RATES = [1e9 * 1.15**k for k in range(-8, 16)]  # float32 ends somewhere in between, on any machine
FAR_TOO_LARGE = 1e20


def settings_of(order, rate):
    text = TINY.replace("[training]", f"[training]\nlearning_rate = {rate}\n{ORDERS[order]}")
    return config.loads(text.replace("warm_learning_rate = 0.001", f"warm_learning_rate = {rate}"), order)


def trained(order, rate):
    """Bank, and the times that were told to have diverged."""
    settings = settings_of(order, rate)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        bank, _ = train_bank(settings, datasets.load(settings), Execution(workers=1))
    said = " ".join(str(one.message) for one in told if "diverged" in str(one.message))
    ranges = [re.findall(r"\d+", one) for one in re.findall(r"[\d.]+", said) if one.strip(".")]
    return bank, sorted({t for a in ranges for t in range(int(a[0]), int(a[-1]) + 1)})


def rescued(order):
    """First rate at which some times diverge and none does at half of it; its bank and those times."""
    for rate in RATES:
        try:
            bank, times = trained(order, rate)
        except DivergedError:
            continue
        if times:
            return rate, bank, times
    pytest.fail("no rate at which half of it helps")


def bits(bank, t):
    return [getattr(bank[t].weights, name).tobytes() for name in Weights.NAMES]


def test_a_time_that_diverged_ends_as_with_half_the_rate_from_the_start_and_the_others_as_without_it():
    rate, bank, times = rescued("independent")
    gentle, _ = trained("independent", rate / 2)
    assert all(bits(bank, t) == bits(gentle, t) for t in times)
    others = set(range(1, 13)) - set(times)
    assert others
    assert all(bits(bank, t) != bits(gentle, t) for t in others)
    assert all(np.isfinite(bank[t].weights.W).all() for t in range(1, 13))


@pytest.mark.parametrize("order", ["continuation", "sweep"])
def test_times_that_start_from_one_that_diverged_start_from_its_second_training(order):
    _, bank, times = rescued(order)
    assert times
    assert all(np.isfinite(array).all() for t in range(1, 13) for array in bank[t].weights.arrays().values())


def test_the_other_blocks_are_finished_and_the_times_named_in_one_line(capsys, tmp_path):
    lost = f"\n[[times]]\nfirst = 5\nlast = 8\nlearning_rate = {FAR_TOO_LARGE}\n"
    (tmp_path / "c.toml").write_text(TINY + lost)
    said = complaint(capsys, "train", tmp_path / "c.toml", "--out", tmp_path / "run", "--workers", 2)
    assert "training diverged at t = 5..8, with half of training.learning_rate as well" in said
    assert [entry.state for entry in RunFolder.open(tmp_path / "run").blocks] == ["done", "to do", "done"]


@pytest.mark.parametrize("order", ORDERS)
def test_a_rate_far_too_large_ends_in_one_error_whatever_the_order(order, tmp_path):
    settings = settings_of(order, FAR_TOO_LARGE)
    with pytest.raises(DivergedError) as caught:
        train_run(settings, datasets.load(settings), tmp_path / "run", execution=Execution(workers=2))
    first_of_each_block = {"independent": range(1, 13), "continuation": (4, 8, 12), "sweep": (6,)}[order]
    assert caught.value.times == [*first_of_each_block]


@pytest.mark.parametrize("order", ["independent", "continuation"])
def test_a_training_stopped_after_any_pass_ends_in_the_same_bits_second_attempts_included(order):
    rate, _, times = rescued(order)
    settings = settings_of(order, rate)
    block = next(block for block in settings.blocks() if block.first <= times[-1] <= block.last)
    data = datasets.load(settings)
    reference = GaussianDenoiser.from_data(settings.forward(), data.train)
    trainer = BlockTrainer(settings, block, data.train, data.held_out, reference)
    whole = trainer.run().to_arrays()
    assert set(gentler_times(whole)) == {t for t in times if block.first <= t <= block.last}
    for stop_after in range(1, 15):
        kept, made = [], []

        def stopping(made=made, stop_after=stop_after):
            made.append(1)
            return len(made) == stop_after

        try:
            trainer.run(save=kept.append, save_every=np.inf, stopping=stopping)
        except StoppedError:
            again = trainer.run(saved=kept[-1]).to_arrays()
            assert all(again[name].tobytes() == whole[name].tobytes() for name in whole)
    assert len(made) > 8


@pytest.mark.parametrize(("times", "words"), [([3], "3"), ([1, 2, 3, 7], "1..3, 7"), ([9, 8, 1], "1, 8..9"), ([], "")])
def test_times_are_named_by_ranges(times, words):
    assert named(times) == words
