"""The particle filter of filling in, against conditional laws that are known exactly."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import undiffuse as ud
from undiffuse import Inpainting, UserError
from undiffuse.diffusion.particles import clouds
from undiffuse.diffusion.reverse import sample_trajectory
from undiffuse.physics import CurieWeiss, CurieWeissDenoiser


def last(denoiser, x, destroyed, particles, sampler=None, seed=0):
    x = np.asarray(x, np.float64)
    mask = np.broadcast_to(destroyed, x.shape)
    *_, cloud = clouds(denoiser, x, mask, particles, sampler or ud.Ancestral(), seed)
    return cloud


def fine():
    """A schedule of which a chain of all steps is close to the law of the data."""
    return ud.ForwardProcess(ud.NoiseSchedule.linear(80, 5e-4, 0.25))


def end_of_chain(denoiser, sampler):
    """Mean and covariance of ``x0_hat(x_1)`` under the chain of a Gaussian denoiser, step by step in full matrices."""
    forward, dim = denoiser.forward, denoiser.dim
    mean, covariance = np.zeros(dim), forward.noise_scale**2 * np.eye(dim)
    times = sampler.times(denoiser, forward.T)
    for t, previous in itertools.pairwise(times):
        slope, offset = denoiser.linear_map(t)
        _, beta, posterior = forward.schedule.between(t, previous)
        shrink = forward.signal(previous) / forward.signal(t)
        kept = float(forward.schedule.Delta(previous)) - posterior if previous else 0.0
        q = forward.noise_scale * np.sqrt(kept) - shrink * forward.noise(t)
        step = shrink * np.eye(dim) + q * slope.T
        mean, covariance = step @ mean - q * offset, step @ covariance @ step.T
        if previous:
            covariance += forward.noise_scale**2 * (beta if sampler.variance == "beta" else posterior) * np.eye(dim)
    return mean, covariance


@pytest.mark.parametrize("sampler", [ud.Ancestral(), ud.Ancestral(variance="posterior"), ud.Ancestral(steps=30)])
def test_a_gaussian_denoiser_has_equal_weights_and_the_exact_evidence(forward, rng, sampler):
    """To rounding: every weight is 1/K, and log p(y) is that of the chain's Gaussian, from full matrices."""
    root = rng.standard_normal((4, 4))
    exact = ud.GaussianDenoiser(forward, rng.standard_normal(4), root @ root.T / 4)
    x, destroyed = rng.standard_normal((6, 4)), np.array([True, False, False, True])
    cloud = last(exact, x, destroyed, 5, sampler)
    mean, covariance = end_of_chain(exact, sampler)
    known = np.flatnonzero(~destroyed)
    law = covariance[np.ix_(known, known)] + forward.noise_scale**2 * float(forward.schedule.beta(1)) * np.eye(2)
    away = x[:, known] - mean[known]
    squares = np.einsum("ni,ij,nj->n", away, np.linalg.inv(law), away)
    np.testing.assert_allclose(cloud.lowest, 5, rtol=1e-9)
    np.testing.assert_allclose(
        cloud.log_evidence, -0.5 * (squares + np.linalg.slogdet(2 * np.pi * law)[1]), rtol=0, atol=1e-7
    )


def test_fillings_of_a_gaussian_chain_have_its_conditional_mean_and_variance(forward):
    """1,000 rows of one particle: 4 standard errors, with the conditional law of the chain itself."""
    exact = ud.GaussianDenoiser(forward, [1.0, -0.5], [[0.5, 0.4], [0.4, 0.5]])
    filled = ud.inpaint(exact, np.tile([0.0, 0.6], (1_000, 1)), [True, False], how=Inpainting("smc", particles=1))[:, 0]
    mean, law = end_of_chain(exact, ud.Ancestral())
    seen = law[1, 1] + forward.noise_scale**2 * float(forward.schedule.beta(1))
    wanted, variance = mean[0] + law[0, 1] / seen * (0.6 - mean[1]), law[0, 0] - law[0, 1] ** 2 / seen
    assert abs(filled.mean() - wanted) < 4 * np.sqrt(variance / 1_000)
    assert abs(filled.var() / variance - 1) < 4 * np.sqrt(2 / 1_000)


