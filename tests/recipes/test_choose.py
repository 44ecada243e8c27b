"""Settings chosen from what the data are."""

import numpy as np
import pytest

import undiffuse as ud
from undiffuse.datasets import ArrayData, FileData, Rows
from undiffuse.datasets.sources import given_rows
from undiffuse.recipes import Wishes, choose
from undiffuse.recipes.budget import scaled, within
from undiffuse.runs import config
from undiffuse.support.progress import duration
from undiffuse.training.blocks import total_passes

# A pass of four hidden units does not reach a linear denoiser, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:(mean )?held-out xi-error:UserWarning")

ONE = ud.Execution(workers=1)
LEARNED = ("diffusion.T=30", "training.epochs=40", "training.warm_epochs=20", "network.hidden=20")
QUICK = ("diffusion.T=10", "training.epochs=1", "training.warm_epochs=1", "network.hidden=4")


def chosen(x, *changes, section=None, **wishes):
    rows = x if isinstance(x, Rows) else given_rows(x)
    return choose(rows, section or ArrayData(held_out=1), Wishes(changes or QUICK, **wishes), ONE)


@pytest.mark.parametrize("dim", [1, 2, 5, 60])
def test_any_dimension_gets_a_valid_configuration_that_repeats_itself(rng, dim):
    recipe = chosen(rng.normal(size=(120, dim)) * 7 + 3)
    assert config.loads(recipe.to_toml(), "again") == recipe.config
    assert (recipe.data.dim, len(recipe.data.held_out)) == (dim, 12)


def test_every_choice_has_a_reason(rng):
    recipe = chosen(rng.normal(size=(50, 2)))
    assert {c.setting for c in recipe.choices} >= {"data.units", "diffusion.T", "network.hidden", "training.order"}
    assert all(choice.reason and choice.line().startswith(choice.setting) for choice in recipe.choices)


def test_settings_given_stand_over_those_chosen(rng):
    given = ("network.hidden=7", "training.order=independent", "diffusion.schedule=cosine", "diffusion.T=12",
             "data.held_out=9", "training.epochs=2", "evaluation.samples=50")  # fmt: skip
    recipe = chosen(rng.normal(size=(50, 2)), *given)
    found = recipe.config
    assert (found.network.hidden, found.training.order, found.training.warm_epochs) == (7, "independent", None)
    assert (found.diffusion.schedule, found.diffusion.T, found.training.epochs) == ("cosine", 12, 2)
    assert (found.evaluation.samples, len(recipe.data.held_out)) == (50, 9)
    assert "network.hidden = 7: as given" in recipe.lines()


def test_many_variables_get_principal_axes_fewer_where_there_is_more_noise(rng):
    decays = 0.7 ** np.arange(60)
    x = rng.normal(size=(300, 60)) * np.sqrt(decays) @ np.linalg.qr(rng.normal(size=(60, 60)))[0]
    images = Rows(x - x.min(), shape=(6, 10))
    found = chosen(images, "training.epochs=1", "training.warm_epochs=1", "network.hidden=4").config
    components = [part.components for part in found.times]
    assert components == sorted(components, reverse=True)
    assert 1 <= components[-1] < components[0] <= 60


def test_passes_fit_in_the_time_there_is(rng):
    x = rng.normal(size=(2_000, 2))
    settings = ("diffusion.T=50", "network.hidden=50")
    little, much = (chosen(x, *settings, budget=ud.Budget(minutes)).config for minutes in (0.005, 10.0))
    assert little.training.epochs < much.training.epochs
    assert total_passes(little) < total_passes(much)


def test_a_share_of_the_passes_leaves_each_network_one(rng):
    whole = chosen(rng.normal(size=(200, 2))).config
    assert scaled(whole, 1.0) == whole
    assert scaled(whole, 0.0).training.epochs == 1


def test_a_budget_that_is_too_short_says_what_it_takes(rng):
    recipe = chosen(rng.normal(size=(200, 2)))
    spent = within(recipe.config, recipe.data, 1e-7, ONE)
    assert spent.how.startswith(f"the least there can be: about {duration(spent.seconds)}, not 0 s")


