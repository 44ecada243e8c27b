"""The bound of each row by itself, against closed forms and the bound of a set."""

import numpy as np
import pytest

import undiffuse as ud
from undiffuse.diffusion.row_bound import row_bounds
from undiffuse.networks.precise import PreciseBank
from undiffuse.support.stats import stderr

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(40, 2e-3, 0.5), noise_scale=0.8)


def own_errors(gaussian):
    return np.array([gaussian.error(t) for t in gaussian.forward.schedule.times])


@pytest.mark.parametrize("variance", [0.3, 1.0, 4.0])
def test_for_an_isotropic_gaussian_the_bound_is_the_density(rng, variance):
    """Each reverse step is then exact: only the prior's term is left, 1e-3 nats here."""
    exact = ud.GaussianDenoiser(FORWARD, [1.0, -2.0, 0.0], variance * np.eye(3))
    x = exact.mean + np.sqrt(variance) * rng.standard_normal((50, 3))
    log_density = -0.5 * np.sum((x - exact.mean) ** 2, axis=1) / variance - 1.5 * np.log(2 * np.pi * variance)
    assert np.abs(row_bounds(exact, exact, x, own_errors(exact), draws=2) + log_density).max() < 1e-3


def test_with_the_variances_beta_it_is_the_bound_of_a_set(rng):
    """100 rows; 16 seeds of each, means within 4 standard errors over them, of 0.1 nats."""
    x = ud.datasets.spiral(100, seed=3)
    points = ud.EmpiricalDenoiser(FORWARD, ud.datasets.spiral(100, seed=4))
    linear = ud.GaussianDenoiser.from_data(FORWARD, x)
    s = FORWARD.schedule
    beta = s.beta(s.times)
    errors = (beta - s.posterior_variance(s.times)) * s.alpha(s.times) * s.Delta(s.times) / beta**2

    class Stacked(ud.Denoiser):
        def xi_hat(self, x_t, t):
            return points.xi_hat(x_t.reshape(-1, 2), t).reshape(x_t.shape)

    rows = [row_bounds(Stacked(FORWARD, 2), linear, x, errors, seed=seed).mean() for seed in range(16)]
    whole = [ud.bound(points, x, seed=seed).total for seed in range(16)]
    error = np.hypot(stderr(rows), stderr(whole))
    assert error < 0.1
    assert abs(np.mean(rows) - np.mean(whole)) < 4 * error


def test_more_draws_change_the_bound_no_more_than_their_scatter(rng):
    """The estimate is unbiased: 16 and 512 draws of different seeds agree within 4 standard errors over 8 seeds."""
    x = ud.datasets.spiral(20, seed=3)
    points, reference = (kind(FORWARD) for kind in (_empirical, _linear))
    few = [row_bounds(points, reference, x, own_errors(reference), draws=16, seed=s).mean() for s in range(8)]
    many = row_bounds(points, reference, x, own_errors(reference), draws=512, seed=9).mean()
    assert abs(np.mean(few) - many) < 4 * np.std(few, ddof=1) / np.sqrt(8) + 0.05


def _empirical(forward):
    inner = ud.EmpiricalDenoiser(forward, ud.datasets.spiral(60, seed=4))

    class Stacked(ud.Denoiser):
        def xi_hat(self, x_t, t):
            return inner.xi_hat(x_t.reshape(-1, 2), t).reshape(x_t.shape)

    return Stacked(forward, 2)


def _linear(forward):
    return ud.GaussianDenoiser.from_data(forward, ud.datasets.spiral(500, seed=4))


def test_a_rows_bound_is_the_same_bits_whatever_rows_stand_beside_it(rng, digits_run_path):
    """784 variables on 20 to 60 components, where the library of matrix products has several ways."""
    model = ud.Diffusion.load(digits_run_path)
    x = rng.random((9, 784))
    args = PreciseBank(model.bank), model.bank.reference

    def bounds(rows):
        return row_bounds(*args, rows, model.errors[:, 2], draws=4)

    together, order = bounds(x), rng.permutation(9)
    assert np.array_equal(bounds(x[order]), together[order])
    assert [float(bounds(row[None])[0]) for row in x] == together.tolist()


def test_a_precise_bank_is_the_bank_but_for_rounding(rng, tiny_run_path):
    bank = ud.Diffusion.load(tiny_run_path).bank
    x = rng.standard_normal((30, 2))
    for t in (1, 6, 12):
        assert np.abs(PreciseBank(bank).xi_hat(x, t) - bank.xi_hat(x, t)).max() < 1e-4


@pytest.mark.parametrize("draws", [0, 1, 7])
def test_an_odd_number_of_draws_is_refused(draws):
    exact = ud.GaussianDenoiser(FORWARD, [0.0], [[1.0]])
    with pytest.raises(ud.UserError, match="even number"):
        row_bounds(exact, exact, [[0.0]], own_errors(exact), draws=draws)


def test_errors_of_another_number_of_times_are_refused():
    exact = ud.GaussianDenoiser(FORWARD, [0.0], [[1.0]])
    with pytest.raises(ud.UserError, match="39 errors, wanted one for each of 40 times"):
        row_bounds(exact, exact, [[0.0]], own_errors(exact)[1:])
