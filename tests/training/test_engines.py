"""The two engines against each other, and both against autograd with torch's own Adam."""

import numpy as np
import pytest
import torch

from undiffuse import Architecture, UserError
from undiffuse.networks.network import start_weights
from undiffuse.runs.sections import TrainingSection
from undiffuse.training.engines import KERNEL, TrainingState, build, choose

ACTIVATIONS = {"relu": torch.relu, "linear": lambda u: u, "sigmoid": torch.sigmoid}
CASES = [
    (engine, activation, tying)
    for engine in ("kernel", "torch")
    for activation in ACTIVATIONS
    for tying in ("untied", "tied", "signed")
    if not (engine == "kernel" and activation == "sigmoid")
]


def problem(rng, dim=2, n=110, times=1):
    """Inputs and targets; 110 samples in minibatches of 25 leave a last one of 10."""
    x = rng.standard_normal((times, n, dim)).astype(np.float32)
    return x, np.sin(2 * x).astype(np.float32), 25, np.array([0.01, 0.008, 0.006, 0.004, 0.002])


def fresh(rng, architecture, times=1):
    starts = [start_weights(architecture, rng.standard_normal((64, architecture.dim)), rng) for _ in range(times)]
    return [TrainingState.fresh(w.copy(), architecture) for w in starts]


def autograd_pass(weights, architecture, x, y, batch, rates, weight, optimiser=torch.optim.Adam):
    """The same pass, written the plain way."""
    p = {name: torch.tensor(a, requires_grad=True) for name, a in weights.arrays().items()}
    tied = architecture.tying != "untied"
    adam = optimiser([v for k, v in p.items() if not (tied and k == "A")], lr=1.0)
    signs = torch.tensor(architecture.signs)
    for start, rate in zip(range(0, len(x), batch), rates, strict=True):
        xb, yb = torch.tensor(x[start : start + batch]), torch.tensor(y[start : start + batch])
        A = p["W"].T * signs if tied else p["A"]
        out = ACTIVATIONS[architecture.activation](xb @ p["W"].T + p["b_h"]) @ A.T + p["b_r"]
        loss = weight * ((out - yb) ** 2).sum(dim=1).mean()
        adam.param_groups[0]["lr"] = rate
        adam.zero_grad()
        loss.backward()
        adam.step()
    found = {k: v.detach().numpy() for k, v in p.items()}
    return found | ({"A": found["W"].T * architecture.signs} if tied else {})


@pytest.mark.parametrize(("engine", "activation", "tying"), CASES)
def test_one_pass_equals_autograd_and_adam(rng, engine, activation, tying):
    a = Architecture(2, 21, activation=activation, tying=tying)
    states, (x, y, batch, rates) = fresh(rng, a), problem(rng)
    expected = autograd_pass(states[0].weights, a, x[0], y[0], batch, rates, 0.7)
    trainer = build(engine, a, states)
    trainer.run_pass(x, y, batch, rates, [0.7])
    for name, array in trainer.states()[0].weights.arrays().items():
        np.testing.assert_allclose(array, expected[name], atol=2e-5, err_msg=name)


@pytest.mark.parametrize("tying", ["untied", "tied", "signed"])
def test_one_pass_of_sgd_equals_autograd_and_torchs_sgd(rng, tying):
    a = Architecture(6, 21, tying=tying)
    states, (x, y, batch, rates) = fresh(rng, a), problem(rng, dim=6)
    expected = autograd_pass(states[0].weights, a, x[0], y[0], batch, rates, 0.7, torch.optim.SGD)
    trainer = build("torch", a, states, optimiser="sgd")
    trainer.run_pass(x, y, batch, rates, [0.7])
    for name, array in trainer.states()[0].weights.arrays().items():
        np.testing.assert_allclose(array, expected[name], atol=1e-6, err_msg=name)


