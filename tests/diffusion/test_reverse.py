from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

import undiffuse as ud
from undiffuse import Denoiser, ForwardProcess, GaussianDenoiser, NoiseSchedule, Sampler, UserError
from undiffuse.diffusion.samplers import SAMPLERS, Step

MEAN, COVARIANCE = np.array([0.5, -0.3]), np.array([[0.6, 0.25], [0.25, 0.3]])
STANDARD = ForwardProcess(NoiseSchedule.linear(100, 1e-3, 0.15))


@pytest.fixture
def gaussian(forward):
    return GaussianDenoiser(forward, MEAN, COVARIANCE)


class Counting(Denoiser):
    """Remembers at which times it was asked."""

    def __init__(self, inner):
        super().__init__(inner.forward, inner.dim)
        self.inner, self.asked = inner, []

    def xi_hat(self, x_t, t):
        self.asked.append(t)
        return self.inner.xi_hat(x_t, t)


def step(sampler, denoiser, x, times, z):
    """One step of a sampler between two times with given noise."""
    return sampler.move(denoiser, x, Step(*times), lambda: z)[0]


# -- against exact laws ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampler",
    [
        ud.Ancestral(),
        ud.Ancestral(variance="posterior"),
        ud.DDIM(),
        ud.DDIM(eta=0.7),
        ud.ProbabilityFlow(),
        ud.DPMSolver2M(),
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", [3, ud.Streams(3)], ids=["leaping", "every step"])
def test_sampling_a_gaussian_gives_its_mean_and_covariance(sampler, seed):
    """20,000 samples over 1,000 times, 4.5 standard errors and 1.5 per cent for the time step."""
    n = 20_000
    d = GaussianDenoiser(ForwardProcess(NoiseSchedule.linear(), 0.8), MEAN, COVARIANCE)
    x = ud.sample(d, n, sampler=sampler, seed=seed)
    se_mean = np.sqrt(np.diag(COVARIANCE) / n)
    assert np.all(np.abs(x.mean(axis=0) - MEAN) < 4.5 * se_mean + 0.005)
    variances = np.diag(COVARIANCE)
    se_cov = np.sqrt((np.outer(variances, variances) + COVARIANCE**2) / n)
    assert np.all(np.abs(np.cov(x.T) - COVARIANCE) < 4.5 * se_cov + 0.015 * variances.max())


def test_chain_of_a_point_mass_ends_on_the_point(forward):
    x = ud.sample(GaussianDenoiser(forward, MEAN, np.zeros((2, 2))), 50, seed=1)
    np.testing.assert_allclose(x, np.tile(MEAN, (50, 1)), atol=1e-9)


def test_ode_error_falls_with_the_square_of_the_step():
    """The exact flow of a Gaussian is linear, y - mu scaled by sqrt of the variance ratio; halving the step
    divides the errors of Heun and of DPM-Solver++(2M) by about 4, and Euler's (DDIM) by about 2."""
    forward = ForwardProcess(NoiseSchedule.constant(640, 0.005))
    d = GaussianDenoiser(forward, [0.0], [[0.5]])

    def error(sampler, steps):
        times = sampler.times(d, 640)
        x = np.array([[1.0]])
        memory = None
        for at in map(Step._make, pairwise(times[:-1])):
            x, memory = sampler.move(d, x, at, lambda: np.zeros((1, 1)), memory)
        total = lambda t: forward.signal(t) ** 2 * 0.5 + forward.noise(t) ** 2  # noqa: E731
        return abs(x[0, 0] - np.sqrt(total(times[-2]) / total(640)))

    heun = [error(ud.ProbabilityFlow(steps=k), k) for k in (81, 161)]
    euler = [error(ud.DDIM(steps=k), k) for k in (81, 161)]
    assert 3.3 < heun[0] / heun[1] < 5
    assert 1.7 < euler[0] / euler[1] < 2.4
    assert heun[1] < euler[1] / 20
    two_steps = [error(ud.DPMSolver2M(steps=k), k) for k in (81, 161)]
    assert 2.6 < two_steps[0] / two_steps[1] < 5  # its steps in the log signal-to-noise ratio are uneven


# -- against diffusers, noise shared --------------------------------------------------------------------------------


def their_step(scheduler, xi, t, x, z, **options):
    """One step of a diffusers scheduler; its times run from 0, ours from 1."""
    import diffusers.schedulers.scheduling_ddpm as ddpm

    x, xi, z = (torch.tensor(a, dtype=torch.float64) for a in (x, xi, z))
    if isinstance(scheduler, DDIMScheduler):
        return scheduler.step(xi, t - 1, x, variance_noise=z, **options).prev_sample.numpy()
    real, ddpm.randn_tensor = ddpm.randn_tensor, lambda *a, **k: z
    try:
        return scheduler.step(xi, t - 1, x).prev_sample.numpy()
    finally:
        ddpm.randn_tensor = real


@pytest.mark.parametrize(("variance", "theirs"), [("beta", "fixed_large"), ("posterior", "fixed_small")])
@pytest.mark.parametrize("t", [2, 40, 100])
def test_ancestral_step_equals_diffusers_ddpm(rng, variance, theirs, t):
    d = GaussianDenoiser(STANDARD, MEAN, COVARIANCE)
    scheduler = DDPMScheduler(100, 1e-3, 0.15, "linear", variance_type=theirs, clip_sample=False)
    x, z = rng.standard_normal((2, 5, 2))
    ours = step(ud.Ancestral(variance=variance), d, x, (t, t - 1), z)
    np.testing.assert_allclose(ours, their_step(scheduler, d.xi_hat(x, t), t, x, z), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("t", [20, 60, 100])
def test_respaced_ddim_step_equals_diffusers(rng, eta, t):
    d = GaussianDenoiser(STANDARD, MEAN, COVARIANCE)
    scheduler = DDIMScheduler(100, 1e-3, 0.15, "linear", clip_sample=False, set_alpha_to_one=True)
    scheduler.set_timesteps(10)  # steps of 10 times
    x, z = rng.standard_normal((2, 5, 2))
    ours = step(ud.DDIM(eta=eta), d, x, (t, t - 10), z)
    theirs = their_step(scheduler, d.xi_hat(x, t), t, x, z, eta=eta)
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def test_clipping_cuts_x0_and_recomputes_the_noise_as_diffusers_does(rng):
    d = GaussianDenoiser(STANDARD, MEAN, COVARIANCE)
    scheduler = DDIMScheduler(100, 1e-3, 0.15, "linear", clip_sample=True, clip_sample_range=0.4, set_alpha_to_one=True)
    scheduler.set_timesteps(100)
    x, z = 3 * rng.standard_normal((2, 5, 2))
    ours = step(ud.DDIM(clip=(-0.4, 0.4)), d, x, (50, 49), z)
    theirs = their_step(scheduler, d.xi_hat(x, 50), 50, x, z, use_clipped_model_output=True)
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers, under numpy 2
@pytest.mark.parametrize("steps", [5, 10, 25])
def test_dpm_solver_2m_walks_as_diffusers_does(rng, steps):
    """The whole walk, since each step remembers the one before; 16 digits of float64 are kept by neither."""
    d = GaussianDenoiser(STANDARD, MEAN, COVARIANCE)
    scheduler = DPMSolverMultistepScheduler(
        100, 1e-3, 0.15, "linear", solver_order=2, algorithm_type="dpmsolver++", final_sigmas_type="zero",
        timestep_spacing="leading", lower_order_final=False, euler_at_final=True,
    )  # fmt: skip
    scheduler.set_timesteps(steps)
    times = [int(t) + 1 for t in scheduler.timesteps]
    x = torch.tensor(rng.standard_normal((4, 2)), dtype=torch.float64)
    ours, memory = x.numpy().copy(), None
    for t, previous in pairwise([*times, 0]):
        ours, memory = ud.DPMSolver2M().move(d, ours, Step(t, previous), None, memory)
        x = scheduler.step(torch.tensor(d.xi_hat(x.numpy(), t)), t - 1, x).prev_sample
        np.testing.assert_allclose(ours, x.numpy(), rtol=1e-3, atol=1e-4)


# -- steps ----------------------------------------------------------------------------------------------------------


def test_ancestral_step_is_equation_21(gaussian, rng):
    q, s, t = gaussian.forward.schedule, gaussian.forward.noise_scale, 60
    x, z = rng.standard_normal((2, 4, 2))
    beta, alpha, Delta = float(q.beta(t)), float(q.alpha(t)), float(q.Delta(t))
    expected = (x - s * beta / np.sqrt(Delta) * gaussian.xi_hat(x, t)) / np.sqrt(alpha) + s * np.sqrt(beta) * z
    np.testing.assert_allclose(step(ud.Ancestral(), gaussian, x, (t, t - 1), z), expected, rtol=1e-9)


def test_ddim_with_full_noise_is_the_ancestral_step_with_the_posterior_variance(gaussian, rng):
    x, z = rng.standard_normal((2, 4, 2))
    one = step(ud.DDIM(eta=1.0), gaussian, x, (70, 50), z)
    other = step(ud.Ancestral(variance="posterior"), gaussian, x, (70, 50), z)
    np.testing.assert_allclose(one, other, rtol=1e-10)


@pytest.mark.parametrize("name", SAMPLERS)
def test_last_step_is_noiseless_and_returns_the_data_estimate(gaussian, rng, name):
    x = rng.standard_normal((4, 2))

    def no_noise():
        raise AssertionError("the last step asked for noise")

    moved, _ = Sampler.named(name).move(gaussian, x, Step(1, 0), no_noise)
    np.testing.assert_array_equal(moved, gaussian.x0_hat(x, 1))


@pytest.mark.parametrize("t", [1, 2, 37, 100])
def test_reconstruction_from_t_asks_for_exactly_t_times(gaussian, rng, t):
    counting = Counting(gaussian)
    ud.reconstruct(counting, rng.standard_normal((3, 2)), t)
    assert counting.asked == list(range(t, 0, -1))


def test_respaced_sampling_starts_at_T_and_ends_at_one(gaussian):
    counting = Counting(gaussian)
    ud.sample(counting, 2, sampler=ud.Ancestral(steps=7))
    assert len(counting.asked) == 7
    assert (counting.asked[0], counting.asked[-1]) == (100, 1)


def test_trajectory_yields_every_state_with_its_time(gaussian, rng):
    x = rng.standard_normal((3, 2))
    states = list(ud.reverse_trajectory(gaussian, x))
    assert [state.t for state in states] == list(range(100, -1, -1))
    np.testing.assert_array_equal(states[0].x, x)


# -- random streams -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
def test_number_of_samples_changes_none_of_them(gaussian, name):
    few, many = (ud.sample(gaussian, n, sampler=Sampler.named(name), seed=5) for n in (3, 40))
    np.testing.assert_allclose(few, many[:3], rtol=1e-12)


@pytest.mark.parametrize("run", ["tiny_run_path", "image_run_path"])
def test_batches_of_a_trained_bank_change_not_one_bit(request, monkeypatch, run):
    """Spirals take every step, digits leap; parts of 8 samples, so that batches are cut where parts are."""
    model = ud.Diffusion.load(request.getfixturevalue(run))
    monkeypatch.setattr("undiffuse.diffusion.reverse._PART", 8 * model.dim)
    whole = model.sample(30, seed=2)
    monkeypatch.setattr("undiffuse.diffusion.reverse._BATCH", 16)
    np.testing.assert_array_equal(model.sample(30, seed=2), whole)


@pytest.mark.parametrize("name", SAMPLERS)
def test_threads_change_not_one_bit(gaussian, monkeypatch, name):
    """600 samples are three parts of a step; each of two threads asks for its noise when it comes to it."""
    monkeypatch.setattr("undiffuse.diffusion.reverse._PART", 512)
    alone, together = [], []
    for cores, out in ((1, alone), (2, together)):
        monkeypatch.setattr("undiffuse.support.threads.cores", lambda cores=cores: cores)
        out.append(ud.sample(gaussian, 600, sampler=Sampler.named(name), seed=4))
        out.append(ud.sample(gaussian, 600, sampler=Sampler.named(name), seed=ud.Streams(4)))
        out.append(ud.reconstruct(gaussian, out[0], 60, sampler=Sampler.named(name), seed=4))
    np.testing.assert_array_equal(alone, together)


def test_an_error_in_one_thread_ends_the_walk(gaussian, monkeypatch):
    monkeypatch.setattr("undiffuse.diffusion.reverse._PART", 512)
    monkeypatch.setattr("undiffuse.support.threads.cores", lambda: 2)

    class Broken(Counting):
        def xi_hat(self, x_t, t):
            return np.full_like(x_t, np.nan) if t == 50 else super().xi_hat(x_t, t)

    with pytest.raises(UserError, match="between t = 50 and t = 49"):
        ud.sample(Broken(gaussian), 600)


def test_seeds_differ(gaussian):
    assert not np.isclose(ud.sample(gaussian, 1, seed=0), ud.sample(gaussian, 1, seed=1)).any()


# -- the axes of the noise -------------------------------------------------------------------------------------------


def in_pixels(denoiser):
    """The same denoiser without axes of its own: what it is sampled along then is the variables of the data."""

    class Plain(Denoiser):
        def xi_hat(self, x_t, t):
            return denoiser.xi_hat(x_t, t)

    return Plain(denoiser.forward, denoiser.dim)


def test_noise_along_the_data_is_what_a_denoiser_without_axes_of_its_own_gets(image_run_path):
    """A bank on components, whose own axes are not the pixels'; the same digits either way, to float32."""
    bank = ud.Diffusion.load(image_run_path).bank
    one = ud.sample(bank, 6, seed=ud.Streams(3, axes="data"))
    np.testing.assert_allclose(one, ud.sample(in_pixels(bank), 6, seed=3), atol=2e-3)
    assert np.abs(one - ud.sample(bank, 6, seed=3)).max() > 0.5


def test_noise_along_named_axes_is_turned_from_them(gaussian, rng):
    axes = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    plain = in_pixels(gaussian)
    turned = ud.sample(gaussian, 5, seed=ud.Streams(3, axes=axes))
    start = ud.Streams(3).noise(5, 2)
    walk = ud.reverse_trajectory(plain, gaussian.forward.noise_scale * start() @ axes.T, noise=lambda: start() @ axes.T)
    *_, last = walk
    np.testing.assert_allclose(turned, last.x, atol=1e-9)


def test_reconstruction_takes_noise_along_the_data_too(gaussian, rng):
    x_t = rng.standard_normal((4, 2))
    one = ud.reconstruct(gaussian, x_t, 40, seed=ud.Streams(5, axes="data"))
    np.testing.assert_allclose(one, ud.reconstruct(in_pixels(gaussian), x_t, 40, seed=5), atol=1e-9)


def test_twins_of_disjoint_halves_draw_alike_only_from_the_same_noise_in_pixels():
    """Gaussian denoisers of 2 x 3,000 digits: alike from one noise in pixels, strangers along axes of their own."""
    x = ud.datasets.mnist((0, 1)).x[:6000]
    forward = ForwardProcess(NoiseSchedule.linear(60, 0.002, 0.25))
    twins = [GaussianDenoiser.from_data(forward, half) for half in (x[::2], x[1::2])]

    def apart(**axes):
        a, b = (ud.sample(twin, 100, seed=ud.Streams(0, **axes)) for twin in twins)
        return np.sqrt(np.mean((a - b) ** 2) / np.mean((a - np.roll(b, 1, axis=0)) ** 2))

    assert apart(axes="data") < 0.2
    assert apart(axes=twins[0].axes) < 0.2
    assert apart() > 0.5  # leading axes agree, the rest are turned at random


@pytest.mark.parametrize("axes", [np.eye(3), np.ones((2, 2)), "pixels"])
def test_axes_that_are_none_are_refused(gaussian, axes):
    with pytest.raises(UserError, match="axes"):
        ud.sample(gaussian, 2, seed=ud.Streams(0, axes=axes))


# -- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "dimm"}, "did you mean 'ddim'"),
        ({"variance": "small"}, "unknown variance"),
        ({"eta": 0.5}, "eta = 0.5 is an option of ddim; sampler 'ancestral' has none"),
        ({"name": "ddim", "eta": 1.5}, "wanted 0..1"),
        ({"name": "ode", "variance": "posterior"}, "variance = 'posterior' is an option of ancestral"),
        ({"order": 3}, "order = 3 is no option of any sampler"),
        ({"clip": (1.0, -1.0)}, "empty"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Sampler.named(**{"name": "ancestral"} | options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: ud.sample(d, 0), "n = 0"),
        (lambda d: ud.sample(d, 2, sampler=ud.Ancestral(steps=101)), "101 steps do not fit"),
        (lambda d: ud.reconstruct(d, np.zeros((2, 3)), 5), r"shape \(2, 3\)"),
        (lambda d: ud.reconstruct(d, np.full((2, 2), np.nan), 5), "NaN"),
        (lambda d: ud.reconstruct(d, np.zeros((2, 2)), 101), "outside 1..100"),
    ],
)
def test_wrong_requests_are_refused(gaussian, call, message):
    with pytest.raises(UserError, match=message):
        call(gaussian)
