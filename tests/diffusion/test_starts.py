"""Chains that start from the data's Gaussian at a time below T."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import undiffuse as ud
from helpers import answer, complaint
from undiffuse import ForwardProcess, GaussianDenoiser, GaussianStart, NoiseSchedule, UserError
from undiffuse.diffusion.reverse import sample_trajectory
from undiffuse.diffusion.samplers import SAMPLERS, Sampler, Step
from undiffuse.studies import sample as study
from undiffuse.studies.open_run import OpenRun

MEAN, COVARIANCE = np.array([0.5, -0.3]), np.array([[2.6, 0.7], [0.7, 0.9]])
FORWARD = ForwardProcess(NoiseSchedule.linear(), 0.8)
LAW = GaussianDenoiser(FORWARD, MEAN, COVARIANCE)


def some_axes(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@given(t=st.integers(1, 1000), angle=st.none() | st.floats(-3, 3))
def test_the_start_has_mean_and_covariance_of_the_diffused_data_along_any_axes(t, angle):
    axes = None if angle is None else some_axes(angle)
    begin = GaussianStart(LAW, t).beginning(FORWARD, 2, axes)
    turn = np.eye(2) if axes is None else axes
    expected = FORWARD.signal(t) ** 2 * COVARIANCE + FORWARD.noise(t) ** 2 * np.eye(2)
    np.testing.assert_allclose(begin.root.T @ begin.root, turn.T @ expected @ turn, atol=1e-12)
    np.testing.assert_allclose(begin.mean, FORWARD.signal(t) * MEAN @ turn, atol=1e-12)


def test_along_its_own_axes_the_start_is_of_independent_variables():
    begin = GaussianStart(LAW, 300).beginning(FORWARD, 2, LAW.axes)
    assert begin.independent
    np.testing.assert_allclose(begin.root**2, LAW.total_variances(300))


def test_the_same_noise_gives_the_same_start_along_any_axes(rng):
    z, start = rng.standard_normal((4, 2)), GaussianStart(LAW, 400)
    plain = start.beginning(FORWARD, 2, None)(z)
    for axes in (LAW.axes, some_axes(0.3)):
        np.testing.assert_allclose(start.beginning(FORWARD, 2, axes)(z @ axes) @ axes.T, plain, atol=1e-12)


@pytest.mark.parametrize("sampler", [ud.Ancestral(variance="posterior"), ud.DDIM(), ud.ProbabilityFlow()], ids=str)
def test_the_chain_of_a_gaussian_from_noise_has_the_law_of_the_start_when_it_gets_there(sampler):
    """Moments of the linear chain, without sampling; to the discretisation of a thousand steps, 1 per cent."""
    t, zeros = 400, np.zeros((1, 2))
    z = LAW.along_axes()[0]
    mean, variance = zeros.copy(), np.full((1, 2), FORWARD.noise_scale**2)
    for at in map(Step._make, pairwise(range(1000, t - 1, -1))):
        origin = sampler.move(z, zeros, at, lambda: zeros)[0]
        factor = sampler.move(z, zeros + 1, at, lambda: zeros)[0] - origin
        spread = sampler.move(z, zeros, at, lambda: zeros + 1)[0] - origin
        mean, variance = factor * mean + origin, factor**2 * variance + spread**2
    begin = GaussianStart(LAW, t).beginning(FORWARD, 2, LAW.axes)
    np.testing.assert_allclose(variance[0], begin.root**2, rtol=0.01)
    np.testing.assert_allclose(mean[0], begin.mean, atol=0.01)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(
    ("tau", "seed"), [(None, 3), (0.2, 3), (None, ud.Streams(3))], ids=["leaping", "late", "every step"]
)
def test_a_gaussian_denoiser_ends_in_its_law_from_any_start(name, tau, seed):
    """20,000 samples, 4.5 standard errors and 1.5 per cent for the time step."""
    n = 20_000
    x = ud.sample(LAW, n, sampler=Sampler.named(name, start=GaussianStart.of(LAW, tau)), seed=seed)
    variances = np.diag(COVARIANCE)
    assert np.all(np.abs(x.mean(axis=0) - MEAN) < 4.5 * np.sqrt(variances / n) + 0.005)
    stderr = np.sqrt((np.outer(variances, variances) + COVARIANCE**2) / n)
    assert np.all(np.abs(np.cov(x.T) - COVARIANCE) < 4.5 * stderr + 0.015 * variances.max())


def test_five_steps_from_the_speciation_time_are_closer_to_the_data_than_five_from_noise():
    """Variance along the leading axis; by DDIM's affine steps, without sampling."""

    def variance(start):
        sampler = ud.DDIM(steps=5, start=start)
        z = LAW.along_axes()[0]
        root = sampler.beginning(LAW, LAW.axes).root
        for at in map(Step._make, pairwise(sampler.way(LAW))):
            moved = [sampler.move(z, np.full((1, 2), x), at, lambda: 0.0)[0][0] for x in (0.0, 1.0)]
            root = (moved[1] - moved[0]) * root
        return root[0] ** 2

    exact = LAW.variances[0]
    assert abs(variance(GaussianStart.of(LAW)) - exact) < abs(variance(None) - exact) / 2


