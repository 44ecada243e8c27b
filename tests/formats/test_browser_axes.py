import base64

import numpy as np
import pytest

import undiffuse as ud
from undiffuse.formats.browser_axes import AxisBank, characters
from undiffuse.support.errors import UserError


@pytest.fixture(scope="module")
def bank(digits_run_path):
    return ud.Diffusion.load(digits_run_path).bank


@pytest.mark.parametrize("bits", [8, 16])
def test_weights_are_rounded_to_half_a_part_of_the_largest_of_their_unit(bank, bits):
    page, parts = AxisBank.of(bank, [2, 12], bits), 2 ** (bits - 1) - 1
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
        page = AxisBank.of(bank, [t], bits)
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
    page = AxisBank.of(bank, [1, 5, 12], 8)
    start = 0
    for net in page.networks:
        end = start + 4 * -(-net.whole.size // 3)
        held = np.frombuffer(base64.b64decode(page.weights[start:end]), np.int8)[: net.whole.size]
        np.testing.assert_array_equal(held.reshape(net.whole.shape), net.whole)
        start = end
    assert start == len(page.weights) < sum(characters(bank, t, 8) for t in (1, 5, 12))


def test_a_bank_on_all_variables_is_refused(tiny_run_path):
    with pytest.raises(UserError, match="on all pixels"):
        AxisBank.of(ud.Diffusion.load(tiny_run_path).bank, [1], 8)
