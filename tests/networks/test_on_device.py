"""Sampling as a GPU does it, on a processor, against the steps in numpy under the same noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import undiffuse as ud
from helpers import TINY
from undiffuse import Architecture, datasets
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks import on_device
from undiffuse.networks.bank import MemoryBlock
from undiffuse.networks.network import Weights, start_weights
from undiffuse.networks.on_device import DeviceBank, DeviceNoise, sample
from undiffuse.runs import config, toml
from undiffuse.studies import evaluate
from undiffuse.studies import sample as study
from undiffuse.studies.options import Place
from undiffuse.support.backend import LOCAL, Backend
from undiffuse.training import Execution, train_run

CPU = torch.device("cpu")
NO_GPU = "torch sees no GPU here, so nothing that needs one was run"
DIM, T = 5, 12
FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(T, 0.01, 0.4), noise_scale=0.7)
KINDS = {
    "xi": ({}, {}),
    "x0 sigmoid": ({"prediction": "x0", "activation": "sigmoid"}, {}),
    "v scalar skip": ({"prediction": "v", "skip": "scalar"}, {}),
    "tied gaussian skip": ({"prediction": "x0", "skip": "gaussian", "tying": "tied"}, {}),
    "components": ({"skip": "gaussian", "components": 2}, {"components": 4}),
    "components below": ({"skip": "gaussian"}, {"components": 3}),
}
SAMPLERS = {
    "ancestral": ud.Ancestral(),
    "posterior variance": ud.Ancestral(variance="posterior", steps=7),
    "clipped": ud.Ancestral(clip=(-1.0, 1.0)),
    "ddim": ud.DDIM(steps=6, eta=0.5),
    "flow": ud.ProbabilityFlow(),
    "multistep": ud.DPMSolver2M(steps=8),
}


def bank_of(kind):
    """Two blocks of random networks, large enough that they matter."""
    rng = np.random.default_rng(5)
    data = rng.standard_normal((300, DIM)) @ rng.standard_normal((DIM, DIM)) * 0.6 + 0.4
    reference = GaussianDenoiser.from_data(FORWARD, data)
    common, changed = KINDS[kind]
    blocks = []
    for first, last, extra in ((1, 5, changed), (6, T, {})):
        a = Architecture(DIM, 9, **(common | extra))
        each = [start_weights(a, rng.standard_normal((50, a.width)), rng) for _ in range(first, last + 1)]
        blocks.append(MemoryBlock(first, a, Weights.stack(each)))
    return ud.Bank(FORWARD, blocks, reference)


def in_numpy(bank, n, sampler, seed):
    """The chain of arrays, one step after the other, with the numbers that a device draws."""
    axes = DeviceBank(bank, CPU, along=sampler.clip is None).axes
    draw = DeviceNoise(seed, range(n), DIM, CPU)

    def noise():
        z = draw().numpy()
        return z if axes is None else z @ axes.T

    begin = sampler.beginning(bank, axes)
    start = begin(draw().numpy())
    start = start if axes is None else start @ axes.T
    t = FORWARD.T if sampler.start is None else sampler.start.t
    *_, last = ud.reverse_trajectory(bank, start, t, sampler=replace(sampler, start=None), noise=noise)
    return last.x


@pytest.mark.parametrize("kind", list(KINDS))
def test_noise_estimates_of_tensors_are_the_banks(kind):
    bank, x = bank_of(kind), np.random.default_rng(1).standard_normal((40, DIM))
    there = DeviceBank(bank, CPU)
    axes = np.eye(DIM) if there.axes is None else there.axes
    for t in (1, 5, 6, T):
        found = there.xi_hat(there.tensor(x @ axes), t).numpy() @ axes.T
        np.testing.assert_allclose(found, bank.xi_hat(x, t), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["xi", "tied gaussian skip", "components", "components below"])
@pytest.mark.parametrize("name", list(SAMPLERS))
def test_samples_are_those_of_the_steps_in_numpy_under_the_same_noise(kind, name):
    bank = bank_of(kind)
    found = sample(bank, 30, CPU, sampler=SAMPLERS[name], seed=3)
    expected = in_numpy(bank, 30, SAMPLERS[name], seed=3)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["xi", "components"])
def test_a_start_at_the_datas_gaussian_is_that_of_arrays(kind):
    bank = bank_of(kind)
    sampler = ud.DDIM(eta=1.0, start=ud.GaussianStart(bank.reference, 8))
    found, expected = sample(bank, 20, CPU, sampler=sampler, seed=1), in_numpy(bank, 20, sampler, seed=1)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_a_sample_is_the_same_whatever_is_made_beside_it(monkeypatch):
    bank = bank_of("components")
    many, few = (sample(bank, n, CPU, seed=2) for n in (50, 7))
    np.testing.assert_allclose(many[:7], few, atol=1e-4)
    monkeypatch.setattr(on_device, "_OWN_MEMORY", 5_000)  # a few rows at a time
    np.testing.assert_allclose(sample(bank, 50, CPU, seed=2), many, atol=1e-4)
    assert np.abs(sample(bank, 7, CPU, seed=3) - few).min() > 0


def test_weights_that_do_not_fit_are_moved_a_block_at_a_time():
    bank = bank_of("xi")
    whole, parts = DeviceBank(bank, CPU), DeviceBank(bank, CPU)
    parts._shelf._all = False
    x = torch.ones((3, DIM), dtype=torch.float64)
    for t in (T, 7, 6, 5, 1):
        assert torch.equal(whole.xi_hat(x, t), parts.xi_hat(x, t))
    assert (len(whole._shelf._moved), len(parts._shelf._moved)) == (2, 1)


def test_samples_have_the_law_of_those_of_arrays():
    """10,000 of each, means and variances within five standard errors of their difference."""
    bank, n = bank_of("components"), 10_000
    a, b = sample(bank, n, CPU, seed=4), ud.sample(bank, n, seed=4)
    for f in (lambda x: x, lambda x: (x - b.mean(axis=0)) ** 2):
        scatter = np.sqrt((f(a).var(axis=0) + f(b).var(axis=0)) / n)
        assert (np.abs(f(a).mean(axis=0) - f(b).mean(axis=0)) < 5 * scatter).all()


def test_progress_counts_every_sample_at_every_time():
    moved = []
    sample(bank_of("xi"), 11, CPU, on_step=moved.append)
    assert sum(moved) == 11 * (T + 1)


def test_a_chain_that_leaves_the_numbers_says_between_which_times():
    bank = bank_of("xi")
    bank.blocks[0].at(4).W[:] = np.nan
    with pytest.raises(ud.UserError, match="between t = 4 and t = 3"):
        sample(bank, 5, CPU)


# -- commands ---------------------------------------------------------------------------------------------------------


def test_sample_and_evaluate_take_the_device_and_say_it(as_on_gpu, tmp_path):
    settings = config.validate(toml.parse(TINY, "tiny"), "tiny")
    run = train_run(settings, datasets.load(settings), tmp_path / "run", execution=Execution(device="cpu", workers=1))
    costs, done = [], []
    made = study.run(
        study.Settings(run, n=40, out=tmp_path / "x.npy", device="cuda"),
        lambda passes, total: done.append((passes, total)),
        costs.append,
    )
    assert made.device == "cuda"
    assert done[-1] == (40, 40)
    assert len(costs) == 1
    bank = study.OpenRun.of(run).model.bank
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), sample(bank, 40, CPU))
    assert evaluate.run(evaluate.Settings(run, samples=50, replicates=2, device="auto")).device == "cuda"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_answered_in_one_line():
    with pytest.raises(ud.UserError, match="device 'cuda': torch sees no GPU here; use 'cpu' or 'auto'") as caught:
        Place.of(LOCAL, "cuda")
    assert "\n" not in str(caught.value)
    assert Place.of(LOCAL, "auto").device == "cpu"


def test_a_gpu_beside_another_backend_is_refused(as_on_gpu):
    with pytest.raises(ud.UserError, match="--device cuda is of this machine: leave --backend out"):
        Place.of(Backend("dask"), "cuda")
    assert Place.of(Backend("dask"), "auto").device == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_GPU)
@pytest.mark.parametrize("kind", list(KINDS))
def test_samples_on_a_gpu_are_those_on_the_processor(kind):
    bank = bank_of(kind)
    here, there = (sample(bank, 100, torch.device(name), seed=1) for name in ("cpu", "cuda"))
    np.testing.assert_allclose(there, here, rtol=1e-2, atol=1e-3 * np.abs(here).max())
