"""Energies, potentials and weights: closed forms against gradients, quadrature and each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import undiffuse as ud
from undiffuse.networks.bank import MemoryBlock
from undiffuse.networks.network import Architecture, Autoencoder, Weights
from undiffuse.physics import weights as followed

T = 4


def bank_of(rng, dim=5, hidden=30, **architecture) -> ud.Bank:
    """A bank of random networks."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(T, 0.1, 0.5), 0.8)
    a = Architecture(dim, hidden, **architecture)
    x = rng.standard_normal((300, dim)) @ rng.standard_normal((dim, dim))
    W = rng.standard_normal((T, hidden, a.width)) / np.sqrt(a.width)
    A = rng.standard_normal((T, a.width, hidden)) / np.sqrt(hidden)
    if a.tying != "untied":
        A = np.swapaxes(W, 1, 2) * a.signs
    stacked = Weights(
        *(v.astype("f4") for v in (W, rng.standard_normal((T, hidden)), A, rng.standard_normal((T, a.width))))
    )
    return ud.Bank(forward, [MemoryBlock(1, a, stacked)], ud.GaussianDenoiser.from_data(forward, x))


KINDS = [
    {"prediction": p, "activation": h, "tying": tie}
    for p in ("xi", "x0", "v")
    for h in ("relu", "linear", "sigmoid")
    for tie in ("tied", "signed")
] + [{"prediction": "x0", "skip": "gaussian", "components": 3, "tying": tie} for tie in ("tied", "signed")]


@pytest.mark.parametrize("activation", ["relu", "linear", "sigmoid"])
@pytest.mark.parametrize("tying", ["tied", "signed"])
def test_gradient_of_the_energy_is_reconstruction_minus_input(rng, activation, tying):
    net: Autoencoder = bank_of(rng, activation=activation, tying=tying)[2]
    x, e = rng.standard_normal((6, 5)), 1e-5
    slope = np.stack([(net.energy(x + e * row) - net.energy(x - e * row)) / (2 * e) for row in np.eye(5)], axis=1)
    r = net.hidden(x) @ net.A.T.astype(float) + net.b_r
    np.testing.assert_allclose(slope, r - x, atol=1e-5)


@given(seed=st.integers(0, 2**32 - 1), hidden=st.integers(1, 40))
def test_jacobian_of_tied_relu_units_is_at_most_those_of_both_sides_together(seed, hidden):
    """A half-space that holds a point holds one of any two points with it in their middle."""
    rng = np.random.default_rng(seed)
    net = bank_of(rng, hidden=hidden, prediction="x0", tying="tied")[2]
    middle, apart = 2 * rng.standard_normal((2, 5))
    between, left, right = (net.mean_jacobian(x[None]) for x in (middle, middle - apart, middle + apart))
    assert np.linalg.eigvalsh(left + right - between).min() > -1e-9


def test_tied_sigmoid_units_may_be_steep_between_two_states_at_which_they_are_flat():
    unit = Weights(np.array([[10.0]]), np.zeros(1), np.array([[10.0]]), np.zeros(1))
    net = Autoencoder(unit, Architecture(1, 1, prediction="x0", activation="sigmoid", tying="tied"))
    left, between, right = (net.mean_jacobian(np.array([[x]])).item() for x in (-1.0, 0.0, 1.0))
    assert between == pytest.approx(25.0)
    assert left + right < 0.01


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: "-".join(map(str, k.values())))
def test_gradient_of_the_log_density_is_the_score(rng, kind):
    bank = bank_of(rng, **kind)
    x, e = rng.standard_normal((4, 5)), 1e-4
    slope = np.stack(
        [(bank.log_density(x + e * row, 3) - bank.log_density(x - e * row, 3)) / (2 * e) for row in np.eye(5)], axis=1
    )
    np.testing.assert_allclose(slope, bank.score(x, 3), atol=2e-4)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: "-".join(map(str, k.values())))