def test_sgd_moves_the_average_and_the_lower_copies_as_adam_does(rng):
    a = Architecture(6, 21)
    (state,), (x, y, batch, rates) = fresh(rng, a), problem(rng, dim=6)
    kept = TrainingState(state.weights, state.first, state.second, 0, state.weights.copy())
    trainer = build("torch-bfloat16", a, [kept], average=0.9, optimiser="sgd")
    trainer.run_pass(x, y, batch, rates, [1.0])
    after = trainer.states()[0]
    lagging = np.linalg.norm(after.average.W - state.weights.W) / np.linalg.norm(after.weights.W - state.weights.W)
    assert after.step == 5
    assert 0.1 < lagging < 0.9


def test_the_kernel_refuses_sgd_and_auto_takes_torch():
    spiral = Architecture(2, 8)
    assert choose(TrainingSection(optimiser="sgd"), spiral, "cpu") == "torch"
    with pytest.raises(UserError, match="engine 'kernel' does not do optimiser 'sgd'"):
        choose(TrainingSection(optimiser="sgd", engine="kernel"), spiral, "cpu")
    with pytest.raises(ValueError, match="no optimiser 'sgd'"):
        build(KERNEL, spiral, [], optimiser="sgd")


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("hidden", [7, 8, 33])
def test_engines_agree_over_several_passes(rng, dim, hidden):
    a = Architecture(dim, hidden)
    state, (x, y, batch, rates) = fresh(rng, a), problem(rng, dim)
    both = [build(engine, a, state) for engine in ("kernel", "torch")]
    for _ in range(4):
        errors = [trainer.run_pass(x, y, batch, rates, [1.0]) for trainer in both]
    np.testing.assert_allclose(*errors, rtol=1e-4)
    kernel, torched = (trainer.states()[0] for trainer in both)
    assert kernel.step == torched.step == 20
    for part in ("weights", "first", "second"):
        for name, array in getattr(kernel, part).arrays().items():
            np.testing.assert_allclose(
                array, getattr(torched, part).arrays()[name], atol=1e-4, err_msg=f"{part} {name}"
            )


@pytest.mark.parametrize("engine", ["kernel", "torch"])
def test_reported_error_is_the_mean_square_before_each_update(rng, engine):
    """With a learning rate of zero nothing moves, so the error is that of the start."""
    a = Architecture(2, 16)
    states, (x, y, batch, rates) = fresh(rng, a), problem(rng)
    trainer = build(engine, a, states)
    error = trainer.run_pass(x, y, batch, 0 * rates, [1.0])
    assert error[0] == pytest.approx(np.mean((trainer.outputs(x) - y) ** 2), rel=1e-5)


@pytest.mark.parametrize("engine", ["kernel", "torch"])
def test_padding_and_dead_units_stay_as_they_are(rng, engine):
    a = Architecture(2, 9)
    (state,), (x, y, batch, rates) = fresh(rng, a), problem(rng)
    state.weights.W[4], state.weights.b_h[4] = 0, -1
    before = state.weights.A[:, 4].copy()
    trainer = build(engine, a, [state])
    trainer.run_pass(x, y, batch, rates, [1.0])
    np.testing.assert_array_equal(trainer.states()[0].weights.A[:, 4], before)


@pytest.mark.parametrize("engine", ["kernel", "torch"])
def test_going_on_from_a_saved_state_gives_the_same_bits(rng, engine):
    a = Architecture(2, 12)
    states, (x, y, batch, rates) = fresh(rng, a), problem(rng)
    straight = build(engine, a, states)
    straight.run_pass(x, y, batch, rates, [1.0])
    stopped = build(engine, a, straight.states())
    for trainer in (straight, stopped):
        trainer.run_pass(x, y, batch, rates, [1.0])
    for name, array in straight.states()[0].weights.arrays().items():
        np.testing.assert_array_equal(array, stopped.states()[0].weights.arrays()[name])


