"""Denoisers driven by the schedulers and pipelines of diffusers itself."""

import diffusers
import numpy as np
import pytest
import torch

import undiffuse as ud
from undiffuse.diffusion.samplers import Step

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2), noise_scale=0.7)
COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.5]])
GAUSSIAN = ud.GaussianDenoiser(FORWARD, [0.5, -1.0], COVARIANCE)


def drive(model, scheduler, x, steps=None, **options):
    """Run a scheduler from ``x``; the samples in the units of the data."""
    scheduler.set_timesteps(steps or model.denoiser.forward.T)
    x = x * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        x = scheduler.step(model(scheduler.scale_model_input(x, t), t).sample, t, x, **options).prev_sample
    return model.to_data(x).numpy()


@pytest.mark.parametrize("steps", [100, 20])
def test_ddim_of_diffusers_is_our_ddim_under_the_same_noise(rng, steps):
    x_T = rng.standard_normal((50, 2))
    model = ud.to_diffusers(GAUSSIAN)
    scheduler = model.scheduler(diffusers.DDIMScheduler, timestep_spacing="trailing")
    theirs = drive(model, scheduler, torch.from_numpy(x_T), steps)
    scheduler.set_timesteps(steps)
    times = [*(int(t) + 1 for t in scheduler.timesteps), 0]

    class AtTheirTimes(ud.DDIM):
        def times(self, denoiser, start):
            return times

    ours = ud.reconstruct(GAUSSIAN, FORWARD.noise_scale * x_T, 100, sampler=AtTheirTimes())
    assert np.abs(theirs - ours).max() < 1e-5


def test_ddpm_of_diffusers_takes_our_ancestral_steps(rng):
    """One step, whose noise is read off diffusers' own generator."""
    model = ud.to_diffusers(GAUSSIAN)
    scheduler = model.scheduler(diffusers.DDPMScheduler)
    x, t = torch.from_numpy(rng.standard_normal((50, 2))), 60
    theirs = scheduler.step(model(x, t).sample, t, x, generator=torch.Generator().manual_seed(3)).prev_sample
    z = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype).numpy()
    step = ud.Ancestral().step(GAUSSIAN, model.to_data(x).numpy(), Step(61, 60), lambda: z)[0]
    assert np.abs(model.to_data(theirs).numpy() - step).max() < 1e-5


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        (diffusers.UniPCMultistepScheduler, 25),
        (diffusers.DPMSolverMultistepScheduler, 25),
        (diffusers.HeunDiscreteScheduler, 25),
        (diffusers.DDIMScheduler, 100),
        (diffusers.DDPMScheduler, 100),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_samples_of_every_scheduler_have_the_moments_of_the_gaussian(kind, steps):
    """20,000 samples of a fixed seed; within 4 standard errors, and 1 % for what few steps leave."""
    n = 20_000
    torch.manual_seed(0)
    model = ud.to_diffusers(GAUSSIAN)
    x = drive(model, model.scheduler(kind), torch.randn(n, 2), steps)
    spread = np.sqrt(np.diag(COVARIANCE))
    assert np.all(np.abs(x.mean(axis=0) - GAUSSIAN.mean) < 4 * spread / np.sqrt(n) + 0.01 * spread)
    variances = np.outer(spread, spread)
    assert np.all(np.abs(np.cov(x.T) - COVARIANCE) < (4 * np.sqrt(2 / n) + 0.02) * variances)


def test_a_time_between_two_gives_what_lies_between(rng):
    """Between t and t + 1 the exact estimate of a Gaussian is nearly linear: compared with a schedule twice as fine."""
    coarse = ud.NoiseSchedule.linear(100, 1e-3, 0.2)
    sigmas = np.sqrt(coarse.Delta(coarse.times) / coarse.alpha_bar(coarse.times))
    between = (sigmas[39] + sigmas[40]) / 2
    fine = ud.ForwardProcess(ud.NoiseSchedule.at_ou_times([0.5 * np.log1p(between**2), 5.0]))
    exact = ud.GaussianDenoiser(fine, [0.0], [[1.5]])
    model = ud.to_diffusers(ud.GaussianDenoiser(ud.ForwardProcess(coarse), [0.0], [[1.5]]))
    x = torch.from_numpy(rng.standard_normal((20, 1)))
    assert np.abs(model(x, 39.5).sample.numpy() - exact.xi_hat(x.numpy(), 1)).max() < 1e-4


def test_a_trained_bank_is_driven_like_an_exact_denoiser(tiny_run_path):
    bank = ud.Diffusion.load(tiny_run_path)
    model = bank.to_diffusers()
    x = torch.randn(10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = bank.xi_hat(bank.forward.noise_scale * x.numpy(), 4)
    assert np.array_equal(model(x, torch.tensor(3)).sample.numpy(), expected)
    assert np.isfinite(drive(model, model.scheduler(diffusers.UniPCMultistepScheduler), x, 6)).all()


@pytest.mark.parametrize("pipeline", [diffusers.DDPMPipeline, diffusers.DDIMPipeline])
def test_image_pipelines_draw_with_a_denoiser(pipeline):
    """All images of one grey: what a pipeline gives is ``(x/s + 1)/2``."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(20, 1e-2, 0.5))
    model = ud.to_diffusers(ud.EmpiricalDenoiser(forward, np.full((1, 16), 0.5)), shape=(1, 4, 4))
    scheduler = {diffusers.DDPMPipeline: diffusers.DDPMScheduler, diffusers.DDIMPipeline: diffusers.DDIMScheduler}
    pipe = pipeline(unet=model, scheduler=model.scheduler(scheduler[pipeline]))
    pipe.set_progress_bar_config(disable=True)
    images = pipe(batch_size=2, num_inference_steps=20, output_type="np").images
    assert images.shape == (2, 4, 4, 1)
    assert np.allclose(images, 0.75, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "t", "words"),
    [((3, 2), 100, "timestep 100 is outside 0..99"), ((3, 2), -1, "outside"), ((3, 5), 1, "5 numbers, wanted 2"),
     ((2, 2), torch.tensor([1, 2]), "2 times, wanted one")],
)  # fmt: skip
def test_calls_that_do_not_fit_are_refused(shape, t, words):
    with pytest.raises(ud.UserError, match=words):
        ud.to_diffusers(GAUSSIAN)(torch.zeros(shape), t)


def test_a_shape_of_another_size_is_refused():
    with pytest.raises(ud.UserError, match="holds 6 numbers, a sample has 2"):
        ud.to_diffusers(GAUSSIAN, (2, 3))