def test_potential_of_tied_weights_is_minus_the_log_density(rng, kind):
    bank, x, origin = bank_of(rng, **kind), rng.standard_normal((4, 5)), rng.standard_normal(5)
    expected = bank.log_density(origin[None], 2) - bank.log_density(x, 2)
    np.testing.assert_allclose(bank.potential(x, 2, origin), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "kind",
    [{"activation": "relu"}, {"activation": "sigmoid"}, {"activation": "linear"}, {"prediction": "v"}]
    + [{"prediction": "x0", "skip": "gaussian", "components": 3}, {"skip": "scalar"}],
    ids=lambda k: "-".join(map(str, k.values())),
)
def test_potential_of_untied_weights_is_the_line_integral_of_the_score(rng, kind):
    """The closed form against the trapezoidal rule on 20,001 points of the line."""
    bank, x, origin = bank_of(rng, **kind), rng.standard_normal((3, 5)), rng.standard_normal(5)
    share = np.linspace(0, 1, 20_001)
    for end, got in zip(x, bank.potential(x, 3, origin), strict=True):
        push = bank.score(origin + share[:, None] * (end - origin), 3) @ (end - origin)
        assert got == pytest.approx(-np.trapezoid(push, share), rel=1e-4, abs=1e-4)


def test_units_that_do_not_change_along_a_line_are_counted(rng):
    """A line orthogonal to every encoder: r is constant along it."""
    W = np.zeros((3, 2), "f4")
    W[:, 0] = 1
    net = Autoencoder(Weights(W, np.ones(3, "f4"), np.ones((2, 3), "f4"), np.zeros(2, "f4")), Architecture(2, 3))
    assert net.line_integral(np.zeros(2), np.array([[0.0, 2.0]]))[0] == pytest.approx(6.0)


def test_exact_denoisers_potentials_agree_with_quadrature_of_their_scores(rng):
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(T, 0.1, 0.5))
    data = rng.standard_normal((20, 3))
    x, origin = rng.standard_normal((5, 3)), rng.standard_normal(3)
    for exact in (ud.GaussianDenoiser.from_data(forward, data), ud.EmpiricalDenoiser(forward, data)):
        by_quadrature = ud.Denoiser.potential(exact, x, 3, origin)
        np.testing.assert_allclose(exact.potential(x, 3, origin), by_quadrature, rtol=1e-8, atol=1e-8)


def test_untied_weights_have_no_energy(rng):
    bank = bank_of(rng)
    with pytest.raises(ud.UserError, match="untied weights, so no energy"):
        bank.log_density(rng.standard_normal((2, 5)), 1)


def test_asymmetry_and_circulation_vanish_for_tied_weights_only(rng):
    x, centre = rng.standard_normal((4, 5)), np.zeros(5)
    e, f = np.eye(5)[:2]
    tied, free = bank_of(rng, tying="tied"), bank_of(rng)
    assert followed.asymmetry(tied.xi_jacobian(x, 2)).max() < 1e-6
    assert followed.asymmetry(free.xi_jacobian(x, 2)).min() > 0.1
    assert abs(followed.circulation(tied, centre, np.stack([e, f], axis=1), 1.5, 2, 4096)) < 1e-3
    assert abs(followed.circulation(free, centre, np.stack([e, f], axis=1), 1.5, 2, 4096)) > 0.01


def test_effective_rank_counts_equal_singular_values():
    assert followed.effective_rank(np.array([2.0, 2.0, 2.0, 0.0])) == pytest.approx(3)


def test_subspace_overlap_is_one_for_a_rotated_basis_and_zero_for_a_complement(rng):
    Q, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    R, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    assert followed.subspace_overlap(Q[:, :3], Q[:, :3] @ R) == pytest.approx(1)
    assert followed.subspace_overlap(Q[:, :3], Q[:, 3:]) == pytest.approx(0)


