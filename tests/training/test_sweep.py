"""Training that sweeps along t, on principal components, towards posterior means."""

import itertools
import shutil

import numpy as np
import pytest

import undiffuse as ud
from helpers import DIGITS
from undiffuse import datasets
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.network import Architecture, start_weights
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.runs import config
from undiffuse.training import Execution, train_run
from undiffuse.training.engines import TrainingState, build
from undiffuse.training.passes import Examples


def settings_with(**training):
    settings = config.loads(DIGITS, "digits").model_dump()
    settings["training"] |= training
    return config.validate(settings, "test")


@pytest.fixture(scope="module")
def bank(digits_run_path):
    return ud.Diffusion.load(digits_run_path).bank


# -- the order of blocks ----------------------------------------------------------------------------------------------


def test_a_sweeps_blocks_part_at_its_start_and_at_every_range():
    assert settings_with().blocks() == [(1, 1), (2, 3), (4, 5), (6, 6), (7, 7), (8, 9), (10, 11), (12, 12)]


def test_each_block_goes_on_from_the_one_nearer_the_start():
    settings = settings_with()
    assert [settings.block_before(i) for i in range(8)] == [1, 2, 3, None, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sweep_from": 13}, "sweep_from = 13 is outside 1..12"),
        ({"sweep_from": None}, "sweep_from is given exactly when"),
        ({"average": 1.0}, "less than 1"),
        ({"warm_learning_rate": None}, "warm_learning_rate is given exactly when"),
        ({"blends": 1.2}, "less than or equal to 1"),
        ({"blend_own": [1.5, 0.5]}, r"\[1.5, 0.5\] is no range"),
        ({"blend_other": [0.5]}, r"wanted \[low, high\]"),
        ({"order": "independent", "warm_epochs": None}, "is given exactly when order = 'sweep'"),
    ],
)
def test_a_sweep_with_wrong_settings_is_refused(change, message):
    with pytest.raises(ud.UserError, match=message):
        settings_with(**change)


def test_only_components_may_differ_along_a_sweep():
    settings = config.loads(DIGITS, "digits").model_dump()
    settings["times"][0]["hidden"] = 32
    with pytest.raises(ud.UserError, match="only the number of components may differ"):
        config.validate(settings, "test")


# -- the result -------------------------------------------------------------------------------------------------------


def test_workers_and_memory_make_no_difference_to_the_bits(bank):
    settings = config.loads(DIGITS, "digits")
    from undiffuse.training import Execution, train_bank

    other, _ = train_bank(settings, datasets.load(settings), Execution(workers=2))
    for t in range(1, 13):
        for name, array in bank[t].weights.arrays().items():
            np.testing.assert_array_equal(array, getattr(other[t].weights, name), err_msg=f"{name} at t = {t}")


def test_a_sweep_cut_between_blocks_ends_with_the_same_bits(bank, digits_run_path, tmp_path):
    path = tmp_path / "cut"
    shutil.copytree(digits_run_path, path)
    settings = config.loads(DIGITS, "digits")
    # Begin again, and stop when the first block is done.
    shutil.rmtree(path)

    class Stop(Exception):
        pass

    def stop(done, total):
        if done > 12:
            raise Stop

    with pytest.raises(Stop):
        train_run(settings, datasets.load(settings), path, execution=Execution(workers=1, on_progress=stop))
    assert ud.RunFolder.open(path).unfinished
    run = train_run(settings, datasets.load(settings), path, resume=True, execution=Execution(workers=1))
    for t in (1, 5, 12):
        np.testing.assert_array_equal(run.bank()[t].W, bank[t].W)
    assert list((path / "weights").glob("*.state")) == []


