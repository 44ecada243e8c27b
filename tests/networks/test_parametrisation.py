import numpy as np
import pytest

from undiffuse import Architecture, Bank, GaussianDenoiser, UserError
from undiffuse.diffusion.forward import PREDICTIONS
from undiffuse.networks.bank import MemoryBlock
from undiffuse.networks.network import SKIPS, Weights, start_weights
from undiffuse.networks.parametrisation import Parametrisation


@pytest.fixture
def reference(forward, rng):
    return GaussianDenoiser.from_data(forward, rng.standard_normal((500, 2)) @ np.array([[1.0, 0.6], [0.0, 0.3]]))


def make(forward, reference, **changes):
    return Parametrisation(forward, Architecture(2, 8, **changes), reference)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("t", [1, 40, 100])
def test_a_network_that_hits_its_target_finds_the_noise(forward, reference, rng, prediction, skip, t):
    p = make(forward, reference, prediction=prediction, skip=skip)
    x0, xi = rng.standard_normal((6, 2)), rng.standard_normal((6, 2))
    x_t = forward.jump(x0, t, xi)
    np.testing.assert_allclose(p.xi_hat(p.target(x0, xi, x_t, t), x_t, t), xi, atol=1e-8)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("skip", SKIPS)
def test_xi_unit_is_the_noise_error_of_an_output_error_of_one(forward, reference, prediction, skip):
    p, x_t = make(forward, reference, prediction=prediction, skip=skip), np.ones((1, 2))
    change = p.xi_hat(np.ones((1, 2)), x_t, 30) - p.xi_hat(np.zeros((1, 2)), x_t, 30)
    np.testing.assert_allclose(np.abs(change), p.xi_unit(30), rtol=1e-10)


@pytest.mark.parametrize("skip", ["scalar", "gaussian"])
def test_targets_under_a_skip_have_unit_size(forward, reference, rng, skip):
    """20,000 Gaussian samples: the mean square target is 1 within 5 per cent (scalar: isotropic data)."""
    x0 = rng.standard_normal((20_000, 2))
    if skip == "gaussian":
        x0 = rng.multivariate_normal(reference.mean, reference.covariance, 20_000)
    p = make(forward, GaussianDenoiser.from_data(forward, x0), skip=skip)
    xi = rng.standard_normal(x0.shape)
    target = p.target(x0, xi, forward.jump(x0, 50, xi), 50)
    assert np.mean(target**2) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("skip", SKIPS)
def test_bank_jacobian_is_the_derivative_of_the_noise_estimate(forward, reference, rng, prediction, skip):
    a = Architecture(2, 30, prediction, skip, activation="sigmoid")
    each = [start_weights(a, rng.standard_normal((30, 2)), rng) for _ in range(forward.T)]
    bank = Bank(forward, [MemoryBlock(1, a, Weights.stack(each))], reference)
    x, h, t = rng.standard_normal((3, 2)), 1e-2, 40
    numeric = np.stack([(bank.xi_hat(x + h * e, t) - bank.xi_hat(x - h * e, t)) / (2 * h) for e in np.eye(2)], axis=2)
    # The network is float32, hence the wide step and the tolerance.
    np.testing.assert_allclose(bank.xi_jacobian(x, t), numeric, atol=2e-3 * (1 + abs(numeric).max()))


def test_a_skip_without_the_data_moments_is_refused(forward):
    with pytest.raises(UserError, match="needs the mean and covariance"):
        make(forward, None, skip="gaussian")


def stacked(rng, count, **changes):
    a = Architecture(**({"dim": 2, "hidden": 5} | changes))
    return a, Weights.stack([start_weights(a, np.zeros((5, a.dim)), rng) for _ in range(count)])


def test_bank_finds_each_time_in_its_block(forward, rng):
    (a, low), (_, high) = stacked(rng, 60), stacked(rng, 40)
    bank = Bank(forward, [MemoryBlock(61, a, high), MemoryBlock(1, a, low)])
    np.testing.assert_array_equal(bank[60].W, low.W[59])
    np.testing.assert_array_equal(bank[61].W, high.W[0])


@pytest.mark.parametrize(("first", "count"), [(2, 99), (1, 99), (1, 101)])
def test_bank_with_missing_or_extra_times_is_refused(forward, rng, first, count):
    a, weights = stacked(rng, count)
    with pytest.raises(UserError, match="bank"):
        Bank(forward, [MemoryBlock(first, a, weights)])


@pytest.mark.parametrize("t", [0, 101])
def test_bank_refuses_times_outside(forward, rng, t):
    a, weights = stacked(rng, 100)
    with pytest.raises(UserError, match=f"t = {t} is outside 1..100"):
        Bank(forward, [MemoryBlock(1, a, weights)])[t]


def test_bank_refuses_another_dimension(forward, rng):
    a, weights = stacked(rng, 100)
    with pytest.raises(UserError, match=r"shape \(4, 3\), wanted \(n, 2\)"):
        Bank(forward, [MemoryBlock(1, a, weights)]).xi_hat(np.zeros((4, 3)), 5)
