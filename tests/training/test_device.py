"""Training as a GPU does it, on a processor: the same code with the same noise, beside what trains there otherwise."""

import numpy as np
import pytest
import torch

import undiffuse as ud
from side_by_side import AS_GPU, EXACT, RATES, fresh, problem, tiny
from undiffuse import Architecture, datasets
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.network import Autoencoder, Weights
from undiffuse.runs.config import Block
from undiffuse.runs.folder import RunFolder
from undiffuse.runs.sections import TrainingSection
from undiffuse.support.threads import one_torch_thread
from undiffuse.training import Execution, room, train_bank, train_run
from undiffuse.training.blocks import BlockTrainer
from undiffuse.training.device_passes import DevicePasses
from undiffuse.training.engines import build, choose
from undiffuse.training.recording import Recording
from undiffuse.training.torch_engine import TorchEngine, Way

NO_GPU = "torch sees no GPU here, so nothing that needs one was run"
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_GPU)
ACTIVATIONS = {"relu": torch.relu, "linear": lambda u: u, "sigmoid": torch.sigmoid}


def by_autograd(state, a, x, y, weight, optimiser="adam", average=0.9):
    """A pass over one network in float64 with torch's plain optimiser."""
    p = {name: torch.tensor(v, dtype=torch.float64, requires_grad=True) for name, v in state.weights.arrays().items()}
    tied = a.tying != "untied"
    kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimiser]
    one = kind([v for k, v in p.items() if not (tied and k == "A")], lr=1.0, foreach=False)
    signs = torch.tensor(a.signs, dtype=torch.float64)
    mean, errors = {k: v.detach().clone() for k, v in p.items()}, 0.0
    for step, (start, rate) in enumerate(zip(range(0, len(x), 25), RATES, strict=True), 1):
        xb, yb = (torch.tensor(z[start : start + 25], dtype=torch.float64) for z in (x, y))
        A = p["W"].T * signs if tied else p["A"]
        out = ACTIVATIONS[a.activation](xb @ p["W"].T + p["b_h"]) @ A.T + p["b_r"]
        gap = ((out - yb) ** 2).sum(dim=1)
        errors += float(gap.detach().sum())
        one.param_groups[0]["lr"] = rate
        one.zero_grad()
        (weight * gap.mean()).backward()
        one.step()
        if step % 4 == 0:
            mean = {k: average**4 * mean[k] + (1 - average**4) * v.detach() for k, v in p.items()}
    out = {k: v.detach().numpy() for k, v in p.items()}
    if tied:
        out["A"], mean["A"] = out["W"].T * a.signs, mean["W"].T * signs
    return out, {k: v.numpy() for k, v in mean.items()}, errors / x.size


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
@pytest.mark.parametrize("tying", ["untied", "tied", "signed"])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_networks_side_by_side_in_float64_equal_autograd_one_by_one_to_rounding(rng, activation, tying, optimiser):
    a = Architecture(6, 21, activation=activation, tying=tying)
    states, (x, y), weights = fresh(rng, a, averaged=True), problem(rng, 6), [0.7, 1.0, 3.0]
    engine = TorchEngine(a, states, EXACT, 0.9, optimiser)
    errors = engine.run_pass(x, y, 25, RATES, weights)
    for i, (found, weight) in enumerate(zip(engine.states(), weights, strict=True)):
        expected, mean, error = by_autograd(states[i], a, x[i], y[i], weight, optimiser)
        assert errors[i] == pytest.approx(error, rel=1e-12)
        for name in Weights.NAMES:
            np.testing.assert_allclose(getattr(found.weights, name), expected[name], atol=1e-11, err_msg=name)
            np.testing.assert_allclose(getattr(found.average, name), mean[name], atol=1e-11, err_msg=name)


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
@pytest.mark.parametrize("dim", [2, 40])
def test_the_recorded_step_ends_where_that_of_the_processor_does(rng, dim, optimiser):
    """Float32, three networks, one pass: torch's fused Adam beside our own, and a rate in memory beside a number."""
    a = Architecture(dim, 33)
    states, (x, y) = fresh(rng, a, averaged=True), problem(rng, dim)
    plain, recorded = (TorchEngine(a, states, way, 0.99, optimiser) for way in (Way(), AS_GPU))
    np.testing.assert_allclose(*(e.run_pass(x, y, 25, RATES, [1.0] * 3) for e in (plain, recorded)), rtol=1e-5)
    for one, other in zip(plain.states(), recorded.states(), strict=True):
        assert one.step == other.step == 5
        for part in ("weights", "first", "second", "average"):
            for name in Weights.NAMES:
                mine, its = (getattr(getattr(state, part), name) for state in (one, other))
                np.testing.assert_allclose(mine, its, atol=3e-5, err_msg=f"{part} {name}")