@pytest.fixture(scope="module")
def wells():
    """Two wells of different widths, in a chain of 20 steps."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(20, 0.01, 0.6), noise_scale=0.7)
    covariances = [[[0.05, 0.02], [0.02, 0.05]], [[0.2, -0.1], [-0.1, 0.2]]]
    return ud.MixtureDenoiser(forward, [0.3, 0.7], [[-1.0, -1.0], [1.0, 0.8]], covariances)


@pytest.fixture(scope="module")
def by_brute_force(wells):
    """p(y) at y = -0.5 and the share of the right well given y, from 40,000 unconditional chains and their weights."""
    for state in sample_trajectory(wells, 40_000, seed=3):
        end = state.x
    variance = wells.forward.noise_scale**2 * float(wells.forward.schedule.beta(1))
    weights = np.exp(-((end[:, 1] + 0.5) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    right = end[:, 0] > 0
    share = weights @ right / weights.sum()
    return (weights.mean(), weights.std() / np.sqrt(len(end))), (
        share,
        np.sqrt(np.sum(weights**2 * (right - share) ** 2)) / weights.sum(),
    )


def wells_filled(wells, particles, rows):
    """Estimates of p(y) and of the share of the right well, of each row."""
    cloud = last(wells, np.tile([0.0, -0.5], (rows, 1)), [True, False], particles, seed=particles)
    return np.exp(cloud.log_evidence), np.sum(np.exp(cloud.log_weights) * (cloud.particles[:, :, 0] > 0), axis=1)


def test_evidence_is_that_of_unconditional_chains_for_any_number_of_particles(wells, by_brute_force):
    """Unbiased with 4 particles as with 32: 600 and 80 rows, 4 standard errors of both together."""
    truth, error = by_brute_force[0]
    for particles, rows in ((4, 600), (32, 80)):
        found = wells_filled(wells, particles, rows)[0]
        assert abs(found.mean() - truth) < 4 * np.hypot(error, found.std() / np.sqrt(rows))


def test_the_bias_of_a_mixture_falls_with_the_number_of_particles(wells, by_brute_force):
    """Share of the wrong well: too large by more than 0.1 with one particle, within 4 standard errors with 256."""
    truth, error = by_brute_force[1]
    one, some, many = (wells_filled(wells, particles, rows)[1] for particles, rows in ((1, 600), (8, 200), (256, 16)))
    assert one.mean() - truth > 0.1
    assert abs(some.mean() - truth) < 0.6 * (one.mean() - truth)
    assert abs(many.mean() - truth) < 4 * np.hypot(error, many.std() / np.sqrt(len(many)))


def test_points_are_filled_in_with_those_that_agree_with_what_is_known():
    """Exact memory: given 0.5, two of four points remain, one half each; 150 rows of 32, 4 standard errors and 0.03."""
    points = np.array([[-1.0, 0.5], [1.0, 0.5], [0.3, -0.5], [2.0, 1.5]])
    exact = ud.EmpiricalDenoiser(fine(), points)
    filled = ud.inpaint(exact, np.tile([0.0, 0.5], (150, 1)), [True, False], how=Inpainting("smc", particles=32))[:, 0]
    near = np.abs(filled[:, None] - points[:2, 0])
    assert near.min(axis=1).max() < 0.1
    assert abs(np.mean(near[:, 1] < 0.1) - 0.5) < 4 * np.sqrt(0.25 / 150) + 0.03


def test_curie_weiss_spins_follow_clamped_ones_as_enumeration_says():
    """Mean of each of 4 free spins, 4 clamped, 80 rows of 32 particles: 4 standard errors, 0.03 for the steps."""
    model, clamped = CurieWeiss(8, 1.5, 0.3), np.array([1.0, 1.0, 1.0, -1.0])
    free = np.array(list(itertools.product([-1.0, 1.0], repeat=4)))
    total = free.sum(axis=1) + clamped.sum()
    weights = np.exp(1.5 / 16 * total**2 + 0.3 / 8 * total)
    exact = weights @ free / weights.sum()
    x = np.tile(np.concatenate([np.zeros(4), clamped]), (80, 1))
    denoiser = CurieWeissDenoiser(fine(), model)
    cloud = last(denoiser, x, np.arange(8) < 4, 32, ud.Ancestral(variance="posterior"))
    means = np.einsum("nk,nkd->nd", np.exp(cloud.log_weights), cloud.particles)[:, :4].mean(axis=1)
    assert abs(means.mean() - exact.mean()) < 4 * means.std() / np.sqrt(80) + 0.03
    assert cloud.lowest.mean() < 32


@given(st.integers(1, 6), st.integers(0, 2**32), st.floats(0.1, 1))
def test_weights_are_probabilities_and_what_is_known_is_untouched(particles, seed, scale):
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(12, 0.01, 0.5), scale)
    exact = ud.EmpiricalDenoiser(forward, [[-1.0, 0.2, 0.0], [1.0, 0.4, 0.3], [0.0, -0.3, 1.0]])
    x = np.array([[np.nan, 0.3, 0.1], [0.4, np.nan, np.nan]])
    cloud = last(exact, np.nan_to_num(x), np.isnan(x), particles, seed=seed)
    np.testing.assert_allclose(np.exp(cloud.log_weights).sum(axis=1), 1, rtol=1e-9)
    assert np.all((cloud.effective >= 1 - 1e-9) & (cloud.lowest <= particles + 1e-9))
    assert np.all((cloud.survivors() >= 1) & (cloud.survivors() <= particles))
    known = ~np.isnan(x)
    assert np.all((cloud.particles == x[:, None])[np.broadcast_to(known[:, None], cloud.particles.shape)])


def test_a_sample_is_filled_in_alike_whatever_is_beside_it_and_whatever_its_mask(wells, rng):
    x, masks = rng.standard_normal((5, 2)) / 2, np.array([[True, False], [False, True]] * 2 + [[True, False]])
    how = Inpainting("smc", particles=6)
    whole = ud.inpaint(wells, x, masks, how=how, seed=5)
    alone = ud.inpaint(wells, x[:2], masks[:2], how=how, seed=5)
    np.testing.assert_allclose(whole[:2], alone, rtol=1e-9)


def test_a_denoiser_along_its_own_axes_is_filtered_as_along_those_of_the_data(forward, rng):
    """The same filter of a Gaussian, once through a wrapper that hides its axes: the same evidence to rounding."""
    root = rng.standard_normal((3, 3))
    exact = ud.GaussianDenoiser(forward, np.zeros(3), root @ root.T)

    class Hidden(ud.Denoiser):
        def xi_hat(self, x_t, t):
            return exact.xi_hat(x_t, t)

        def linear_theory(self):
            return exact.linear_theory()

    x, destroyed = rng.standard_normal((4, 3)), np.array([True, False, True])
    one, other = (last(d, x, destroyed, 3) for d in (exact, Hidden(forward, 3)))
    np.testing.assert_allclose(one.log_evidence, other.log_evidence, atol=1e-8)
    np.testing.assert_allclose(one.particles, other.particles, atol=1e-8)


@pytest.mark.parametrize("sampler", [ud.ProbabilityFlow(), ud.DDIM(), ud.DPMSolver2M()])
def test_steps_without_noise_are_refused(wells, sampler):
    with pytest.raises(UserError, match="adds no noise"):
        ud.inpaint(wells, [[0.0, 0.0]], [True, False], how=Inpainting("smc"), sampler=sampler)


def test_no_particles_are_refused():
    with pytest.raises(UserError, match="particles = 0"):
        Inpainting("smc", particles=0)


def test_more_particles_than_fit_are_refused_before_they_are_made(tiny_run_path):
    model = ud.Diffusion.load(tiny_run_path)
    with pytest.raises(UserError, match="particles of 1 rows takes .* of memory"):
        model.inpaint([[0.0, 0.0]], [True, False], how=Inpainting("smc", particles=10**12))
