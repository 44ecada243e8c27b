from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import undiffuse as ud
from undiffuse.formats.browser import PlaneBank
from undiffuse.networks.bank import MemoryBlock
from undiffuse.support.errors import UserError

T = 6
FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(T, 0.02, 0.6), noise_scale=0.3)
POINTS = np.random.default_rng(0).standard_normal((80, 2)) @ [[1.0, 0.4], [0.0, 0.5]] + [0.7, -0.2]
REFERENCE = ud.GaussianDenoiser.from_data(FORWARD, POINTS)
H = {"relu": lambda u: np.maximum(u, 0), "linear": lambda u: u, "sigmoid": lambda u: 1 / (1 + np.exp(-u))}


def halves(rng, *shape):
    """Weights that lose nothing in 16 bits."""
    return rng.standard_normal(shape).astype(np.float16).astype(np.float32)


def bank(rng, **options):
    architecture = ud.Architecture(dim=2, hidden=7, **options)
    width = architecture.width
    each = [
        ud.Weights(halves(rng, 7, width), halves(rng, 7), halves(rng, width, 7), halves(rng, width)) for _ in range(T)
    ]
    return ud.Bank(FORWARD, [MemoryBlock(1, architecture, ud.Weights.stack(each))], REFERENCE)


def formula(plane, x, i):
    first = sum(plane.hidden[:i])
    units = plane.units[first : first + plane.hidden[i]].astype(float)
    scale, maps = plane.maps[i][0], plane.maps[i][1:]
    r = H[plane.activation](x @ units[:, :2].T + units[:, 2]) @ units[:, 3:]
    return scale * r + x @ maps[:4].reshape(2, 2) + maps[4:]


KINDS = [
    *({"prediction": p, "skip": s} for p, s in product(["xi", "x0", "v"], ["none", "scalar", "gaussian"])),
    {"activation": "linear"},
    {"activation": "sigmoid"},
]


@pytest.mark.parametrize("options", KINDS, ids=lambda options: "-".join(options.values()))
@given(seed=st.integers(0, 10_000), t=st.integers(1, T))
def test_one_formula_gives_the_noise_estimate_of_every_network_in_the_plane(options, seed, t):
    rng = np.random.default_rng(seed)
    model, x = bank(rng, **options), 2 * rng.standard_normal((9, 2))
    found = formula(PlaneBank.of(model, range(1, T + 1)), x, t - 1)
    np.testing.assert_allclose(found, model.xi_hat(x, t), atol=2e-5 * (1 + np.abs(found).max()))


@pytest.mark.parametrize("components", [1, 2])
def test_networks_on_components_are_written_in_the_variables_of_the_data(rng, components):
    model, x = bank(rng, skip="gaussian", components=components), rng.standard_normal((9, 2))
    # Turned weights are rounded to 16 bits, 2^-11 of each of the products that a unit is made of.
    np.testing.assert_allclose(formula(PlaneBank.of(model, [2, 5]), x, 1), model.xi_hat(x, 5), atol=0.02)


def test_only_the_times_asked_for_are_there(rng):
    plane = PlaneBank.of(bank(rng), [1, 4])
    assert (plane.times, plane.hidden, plane.units.shape, plane.maps.shape) == ((1, 4), (7, 7), (14, 5), (2, 7))


def test_a_weight_too_large_for_16_bits_is_said():
    architecture = ud.Architecture(dim=2, hidden=3)
    weights = ud.Weights.zeros(architecture)
    weights.b_h[1] = 1e5
    model = ud.Bank(FORWARD, [MemoryBlock(1, architecture, ud.Weights.stack([weights] * T))])
    with pytest.raises(UserError, match="1e\\+05 is too large for 16 bits"):
        PlaneBank.of(model, [1])


def test_a_bank_of_three_variables_is_refused():
    architecture = ud.Architecture(dim=3, hidden=2)
    model = ud.Bank(FORWARD, [MemoryBlock(1, architecture, ud.Weights.stack([ud.Weights.zeros(architecture)] * T))])
    with pytest.raises(UserError, match="3 variables, wanted 2"):
        PlaneBank.of(model, [1])