def test_a_fused_kernel_and_batched_products_in_float64_agree(rng):
    a = Architecture(2, 24)
    states, (x, y) = fresh(rng, a), problem(rng, 2)
    together = TorchEngine(a, states, EXACT)
    together.run_pass(x, y, 25, RATES, [1.0] * 3)
    for i, state in enumerate(together.states()):
        alone = build("kernel", a, states[i : i + 1])
        alone.run_pass(x[i : i + 1], y[i : i + 1], 25, RATES, [1.0])
        for name, array in alone.states()[0].weights.arrays().items():
            np.testing.assert_allclose(array, getattr(state.weights, name), atol=2e-5, err_msg=name)


def test_outputs_in_float64_are_those_of_each_network_by_itself(rng):
    """The networks of a bank in float32 (:mod:`undiffuse.kernels.dense`), and in float64 in plain numpy."""
    a = Architecture(12, 40)
    states, (x, _) = fresh(rng, a), problem(rng, 12)
    found = TorchEngine(a, states, EXACT).outputs(x)
    for i, state in enumerate(states):
        w = {name: array.astype(np.float64) for name, array in state.weights.arrays().items()}
        plain = np.maximum(x[i] @ w["W"].T + w["b_h"], 0) @ w["A"].T + w["b_r"]
        np.testing.assert_allclose(found[i], plain, atol=1e-12)
        np.testing.assert_allclose(found[i], Autoencoder(state.weights, a).apply(x[i]), atol=1e-5)


@pytest.mark.parametrize(
    ("way", "dim", "hidden", "rounding"),
    [(Way(), 50, 64, 0.0), (Way(), 2, 9, 2e-6), (AS_GPU, 50, 64, 2e-6), (EXACT, 50, 64, 1e-13)],
    ids=["plain", "small", "recorded", "float64"],
)
def test_a_network_is_the_same_whatever_is_trained_beside_it(rng, way, dim, hidden, rounding):
    """To the last bit where products are large enough to be made one network at a time, as those of digits are."""
    a = Architecture(dim, hidden)
    states, (x, y) = fresh(rng, a, times=5), problem(rng, dim, times=5)
    together = TorchEngine(a, states, way)
    with one_torch_thread():  # as blocks are trained: threads share out a product by its size
        together.run_pass(x, y, 25, RATES, [1.0] * 5)
    for part in (slice(0, 1), slice(1, 3), slice(3, 5)):
        some = TorchEngine(a, states[part], way)
        with one_torch_thread():
            some.run_pass(x[part], y[part], 25, RATES, [1.0] * (part.stop - part.start))
        for one, other in zip(some.states(), together.states()[part], strict=True):
            for name in Weights.NAMES:
                np.testing.assert_allclose(
                    getattr(one.weights, name), getattr(other.weights, name), rtol=0, atol=rounding
                )


