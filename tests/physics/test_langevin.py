"""Ornstein-Uhlenbeck, Fokker-Planck and Langevin against closed forms, the chain and each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest, norm

import undiffuse as ud
from undiffuse.diffusion.samplers import Step
from undiffuse.physics import OrnsteinUhlenbeck, fokker_planck, forward_langevin, reverse_langevin


def test_kernel_is_a_density_and_solves_equation_2():
    ou, x, tau = OrnsteinUhlenbeck(0.7, 1.3), 1.2, 0.8
    assert quad(lambda y: ou.kernel(y, x, tau), -12, 12)[0] == pytest.approx(1, abs=1e-10)
    y, e = np.linspace(-3, 3, 13), 1e-3
    rate = (ou.kernel(y, x, tau + e) - ou.kernel(y, x, tau - e)) / (2 * e)
    pull = ou.theta * ((y + e) * ou.kernel(y + e, x, tau) - (y - e) * ou.kernel(y - e, x, tau)) / (2 * e)
    spread = ou.D * (ou.kernel(y + e, x, tau) + ou.kernel(y - e, x, tau) - 2 * ou.kernel(y, x, tau)) / e**2
    np.testing.assert_allclose(rate, pull + spread, atol=1e-6)


def test_kernel_ends_in_the_stationary_law():
    ou, y = OrnsteinUhlenbeck(2.0, 0.5), np.linspace(-2, 2, 9)
    np.testing.assert_allclose(ou.kernel(y, 3.0, 20.0), ou.stationary(y), rtol=1e-12)
    assert ou.moments(3.0, 50.0)[1] == pytest.approx(0.25)


def test_chain_of_steps_is_the_kernel_at_its_ou_time():
    q = ud.NoiseSchedule.linear(1000)
    forward = ud.ForwardProcess(q, 0.4)
    for t in (1, 300, 1000):
        mean, variance = OrnsteinUhlenbeck(1.0, 0.4**2).moments(1.0, float(q.ou_time(t)))
        assert forward.signal(t) == pytest.approx(float(mean), rel=1e-12)
        assert forward.noise(t) ** 2 == pytest.approx(variance, rel=1e-9)


def test_steps_and_ou_times_map_both_ways():
    taus = np.geomspace(1e-3, 5, 60)
    q = ud.NoiseSchedule.at_ou_times(taus)
    np.testing.assert_allclose(q.ou_time(q.times), taus, rtol=1e-12)
    assert [q.time_at_ou(float(tau)) for tau in taus] == q.times.tolist()


def test_fokker_planck_keeps_its_integral_and_agrees_with_the_kernel():
    ou, y = OrnsteinUhlenbeck(), np.linspace(-7, 7, 1401)
    times = np.array([0.1, 0.5, 2.0])
    solved = fokker_planck(y, ou.kernel(y, 1.0, 0.1), times, ou.drift)
    np.testing.assert_allclose(solved.sum(axis=1) * (y[1] - y[0]), 1, atol=1e-8)
    for row, tau in zip(solved, times, strict=True):
        np.testing.assert_allclose(row, ou.kernel(y, 1.0, tau), atol=3e-4)
    assert solved.min() > -1e-9


def test_fokker_planck_is_silent_whatever_lies_in_memory_that_scipy_has_not_filled_yet(monkeypatch):
    """BDF reads such memory in its first steps; a signalling NaN there once raised a warning."""
    ou, y = OrnsteinUhlenbeck(), np.linspace(-4, 4, 201)
    wanted = fokker_planck(y, ou.kernel(y, 1.0, 0.1), [0.1, 0.5], ou.drift)
    reserve, poisoned = np.empty, []

    def poison(shape, dtype=float, **rest):
        memory = reserve(shape, dtype, **rest)
        if memory.dtype == float and memory.ndim == 2:
            memory.view(np.uint64)[...] = 0x7FF0000000000001
            poisoned.append(memory.shape)
        return memory

    monkeypatch.setattr(np, "empty", poison)
    solved = fokker_planck(y, ou.kernel(y, 1.0, 0.1), [0.1, 0.5], ou.drift)
    monkeypatch.undo()
    assert poisoned == [(8, 201)]
    np.testing.assert_array_equal(solved, wanted)


def test_fokker_planck_agrees_with_the_forward_chain(rng):
    """20,000 walkers of 100 steps from two points; the distribution functions differ by less than 5 % of samples do."""
    forward, n = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.03)), 20_000
    x0 = rng.choice([-1.0, 1.0], (n, 1))
    *_, (_, x) = forward.trajectory(x0, rng)
    ou, y = OrnsteinUhlenbeck(), np.linspace(-6, 6, 2401)
    end = float(forward.schedule.ou_time(100))
    start = (ou.kernel(y, 1.0, 0.05) + ou.kernel(y, -1.0, 0.05)) / 2
    density = fokker_planck(y, start, [0.05, end], ou.drift)[-1]
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)]) * (y[1] - y[0])
    assert kstest(x[:, 0], lambda v: np.interp(v, y, cumulative)).statistic < 1.36 / np.sqrt(n)


def test_fokker_planck_of_the_reverse_drift_goes_back_to_the_data():
    """From the stationary law at tau = 4 down to tau = 0.1, with the score of two points."""
    ou, y, top = OrnsteinUhlenbeck(), np.linspace(-5, 5, 1001), 4.0

    def drift(x, back):
        tau = top - back
        theta, D = np.exp(-tau), -np.expm1(-2 * tau)
        return x + 2 * (theta * np.tanh(x * theta / D) - x) / D

    density = fokker_planck(y, ou.stationary(y), [0.0, top - 0.1], drift)[-1]
    expected = (ou.kernel(y, 1.0, 0.1) + ou.kernel(y, -1.0, 0.1)) / 2
    np.testing.assert_allclose(density, expected, atol=0.01)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_weak_order_of_the_forward_integrators(method, order):
    """E x_1^2 from x_0 = 2 after tau = 1, in closed form for each rule: halving the step divides the error by 2^order.

    The update is linear, x -> a x + c z, so two runs give a and c exactly, without sampling.
    """

    class Fixed:
        def __init__(self, z):
            self.z = z

        def standard_normal(self, shape):
            return np.full(shape, self.z)

    def second_moment(steps):
        forward = ud.ForwardProcess(ud.NoiseSchedule.at_ou_times(np.arange(1, steps + 1) / steps))
        square, one = 4.0, [[1.0]]
        at, hit = ([s.x[0, 0] for s in forward_langevin(forward, one, Fixed(z), method)][1] for z in (0.0, 1.0))
        for _ in range(steps):
            square = at**2 * square + (hit - at) ** 2
        return square

    exact = 4 * np.exp(-2) + 1 - np.exp(-2)
    errors = [abs(second_moment(steps) - exact) for steps in (128, 256, 512)]
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), order, atol=0.1)


def test_reverse_langevin_returns_gaussian_data(rng):
    """20,000 walkers back to a Gaussian with Heun's rule: variance to 4 standard errors."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.at_ou_times(np.linspace(0.02, 4, 200)), 0.5)
    exact = ud.GaussianDenoiser(forward, [0.3], [[0.36]])
    n = 20_000
    *_, last = reverse_langevin(exact, 0.5 * rng.standard_normal((n, 1)), rng, method="heun")
    assert last.t == 0
    assert last.x.mean() == pytest.approx(0.3, abs=0.01 + 4 * 0.6 / np.sqrt(n))
    assert last.x.var() == pytest.approx(0.36, abs=0.005 + 4 * 0.36 * np.sqrt(2 / n))


