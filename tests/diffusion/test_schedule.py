import numpy as np
import pytest
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from undiffuse import NoiseSchedule, UserError

LINEAR = NoiseSchedule.linear()
betas = st.lists(st.floats(1e-6, 0.9), min_size=2, max_size=40)


def test_thesis_schedule_ends_where_the_thesis_says():
    assert float(LINEAR.ou_time(1000)) == pytest.approx(5.059, abs=5e-4)
    assert float(LINEAR.alpha_bar(1000)) == pytest.approx(4.04e-5, rel=2e-3)


def test_first_and_last_betas_are_those_given():
    assert (float(LINEAR.beta(1)), float(LINEAR.beta(1000))) == (1e-4, 0.02)


def test_time_zero_is_the_data():
    assert (float(LINEAR.alpha_bar(0)), float(LINEAR.Delta(0)), float(LINEAR.ou_time(0))) == (1.0, 0.0, 0.0)


def test_first_variance_keeps_all_its_digits():
    assert float(LINEAR.Delta(1)) == pytest.approx(1e-4, rel=1e-14)


@given(betas)
def test_alpha_bar_is_the_product_of_alphas(values):
    q = NoiseSchedule(values)
    np.testing.assert_allclose(q.alpha_bar(q.times), np.cumprod(1 - np.array(values)), rtol=1e-10)


@given(betas)
def test_signal_to_noise_ratio_falls(values):
    q = NoiseSchedule(values)
    assert np.all(np.diff(q.snr(q.times)) < 0)


@given(betas)
def test_alpha_bar_returns_from_ou_time(values):
    q = NoiseSchedule(values)
    np.testing.assert_allclose(np.exp(-2 * q.ou_time(q.times)), q.alpha_bar(q.times), rtol=1e-12)


@given(betas, st.integers(0, 10_000))
def test_nearest_time_to_its_own_ou_time_is_itself(values, k):
    q = NoiseSchedule(values)
    t = 1 + k % q.T
    assert q.time_at_ou(float(q.ou_time(t))) == t


def test_posterior_variance_vanishes_at_the_first_time_only():
    assert float(LINEAR.posterior_variance(1)) == 0
    assert np.all(LINEAR.posterior_variance(LINEAR.times[1:]) > 0)


def test_posterior_variance_stays_below_beta():
    assert np.all(LINEAR.posterior_variance(LINEAR.times) < LINEAR.beta(LINEAR.times))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (NoiseSchedule.linear(1000), DDPMScheduler(1000, 1e-4, 0.02, "linear")),
        (NoiseSchedule.linear(50, 1e-3, 0.3), DDPMScheduler(50, 1e-3, 0.3, "linear")),
        (NoiseSchedule.cosine(1000), DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2")),
        (NoiseSchedule.sigmoid(1000), DDPMScheduler(1000, 1e-4, 0.02, "sigmoid")),
    ],
    ids=["linear", "linear short", "cosine", "sigmoid"],
)
def test_betas_equal_those_of_diffusers(ours, theirs):
    # diffusers' tables are float32.
    np.testing.assert_allclose(ours.beta(ours.times), theirs.betas.numpy(), rtol=3e-4, atol=1e-8)


def test_constant_schedule_runs_evenly_in_ou_time():
    q = NoiseSchedule.constant(10, 0.1)
    np.testing.assert_allclose(np.diff(q.ou_time(np.arange(11))), -0.5 * np.log(0.9), rtol=1e-12)


def test_respaced_schedule_has_the_same_alpha_bar_at_the_kept_times():
    kept = [1, 7, 100, 640, 1000]
    respaced = LINEAR.respaced(kept)
    np.testing.assert_allclose(respaced.alpha_bar(respaced.times), LINEAR.alpha_bar(kept), rtol=1e-12)


def test_respaced_betas_are_not_the_old_ones():
    kept = LINEAR.spaced_times(10)[::-1]
    assert np.all(LINEAR.respaced(kept).beta(np.arange(2, 11)) > 10 * LINEAR.beta(kept[1:]))


def test_keeping_every_time_changes_nothing():
    np.testing.assert_allclose(LINEAR.respaced(LINEAR.times).beta(LINEAR.times), LINEAR.beta(LINEAR.times), rtol=1e-9)


@pytest.mark.parametrize("t", [1, 2, 500, 1000])
def test_one_step_jump_is_the_step(t):
    expected = [float(f(t)) for f in (LINEAR.alpha, LINEAR.beta, LINEAR.posterior_variance)]
    np.testing.assert_allclose(LINEAR.between(t, t - 1), expected, rtol=1e-9)


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_spaced_times_run_from_the_start_to_one(start, steps):
    if steps > start:
        with pytest.raises(UserError, match="do not fit"):
            LINEAR.spaced_times(steps, start)
        return
    times = LINEAR.spaced_times(steps, start)
    assert len(times) == steps
    assert times[0] == start
    assert steps == 1 or (times[-1] == 1 and np.all(np.diff(times) < 0))


@pytest.mark.parametrize("T", [1, 0, -3])
def test_fewer_than_two_times_are_refused(T):
    with pytest.raises(UserError, match=f"T = {T}: a schedule needs at least 2"):
        NoiseSchedule.linear(T)


@pytest.mark.parametrize(("values", "t"), [([0.1, 0.0], 2), ([1.0, 0.1], 1), ([0.1, float("nan")], 2), ([0.1, -1], 2)])
def test_beta_outside_the_open_interval_is_refused_by_name(values, t):
    with pytest.raises(UserError, match=rf"beta\({t}\)"):
        NoiseSchedule(values)


@pytest.mark.parametrize("t", [0, 1001, -1])
def test_beta_of_a_time_outside_is_refused(t):
    with pytest.raises(UserError, match=f"t = {t} is outside 1..1000"):
        LINEAR.beta(t)


def test_fractional_time_is_refused():
    with pytest.raises(UserError, match="integer"):
        LINEAR.alpha_bar(1.5)


def test_unknown_schedule_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'linear'"):
        NoiseSchedule.named("linaer", 10)