@pytest.mark.parametrize("sampler", [ud.Ancestral(), ud.DDIM(steps=20), ud.DPMSolver2M(steps=20)], ids=str)
def test_samples_of_a_small_bank_from_a_start_are_the_ends_of_their_trajectories(tiny_run_path, sampler):
    run = OpenRun.of(tiny_run_path)
    sampler = Sampler.named(sampler.name, start=GaussianStart(run.reference, 7))
    states = list(sample_trajectory(run.model, 9, sampler=sampler, seed=5))
    assert [state.t for state in states] == [7, 6, 5, 4, 3, 2, 1, 0]
    np.testing.assert_allclose(ud.sample(run.model, 9, sampler=sampler, seed=5), states[-1].x, rtol=1e-5, atol=1e-6)


def test_digits_of_a_bank_on_components_have_the_same_moments_with_and_without_leaps(image_run_path):
    """400 of each along the principal axes: means within 4.5 standard errors, variances within 5."""
    run, n = OpenRun.of(image_run_path), 400
    sampler = ud.Ancestral(start=GaussianStart.of(run.reference))
    assert sampler.start.t < run.model.forward.T
    one, other = (
        ud.sample(run.model, n, sampler=sampler, seed=seed) @ run.reference.axes for seed in (1, ud.Streams(2))
    )
    spread = np.maximum(one.std(axis=0), 1e-9)
    assert np.all(np.abs(one.mean(axis=0) - other.mean(axis=0)) < 4.5 * spread * np.sqrt(2 / n))
    logs = np.log(np.maximum(one.var(axis=0), 1e-18) / np.maximum(other.var(axis=0), 1e-18))
    assert np.all(np.abs(logs) < 5 * np.sqrt(4 / n))


@pytest.mark.parametrize("path", ["tiny_run_path", "digits_run_path"])
def test_pieces_made_elsewhere_are_the_samples_made_here(path, request):
    run = OpenRun.of(request.getfixturevalue(path))
    sampler = ud.DDIM(steps=4, start=GaussianStart.of(run.reference, 0.3))
    whole = ud.sample(run.model, 12, sampler=sampler, seed=4)
    piece = study._piece(str(run.path), 5, 7, ud.DDIM(steps=4), sampler.start.t, 4)
    np.testing.assert_allclose(piece, whole[7:], rtol=1e-4, atol=1e-6)  # single precision


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GaussianStart.of(LAW, 9.0), r"start at tau = 9: wanted an OU time in 5e-05..5.059"),
        (lambda: GaussianStart.of(LAW, float("nan")), "start at tau = nan"),
        (lambda: GaussianStart(LAW, 0), r"start at t = 0: wanted a time in 1..1000"),
        (lambda: GaussianStart.of(GaussianDenoiser(FORWARD, [0.0], [[0.5]])), "no speciation time to start at"),
        (lambda: ud.sample(LAW, 2, sampler=ud.DDIM(steps=400, start=GaussianStart(LAW, 30))), "400 steps do not fit"),
        (
            lambda: ud.sample(
                GaussianDenoiser(FORWARD, [0.0], [[1.0]]), 2, sampler=ud.DDIM(start=GaussianStart(LAW, 9))
            ),
            "the start is of 2 variables, the denoiser of 1",
        ),
        (
            lambda: ud.sample(
                GaussianDenoiser(ForwardProcess(NoiseSchedule.linear()), MEAN, COVARIANCE),
                2,
                sampler=ud.DDIM(start=GaussianStart(LAW, 9)),
            ),
            "different forward processes",
        ),
        (
            lambda: ud.reconstruct(LAW, np.zeros((1, 2)), 9, sampler=ud.DDIM(start=GaussianStart(LAW, 9))),
            "here the states to start from are given",
        ),
    ],
)
def test_a_start_that_makes_no_sense_is_answered_in_a_line(make, words):
    with pytest.raises(UserError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "start", ["gaussian:", "gaussian:x", "gaussian:0", "gaussian:-1", "gaussian:nan", "gauss", "", "gaussian:1e9"]
)
@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_a_wrong_start_on_the_command_line_is_one_line(capsys, tiny_run_path, tmp_path, command, start):
    out = ["--out", tmp_path / "x.npy"] if command == "sample" else []
    said = complaint(capsys, command, tiny_run_path, *out, f"--start={start}", lines=1)
    assert "start" in said
    assert not (tmp_path / "x.npy").exists()


def test_the_command_says_where_it_started(capsys, tiny_run_path, tmp_path):
    words = ["sample", tiny_run_path, "-n", 8, "--sampler", "ddim", "--steps", 3, "--start", "gaussian:0.3"]
    found = answer(capsys, *words, "--out", tmp_path / "x.npy")
    run = OpenRun.of(tiny_run_path)
    assert found["steps"] == 3
    assert found["start_t"] == run.model.schedule.time_at_ou(0.3)
    sampler = ud.DDIM(steps=3, start=GaussianStart.of(run.reference, 0.3))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), run.to_user(ud.sample(run.model, 8, sampler=sampler)))
