"""Receptive radii, correlations and sensitivity maps, each against the formula written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import undiffuse as ud
from undiffuse import datasets
from undiffuse.physics import locality

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2), noise_scale=0.7)


@given(st.integers(0, 10**6), st.tuples(st.integers(1, 4), st.integers(2, 4)))
def test_the_radius_is_the_sum_over_pairs_of_pixels(seed, shape):
    dim = shape[0] * shape[1]
    J = np.random.default_rng(seed).standard_normal((dim, dim))
    places = list(np.ndindex(shape))
    above = sum(J[i, j] ** 2 * ((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2) for i, p in enumerate(places)
                for j, q in enumerate(places))  # fmt: skip
    assert locality.receptive_radius(J, shape) == pytest.approx(np.sqrt(above / np.sum(J**2)), rel=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (28, 28)])
def test_a_map_that_looks_everywhere_has_the_radius_of_its_closed_form(shape):
    J = np.ones((shape[0] * shape[1],) * 2)
    assert locality.receptive_radius(J, shape) == pytest.approx(locality.radius_of_everywhere(shape), abs=1e-12)


def test_the_radius_does_not_depend_on_the_size_of_the_map(rng):
    J = rng.standard_normal((12, 12))
    assert locality.receptive_radius(-3 * J, (3, 4)) == pytest.approx(locality.receptive_radius(J, (3, 4)))


def test_correlation_is_numpys(rng):
    one, other = rng.standard_normal((2, 5, 5)) + 3
    assert locality.correlation(one, other) == pytest.approx(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_explained_is_scikit_learns_r2(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    x, y = rng.standard_normal((2, 20, 4))
    expected = metrics.r2_score(x, y + x, multioutput="variance_weighted")
    assert locality.explained(x, y + x) == pytest.approx(expected)


def test_what_cannot_be_compared_is_no_number():
    assert np.isnan(locality.correlation(np.ones((2, 2)), np.eye(2)))
    assert np.isnan(locality.explained(np.ones((3, 2)), np.zeros((3, 2))))


@pytest.mark.parametrize(("J", "message"), [(np.eye(5), "wanted \\(6, 6\\)"), (np.zeros((6, 6)), "zero everywhere")])
def test_what_has_no_radius_is_refused(J, message):
    with pytest.raises(ud.UserError, match=message):
        locality.receptive_radius(J, (2, 3))


def test_the_wiener_matrix_solves_its_equation(rng):
    C = np.cov(rng.standard_normal((6, 20)))
    exact, t = ud.GaussianDenoiser(FORWARD, np.zeros(6), C), 40
    signal, noise = FORWARD.signal(t), FORWARD.noise(t)
    expected = signal * C @ np.linalg.inv(signal**2 * C + noise**2 * np.eye(6))
    np.testing.assert_allclose(exact.x0_jacobian(np.zeros((1, 6)), t), expected, atol=1e-10)


def test_maps_of_reordered_pixels_put_back_are_those_of_pixels_in_order(rng):
    """Exact denoisers that do not know where pixels are: the map follows the order."""
    x, order = rng.standard_normal((30, 9)).cumsum(axis=1), rng.permutation(9)
    x_t = rng.standard_normal((4, 9))
    for make in (ud.GaussianDenoiser.from_data, ud.EmpiricalDenoiser):
        in_order, reordered = (
            make(FORWARD, data).x0_jacobian(state, 50) for data, state in ((x, x_t), (x[:, order], x_t[:, order]))
        )
        np.testing.assert_allclose(locality.put_back(reordered, order), in_order, atol=1e-9)


@pytest.mark.parametrize("network", ["skip=none", "skip=gaussian", "components=3"])
@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_a_banks_sensitivity_map_is_the_mean_of_its_jacobians(rng, network, activation):
    settings = {
        "skip=none": {},
        "skip=gaussian": {"skip": "gaussian"},
        "components=3": {"skip": "gaussian", "components": 3},
    }
    a = ud.Architecture(6, 10, prediction="x0", activation=activation, **settings[network])
    shapes = {name: array.shape for name, array in ud.Weights.zeros(a).arrays().items()}
    net = ud.Autoencoder(ud.Weights(**{n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}), a)
    x = rng.standard_normal((5, a.width))
    np.testing.assert_allclose(net.mean_jacobian(x), net.jacobian(x).mean(axis=0), atol=1e-9)


def test_a_trained_models_sensitivity_map_is_that_of_its_jacobians(rng):
    """``J_x0 = (1 - s sqrt(Delta) J_xi)/sqrt(abar)``, the mean over points."""
    small = ["diffusion.T=6", "diffusion.schedule=cosine", "network.hidden=16", "training.epochs=20"]
    model = ud.fit(ud.datasets.spiral(400), "spiral-2pi", small, execution=ud.Execution(workers=1))
    x_t, t = rng.standard_normal((7, 2)), 3
    of_xi = model.bank.xi_jacobian(x_t, t).mean(axis=0)
    expected = (np.eye(2) - model.forward.noise(t) * of_xi) / model.forward.signal(t)
    np.testing.assert_allclose(model.x0_jacobian(x_t, t), expected, atol=1e-9)


def test_a_look_is_the_measures_of_the_mean_map_and_its_errors_those_without_each_group(rng):
    """Twelve points make ten groups of one; each is left out by evaluating the map on the others."""
    data, t, shape = rng.standard_normal((15, 6)).cumsum(axis=1), 40, (2, 3)
    memory, wiener = ud.EmpiricalDenoiser(FORWARD, data), ud.GaussianDenoiser.from_data(FORWARD, data)
    x_t = FORWARD.jump(data[:12], t, rng.standard_normal((12, 6)))
    found = locality.look(memory, wiener, x_t, t, shape)
    G = wiener.x0_jacobian(x_t, t)

    def measures(points):
        J = memory.x0_jacobian(points, t)
        return np.array([
            locality.receptive_radius(J, shape),
            np.corrcoef(J.ravel(), G.ravel())[0, 1],
            np.sqrt(((J - G) ** 2).sum() / (G**2).sum()),
            locality.receptive_radius(J - G, shape),
        ])  # fmt: skip

    names = ["radius", "correlation", "difference", "difference_radius"]
    np.testing.assert_allclose([getattr(found, name) for name in names], measures(x_t[:10]), rtol=1e-9)
    without = np.stack([measures(np.delete(x_t[:10], k, axis=0)) for k in range(10)])
    errors = np.sqrt(9 * without.var(axis=0))
    np.testing.assert_allclose([getattr(found, f"{name}_stderr") for name in names], errors, rtol=1e-6)
    assert found.wiener_radius == pytest.approx(locality.receptive_radius(G, shape))
    assert found.tau == FORWARD.schedule.ou_time(t)


def test_errors_of_a_look_are_the_scatter_over_other_points(rng):
    """200 sets of 50 points: the scatter is known within 5 %, the mean of the errors as well; 25 % are allowed."""
    data, t = rng.standard_normal((15, 6)).cumsum(axis=1), 50
    memory, wiener = ud.EmpiricalDenoiser(FORWARD, data), ud.GaussianDenoiser.from_data(FORWARD, data)
    looks = []
    for _ in range(200):
        x_t = FORWARD.jump(data[rng.integers(15, size=50)], t, rng.standard_normal((50, 6)))
        looks.append(locality.look(memory, wiener, x_t, t, (2, 3)))
    for name in ("radius", "correlation", "difference"):
        scatter = np.std([getattr(one, name) for one in looks], ddof=1)
        assert np.mean([getattr(one, f"{name}_stderr") for one in looks]) == pytest.approx(scatter, rel=0.25)


def test_a_denoiser_that_looks_nowhere_has_no_radius(rng):
    wiener = ud.GaussianDenoiser.from_data(FORWARD, rng.standard_normal((20, 6)))
    nowhere = ud.EmpiricalDenoiser(FORWARD, rng.standard_normal((1, 6)))  # one point: the answer is always the same
    found = locality.look(nowhere, wiener, rng.standard_normal((4, 6)), 40, (2, 3))
    assert (found.radius, found.radius_stderr, found.correlation) == (None, None, None)
    assert found.difference == pytest.approx(1)
    assert found.difference_radius == pytest.approx(found.wiener_radius)


def test_a_look_at_one_point_is_refused():
    wiener = ud.GaussianDenoiser(FORWARD, np.zeros(6), np.eye(6))
    with pytest.raises(ud.UserError, match="1 points: wanted at least 2"):
        locality.look(wiener, wiener, np.zeros((1, 6)), 40, (2, 3))


@pytest.mark.parametrize("t", [2, 6, 11])
def test_the_map_of_a_bank_on_components_is_how_its_estimate_moves(digits_run_path, rng, t):
    """Steps of 1e-2 along ten random directions; what rounding of float32 and kinks add is below 3 % of the change."""
    model = ud.Diffusion.load(digits_run_path)
    x_t = model.forward.jump(datasets.mnist((0, 1), "test").x[:20], t, rng.standard_normal((20, 784)))
    J = model.x0_jacobian(x_t, t)
    for v in rng.standard_normal((10, 784)):
        moved = (model.x0_hat(x_t + 1e-2 * v, t) - model.x0_hat(x_t - 1e-2 * v, t)).mean(axis=0) / 2e-2
        assert np.linalg.norm(moved - J @ v) < 0.03 * np.linalg.norm(J @ v)
