import numpy as np
import pytest

import undiffuse as ud
from undiffuse import Architecture, Bank, ForwardProcess, GaussianDenoiser, NoiseSchedule, Weights
from undiffuse.diffusion.marches import MarchingChain
from undiffuse.diffusion.reverse import sample_trajectory
from undiffuse.networks.bank import MemoryBlock
from undiffuse.networks.network import start_weights

FORWARD = ForwardProcess(NoiseSchedule.linear(150, 0.002, 0.1), 0.8)
SAMPLERS = [ud.Ancestral(), ud.DDIM(), ud.DDIM(eta=0.5), ud.Ancestral(steps=40)]


def bank_of(rng, dim=2, **options):
    """An untrained bank; two blocks of networks of different widths where no width is given."""
    data = rng.standard_normal((500, dim)) * np.linspace(1.5, 0.5, dim) + 0.3
    blocks = []
    for first, last, hidden in ((1, 60, 24), (61, 150, 13)):
        a = Architecture(dim, hidden, **options)
        weights = [start_weights(a, data[:24], rng) for _ in range(first, last + 1)]
        blocks.append(MemoryBlock(first, a, Weights.stack(weights)))
    return Bank(FORWARD, blocks, GaussianDenoiser.from_data(FORWARD, data))


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"dim": 1},
        {"dim": 2, "prediction": "x0"},
        {"dim": 2, "prediction": "v", "skip": "scalar"},
        {"dim": 3, "skip": "gaussian", "decoder_scale": 0.3},
        {"dim": 4, "skip": "gaussian", "prediction": "x0", "activation": "linear", "decoder_scale": 0.1},
        {"dim": 2, "tying": "signed", "skip": "gaussian"},
    ],
    ids=str,
)
def test_samples_that_march_are_those_that_take_one_step_after_another(rng, sampler, options):
    bank = bank_of(rng, **options)
    *_, last = sample_trajectory(bank, 11, sampler=sampler, seed=3)
    assert MarchingChain.of(bank, sampler, sampler.way(bank), sampler.beginning(bank, None)) is not None
    np.testing.assert_allclose(ud.sample(bank, 11, sampler=sampler, seed=3), last.x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sampler", [ud.ProbabilityFlow(), ud.DPMSolver2M(), ud.Ancestral(clip=(-1, 1))], ids=str)
def test_other_samplers_do_not_march(rng, sampler):
    bank = bank_of(rng)
    assert MarchingChain.of(bank, sampler, sampler.way(bank), sampler.beginning(bank, None)) is None


@pytest.mark.parametrize(
    "options",
    [{"dim": 5}, {"dim": 2, "activation": "sigmoid"}, {"dim": 3, "skip": "gaussian", "components": 2}],
    ids=str,
)
def test_other_networks_do_not_march(rng, options):
    bank = bank_of(rng, **options)
    assert (
        MarchingChain.of(bank, ud.Ancestral(), ud.Ancestral().way(bank), ud.Ancestral().beginning(bank, None)) is None
    )


def test_noise_along_other_axes_is_taken_step_by_step(rng):
    bank, axes = bank_of(rng), np.linalg.qr(rng.standard_normal((2, 2)))[0]
    turned = ud.sample(bank, 6, seed=ud.Streams(3, axes=axes))
    draw = ud.Streams(3).noise(6, 2)
    *_, last = ud.reverse_trajectory(bank, FORWARD.noise_scale * draw() @ axes.T, noise=lambda: draw() @ axes.T)
    np.testing.assert_allclose(turned, last.x, rtol=1e-6, atol=1e-8)


def test_a_march_that_leaves_the_numbers_says_where(rng):
    bank = bank_of(rng)
    bank.kept(100).weights.A[...] = 3e38
    with pytest.raises(ud.UserError, match="left the finite numbers between t = 150 and t = 22"):
        ud.sample(bank, 5)
