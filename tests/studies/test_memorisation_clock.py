"""The command memorise --along training: networks whose errors are known by another route, on small data."""

import json

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import undiffuse as ud
from helpers import answer, complaint
from undiffuse.diffusion.objective import xi_error
from undiffuse.networks.network import Autoencoder, start_weights
from undiffuse.studies import clock_training as training
from undiffuse.studies import memorise
from undiffuse.studies.clock_training import Bench
from undiffuse.studies.memorisation_clock import ClockOptions
from undiffuse.support.streams import Purpose, stream

SPINS = """
name = "twelve-spins"
[data]
name = "curie-weiss"
spins = 12
n = 400
held_out = 300
beta = 0.8
[diffusion]
T = 100
beta_1 = 1e-3
beta_T = 0.2
"""
FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2))


@pytest.fixture(scope="module")
def spins(tmp_path_factory):
    path = tmp_path_factory.mktemp("clock") / "spins.toml"
    path.write_text(SPINS)
    return path


def cloud(n, seed):
    """Correlated Gaussian points off the origin, in three variables."""
    return np.random.default_rng(seed).standard_normal((n, 3)) * [1.5, 0.7, 0.2] + [0.5, 0.0, -0.3]


class LinearFlow:
    """Gradient flow of ``r = A (W x + b_h) + b_r`` on the loss averaged over all noise, integrated by scipy.

    Only the second moments of ``z = (x_t, 1)`` and ``x_0`` enter, so neither batches nor draws of noise do.
    """

    def __init__(self, points, t):
        s, noise, second, mean = FORWARD.signal(t), FORWARD.noise(t), points.T @ points / len(points), points.mean(0)
        self.zz = np.block([[s * s * second + noise**2 * np.eye(3), s * mean[:, None]], [s * mean, np.ones(1)]])
        self.xz = np.column_stack([s * second, mean])

    def at(self, steps, start, rate):
        """Matrices ``P`` with ``r = P z`` after so many steps from the weights ``start``."""
        M, N = start.W.shape
        cuts = np.cumsum([M * (N + 1), N * M])

        def whole(flat):
            V, A, b = np.split(flat, cuts)
            V, A = V.reshape(M, N + 1), A.reshape(N, M)
            P = A @ V
            P[:, -1] += b
            return V, A, P

        def slope(_, flat):
            V, A, P = whole(flat)
            G = -2 * rate * (P @ self.zz - self.xz)
            return np.concatenate([(A.T @ G).ravel(), (G @ V.T).ravel(), G[:, -1]])

        first = np.concatenate([np.column_stack([start.W, start.b_h]).ravel(), start.A.ravel(), start.b_r])
        found = solve_ivp(slope, (0, steps[-1]), first.astype(float), t_eval=steps, rtol=1e-8, atol=1e-10)
        return [whole(flat)[2] for flat in found.y.T]


def test_both_errors_of_a_linear_network_follow_its_gradient_flow_along_training():
    """200 points in whole batches, 600 steps of SGD, one training: within 3 % at every record."""
    points, held_out, t, seed = cloud(200, 0), cloud(1_000, 1), 40, 5
    bench = Bench(FORWARD, (t,), 600, 200, 0.004, activation="linear", optimiser="sgd")
    found = training.trained(bench, 4, points, held_out, seed).network
    a, rng = bench.architecture(3, 4), stream(seed, Purpose.START, t)
    (examples,) = training._examples(bench, a, points, seed)
    start = start_weights(a, examples.at_start(4, rng), rng)
    maps = LinearFlow(points, t).at(bench.records, start, bench.learning_rate)
    xi = stream(seed, Purpose.XI_ERROR, t).standard_normal((training.PROBES, 3))
    for curve, x in zip(found, (points, held_out), strict=True):
        x = training.probes(x)
        z = np.column_stack([FORWARD.jump(x, t, xi), np.ones(len(x))])
        expected = [np.mean((z @ P.T - x) ** 2) * FORWARD.xi_per("x0", t) ** 2 for P in maps]
        assert expected[0] > 2 * expected[-1]
        np.testing.assert_allclose(curve[:, 0], expected, rtol=0.03)


def test_a_linear_network_ends_at_the_errors_of_the_gaussian_denoiser_of_its_points():
    """Twelve points, 3,000 steps of Adam: both errors within 3 %; the network memorises no more than linear theory."""
    points, held_out = cloud(12, 2), cloud(1_000, 3)
    bench = Bench(FORWARD, (20, 60), 3_000, 12, 0.003, activation="linear")
    found = training.trained(bench, 8, points, held_out, seed=1)
    for network, theory in zip(found.network, found.gaussian, strict=True):
        np.testing.assert_allclose(network[-1], theory, rtol=0.03)


