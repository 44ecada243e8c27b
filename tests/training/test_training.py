import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

import undiffuse as ud
from helpers import TINY
from undiffuse import datasets
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.network import Weights
from undiffuse.runs import config, toml
from undiffuse.training import Execution, Overfit, run_errors, train_bank, train_run
from undiffuse.training.blocks import BlockTrainer, total_passes
from undiffuse.training.passes import Examples, learning_rates, loss_weight


def tiny(*changes):
    settings = toml.parse(TINY, "tiny")
    for change in changes:
        toml.apply_change(settings, change)
    return config.validate(settings, "tiny")


def bank_of(settings, **options):
    return train_bank(settings, datasets.load(settings), Execution(**options))


def assert_same_bits(first, second):
    for one, other in zip(first, second, strict=True):
        for name, array in one.weights.arrays().items():
            np.testing.assert_array_equal(array, other.weights.arrays()[name])


def trainer_of(settings, first=1, last=4):
    data = datasets.load(settings)
    reference = GaussianDenoiser.from_data(settings.forward(), data.train)
    return BlockTrainer(
        settings, config.Block(first, last), data.train.astype("f4"), data.held_out.astype("f4"), reference
    )


# -- what does not change the result --------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [["training.block=5"], ["training.block=12"]], ids=["blocks of 5", "one block"])
def test_cutting_times_into_other_blocks_changes_nothing(changes):
    assert_same_bits(bank_of(tiny(), workers=1)[0], bank_of(tiny(*changes), workers=1)[0])


@pytest.mark.parametrize("changes", [(), ("training.engine=torch", "training.precision=bfloat16")], ids=str)
def test_worker_processes_change_nothing(changes):
    assert_same_bits(bank_of(tiny(*changes), workers=1)[0], bank_of(tiny(*changes), workers=2)[0])


def test_another_seed_gives_other_weights():
    one, other = (bank_of(tiny(f"seed={seed}"), workers=1)[0] for seed in (0, 1))
    assert not np.array_equal(one[3].W, other[3].W)


@pytest.mark.parametrize(
    "changes",
    [
        ["training.epochs=4"],
        ["training.order=continuation", "training.warm_epochs=3"],
        ["training.engine=torch", "training.at_once=3", "network.activation=sigmoid"],
        ["training.engine=torch", "training.at_once=3", "training.precision=bfloat16"],
    ],
    ids=["kernel", "continuation", "torch side by side", "bfloat16"],
)
def test_a_block_stopped_at_any_pass_goes_on_to_the_same_bits(changes):
    settings = tiny(*changes)
    saves = []
    whole = trainer_of(settings).run(save=lambda arrays: saves.append(dict(arrays)), save_every=-1.0)
    assert len(saves) >= 6
    for saved in saves:
        again = trainer_of(settings).run(saved=saved)
        assert again.train == whole.train
        assert again.held_out == whole.held_out
        for t, weights in whole.weights.items():
            np.testing.assert_array_equal(weights.W, again.weights[t].W)
            np.testing.assert_array_equal(weights.A, again.weights[t].A)


