"""One setting of a recipe changed, and nothing else with it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.recipes.vary import evenly, mean_passes, with_hidden, with_points, with_share_of_passes, with_times
from undiffuse.runs import config
from undiffuse.support.errors import UserError
from undiffuse.training.blocks import total_passes

THESIS = config.load("spiral-2pi")


@given(T=st.integers(12, 3000), schedule=st.sampled_from(["linear", "sigmoid", "constant"]))
def test_with_another_number_of_times_the_last_one_keeps_its_signal(T, schedule):
    given_one = config.load("spiral-2pi", [f"diffusion.schedule={schedule}"])
    end = [float(c.forward().schedule.alpha_bar(c.diffusion.T)) for c in (given_one, with_times(given_one, T))]
    assert np.isclose(*np.log(end), rtol=1e-9)


@given(T=st.integers(12, 3000))
def test_with_another_number_of_times_betas_keep_their_proportions(T):
    changed = with_times(THESIS, T).diffusion
    assert np.isclose(changed.beta_T / changed.beta_1, THESIS.diffusion.beta_T / THESIS.diffusion.beta_1, rtol=1e-12)


@pytest.mark.parametrize(
    ("preset", "changes", "T", "words"),
    [
        ("spiral-2pi", [], 2, "too few times for this noise"),
        ("spiral-2pi", [], 1, "wanted at least 2 times"),
        ("spiral-2pi", ["diffusion.schedule=cosine"], 40, "no betas to scale"),
        ("mnist-01-quick", [], 40, "settings for ranges of its 250 times"),
    ],
)
def test_a_number_of_times_that_cannot_be_had_is_refused(preset, changes, T, words):
    with pytest.raises(UserError, match=words):
        with_times(config.load(preset, changes), T)


def test_evenly_the_ranges_of_a_sweep_are_gone_and_its_number_of_times_may_be_changed():
    sweep = config.load("mnist-01-quick")
    even = evenly(sweep)
    assert {(even.training_at(t), even.architecture_at(t, 784)) for t in (1, 60, 250)} == {
        (even.training, even.architecture_at(1, 784))
    }
    kept = {"epochs", "batch", "learning_rate", "decay", "blends", "block", "precision"}
    assert even.training.model_dump(include=kept) == sweep.training.model_dump(include=kept)
    assert mean_passes(even) == 30
    end = [float(c.forward().schedule.alpha_bar(c.diffusion.T)) for c in (sweep, with_times(even, 20))]
    assert np.isclose(*np.log(end), rtol=1e-9)


@given(n=st.integers(2, 10_000))
def test_fewer_points_are_trained_on_for_as_many_steps_to_half_a_pass(n):
    changed = with_points(THESIS, n, 10_000).training
    per_pass = -(-n // changed.batch)
    wanted = THESIS.training.epochs * 10_000 // THESIS.training.batch
    assert abs(changed.epochs * per_pass - wanted) <= per_pass / 2


@given(share=st.floats(1e-3, 4))
def test_a_share_of_the_passes_is_that_share_to_half_a_pass_or_one_pass(share):
    assert abs(with_share_of_passes(THESIS, share).training.epochs - max(1, share * 20)) <= 0.5


def test_mean_passes_are_those_a_network_is_trained_for():
    recipe = config.load("spiral-2pi-best")
    assert mean_passes(recipe) == total_passes(recipe) / 1000
    assert mean_passes(THESIS) == 20


def test_hidden_units_change_at_all_times_alike():
    recipe = config.load("spiral-2pi", ["times=[{first=1, last=5, hidden=7}]"])
    changed = with_hidden(recipe, 33)
    assert {changed.architecture_at(t, 2).hidden for t in range(1, 1001)} == {33}