def test_a_network_that_leaves_the_numbers_takes_no_other_with_it(rng):
    a = Architecture(4, 10)
    states, (x, y) = fresh(rng, a), problem(rng, 4)
    alone = TorchEngine(a, states[:1], AS_GPU)
    alone.run_pass(x[:1], y[:1], 25, RATES, [1.0])
    x[1] = np.nan
    together = TorchEngine(a, states, AS_GPU)
    errors = together.run_pass(x, y, 25, RATES, [1.0] * 3)
    assert np.isnan(errors).tolist() == [False, True, False]
    np.testing.assert_array_equal(together.states()[0].weights.W, alone.states()[0].weights.W)


@pytest.mark.parametrize(("name", "most"), [("_ROWS", 40), ("_ACTIVITIES", 3 * 8 * 40)])
def test_errors_of_tensors_are_those_of_arrays(rng, monkeypatch, name, most):
    monkeypatch.setattr(f"undiffuse.training.torch_engine.{name}", most)
    a = Architecture(3, 8)
    x, y = problem(rng, 3)
    engine = TorchEngine(a, fresh(rng, a), EXACT)
    found = engine.errors(torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64))
    np.testing.assert_allclose(found, engine.errors(x, y), rtol=1e-12)


# -- as many as fit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gibibytes", "count"), [(80, 25), (1, 2)])
def test_the_number_of_networks_at_once_follows_from_free_memory(monkeypatch, gibibytes, count):
    monkeypatch.setattr("undiffuse.support.gpu.free_bytes", lambda: gibibytes << 30)
    a, training = Architecture(784, 1700), TrainingSection(batch=50)
    found = room.at_once(training, a, Block(1, 25), (12_665, 2_115), "cuda")
    assert found == count
    assert room.at_once(training, a, Block(1, 25), (12_665, 2_115), "cpu") == 8


def test_a_gpu_without_room_for_one_network_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr("undiffuse.support.gpu.free_bytes", lambda: 1 << 20)
    with pytest.raises(ud.UserError, match="training one network takes .* free; use --device cpu") as caught:
        room.at_once(TrainingSection(), Architecture(784, 1700), Block(1, 25), (12_665, 2_115), "cuda")
    assert "\n" not in str(caught.value)


# -- whole trainings --------------------------------------------------------------------------------------------------


ORDERS = [
    (),
    ("training.targets=posterior", "training.blends=0.2", "network.tying=tied", "network.prediction=x0"),
    ("network.skip=gaussian", "network.components=1", "network.activation=sigmoid"),
    ("training.optimiser=sgd", "training.loss=weighted", "network.prediction=v", "network.tying=signed"),
    ("training.order=continuation", "training.warm_epochs=1"),
    (
        "training.order=sweep",
        "training.warm_epochs=1",
        "training.sweep_from=6",
        "training.average=0.9",
        "training.warm_learning_rate=0.001",
    ),
]


@pytest.mark.parametrize("changes", ORDERS, ids=lambda changes: " ".join(changes)[:40] or "thesis")
def test_a_training_as_on_a_gpu_learns_what_one_on_the_processor_does(as_on_gpu, changes):
    """Other noise, so the errors agree within their scatter: means over 12 times of 200 held-out numbers, 20 %."""
    settings = tiny("training.epochs=8", "data.n=1000", *changes)
    data = datasets.load(settings)
    ours = train_bank(settings, data, as_on_gpu)[1]
    theirs = train_bank(settings, data, Execution(device="cpu", workers=1))[1]
    np.testing.assert_allclose(ours[:, 1:].mean(axis=0), theirs[:, 1:].mean(axis=0), rtol=0.2)


def test_memory_that_differs_changes_the_rounding_alone(as_on_gpu, monkeypatch):
    settings = tiny()
    data = datasets.load(settings)
    whole = train_bank(settings, data, as_on_gpu)[0]
    monkeypatch.setattr("undiffuse.training.room.network_bytes", lambda *_: 3 << 30)  # two at once
    fewer = train_bank(settings, data, as_on_gpu)[0]
    for t in range(1, 13):
        np.testing.assert_allclose(whole[t].W, fewer[t].W, atol=1e-4)