def test_every_network_beats_the_linear_theory_where_digits_are_not_gaussian(bank):
    """Held-out xi-error on 200 images against the Gaussian reference's on the same noise."""
    data = datasets.load(config.loads(DIGITS, "digits"))
    for t in (5, 6, 7, 8):
        linear = ud.GaussianDenoiser.from_data(bank.forward, data.train)
        xi = np.random.default_rng(t).standard_normal(data.held_out.shape)
        x_t = bank.forward.jump(data.held_out, t, xi)
        theirs = np.mean((linear.xi_hat(x_t, t) - xi) ** 2)
        assert np.mean((bank.xi_hat(x_t, t) - xi) ** 2) < theirs


def test_recorded_errors_are_those_of_the_bank_over_all_pixels(bank, digits_run_path):
    """The recorded error expects the noise of the components left out: good to 3 % with 200 x 784 numbers."""
    errors = ud.Diffusion.load(digits_run_path).errors
    data = datasets.load(config.loads(DIGITS, "digits"))
    for t in (2, 5, 9):
        xi = np.random.default_rng(t).standard_normal((8, *data.held_out.shape))
        measured = np.mean([(bank.xi_hat(bank.forward.jump(data.held_out, t, z), t) - z) ** 2 for z in xi])
        assert errors[t - 1, 2] == pytest.approx(measured, rel=0.03)


def test_a_bank_on_components_answers_alike_along_its_axes(bank, rng):
    along, axes = bank.along_axes()
    np.testing.assert_allclose(axes.T @ axes, np.eye(784), atol=1e-12)
    x_t = rng.standard_normal((5, 784))
    for t in (1, 6, 12):
        np.testing.assert_allclose(along.xi_hat(x_t @ axes, t) @ axes.T, bank.xi_hat(x_t, t), atol=1e-5)


def test_jacobian_of_a_bank_on_components_is_that_of_its_noise_estimate(bank, rng):
    x_t, t = rng.standard_normal((1, 784)), 5
    direction = rng.standard_normal(784)
    # Between two kinks the network is linear, so a short step is exact up to float32.
    difference = (bank.xi_hat(x_t + 1e-3 * direction, t) - bank.xi_hat(x_t - 1e-3 * direction, t))[0] / 2e-3
    np.testing.assert_allclose(
        bank.xi_jacobian(x_t, t)[0] @ direction, difference, atol=0.02 * np.abs(difference).max()
    )


# -- the parts --------------------------------------------------------------------------------------------------------


def test_averages_follow_the_weights_with_the_share_asked_for(rng):
    a = Architecture(6, 10)
    weights = start_weights(a, rng.standard_normal((10, 6)), rng)
    state = TrainingState.fresh(weights, a).swept_to(a)
    x = rng.standard_normal((1, 80, 6)).astype(np.float32)
    engine = build("torch", a, [state], average=0.9)
    expected = weights.W.astype(float)
    for step in range(8):
        engine.run_pass(x[:, 10 * step : 10 * step + 10], x[:, :10], 10, np.array([0.01]), [1.0])
        if step % 4 == 3:
            expected = 0.9**4 * expected + (1 - 0.9**4) * engine.states()[0].weights.W
    found = engine.states()[0]
    np.testing.assert_allclose(found.average.W, expected, atol=1e-6)
    assert not np.allclose(found.weights.W, found.average.W)
    assert found.result is found.average


def test_components_that_come_in_start_at_zero_and_the_average_anew(rng):
    a, wider = (Architecture(9, 5, skip="gaussian", components=k) for k in (4, 6))
    old = start_weights(a, rng.standard_normal((5, 4)), rng)
    state = TrainingState(old, old, old, 7, average=start_weights(a, rng.standard_normal((5, 4)), rng))
    new = state.swept_to(wider)
    np.testing.assert_array_equal(new.weights.W[:, :4], old.W)
    assert (new.weights.W[:, 4:] == 0).all()
    assert (new.weights.A[4:] == 0).all()
    np.testing.assert_array_equal(new.average.W, new.weights.W)
    back = new.swept_to(a)
    np.testing.assert_array_equal(back.weights.A, old.A)


