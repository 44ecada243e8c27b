"""Data of any scale, shape and offset: samples like the data, or one line that says why not."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import undiffuse as ud

SETTINGS = [
    "diffusion.T=20", "diffusion.beta_1=0.01", "diffusion.beta_T=0.5", "network.hidden=20", "network.skip=gaussian",
    "training.order=continuation", "training.epochs=6", "training.warm_epochs=3", "training.block=20",
    "training.batch=10", "training.learning_rate=0.005", "training.decay=none",
]  # fmt: skip
ALONE = ud.Execution(workers=1)


def fitted(x, noise_scale=1.0, *more):
    """Model, and the warnings of its training."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = ud.fit(x, "spiral-2pi", [*SETTINGS, f"diffusion.noise_scale={noise_scale}", *more], execution=ALONE)
    return model, [str(one.message) for one in told]


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(12, 120), st.integers(1, 6)),
    scale=st.floats(-9, 9),
    noise=st.floats(-5, 5),
    offset=st.sampled_from([0.0, 1.0, -1e3, 1e6]),
    constant=st.integers(0, 6),
)
@settings(max_examples=40)
def test_any_data_give_samples_of_their_spread_or_a_warning_or_an_error(seed, shape, scale, noise, offset, constant):
    x = offset + 10**scale * np.random.default_rng(seed).normal(size=shape)
    x[:, :constant] = offset
    try:
        model, told = fitted(x, 10**noise)
    except ud.UserError:
        return
    samples = model.sample(300)
    assert np.isfinite(samples).all()
    if not told:
        train = x[: -max(1, round(0.1 * len(x)))]
        widest = train.std(axis=0).max()
        assert np.all(np.abs(samples.std(axis=0) - train.std(axis=0)) < 0.5 * widest)
        assert np.all(np.abs(samples.mean(axis=0) - train.mean(axis=0)) < 0.5 * widest)


@pytest.mark.parametrize(
    ("x", "noise_scale", "more", "said"),
    [
        (np.full((50, 2), 3.0), 1.0, [], "all samples are the same"),
        (1 + 1e-9 * np.random.default_rng(0).normal(size=(50, 2)), 1.0, [], "less than the noise of the first time"),
        (1e6 * np.random.default_rng(0).normal(size=(50, 2)), 1.0, [], "prior KL"),
        (np.random.default_rng(0).normal(size=(9, 30)), 1.0, ["training.batch=4"], "xi-error"),
        (np.random.default_rng(0).normal(size=(400, 2)), 1.0, ["training.learning_rate=1e5"], "xi-error"),
        (np.random.default_rng(0).normal(size=(400, 2)), 0.3, ["training.learning_rate=1e-12", "network.skip=none"],
         "xi-error"),
    ],
    ids=["constant", "below the noise", "beyond the noise", "fewer than variables", "rate too high", "rate too low"],
)  # fmt: skip
def test_data_or_settings_that_no_model_can_be_made_of_are_told(x, noise_scale, more, said):
    _, told = fitted(x, noise_scale, *more)
    assert any(said in one for one in told), told


def test_a_constant_column_among_others_stays_constant():
    x = np.random.default_rng(0).normal(size=(300, 3))
    x[:, 1] = 5.0
    model, told = fitted(x)
    samples = model.sample(200)
    assert told == []
    assert np.abs(samples[:, 1] - 5).max() < 1e-3
    assert np.all(np.abs(samples[:, [0, 2]].std(axis=0) - 1) < 0.2)