def test_a_block_that_was_cut_goes_on_where_fewer_networks_fit(as_on_gpu, monkeypatch):
    from undiffuse.support.interrupts import StoppedError

    settings = tiny("training.block=12")
    data = datasets.load(settings)
    reference = GaussianDenoiser.from_data(settings.forward(), data.train)

    def trainer():
        return BlockTrainer(settings, Block(1, 12), data.train, data.held_out, reference, "cuda")

    straight, saved, made = trainer().run(), [], []
    with pytest.raises(StoppedError):
        trainer().run(save=saved.append, on_pass=made.append, stopping=lambda: sum(made) >= 24)
    monkeypatch.setattr("undiffuse.training.room.network_bytes", lambda *_: 1 << 30)  # six at once
    resumed = trainer().run(saved[-1])
    for t in range(1, 13):
        np.testing.assert_allclose(straight.weights[t].W, resumed.weights[t].W, atol=1e-4)
        np.testing.assert_allclose(straight.train[t], resumed.train[t], rtol=1e-4)


def test_the_manifest_says_the_device_and_no_other_goes_on(as_on_gpu, tmp_path):
    settings = tiny("training.epochs=1")
    data = datasets.load(settings)
    run = train_run(settings, data, tmp_path / "run", execution=as_on_gpu)
    assert (run.manifest.device, run.manifest.engine) == ("cuda", "torch")
    with pytest.raises(ud.UserError, match="another device: cuda, now cpu"):
        train_run(settings, data, tmp_path / "run", resume=True, execution=Execution(device="cpu", workers=1))


def test_a_run_in_tf32_is_saved_and_says_so(as_on_gpu, tmp_path):
    settings = tiny("training.epochs=1", "training.precision=tf32")
    run = train_run(settings, datasets.load(settings), tmp_path / "run", execution=as_on_gpu)
    assert RunFolder.open(run.path).manifest.engine == "torch-tf32"


def test_precisions_on_a_gpu_are_engines_of_their_own(monkeypatch):
    a = Architecture(2, 8)
    monkeypatch.setattr("undiffuse.support.gpu.multiplies_bfloat16", lambda: True)
    names = {p: choose(TrainingSection(precision=p), a, "cuda") for p in ("float32", "tf32", "bfloat16", "auto")}
    assert names == {
        "float32": "torch",
        "tf32": "torch-tf32",
        "bfloat16": "torch-bfloat16",
        "auto": "torch-bfloat16",
    }
    with pytest.raises(ud.UserError, match="use --device cuda"):
        choose(TrainingSection(precision="tf32"), Architecture(50, 8), "cpu")


def test_a_time_that_leaves_the_numbers_is_trained_again_beside_the_others_that_stay(as_on_gpu, monkeypatch):
    """Its first minibatches are made infinite once, as an accident would."""
    settings = tiny("training.epochs=2")
    data = datasets.load(settings)
    straight, _ = train_bank(settings, data, as_on_gpu)
    of_pass, spoiled = DevicePasses.of_pass, []

    def once(self, number):
        x, y = of_pass(self, number)
        if 7 in self._times and not spoiled:
            spoiled.append(number)
            x[list(self._times).index(7)] = torch.inf
        return x, y

    monkeypatch.setattr(DevicePasses, "of_pass", once)
    with pytest.warns(UserWarning, match=r"t = 7\b"):
        bank, errors = train_bank(settings, data, as_on_gpu)
    assert spoiled == [0]
    assert np.isfinite(errors).all()
    for t in range(1, 13):
        assert np.allclose(bank[t].W, straight[t].W, atol=1e-4) == (t != 7)