def test_rows_say_what_the_matrices_are(rng):
    bank = bank_of(rng, prediction="x0", skip="gaussian", components=3)
    rows, spectra = followed.follow(bank, rng.standard_normal((10, 5)), np.zeros(5), [1, 2, 4])
    row, net = rows[1], bank[2]
    assert (row.t, row.inputs, row.hidden, row.seam) == (2, 3, 30, False)
    assert row.norm_AW == pytest.approx(np.linalg.norm(net.A.astype(float) @ net.W), rel=1e-6)
    np.testing.assert_allclose(spectra[1].AW, np.linalg.svd(net.A.astype(float) @ net.W)[1], rtol=1e-5)
    assert np.isnan(rows[2].overlap_next)


def test_jacobian_of_the_exact_gaussian_is_read_off_a_bank_without_corrections(rng):
    """Decoders of zero leave the Wiener filter: lowest eigenvalue noise^2/(alpha_bar lambda_1 + noise^2)."""
    bank = bank_of(rng, skip="gaussian", prediction="x0")
    forward = bank.forward
    zero = Weights(*(np.zeros_like(v) for v in bank._blocks[0]._stacked.arrays().values()))
    none = ud.Bank(forward, [MemoryBlock(1, bank._blocks[0].architecture, zero)], bank.reference)
    rows, _ = followed.follow(none, rng.standard_normal((10, 5)), np.zeros(5), [3])
    noise2 = forward.noise(3) ** 2
    lowest = noise2 / (forward.signal(3) ** 2 * bank.reference.variances[0] + noise2)
    assert rows[0].lowest == pytest.approx(lowest, rel=1e-6)
    assert rows[0].asymmetry < 1e-12


def test_changes_leave_out_seams_of_the_recipe(rng):
    bank = bank_of(rng)
    rows, _ = followed.follow(bank, rng.standard_normal((10, 5)), np.zeros(5), [1, 2, 3, 4])
    quiet = [replace(rows[0], t=t, tau=0.3 + 0.1 * t, norm_W=w) for t, w in ((1, 1.0), (2, 1.1), (3, 3.0), (4, 3.1))]
    assert followed.changes(quiet)["norm_W"].t == 2
    seam = [replace(row, seam=row.t == 2) for row in quiet]
    assert followed.changes(seam)["norm_W"].t != 2


def rows_of(rng, values) -> list[followed.Row]:
    """Rows in which ``norm_W`` takes the given values, evenly spaced in OU time; the other quantities are constant."""
    rows, _ = followed.follow(bank_of(rng), rng.standard_normal((10, 5)), np.zeros(5), [1])
    row = replace(rows[0], overlap_next=0.0)
    return [replace(row, t=i + 1, tau=0.4 + 0.1 * i, norm_W=float(v)) for i, v in enumerate(values)]


def test_a_sigmoid_has_a_distinguished_time_of_fastest_change(rng):
    """40 times, a rise over about five steps, noise of a hundredth of it."""
    values = np.tanh((np.arange(40) - 25) / 2) + 0.01 * rng.standard_normal(40)
    change = followed.changes(rows_of(rng, values))["norm_W"]
    assert change.distinguishable
    assert abs(change.t - 26) <= 2


def test_noise_about_a_straight_line_has_no_distinguished_step(rng):
    """100 noisy lines of 40 times: at most 5 % pass at the 5 % level; the null hypothesis is on the safe side."""
    rows = rows_of(rng, np.zeros(40))
    passed = 0
    for _ in range(100):
        values = 0.1 * np.arange(40) + 0.05 * rng.standard_normal(40)
        noisy = [replace(row, norm_W=float(v)) for row, v in zip(rows, values, strict=True)]
        passed += followed.changes(noisy)["norm_W"].distinguishable
    assert passed <= 5


def test_a_stick_broken_at_random_passes_as_often_as_the_level_says(rng):
    """300 sticks of 40 pieces: 5 % within 4 standard errors."""
    rows = rows_of(rng, np.zeros(41))
    passed = 0
    for seed in range(300):
        values = np.cumsum(rng.standard_exponential(41))
        broken = [replace(row, norm_W=float(v)) for row, v in zip(rows, values, strict=True)]
        passed += followed.changes(broken, seed)["norm_W"].distinguishable
    assert passed / 300 == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 300))