def test_the_errors_recorded_are_the_xi_errors_of_the_library():
    points, held_out, times = cloud(30, 4), cloud(200, 5), (10, 50)
    bench = Bench(FORWARD, times, 30, 20, 0.01)
    found = training.trained(bench, 6, points, held_out, seed=7)

    class Network(ud.Denoiser):
        def __init__(self, weights):
            super().__init__(FORWARD, 3)
            self.network = Autoencoder(weights, bench.architecture(3, 6))

        def xi_hat(self, x_t, t):
            return self.forward.to_xi("x0", self.network(x_t), x_t, t)

    for k, t in enumerate(times):
        denoiser = Network(found.weights[k])
        for errors, x in zip(found.network, (points, held_out), strict=True):
            assert errors[-1, k] == pytest.approx(xi_error(denoiser, training.probes(x), t, seed=7), rel=1e-5)


def test_networks_of_several_times_are_those_that_are_trained_alone():
    points, held_out = cloud(30, 4), cloud(200, 5)
    together, alone = (
        training.trained(Bench(FORWARD, times, 30, 20, 0.01), 6, points, held_out, seed=7).network.held_out[:, 0]
        for times in ((50, 90), (50,))
    )
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_more_points_are_memorised_later_and_the_empirical_denoiser_bounds_what_there_is_to_memorise(spins):
    clock = ClockOptions(t=(15,), updates=800, batch=20, learning_rate=0.005, threshold=1.3)
    found = memorise.run(
        memorise.Settings(
            str(spins), n=(10, 20, 40, 400), along="training", hidden=(256,), seeds=2, workers=1, clock=clock
        )
    )
    few, more, many, most = found.readings
    assert few.memorised.steps < more.memorised.steps < many.memorised.steps
    assert most.memorised.trainings == 0
    assert found.growth[0].memorised.sizes == (10, 20, 40)
    assert found.growth[0].memorised.exponent > 0.5
    for reading in found.readings:
        assert reading.ratio < reading.empirical_held_out / reading.empirical_training


WORDS = ["--along", "training", "-n", "10", "-n", "20", "--hidden", "8", "--hidden", "12", "--seeds", "2", "--t", "15"]


def test_the_command_answers_the_same_on_two_workers_and_draws_a_figure_of_each_width(spins, tmp_path, capsys):
    words = ["memorise", str(spins), *WORDS, "--updates", "40", "--batch", "10", "--out", tmp_path / "out"]
    one, two = (answer(capsys, *words, "--workers", workers) for workers in ("1", "2"))
    assert one | {"seconds": 0} == two | {"seconds": 0}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "memorisation_clock-8.png",
        "memorisation_clock-12.png",
        "summary.json",
    }
    assert json.loads((tmp_path / "out/summary.json").read_text())["readings"] == two["readings"]
    assert answer(capsys, *words, "--workers", "1", "--seed", "1")["readings"] != one["readings"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--along", "training", "-n", "500"], "n = 500: there are 400 training points"),
        (["--along", "training", "-n", "9"], "n = 9: wanted at least 10"),
        (["--along", "trainin"], 'Did you mean "training"'),
        (["--along", "training", "--threshold", "1"], "threshold = 1: wanted a ratio of the two errors above 1"),
        (["--along", "training", "--within", "0"], "within = 0: wanted a fraction above 0"),
        (["--along", "training", "--seeds", "1"], "seeds = 1: wanted at least 2, for errors over trainings"),
        (["--along", "training", "--t", "101"], "t = 101: wanted a time in 1..100"),
        (["--along", "training", "--updates", "3"], "updates = 3: wanted 10..10,000,000 steps"),
        (["--along", "training", "--components", "13"], "components = 13: wanted 1..12"),
        (["--along", "training", "--samples", "20"], "draws no samples"),
        (["-n", "50", "--threshold", "2"], "--threshold: only with --along training"),
        ([], "-n is missing"),
        (
            ["--along", "training", "-n", "20", "--hidden", "8", "--updates", "20", "--learning-rate", "1e30"],
            "training diverged at t = ",
        ),
    ],
)
def test_bad_input_is_answered_in_a_line(spins, words, message, capsys):
    assert message in complaint(capsys, "memorise", spins, *words, "--workers", "1")
