"""Receptive radii, correlations and sensitivity maps, each against the formula written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import undiffuse as ud
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
