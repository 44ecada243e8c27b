import numpy as np
import pytest
import torch

from undiffuse import Architecture, Autoencoder, UserError
from undiffuse.networks.network import start_weights

ACTIVATIONS = {"relu": torch.relu, "linear": lambda u: u, "sigmoid": torch.sigmoid}


def make(rng, **changes):
    a = Architecture(**({"dim": 3, "hidden": 11} | changes))
    return Autoencoder(start_weights(a, rng.standard_normal((64, a.dim)), rng), a)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dim", [1, 2, 3, 4, 7])
def test_output_is_the_formula(rng, activation, dim):
    """Dimensions on both sides of the kernel's limit, hidden units no multiple of its lanes."""
    net = make(rng, dim=dim, activation=activation)
    x = rng.standard_normal((13, dim))
    h = ACTIVATIONS[activation](torch.tensor(x @ net.W.T.astype(float) + net.b_h))
    np.testing.assert_allclose(net(x), h.numpy() @ net.A.T + net.b_r, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tying", ["untied", "tied", "signed"])
def test_jacobian_equals_autograd(rng, activation, tying):
    net = make(rng, activation=activation, tying=tying)
    W, b_h, A, b_r = (torch.tensor(w, dtype=torch.float64) for w in net.weights.arrays().values())
    x = rng.standard_normal((5, 3))
    for point, jacobian in zip(x, net.jacobian(x), strict=True):
        expected = torch.autograd.functional.jacobian(
            lambda p: A @ ACTIVATIONS[activation](W @ p + b_h) + b_r, torch.tensor(point)
        )
        np.testing.assert_allclose(jacobian, expected.numpy(), rtol=1e-10, atol=1e-12)


def test_tied_weights_start_tied(rng):
    net = make(rng, tying="tied")
    np.testing.assert_array_equal(net.A, net.W.T)


def test_signed_tying_has_half_its_signs_negative(rng):
    net = make(rng, hidden=10, tying="signed")
    signs = np.sign(np.sum(net.A.T * net.W, axis=1))
    np.testing.assert_array_equal(signs, [1] * 5 + [-1] * 5)


def test_uniform_start_stays_within_the_usual_bounds(rng):
    net = make(rng, dim=4, hidden=400)
    assert abs(net.W).max() <= 0.5
    assert abs(net.A).max() <= 0.05
    assert abs(net.W).max() > 0.49


def test_data_start_puts_every_kink_through_an_input(rng):
    a = Architecture(dim=3, hidden=20, start="data")
    x = rng.standard_normal((20, 3))
    w = start_weights(a, x, rng)
    np.testing.assert_allclose(np.sum(w.W * x, axis=1) + w.b_h, 0, atol=1e-6)


def test_decoder_scale_scales_the_decoder(rng):
    full, small = (make(np.random.default_rng(3), decoder_scale=c) for c in (1.0, 0.1))
    np.testing.assert_allclose(small.A, 0.1 * full.A, rtol=1e-6)


def test_decoder_scale_of_tied_weights_is_refused():
    with pytest.raises(UserError, match="decoder_scale = 0.1 has no meaning"):
        Architecture(2, 8, tying="tied", decoder_scale=0.1)


@pytest.mark.parametrize(
    ("field", "value", "near"),
    [("prediction", "x_0", "x0"), ("activation", "Relu", "relu"), ("skip", "gausian", "gaussian")],
)
def test_unknown_options_name_the_nearest(field, value, near):
    with pytest.raises(UserError, match=f"did you mean '{near}'"):
        Architecture(2, 8, **{field: value})