def test_a_column_that_counts_the_rows_is_left_out(rng):
    x = np.column_stack([np.arange(40), rng.normal(size=(40, 2))])
    section = FileData(path="t.csv", held_out=1)
    recipe = chosen(Rows(x, ("", "a", "b")), section=section)
    assert recipe.config.data.without == ("1",)
    assert recipe.data.dim == 2
    assert "column '1' counts the rows: left out" in recipe.notes


def test_constant_and_whole_columns_are_said(rng):
    x = np.column_stack([rng.normal(size=60), rng.integers(0, 5, 60), np.full(60, 2.5)])
    recipe = chosen(Rows(x, ("real", "count", "fixed")))
    assert recipe.data.dim == 2
    assert any(note.endswith("put back in samples: fixed") for note in recipe.notes)
    assert any(note.endswith("range of the data: count") for note in recipe.notes)


def test_rows_fewer_than_a_minibatch_are_trained_on_and_said_to_be_few(rng):
    recipe = chosen(rng.normal(size=(12, 3)))
    assert recipe.config.training.batch <= len(recipe.data.train)
    assert any("are few" in note for note in recipe.notes)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((1, 3)), "1 row of data: wanted at least 10"),
        (np.ones((9, 3)), "9 rows of data: wanted at least 10"),
        (np.ones((20, 3)), "all 3 columns are constant"),
        (np.ones((20, 2, 2)), "every pixel of every image is the same"),
    ],
)
def test_data_that_nothing_can_be_learned_from_are_refused(x, message):
    with pytest.raises(ud.UserError, match=message):
        chosen(x)


def test_wrong_settings_are_answered_as_those_of_a_preset_are(rng):
    with pytest.raises(ud.UserError, match="unknown key in .network. 'hiden'; did you mean 'hidden'"):
        chosen(rng.normal(size=(20, 2)), "network.hiden=5")


def test_a_model_of_data_without_a_preset_samples_in_their_units(rng):
    x = np.column_stack([rng.normal(1_000, 50, 200), rng.integers(0, 3, 200), np.full(200, 7.0)])
    model = ud.fit(x, changes=[*LEARNED], execution=ONE)
    y = model.sample(200, seed=1)
    assert y.shape == (200, 3)
    # Within five standard errors of both means, and a tenth of a standard deviation for the training.
    assert abs(y[:, 0].mean() - x[:, 0].mean()) < 5 * 50 * np.sqrt(2 / 200) + 5
    assert set(y[:, 1]) <= {0.0, 1.0, 2.0}
    assert (y[:, 2] == 7.0).all()
    assert np.array_equal(y, model.units.to_user(ud.sample(model, 200, seed=1)))


def test_inpainting_takes_and_gives_the_users_units(rng):
    x = np.column_stack([rng.normal(1_000, 50, 200), rng.normal(0, 1e-3, 200), np.full(200, 7.0)])
    model = ud.fit(x, changes=[*QUICK], execution=ONE)
    torn = x[:5].copy()
    torn[:, 0] = np.nan
    whole = model.inpaint(torn, [True, False, False])
    assert np.array_equal(whole[:, 1:], x[:5, 1:])
    assert (np.abs(whole[:, 0] - 1_000) < 10 * 50).all()


def test_samples_of_one_variable_may_be_a_plain_list():
    model = ud.fit([0.1 * k for k in range(40)], changes=[*QUICK], execution=ONE)
    assert model.sample(3).shape == (3, 1)


def test_a_budget_wants_a_positive_time():
    with pytest.raises(ud.UserError, match="minutes = 0: wanted a positive number"):
        ud.Budget(minutes=0)


def test_a_budget_stands_in_the_place_of_a_preset(rng):
    model = ud.fit(rng.normal(size=(40, 2)), ud.Budget(minutes=0.1), [*QUICK], execution=ONE)
    assert model.units is not None
