"""What networks see in training on a GPU, on a processor: the same mathematics as of arrays when given their noise."""

import numpy as np
import pytest
import torch

from undiffuse import Architecture
from undiffuse.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.runs.sections import TrainingSection
from undiffuse.training.device_passes import Blends, DevicePasses, Draws
from undiffuse.training.passes import Examples

KINDS = [
    {},
    {"prediction": "x0"},
    {"prediction": "v"},
    {"skip": "scalar"},
    {"skip": "gaussian", "prediction": "x0"},
    {"skip": "gaussian", "components": 2},
]
SETTINGS = [
    {},
    {"targets": "posterior"},
    {"targets": "stable"},
    {"blends": 0.3},
    {"targets": "posterior", "blends": 0.3},
    {"targets": "stable", "blends": 0.3},
    {"blends": 0.3, "blend_own": (0.5, 1.25), "blend_other": (-0.5, 0.0)},
]


def passes_of(forward, points, kind, settings, times, whole=np.float32):
    reference = GaussianDenoiser.from_data(forward, points)
    p = Parametrisation(forward, Architecture(3, 8, **kind), reference)
    data = p.project(points).astype(whole)
    tensor = torch.tensor(data)
    return p, data, DevicePasses(p, tensor, tensor[:40], 0, times, TrainingSection(**settings))


def numpys_draws(data, seed, t, number, settings):
    """What :class:`Examples` draws, in its order."""
    from undiffuse.support.streams import Purpose, stream

    rng, n = stream(seed, Purpose.PASS, t, number), len(data)
    order, blends = rng.permutation(n), None
    if settings:
        which = rng.random(n) < settings.get("blends", 0.0)
        uniform = rng.random((2, which.sum(), 1), dtype=np.float32)
        bounds = np.array([settings.get(name, (0, 1.5)) for name in ("blend_own", "blend_other")])[..., None, None]
        shares = bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * uniform
        own, other, others = np.ones((n, 1), "f4"), np.zeros((n, 1), "f4"), np.zeros(n, np.int64)
        others[which] = rng.integers(0, n, which.sum())
        own[which], other[which] = shares
        blends = which[:, None], own, other, others
    xi = rng.standard_normal(data.shape, dtype=np.float32)
    points = rng.permutation(n)[: n // 2] if settings else None
    return order, xi, blends, points


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_inputs_and_targets_are_those_of_arrays_when_given_their_noise(rng, forward, kind, settings):
    times = [3, 40, 97]
    points = rng.standard_normal((120, 3)) * [2.0, 1.0, 0.3] + 0.5
    p, data, passes = passes_of(forward, points, kind, settings, times)
    drawn = [numpys_draws(data, 0, t, 2, settings) for t in times]
    order, xi = (torch.tensor(np.stack([d[i] for d in drawn])) for i in (0, 1))
    blends = subset = None
    if settings:
        blends = Blends(*(torch.tensor(np.stack([d[2][i] for d in drawn])) for i in range(4)))
        subset = torch.tensor(np.stack([d[3] for d in drawn]))
    x_t, target = passes.made_from(Draws(order, xi, blends, subset))
    for i, t in enumerate(times):
        expected = Examples(p, data, data[:40], 0, t, TrainingSection(**settings)).of_pass(2)
        np.testing.assert_allclose(x_t[i], expected[0], rtol=1e-5, atol=1e-5)
        scale = np.abs(expected[1]).max()
        np.testing.assert_allclose(target[i], expected[1], rtol=1e-3, atol=2e-4 * scale)


def test_factors_of_blends_are_uniform_on_their_ranges(rng, forward):
    """Some 1,800 of each: all inside, mean of each within five standard errors, 1 and 0 where nothing is blended."""
    settings = {"blends": 0.6, "blend_own": (0.5, 1.5), "blend_other": (2.0, 2.5)}
    _, _, passes = passes_of(forward, rng.standard_normal((3_000, 3)), {}, settings, [5], np.float64)
    blends = passes.draws(0).blends
    for factor, unblended, (low, high) in zip((blends.own, blends.other), (1, 0), [(0.5, 1.5), (2, 2.5)], strict=True):
        assert (factor[~blends.which] == unblended).all()
        found = factor[blends.which].numpy()
        assert low <= found.min()
        assert found.max() <= high
        assert abs(found.mean() - (low + high) / 2) < 5 * (high - low) / np.sqrt(12 * found.size)


def test_posterior_targets_in_float64_are_the_empirical_denoisers(rng, forward, monkeypatch):
    monkeypatch.setattr("undiffuse.training.device_passes._AT_ONCE", 5_000)  # many pieces
    times, points = [2, 50, 100], rng.standard_normal((90, 3))
    settings = {"targets": "posterior", "posterior_share": 0.4}
    _, _, passes = passes_of(forward, points, {}, settings, times, np.float64)
    draws = passes.draws(0)
    x_t, target = passes.made_from(draws)
    for i, t in enumerate(times):
        exact = EmpiricalDenoiser(forward, points[draws.points[i].numpy()])
        np.testing.assert_allclose(target[i].numpy(), exact.xi_hat(x_t[i].numpy(), t), atol=1e-9)


def test_a_pass_sees_every_sample_once_with_fresh_normal_noise(rng, forward):
    """36,000 normal numbers, mean and variance within five standard errors."""
    points = rng.standard_normal((3_000, 3))
    _, data, passes = passes_of(forward, points, {}, {}, [5, 60], np.float64)
    seen = []
    for number in (0, 1):
        x_t, xi = passes.of_pass(number)
        for i, t in enumerate((5, 60)):
            x0 = (x_t[i].numpy() - forward.noise(t) * xi[i].numpy()) / forward.signal(t)
            np.testing.assert_allclose(np.sort(x0[:, 0]), np.sort(data[:, 0]), atol=1e-12)
        seen.append(xi.numpy())
    both = np.stack(seen).ravel()
    assert abs(both.mean()) < 5 / np.sqrt(both.size)
    assert abs(both.var() - 1) < 5 * np.sqrt(2 / both.size)
    assert len(np.unique(both)) > 0.999 * both.size


def test_what_a_network_sees_does_not_depend_on_its_neighbours(rng, forward):
    points, settings = rng.standard_normal((70, 3)), {"targets": "posterior", "blends": 0.2}
    both, alone = (passes_of(forward, points, {}, settings, times)[2] for times in ([9, 30], [30]))
    for together, single in zip(both.draws(4).__dict__.values(), alone.draws(4).__dict__.values(), strict=True):
        if isinstance(together, torch.Tensor):
            assert torch.equal(together[1], single[0])
    for one, other in zip(both.of_held_out(), alone.of_held_out(), strict=True):
        torch.testing.assert_close(one[1], other[0])
