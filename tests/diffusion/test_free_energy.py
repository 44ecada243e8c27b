"""Normalising constants of all times by Fokker-Planck, against closed forms, enumeration and quadrature."""

from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import undiffuse as ud
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.free_energy import free_energy
from undiffuse.networks.bank import MemoryBlock
from undiffuse.physics import CurieWeiss

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(150, 1e-3, 0.1), 0.7)
MEAN, COVARIANCE = np.array([0.3, -0.2, 0.5]), np.array([[1.0, 0.4, 0.0], [0.4, 0.6, 0.1], [0.0, 0.1, 0.2]])
LAW = ud.GaussianDenoiser(FORWARD, MEAN, COVARIANCE)
POINTS = np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, 40)


@dataclass
class Moved:
    """An exact density plus a constant of each time, and plus ``tilt_t . x``, which no diffusion explains."""

    law: Denoiser
    constants: np.ndarray
    tilts: dict = field(default_factory=dict)

    @property
    def forward(self):
        return self.law.forward

    @property
    def dim(self):
        return self.law.dim

    def xi_hat(self, x_t, t):
        return self.law.xi_hat(x_t, t) - self.forward.noise(t) * self.tilts.get(t, 0.0)

    def xi_trace(self, x_t, t):
        return self.law.xi_trace(x_t, t)

    def log_density(self, x_t, t):
        return self.law.log_density(x_t, t) + self.constants[t - 1] + np.sum(x_t * self.tilts.get(t, 0.0), axis=1)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=150, max_size=150))
def test_any_constants_added_to_a_gaussian_are_found(constants):
    """At every time to 0.002 nats, from 40 points, which all say the same."""
    found = free_energy(Moved(LAW, np.array(constants)), POINTS)
    np.testing.assert_allclose(found.log_Z, constants, atol=2e-3)
    assert found.mismatch.max() < 2e-3


