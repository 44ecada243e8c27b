from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

import undiffuse as ud
from undiffuse import ForwardProcess, NoiseSchedule
from undiffuse.diffusion.denoiser import AxisDenoiser, Correction
from undiffuse.diffusion.exact import AxisWiener
from undiffuse.diffusion.leaps import LeapingChain
from undiffuse.diffusion.reverse import sample_trajectory
from undiffuse.diffusion.samplers import Step

NOISY = [ud.Ancestral(), ud.Ancestral(variance="posterior"), ud.DDIM(), ud.DDIM(eta=0.7), ud.Ancestral(steps=13)]
FORWARD = ForwardProcess(NoiseSchedule.linear(60, 0.002, 0.25), 0.8)


def law_of_the_chain(denoiser, sampler):
    """Mean and standard deviation at t = 0 of each variable of a linear denoiser, taking the sampler's own steps."""
    zeros = np.zeros((1, denoiser.dim))
    mean, variance = zeros.copy(), np.full((1, denoiser.dim), denoiser.forward.noise_scale**2)
    for at in map(Step._make, pairwise(sampler.times(denoiser, denoiser.forward.T))):
        at_zero = sampler.move(denoiser, zeros, at, lambda: zeros)[0]
        factor = sampler.move(denoiser, zeros + 1, at, lambda: zeros)[0] - at_zero
        spread = sampler.move(denoiser, zeros, at, lambda: zeros + 1)[0] - at_zero
        mean, variance = factor * mean + at_zero, factor**2 * variance + spread**2
    return mean[0], np.sqrt(variance[0])


@settings(max_examples=25, deadline=None)
@given(
    sampler=st.sampled_from(NOISY),
    mean=st.lists(st.floats(-3, 3), min_size=1, max_size=4),
    data=st.data(),
)
def test_a_linear_denoiser_gets_to_the_data_in_one_leap_of_the_law_of_its_steps(sampler, mean, data):
    """Equal for the numbers drawn, not only in the mean: one normal number for each variable of each sample."""
    variances = data.draw(st.lists(st.floats(0, 4), min_size=len(mean), max_size=len(mean)))
    wiener = AxisWiener(FORWARD, np.array(mean), np.array(variances))
    out = np.empty((5, len(mean)))
    for _ in LeapingChain.of(wiener, sampler, sampler.way(wiener), sampler.beginning(wiener, None)).walk(
        out, [(slice(0, 5), ud.Streams(3).noise(5, len(mean)))]
    ):
        pass
    centre, spread = law_of_the_chain(wiener, sampler)
    np.testing.assert_allclose(out, centre + spread * ud.Streams(3).noise(5, len(mean))(), rtol=1e-9, atol=1e-9)


class Changing(AxisDenoiser):
    """Five variables, of which more or fewer are seen at each time; those that are seen act on each other."""

    mean = np.array([0.5, -0.4, 0.3, 0.0, 0.2])

    def __init__(self):
        super().__init__(FORWARD, 5)
        self.linear = AxisWiener(FORWARD, self.mean, np.array([1.5, 0.8, 0.4, 0.2, 0.05]))

    def gain(self, t):
        return self.linear.gain(t)

    def seen(self, t):
        return 0 if t > 50 else 2 if t > 40 else 3 if t > 25 else 1 if t > 15 else 4 if t > 5 else 0

    def correction(self, t):
        def of(z):
            y = z - self.forward.signal(t) * self.mean[: z.shape[1]]
            return np.repeat(np.tanh(2 * y.sum(axis=1, keepdims=True)), z.shape[1], axis=1).astype("f4")

        return Correction(-0.5, of)

    def xi_hat(self, x_t, t):
        out, k = self.linear.xi_hat(x_t, t), self.seen(t)
        factor, of = self.correction(t)
        out[:, :k] += factor * of(x_t[:, :k])
        return out

    def along_axes(self):
        return self, np.eye(5)


def same_law(one, other, level=1e-3):
    """Kolmogorov and Smirnov's test on each variable and on pairs' sums, at a level shared among them."""
    sums = [one @ w for w in np.eye(one.shape[1])] + [(one[:, :-1] + one[:, 1:])[:, i] for i in range(one.shape[1] - 1)]
    theirs = [other @ w for w in np.eye(one.shape[1])]
    theirs += [(other[:, :-1] + other[:, 1:])[:, i] for i in range(one.shape[1] - 1)]
    return min(ks_2samp(a, b).pvalue for a, b in zip(sums, theirs, strict=True)) > level / len(sums)


@pytest.mark.parametrize("sampler", NOISY, ids=str)
def test_leaps_have_the_law_of_the_chain_that_takes_every_step(sampler):
    """8,000 samples of each; variables that come and go; at a level of one in a thousand over nine numbers."""
    denoiser = Changing()
    leaping, stepping = (ud.sample(denoiser, 8_000, sampler=sampler, seed=s) for s in (1, ud.Streams(2)))
    assert same_law(leaping, stepping)
    moved = leaping.copy()
    moved[:, 2] += 0.1 * leaping[:, 2].std()
    assert not same_law(moved, stepping)  # the test would see a tenth of a standard deviation


def test_digits_of_a_bank_on_components_have_the_same_moments_with_and_without_leaps(image_run_path):
    """400 of each along the principal axes: means within 4.5 standard errors, variances within 5."""
    bank = ud.Diffusion.load(image_run_path).bank
    axes = bank.reference.axes
    n = 400
    one, other = (ud.sample(bank, n, seed=seed) @ axes for seed in (1, ud.Streams(2)))
    spread = np.maximum(one.std(axis=0), 1e-9)
    assert np.all(np.abs(one.mean(axis=0) - other.mean(axis=0)) < 4.5 * spread * np.sqrt(2 / n))
    logs = np.log(np.maximum(one.var(axis=0), 1e-18) / np.maximum(other.var(axis=0), 1e-18))
    assert np.all(np.abs(logs) < 5 * np.sqrt(4 / n))


def test_streams_ask_for_noise_in_every_step():
    """The samples of ``Streams`` are the ends of the trajectory that draws the same numbers."""
    denoiser = Changing()
    *_, last = sample_trajectory(denoiser, 20, seed=4)
    np.testing.assert_allclose(ud.sample(denoiser, 20, seed=ud.Streams(4)), last.x, rtol=1e-12)


@pytest.mark.parametrize("sampler", [ud.ProbabilityFlow(), ud.DPMSolver2M(), ud.Ancestral(clip=(-1, 1))], ids=str)
def test_steps_of_another_form_are_taken_one_by_one(sampler):
    assert LeapingChain.of(Changing(), sampler, sampler.way(Changing()), sampler.beginning(Changing(), None)) is None


def test_denoisers_without_axes_take_every_step():
    denoiser = ud.EmpiricalDenoiser(FORWARD, [[0.0], [1.0]])
    assert (
        LeapingChain.of(
            denoiser, ud.Ancestral(), ud.Ancestral().way(denoiser), ud.Ancestral().beginning(denoiser, None)
        )
        is None
    )


def test_a_leap_that_ends_beyond_the_numbers_is_an_error():
    class Wild(AxisWiener):
        def gain(self, t):
            return np.array([1e200])

        def along_axes(self):
            return self, np.eye(1)

    with pytest.raises(ud.UserError, match="left the finite numbers"), np.errstate(all="ignore"):
        ud.sample(Wild(FORWARD, np.zeros(1), np.ones(1)), 3)