def test_posterior_targets_are_the_empirical_denoisers_answer(rng):
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(20, 0.05, 0.4))
    points = rng.standard_normal((40, 3))
    a = Architecture(3, 5, prediction="x0")
    settings = settings_with(targets="posterior", blends=0.5)
    examples = Examples(Parametrisation(forward, a), *[points.astype("f4")] * 2, 0, 9, settings.training)
    x_t = rng.standard_normal((30, 3)).astype("f4")
    expected = ud.EmpiricalDenoiser(forward, points).x0_hat(x_t, 9)
    no_more = np.zeros(30, bool)
    found = examples._posterior_means(x_t, points.astype("f4"), x_t, no_more)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    inputs, targets = examples.of_pass(0)
    half = [p for p in points if np.isclose(targets @ p, targets @ p).all()]
    assert inputs.shape == targets.shape == (40, 3)
    assert np.abs(targets).max() <= np.abs(half).max() + 1e-5  # means of training points never leave their hull


def test_a_share_of_one_sample_answers_every_input_with_that_sample(rng):
    """Each pass draws its own; with a share of all of them, inputs far apart have answers far apart."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(20, 0.05, 0.4))
    points = rng.standard_normal((40, 3)).astype("f4")

    def targets(share, number):
        training = settings_with(targets="posterior", posterior_share=share).training
        parametrisation = Parametrisation(forward, Architecture(3, 5, prediction="x0"))
        return Examples(parametrisation, points, points, 0, 5, training).of_pass(number)[1]

    for number in (0, 1):
        one = targets(0.001, number)
        np.testing.assert_allclose(one, np.broadcast_to(one[0], one.shape), atol=1e-6)
        assert np.isclose(points, one[0], atol=1e-6).all(axis=1).any()
    assert targets(1.0, 0).std(axis=0).min() > 0.1


def test_stable_targets_over_two_of_five_points_are_the_posterior_mean_on_the_average(rng):
    """All sets of two points, and all points behind x_t, each as likely as it is given x_t."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(20, 0.05, 0.4))
    points, t = rng.standard_normal((5, 3)).astype("f4"), 6
    x_t = rng.standard_normal((4, 3)).astype("f4")
    a = Architecture(3, 5, prediction="x0")
    examples = Examples(Parametrisation(forward, a), points, points, 0, t, settings_with(targets="stable").training)
    squares = ((x_t[:, None] - forward.signal(t) * points) ** 2).sum(axis=2) / (2 * forward.noise(t) ** 2)
    behind = np.exp(-squares) / np.exp(-squares).sum(axis=1, keepdims=True)
    average, without = np.zeros((4, 3)), np.zeros((4, 3))
    sets = list(itertools.combinations(range(5), 2))
    for number, chosen in itertools.product(range(5), sets):
        own = np.tile(points[number], (4, 1))
        for mean, missing in ((average, number not in chosen), (without, False)):
            target = examples._posterior_means(x_t, points[list(chosen)], own, np.full(4, missing))
            mean += behind[:, number, None] * target / len(sets)
    np.testing.assert_allclose(average, behind @ points, atol=1e-6)
    assert np.abs(without - behind @ points).max() > 0.1