def test_times_side_by_side_do_not_touch_one_another(rng):
    a = Architecture(3, 10, activation="sigmoid")
    states, (x, y, batch, rates) = fresh(rng, a, times=3), problem(rng, 3, times=3)
    together = build("torch", a, states)
    together.run_pass(x, y, batch, rates, [1.0, 5.0, 0.2])
    for i, weight in enumerate((1.0, 5.0, 0.2)):
        alone = build("torch", a, states[i : i + 1])
        alone.run_pass(x[i : i + 1], y[i : i + 1], batch, rates, [weight])
        for name, array in alone.states()[0].weights.arrays().items():
            np.testing.assert_allclose(array, together.states()[i].weights.arrays()[name], atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "device", "engine"),
    [
        (Architecture(2, 8), "cpu", KERNEL),
        (Architecture(4, 8, activation="linear", tying="signed"), "cpu", KERNEL),
        (Architecture(5, 8), "cpu", "torch"),
        (Architecture(2, 8, activation="sigmoid"), "cpu", "torch"),
        (Architecture(2, 8), "cuda", "torch"),
    ],
)
def test_automatic_engine_is_the_kernel_where_it_can_be(architecture, device, engine):
    assert choose(TrainingSection(), architecture, device) == engine


@pytest.mark.parametrize(
    ("architecture", "obstacle"),
    [(Architecture(5, 8), "5 variables"), (Architecture(2, 8, activation="sigmoid"), "sigmoid")],
)
def test_kernel_says_what_it_cannot_do(architecture, obstacle):
    with pytest.raises(UserError, match=obstacle):
        choose(TrainingSection(engine="kernel"), architecture, "cpu")


# -- products in bfloat16 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fast", [True, False])
def test_automatic_precision_is_bfloat16_where_the_processor_multiplies_it(monkeypatch, fast):
    monkeypatch.setattr("undiffuse.training.engines.multiplies_bfloat16", lambda: fast)
    wide, small = Architecture(50, 8), Architecture(2, 8)
    assert choose(TrainingSection(precision="auto"), wide, "cpu") == ("torch-bfloat16" if fast else "torch")
    assert choose(TrainingSection(precision="auto"), small, "cpu") == KERNEL
    assert choose(TrainingSection(), wide, "cpu") == "torch"
    assert choose(TrainingSection(precision="bfloat16"), wide, "cpu") == "torch-bfloat16"


@pytest.mark.parametrize("tying", ["untied", "tied", "signed"])
def test_a_pass_in_bfloat16_goes_where_one_in_float32_goes(rng, tying):
    """Numbers of 8 bits: the ways that weights have gone differ by less than a tenth, and do differ."""
    a = Architecture(20, 64, tying=tying)
    states, (x, y, batch, rates) = fresh(rng, a), problem(rng, 20)
    starts = {name: array.copy() for name, array in states[0].weights.arrays().items()}
    ends = []
    for engine in ("torch", "torch-bfloat16"):
        trainer = build(engine, a, states)
        trainer.run_pass(x, y, batch, 0.1 * rates, [1.0])
        ends.append(trainer.states()[0].weights.arrays())
    for name, start in starts.items():
        whole, lower = (end[name] - start for end in ends)
        assert 0 < np.linalg.norm(lower - whole) < 0.1 * np.linalg.norm(whole), name


def test_outputs_are_float32_whatever_the_products_of_training(rng):
    a = Architecture(20, 64)
    states, (x, _, _, _) = fresh(rng, a), problem(rng, 20)
    whole, lower = (build(engine, a, states).outputs(x) for engine in ("torch", "torch-bfloat16"))
    np.testing.assert_array_equal(whole, lower)


def test_a_loss_in_bfloat16_is_that_of_float32_to_a_tenth_of_a_per_cent(rng):
    a = Architecture(20, 64)
    states, (x, y, _, _) = fresh(rng, a), problem(rng, 20)
    whole, lower = (
        build(engine, a, states).run_pass(x, y, 110, np.array([0.0]), [1.0])[0]
        for engine in ("torch", "torch-bfloat16")
    )
    assert lower == pytest.approx(whole, rel=1e-3)