def test_a_precision_of_products_is_not_left_unsaid_where_there_are_none():
    for precision in ("tf32", "bfloat16"):
        settings = tiny(f"training.precision={precision}")
        with pytest.raises(ud.UserError, match=f"{precision}' is of matrix products") as caught:
            Execution(device="cpu").resolve(settings, 2)
        assert "\n" not in str(caught.value)


def test_automatic_device_takes_the_gpu_that_tf32_needs(as_on_gpu):
    settings = tiny("training.precision=tf32")
    assert Execution(device="auto").resolve(settings, 2) == ("cuda", "torch-tf32")


def test_tf32_is_allowed_only_while_a_pass_is_made(rng, monkeypatch):
    a, allowed = Architecture(5, 8), []
    engine = TorchEngine(a, fresh(rng, a), Way(products="tf32", recorded=True))
    step = engine._step
    monkeypatch.setattr(engine, "_step", lambda *s: (allowed.append(torch.backends.cuda.matmul.allow_tf32), step(*s)))
    engine.run_pass(*problem(rng, 5), 25, RATES, [1.0] * 3)
    assert allowed == [True] * 5
    assert not torch.backends.cuda.matmul.allow_tf32


def test_sums_of_products_in_bfloat16_are_float32_while_a_pass_is_made_and_as_before_after_it():
    rules = torch.backends.cuda.matmul
    before = rules.allow_bf16_reduced_precision_reduction
    with Way(products="bfloat16").multiplying():
        assert not rules.allow_bf16_reduced_precision_reduction
        assert not rules.allow_tf32
    assert rules.allow_bf16_reduced_precision_reduction == before


def test_on_a_processor_a_recording_is_a_plain_call():
    calls = []
    recording = Recording(torch.device("cpu"))
    for _ in range(6):
        recording("kind", lambda: calls.append(1))
    assert len(calls) == 6


# -- on a GPU ---------------------------------------------------------------------------------------------------------


@on_gpu
@pytest.mark.parametrize("tying", ["untied", "tied", "signed"])
def test_recorded_launches_on_a_gpu_end_where_the_processor_does(rng, tying):
    """Of the rarest kind, short steps that move the average, the fourth is in pass 16: it is recorded and played."""
    a = Architecture(20, 64, tying=tying)
    states, (x, y) = fresh(rng, a, averaged=True), problem(rng, 20)
    device = torch.device("cuda")
    there = TorchEngine(a, states, Way(device, whole=torch.float32, recorded=True), 0.99)
    here = TorchEngine(a, states, AS_GPU, 0.99)
    for _ in range(16):
        ours = there.run_pass(torch.tensor(x, device=device), torch.tensor(y, device=device), 25, RATES, [1.0] * 3)
        np.testing.assert_allclose(ours, here.run_pass(x, y, 25, RATES, [1.0] * 3), rtol=1e-3)
    for one, other in zip(there.states(), here.states(), strict=True):
        np.testing.assert_allclose(one.weights.W, other.weights.W, atol=1e-3)
        np.testing.assert_allclose(one.average.W, other.average.W, atol=1e-3)


@on_gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_a_training_on_a_gpu_learns_what_one_on_the_processor_does(precision):
    settings = tiny("training.epochs=8", "data.n=2000", f"training.precision={precision}")
    data = datasets.load(settings)
    ours = train_bank(settings, data, Execution(device="cuda", workers=1))[1]
    theirs = train_bank(tiny("training.epochs=8", "data.n=2000"), data, Execution(device="cpu", workers=1))[1]
    np.testing.assert_allclose(ours[:, 1:].mean(axis=0), theirs[:, 1:].mean(axis=0), rtol=0.2)


@on_gpu
def test_words_on_a_gpu_are_those_on_the_processor():
    from undiffuse.support.philox import Rows

    keys = np.array([[1, 2], [3, 4]])
    here, there = (Rows.of(keys, torch.device(name)).uniform(1, 1_001).cpu() for name in ("cpu", "cuda"))
    assert torch.equal(here, there)
