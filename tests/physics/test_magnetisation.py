from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

import undiffuse as ud
from undiffuse.physics import CurieWeiss, Magnetisation
from undiffuse.support.errors import UserError

MODELS = st.builds(CurieWeiss, st.integers(2, 60), st.floats(0.3, 3), st.floats(-1.5, 1.5))
TIMES = st.floats(0.05, 4)


def test_the_density_is_that_of_all_configurations_one_by_one():
    model, tau = CurieWeiss(6, beta=1.4, h=0.3), 0.7
    states = np.array(list(product([-1.0, 1.0], repeat=6)))
    weights = np.exp(1.4 / 12 * states.sum(axis=1) ** 2 + 0.3 / 6 * states.sum(axis=1))
    mu = np.linspace(-4, 4, 9)
    centres, width = np.exp(-tau) * states.sum(axis=1) / np.sqrt(6), np.sqrt(1 - np.exp(-2 * tau))
    expected = norm.pdf(mu[:, None], centres, width) @ (weights / weights.sum())
    np.testing.assert_allclose(np.exp(Magnetisation(model).log_density(mu, tau)), expected, rtol=1e-12)


@given(MODELS, TIMES)
def test_the_density_has_the_moments_of_the_model(model, tau):
    law = Magnetisation(model)
    end = np.exp(-tau) * np.sqrt(model.N) + 10
    mu = np.linspace(-end, end, 4001)
    density = np.exp(law.log_density(mu, tau)) * (mu[1] - mu[0])
    for order in (0, 2, 4):
        np.testing.assert_allclose(density @ mu**order, model.moment(order, tau), rtol=1e-8)


@given(MODELS, TIMES)
def test_the_potential_pushes_as_the_exact_score_does(model, tau):
    """Its slope is minus the drift mu + 2 F (25), F from the exact denoiser of the atoms that mu is at first."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.at_ou_times([tau, tau + 1]))
    atoms = (model.sums / np.sqrt(model.N))[:, None]
    exact = ud.MixtureDenoiser(forward, np.exp(model.log_law), atoms, np.zeros((len(atoms), 1, 1)))
    mu, step = np.linspace(-3, 3, 13), 1e-5
    law = Magnetisation(model)
    slope = (law.potential(mu + step, tau) - law.potential(mu - step, tau)) / (2 * step)
    drift = mu + 2 * exact.score(mu[:, None], 1)[:, 0]
    np.testing.assert_allclose(-slope, drift, atol=2e-4 * max(1, np.abs(drift).max()))


@pytest.mark.parametrize("tau", [0.1, 0.8, 2.0, 4.0])
def test_cloning_is_the_integral_over_all_mu(tau):
    law = Magnetisation(CurieWeiss(20, beta=1.3, h=0.4))

    def integrand(mu):
        p = law.plus(mu, tau)
        return np.exp(law.log_density(mu, tau)) * (p**2 + (1 - p) ** 2)

    expected, _ = quad(integrand, -14, 14, limit=2000, epsabs=1e-11)
    assert abs(law.cloning(tau) - expected) < 1e-9


@given(MODELS)
def test_cloning_is_sure_at_the_data_and_a_throw_of_the_states_at_noise(model):
    law, plus = Magnetisation(model), model.plus_share
    assert abs(law.cloning(12.0) - (plus**2 + (1 - plus) ** 2)) < 1e-3
    if model.N % 2:  # without a sum of zero, which goes either way
        assert abs(law.cloning(1e-4) - 1) < 1e-9


def test_cloning_of_many_spins_is_that_of_infinitely_many():
    model = CurieWeiss(4000, beta=1.5)
    law = Magnetisation(model)
    taus = np.linspace(2.5, 6, 8)
    gap = np.abs([law.cloning(tau) for tau in taus] - model.cloning(taus))
    coarse = CurieWeiss(400, beta=1.5)
    earlier = taus - np.log(10) / 2
    wide = np.abs([Magnetisation(coarse).cloning(tau) for tau in earlier] - coarse.cloning(earlier))
    assert gap.max() < 1e-3
    assert gap.max() < wide.max() / 5  # it falls as 1/N


def test_at_the_data_there_is_no_density():
    law = Magnetisation(CurieWeiss(10, beta=1.5))
    for call in (lambda: law.log_density(0.0, 0.0), lambda: law.plus(0.0, -1.0), lambda: law.cloning(0.0)):
        with pytest.raises(UserError, match="wanted a time above 0"):
            call()