def test_one_step_of_algorithm_2_is_eulers_up_to_beta_squared(rng):
    """Same x and no noise: halving beta divides the difference of the two steps by four."""
    x, gaps = rng.standard_normal((50, 3)), []
    for beta in (0.02, 0.01, 0.005):
        forward = ud.ForwardProcess(ud.NoiseSchedule([0.5, beta]), 0.7)
        exact = ud.GaussianDenoiser(forward, np.zeros(3), np.diag([1.0, 0.5, 0.2]))
        algorithm, _ = ud.Ancestral().move(exact, x, Step(2, 1), lambda: np.zeros_like(x))
        langevin = x + (x + 2 * 0.7**2 * exact.score(x, 2)) * beta / 2
        gaps.append(np.abs(algorithm - langevin).max())
    np.testing.assert_allclose(np.log2(np.array(gaps[:-1]) / gaps[1:]), 2, atol=0.1)


def test_reverse_steps_are_as_many_as_the_start_time(rng):
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(30, 0.01, 0.3))
    exact = ud.GaussianDenoiser(forward, [0.0], [[1.0]])
    states = list(reverse_langevin(exact, np.zeros((2, 1)), rng, start=7))
    assert [s.t for s in states] == list(range(7, -1, -1))


def test_walkers_from_the_command_line_agree_with_the_densities(capsys):
    from undiffuse.cli import main

    assert main(["physics", "langevin", "--walkers", "2000", "--json"]) == 0
    import json

    answer = json.loads(capsys.readouterr().out)
    worst = max(max(values) for values in answer["kolmogorov_distance"].values())
    assert worst < 1.6 * answer["kolmogorov_5_percent"]
    assert norm.cdf(abs(answer["plus"] - 0.5) / answer["plus_stderr"]) < 0.99997


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density": np.ones(5)}, "density has shape"),
        ({"density": -np.ones(11)}, "nowhere negative"),
        ({"y": np.arange(11.0) ** 2}, "evenly spaced"),
        ({"times": [1.0, 0.5]}, "times must increase"),
        ({"diffusion": 0.0}, "positive constant"),
    ],
)
def test_fokker_planck_refuses_bad_input(change, message):
    good = {"y": np.arange(11.0), "density": np.ones(11), "times": [0.0, 1.0], "drift": lambda y, tau: -y}
    with pytest.raises(ud.UserError, match=message):
        fokker_planck(**(good | change))


def test_unknown_rules_and_times_are_refused(rng):
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(30, 0.01, 0.3))
    exact = ud.GaussianDenoiser(forward, [0.0], [[1.0]])
    with pytest.raises(ud.UserError, match="unknown method 'milstein'"):
        next(reverse_langevin(exact, np.zeros((1, 1)), rng, method="milstein"))
    with pytest.raises(ud.UserError, match="start time 31 is outside 1..30"):
        next(reverse_langevin(exact, np.zeros((1, 1)), rng, start=31))
    with pytest.raises(ud.UserError, match="OU times must increase"):
        ud.NoiseSchedule.at_ou_times([0.5, 0.2])
