import base64

import numpy as np
import pytest

import undiffuse as ud
from undiffuse.formats.browser_axes import AxisBank, characters
from undiffuse.networks.bank import MemoryBlock


@pytest.fixture(scope="module")
def bank(digits_run_path):
    return ud.Diffusion.load(digits_run_path).bank


@pytest.mark.parametrize("bits", [8, 16])
def test_weights_are_rounded_to_half_a_part_of_the_largest_of_their_unit(bank, bits):
    page, parts = AxisBank.of(bank, [2, 12], bits, bank.reference), 2 ** (bits - 1) - 1
    for t, rounded in zip((2, 12), page.networks, strict=True):
        net, weights = bank[t], rounded.weights
        for exact, found in ((net.W, weights.W), (net.A.T, weights.A.T)):
            allowed = 0.501 * np.abs(exact).max(axis=1, keepdims=True) / parts
            assert (np.abs(exact - found) <= allowed + 1e-7 * np.abs(exact)).all()
        np.testing.assert_array_equal(weights.b_h, net.b_h)
        np.testing.assert_array_equal(weights.b_r, net.b_r)


@pytest.mark.parametrize("bits", [8, 16])
def test_the_formula_with_all_digits_is_the_banks(bank, bits, rng):
    """In 16 bits to 1e-3, in 8 to 0.05 of xi_hat's size; the formula is written out in numpy here."""
    for t, allowed in ((1, 1), (7, 1)):
        page = AxisBank.of(bank, [t], bits, bank.reference)
        (net,), along = page.networks, bank.along_axes()
        assert along is not None
        denoiser, axes = along
        np.testing.assert_allclose(page.axes, axes, atol=1e-3)
        signal, noise = bank.forward.signal(t), bank.forward.noise(t)
        x0 = rng.uniform(0, 1, (20, bank.dim)) * 0.2
        z = (signal * x0 + noise * rng.standard_normal(x0.shape)) @ axes
        away, k, w = z - signal * page.mean, net.whole.shape[2], net.weights
        xi = noise / (signal**2 * page.variances + noise**2) * away
        xi[:, :k] += net.factor * (np.maximum(away[:, :k] @ w.W.T + w.b_h, 0) @ w.A.T + w.b_r)
        expected = denoiser.xi_hat(z, t)
        assert np.abs(xi - expected).max() < (0.05 if bits == 8 else 1e-3) * allowed * np.abs(expected).max()


def test_each_network_begins_at_a_character_of_its_own(bank):
    page = AxisBank.of(bank, [1, 5, 12], 8, bank.reference)
    start = 0
    for net in page.networks:
        end = start + 4 * -(-net.whole.size // 3)
        held = np.frombuffer(base64.b64decode(page.weights[start:end]), np.int8)[: net.whole.size]
        np.testing.assert_array_equal(held.reshape(net.whole.shape), net.whole)
        start = end
    assert start == len(page.weights) < sum(characters(bank, t, 8) for t in (1, 5, 12))


@pytest.mark.parametrize("skip", ["none", "scalar", "gaussian"])
@pytest.mark.parametrize("prediction", ["xi", "x0"])
def test_networks_that_see_all_variables_are_turned_to_the_axes(skip, prediction, rng):
    """Random weights in five variables, against the bank: xi_hat to 1e-3 of its size."""
    data = rng.standard_normal((200, 5)) @ rng.standard_normal((5, 5)) + [1.0, 2.0, 0.0, -1.0, 0.5]
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(10, 0.01, 0.5), noise_scale=0.7)
    reference = ud.GaussianDenoiser.from_data(forward, data)
    kind = ud.Architecture(dim=5, hidden=30, skip=skip, prediction=prediction, activation="sigmoid")
    W, b_h, A, b_r = (rng.standard_normal(s).astype(np.float32) for s in ((30, 5), (30,), (5, 30), (5,)))
    stacked = ud.Weights.stack([ud.Weights(W, b_h, A, b_r)] * 10)
    bank = ud.Bank(forward, [MemoryBlock(1, kind, stacked)], reference)
    page = AxisBank.of(bank, [4], 16, reference)
    (net,), x, (_, axes) = page.networks, rng.standard_normal((20, 5)), reference.along_axes()
    shift, gain = net.linear or (forward.signal(4), forward.noise(4) / reference.total_variances(4))
    away, w = x @ axes - shift * page.mean, net.weights
    h = 1 / (1 + np.exp(-away @ w.W.T - w.b_h))
    expected = bank.xi_hat(x, 4) @ axes
    assert (net.linear is None) == (skip == "gaussian")
    found = gain * away + net.factor * (h @ w.A.T + w.b_r)
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()