def test_spins_plus_constants_are_normalised_to_their_enumeration():
    """Six spins as a mixture of their 64 states, from OU time 0.02 on: 0.002 nats at every time."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.at_ou_times(np.geomspace(0.02, 5, 80)))
    states = np.array(list(product([1.0, -1.0], repeat=6)))
    weights = np.exp(1.5 / 12 * states.sum(axis=1) ** 2)
    law = ud.EmpiricalDenoiser(forward, np.repeat(states, np.round(50 * weights / weights.min()).astype(int), axis=0))
    constants = np.random.default_rng(1).normal(0, 10, 80)
    found = free_energy(Moved(law, constants), CurieWeiss(6, 1.5).sample(30, np.random.default_rng(2)))
    np.testing.assert_allclose(found.log_Z, constants, atol=2e-3)
    assert found.mismatch.max() < 5e-3


def test_the_density_integrates_to_one():
    """A mixture on a line, with constants, by the trapezoidal rule at three times; to 0.001."""
    law = ud.MixtureDenoiser(FORWARD, [0.3, 0.7], [[-1.0], [1.2]], np.full((2, 1, 1), 0.05))
    found = free_energy(Moved(law, np.linspace(-5, 5, 150)), np.array([[-1.1], [1.0], [1.4], [0.9]]))
    grid = np.linspace(-8, 8, 4001)[:, None]
    for t in (1, 60, 150):
        assert abs(np.trapezoid(np.exp(found.log_density(grid, t)), dx=16 / 4000) - 1) < 1e-3


def test_a_time_that_does_not_belong_is_seen_in_both_its_steps_and_nowhere_else():
    tilt = np.array([0.8, 0.0, 0.0])
    found = free_energy(Moved(LAW, np.zeros(150), {70: tilt}), POINTS)
    spread = found.spread
    assert spread[[68, 69]].min() > 100 * np.delete(spread, slice(60, 78)).max()
    # At t = 70 what is left is tilt . x_70 itself; further down the two steps cancel.
    own = np.sqrt((FORWARD.signal(70) * POINTS @ tilt).var(ddof=1) + (FORWARD.noise(70) * 0.8) ** 2)
    assert found.mismatch[69] == pytest.approx(own, rel=0.3)  # 40 points
    assert found.mismatch[20] < 0.1 * found.mismatch[69]


def linear_bank(width: float = 1.0) -> ud.Bank:
    """A tied bank that predicts the data of :data:`LAW` exactly, with W the root of the Wiener filter, times width."""
    architecture = ud.Architecture(dim=3, hidden=3, prediction="x0", activation="linear", tying="tied")
    each = []
    for t in FORWARD.schedule.times.tolist():
        a, s2D = FORWARD.signal(t), FORWARD.noise(t) ** 2
        gain = a * (LAW.axes * (LAW.variances / (a**2 * LAW.variances + s2D))) @ LAW.axes.T
        values, axes = np.linalg.eigh(gain)
        W = width * (axes * np.sqrt(values)) @ axes.T
        offset = MEAN - a * gain @ MEAN
        each.append(ud.Weights(*(v.astype("f4") for v in (W, np.zeros(3), W.T, offset))))
    return ud.Bank(FORWARD, [MemoryBlock(1, architecture, ud.Weights.stack(each))])


def test_a_tied_bank_that_is_a_gaussian_has_its_density():
    """Weights are float32, and 1/Delta multiplies them: 0.02 nats from t = 10 on."""
    found = linear_bank().free_energy(POINTS)
    for t in (10, 60, 150):
        x = FORWARD.jump(POINTS, t, np.random.default_rng(3).standard_normal(POINTS.shape))
        np.testing.assert_allclose(found.log_density(x, t), LAW.log_density(x, t), atol=0.02)
    assert found.mismatch[9:].max() < 0.02


def test_a_tied_bank_with_weights_off_by_a_little_at_every_time_is_no_process():
    assert linear_bank(0.98).free_energy(POINTS).mismatch[9] > 1.0


def test_the_constant_at_T_is_that_of_the_integral():
    """Of a mixture far from Gaussian at T, 4096 draws of the Gaussian of 400 points, 4.5 standard errors."""
    short = ud.ForwardProcess(ud.NoiseSchedule.linear(10, 1e-2, 0.1))
    law = ud.MixtureDenoiser(short, [0.5, 0.5], [[-1.5], [1.5]], np.full((2, 1, 1), 0.05))
    x = np.random.default_rng(4).choice([-1.5, 1.5], (400, 1))
    found = free_energy(Moved(law, np.full(10, 3.0)), x, seed=5)
    assert 400 < found.effective < 4000
    assert abs(found.log_Z[-1] - 3.0) < 4.5 * found.stderr[-1]


def test_same_seed_gives_the_same_numbers():
    np.testing.assert_array_equal(free_energy(LAW, POINTS, seed=3).log_Z, free_energy(LAW, POINTS, seed=3).log_Z)


def untied():
    architecture = ud.Architecture(dim=3, hidden=2)
    return ud.Bank(FORWARD, [MemoryBlock(1, architecture, ud.Weights.stack([ud.Weights.zeros(architecture)] * 150))])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: untied().free_energy(POINTS), "t = 1 to 150 have untied weights, so no energy"),
        (lambda: free_energy(LAW, POINTS[:1]), "x has 1 rows: wanted at least two"),
        (lambda: free_energy(LAW, POINTS[:, :2]), "wanted \\(n, 3\\)"),
        (lambda: free_energy(ud.LinearDenoiser(FORWARD, POINTS), POINTS), "LinearDenoiser has no density"),
        (lambda: free_energy(LAW, POINTS).log_density(POINTS, 151), "t = 151: wanted a time in 1..150"),
    ],
)
def test_a_wrong_choice_is_one_line(call, said):
    with pytest.raises(ud.UserError, match=said) as raised:
        call()
    assert "\n" not in str(raised.value)