def test_a_run_killed_again_and_again_ends_with_the_same_bytes(tmp_path):
    """SIGKILL whenever a block was saved, --resume after each, against a run left alone: same bytes in every file."""
    settings = (
        TINY.replace("epochs = 3", "epochs = 200").replace("n = 400", "n = 4000").replace("block = 4", "block = 1")
    )
    (tmp_path / "c.toml").write_text(settings)
    command = [sys.executable, "-m", "undiffuse", "train", "c.toml", "--workers", "2", "--out"]
    assert subprocess.run([*command, "whole"], cwd=tmp_path, stderr=subprocess.DEVNULL).returncode == 0

    def on_disk() -> set[str]:
        cut = tmp_path / "cut"
        return {p.name for p in (*cut.glob("manifest.json"), *cut.glob("weights/block-*.safetensors"))}

    kills, resumed = 0, False
    for attempt in range(5):
        before, resumed = on_disk(), (tmp_path / "cut").exists()
        job = subprocess.Popen(
            [*command, "cut", *(["--resume"] if resumed else [])],
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        while attempt < 4 and job.poll() is None and on_disk() == before:
            time.sleep(0.01)
        if attempt == 4 or job.poll() is not None:
            assert job.wait(120) == 0
            break
        time.sleep(0.05 * attempt)
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
        kills += 1
    assert kills >= 1
    assert resumed
    names = sorted(path.name for path in (tmp_path / "whole" / "weights").iterdir())
    assert sorted(path.name for path in (tmp_path / "cut" / "weights").iterdir()) == names
    for name in [*(f"weights/{n}" for n in names), "metrics.jsonl"]:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def heard():
    """Let a child hear what the tests' own process ignores in the background or under nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("victim", "sent", "code", "words"),
    [
        ("parent", signal.SIGINT, 130, "stopped"),
        ("parent", signal.SIGTERM, 143, "stopped"),
        ("parent", signal.SIGHUP, 129, "stopped"),
        ("group", signal.SIGINT, 130, "stopped"),
        ("parent", signal.SIGKILL, -9, ""),
        ("worker", signal.SIGKILL, 1, "a worker process was killed"),
    ],
)
def test_a_stopped_run_saves_says_how_to_go_on_and_leaves_no_process(tmp_path, victim, sent, code, words):
    """Ctrl-C in a terminal goes to the whole group. Blocks are saved every 30 s, unless they are asked to stop."""
    (tmp_path / "c.toml").write_text(TINY.replace("epochs = 3", "epochs = 100000"))
    job = psutil.Popen(
        [sys.executable, "-m", "undiffuse", "train", "c.toml", "--workers", "2", "--out", "run"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heard,
    )
    workers = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(workers) < 2:
        time.sleep(0.2)
        workers = [p for p in job.children() if "popen_loky_posix" in " ".join(p.cmdline())]
    time.sleep(3)
    if victim == "group":
        os.killpg(job.pid, sent)
    else:
        os.kill(job.pid if victim == "parent" else workers[0].pid, sent)
    _, err = job.communicate(timeout=60)
    assert job.returncode == code
    assert words in err
    assert ("--resume" in err) == bool(words)
    assert "Traceback" not in err
    saved = list((tmp_path / "run" / "weights").glob("*.partial"))
    assert len(saved) == (2 if words == "stopped" else 0)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def test_one_process_that_is_stopped_saves_and_goes_on_to_the_same_bits(tmp_path):
    (tmp_path / "c.toml").write_text(TINY.replace("epochs = 3", "epochs = 1500").replace("block = 4", "block = 12"))
    words = [sys.executable, "-m", "undiffuse", "train", "c.toml", "--workers", "1", "--out"]
    assert subprocess.run([*words, "whole"], cwd=tmp_path, stderr=subprocess.DEVNULL).returncode == 0
    job = subprocess.Popen([*words, "cut"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (tmp_path / "cut" / ".scratch" / "passes").exists():
        time.sleep(0.05)
    time.sleep(1)
    job.terminate()
    assert job.wait(60) == 143
    assert list((tmp_path / "cut" / "weights").iterdir()) == [tmp_path / "cut" / "weights" / "block-0001-0012.partial"]
    assert subprocess.run([*words, "cut", "--resume"], cwd=tmp_path, stderr=subprocess.DEVNULL).returncode == 0
    name = "weights/block-0001-0012.safetensors"
    assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


# -- what is trained ------------------------------------------------------------------------------------------------


def test_training_beats_the_linear_reference_where_data_are_curved():
    settings = tiny("training.epochs=60", "network.hidden=64", "data.n=2000", "diffusion.noise_scale=0.1")
    bank, errors = bank_of(settings, workers=1)
    linear = np.array([bank.reference.error(t) for t in range(1, 13)])
    # The held-out set has 200 numbers, so its mean square is good to about 10 per cent.
    assert errors[2:6, 2].mean() < 0.75 * linear[2:6].mean()


def test_held_out_error_is_that_of_the_bank_on_the_held_out_data():
    settings = tiny()
    bank, errors = bank_of(settings, workers=1)
    data, t = datasets.load(settings), 5
    examples = Examples(
        bank.parametrisation(t), data.train.astype("f4"), data.held_out.astype("f4"), 0, t, settings.training
    )
    x_t, xi = examples.of_held_out()
    assert errors[t - 1, 2] == pytest.approx(np.mean((bank.xi_hat(x_t, t) - xi) ** 2), rel=1e-5)


def test_every_pass_sees_every_sample_once_with_fresh_noise():
    settings = tiny()
    data = datasets.load(settings)
    trainer = trainer_of(settings)
    first, second = (trainer._examples(7).of_pass(number) for number in (0, 1))
    forward = settings.forward()
    for x_t, xi in (first, second):
        x0 = (x_t - forward.noise(7) * xi) / forward.signal(7)
        np.testing.assert_allclose(np.sort(x0[:, 0]), np.sort(data.train[:, 0]), atol=1e-5)
    assert not np.isin(first[1][:, 0], second[1][:, 0]).any()


def test_weighted_and_simple_loss_end_in_nearly_the_same_weights():
    """A constant weight cancels in Adam up to its epsilon (thesis, Figure 6; documented in docs/)."""
    simple, weighted = (bank_of(tiny(f"training.loss={loss}"), workers=1)[0] for loss in ("simple", "weighted"))
    factor = loss_weight(tiny("training.loss=weighted").training_at(9), weighted.parametrisation(9), 9)
    assert abs(np.log(factor)) > 0.5
    difference = np.linalg.norm(simple[9].W - weighted[9].W) / np.linalg.norm(simple[9].W)
    assert 0 < difference < 0.01


def test_continuation_starts_each_time_from_the_one_above():
    settings = tiny("training.order=continuation", "training.warm_epochs=1", "training.learning_rate=1e-5")
    bank, _ = bank_of(settings, workers=1)
    assert np.abs(bank[3].W - bank[4].W).max() < 1e-3  # same block
    assert np.abs(bank[4].W - bank[5].W).max() > 0.1  # a block begins from fresh weights


def test_ranges_of_times_get_their_own_settings():
    settings = config.loads(TINY + "[[times]]\nfirst = 1\nlast = 2\nhidden = 7\nlearning_rate = 1e-9\n", "tiny")
    bank, _ = bank_of(settings, workers=1)
    assert [len(bank[t].W) for t in (1, 2, 3)] == [7, 7, 20]
    start = Weights(*bank[1].weights.arrays().values())
    fresh = trainer_of(settings, 1, 2)._fresh_weights(1)
    np.testing.assert_allclose(start.W, fresh.W, atol=1e-6)


@pytest.mark.parametrize(
    ("decay", "last"), [("none", 1.0), ("linear", 0.005), ("cosine", 0.5 * (1 + np.cos(0.995 * np.pi)))]
)
def test_learning_rate_decays_to_its_end(decay, last):
    training = tiny(f"training.decay={decay}").training
    rates = learning_rates(training, 0, 100, 100)
    np.testing.assert_allclose(rates[-1], 0.01 * last, rtol=1e-9)
    np.testing.assert_array_equal(
        np.concatenate([learning_rates(training, 0, 40, 100), learning_rates(training, 40, 60, 100)]), rates
    )


def test_overfitting_shows_as_a_gap():
    """40 points and 400 passes at the first times: held-out errors lie far above training errors."""
    few = ("data.n=40", "training.batch=20", "training.epochs=400", "network.hidden=200", "network.start=data")
    settings = tiny(
        *few, "data.noise=0.3", "diffusion.beta_1=0.001", "diffusion.beta_T=0.01", "diffusion.noise_scale=0.3"
    )
    with pytest.warns(UserWarning, match="prior KL"):
        settings.forward().check_prior(datasets.load(settings).train)
    check = Overfit.of(bank_of(settings, workers=2)[1])
    assert check.gap > 5 * check.gap_stderr


def test_a_diverging_run_says_so():
    with pytest.raises(ud.UserError, match="diverged at t = .*learning_rate"):
        bank_of(tiny("training.learning_rate=1e30"), workers=1)


def test_passes_are_counted_before_they_are_made():
    settings = tiny("training.order=continuation", "training.warm_epochs=2")
    made = []
    bank_of(settings, workers=1, on_progress=lambda done, total: made.append((done, total)))
    assert made[-1] == (total_passes(settings), total_passes(settings)) == (27, 27)


# -- the record -----------------------------------------------------------------------------------------------------


def test_metrics_have_one_line_for_each_time_and_epoch(tiny_run_path):
    lines = [json.loads(line) for line in (tiny_run_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["t"], line["epoch"]) for line in lines] == [(t, e) for t in range(1, 13) for e in (1, 2, 3)]
    last = {line["t"]: line["held_out"] for line in lines}
    errors = run_errors(ud.RunFolder.open(tiny_run_path))
    np.testing.assert_allclose([last[t] for t in range(1, 13)], errors[:, 2], rtol=1e-5)


def test_stored_bank_is_the_trained_one(tiny_run_path):
    assert_same_bits(ud.Diffusion.load(tiny_run_path).bank, bank_of(tiny(), workers=1)[0])


def test_resuming_a_finished_run_changes_nothing(tiny_run_path):
    settings = tiny()
    stamp = {p.name: p.stat().st_mtime_ns for p in (tiny_run_path / "weights").iterdir()}
    time.sleep(0.02)
    train_run(settings, datasets.load(settings), tiny_run_path, resume=True, execution=Execution(workers=1))
    assert {p.name: p.stat().st_mtime_ns for p in (tiny_run_path / "weights").iterdir()} == stamp


def test_a_run_is_not_resumed_in_another_precision(tmp_path, monkeypatch):
    """As on a machine whose processor has no bfloat16, with a configuration that leaves the precision to it."""
    settings = tiny("training.engine=torch", "training.precision=auto", "training.epochs=1")
    path, data = tmp_path / "run", datasets.load(settings)
    monkeypatch.setattr("undiffuse.training.engines.multiplies_bfloat16", lambda: True)
    run = train_run(settings, data, path, execution=Execution(workers=1))
    assert run.manifest.engine == "torch-bfloat16"
    monkeypatch.setattr("undiffuse.training.engines.multiplies_bfloat16", lambda: False)
    with pytest.raises(ud.UserError, match="another engine: torch-bfloat16, now torch"):
        train_run(settings, data, path, resume=True, execution=Execution(workers=1))


def test_bfloat16_is_refused_where_there_are_no_products():
    with pytest.raises(ud.UserError, match="fused kernel"):
        bank_of(tiny("training.precision=bfloat16"), workers=1)


# -- from Python ----------------------------------------------------------------------------------------------------


def test_fit_trains_on_an_array_without_a_main_guard(tmp_path):
    """Worker processes must not import the user's script again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import undiffuse as ud\nprint('once')\n"
        f"open('tiny.toml', 'w').write({TINY!r})\n"
        "x = ud.datasets.spiral(500, turns=1.0, seed=0)\n"
        "model = ud.fit(x, 'tiny.toml', execution=ud.Execution(workers=2))\n"
        "print(model.sample(5, seed=1).shape, model.bank[3].W.shape, len(model.errors))\n"
    )
    out = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert out.stdout.splitlines() == ["once", "(5, 2) (20, 2) 12"], out.stderr


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((500, 2), np.nan), "NaN or infinity"),
        (np.zeros(500), r"shape \(500,\)"),
        (np.zeros((30, 2)), "27 training samples do not fill one minibatch of 50"),
    ],
    ids=["nan", "one axis", "too few"],
)
def test_fit_refuses_bad_data(tiny_file, x, message):
    with pytest.raises(ud.UserError, match=message):
        ud.fit(x, tiny_file)