@pytest.mark.parametrize("blends", [0.0, 0.5])
def test_stable_targets_at_little_noise_are_the_samples_themselves_however_small_the_share(rng, blends):
    """Of a blend that is nearest to x_a, that is x_a."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(20, 1e-4, 0.4))
    points = rng.standard_normal((40, 3)).astype("f4")
    parametrisation = Parametrisation(forward, Architecture(3, 5, prediction="x0"))
    near = {"blends": blends, "blend_own": [1, 1], "blend_other": [0, 1e-3]}
    training = settings_with(targets="stable", posterior_share=0.001, **near).training
    _, targets = Examples(parametrisation, points, points, 0, 1, training).of_pass(0)
    np.testing.assert_allclose(np.sort(targets, axis=0), np.sort(points, axis=0), atol=1e-5)


def test_only_blends_are_answered_by_posterior_means_among_noise_targets(rng):
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(20, 0.05, 0.4))
    points = rng.standard_normal((400, 3)).astype("f4")
    a, shares = Architecture(3, 5, prediction="x0"), {}
    for blends in (0.0, 0.25, 1.0):
        examples = Examples(Parametrisation(forward, a), points, points, 0, 9, settings_with(blends=blends).training)
        _, targets = examples.of_pass(0)
        shares[blends] = np.mean((np.abs(targets[:, None] - points).max(axis=2) < 1e-6).any(axis=1))
    assert shares[0.0] == 1.0
    assert shares[0.25] == pytest.approx(0.75, abs=4 * np.sqrt(0.25 * 0.75 / 400))
    assert shares[1.0] < 0.1


def test_factors_of_blends_fill_their_ranges_and_no_more(rng):
    """Samples along one axis or another, so that an input without noise tells both factors of its blend."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(20, 1e-12, 2e-12))
    points = np.eye(2, dtype="f4")[np.arange(400) % 2] * [1, 1000]
    parametrisation = Parametrisation(forward, Architecture(2, 5, prediction="x0"))
    training = settings_with(blends=1.0, blend_own=[0.5, 1.5], blend_other=[2, 2.5]).training
    x, _ = Examples(parametrisation, points.astype("f4"), points.astype("f4"), 0, 1, training).of_pass(0)
    mixed = (x[:, 0] > 1e-3) & (x[:, 1] > 1)
    factors = np.sort(np.concatenate([x[mixed, 0], x[mixed, 1] / 1000]))
    assert mixed.sum() > 150
    own, other = factors[: mixed.sum()], factors[mixed.sum() :]
    for found, low, high in ((own, 0.5, 1.5), (other, 2, 2.5)):
        assert low - 1e-3 <= found.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < found.max() <= high + 1e-3


def test_posterior_targets_scatter_less_and_mean_the_same(rng):
    """At large t, on two clusters: regressing either target on x_t gives the same slope to 4 standard errors."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(20, 0.05, 0.4))
    points = (rng.choice([-1.0, 1.0], (4_000, 1)) + 0.1 * rng.standard_normal((4_000, 1))).astype("f4")
    a, slopes, scatter = Architecture(1, 5, prediction="x0"), {}, {}
    for targets in ("sample", "posterior"):
        examples = Examples(Parametrisation(forward, a), points, points, 0, 12, settings_with(targets=targets).training)
        x, y = (z[:, 0].astype(float) for z in examples.of_pass(0))
        slopes[targets] = np.mean(x * y) / np.mean(x * x)
        scatter[targets] = np.std(y - slopes[targets] * x)
    stderr = scatter["sample"] / np.sqrt(4_000 * np.mean(x * x))
    assert slopes["posterior"] == pytest.approx(slopes["sample"], abs=4 * stderr)
    assert scatter["posterior"] < 0.5 * scatter["sample"]


def test_leading_coordinates_are_centred_independent_and_sorted(rng):
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(10, 0.1, 0.5))
    x = rng.standard_normal((300, 5)) @ rng.standard_normal((5, 5)) + 3
    reference = GaussianDenoiser.from_data(forward, x)
    reduced, axes = reference.leading(3)
    y = (x - x.mean(axis=0)) @ axes
    np.testing.assert_allclose(y.T @ y / 300, np.diag(reduced.variances), atol=1e-9)


def test_components_beyond_the_variables_or_without_the_skip_are_refused():
    with pytest.raises(ud.UserError, match=r"components = 9: wanted 1\.\.4"):
        Architecture(4, 5, skip="gaussian", components=9)
    with pytest.raises(ud.UserError, match="needs skip = 'gaussian'"):
        Architecture(4, 5, components=2)
