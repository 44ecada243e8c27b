"""Where blocks run changes no bit, and a killed worker, scheduler or client loses nothing and harms no other run."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import distributed
import pytest

import undiffuse as ud
from helpers import ORDERS, TINY
from undiffuse import datasets
from undiffuse.runs import config
from undiffuse.runs.folder import LostRunError
from undiffuse.support.backend import Backend
from undiffuse.support.cluster import DaskExecutor
from undiffuse.training import Execution, train_bank, train_run
from undiffuse.training.workers import Job, Scratch, train_block

SLOW = {"epochs = 3": "epochs = 150", "n = 400": "n = 4000", "block = 4": "block = 2"}


def settings_of(order="independent", slow=False):
    text = TINY.replace("[training]", f"[training]\n{ORDERS[order]}")
    for old, new in SLOW.items() if slow else ():
        text = text.replace(old, new)
    return config.loads(text, order)


def trained(settings, path, **options):
    """Contents of the weight files of a training, by name."""
    resume, overwrite = (options.pop(name, False) for name in ("resume", "overwrite"))
    train_run(
        settings, datasets.load(settings), path, resume=resume, overwrite=overwrite, execution=Execution(**options)
    )
    return {file.name: file.read_bytes() for file in (path / "weights").iterdir()}


def python(tmp_path, *words):
    return subprocess.Popen(
        [sys.executable, *map(str, words)], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


@contextmanager
def dask_process(name, folder, *words):
    """A scheduler or a worker that finds, or leaves, its address in a file of the folder."""
    command = [sys.executable, "-m", f"distributed.cli.dask_{name}", "--scheduler-file", str(folder / "scheduler.json")]
    with (folder / f"{name}.log").open("a") as log:
        process = subprocess.Popen([*command, "--no-dashboard", *words], cwd=folder, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def dask_worker(folder, *words):
    return dask_process("worker", folder, "--nthreads", "1", "--no-nanny", *words)


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and two workers, each a process; the scheduler's, and the file with its address."""
    with ExitStack() as ends:
        process = ends.enter_context(dask_process("scheduler", tmp_path, "--host", "127.0.0.1", "--port", "0"))
        file = tmp_path / "scheduler.json"
        while not file.exists():
            time.sleep(0.05)
        for k in (1, 2):
            ends.enter_context(dask_worker(tmp_path, "--name", str(k)))
        yield process, file


# -- the same bits --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


@pytest.mark.parametrize("order", ORDERS)
def test_one_process_two_and_dask_train_the_same_bytes(tmp_path, cluster, order):
    settings, dask = settings_of(order), Backend("dask", cluster.scheduler_address)
    alone = trained(settings, tmp_path / "alone", workers=1)
    assert len(alone) == len(settings.blocks())
    assert trained(settings, tmp_path / "two", workers=2) == alone
    assert trained(settings, tmp_path / "dask", backend=dask) == alone


def test_dask_counts_every_pass_and_leaves_no_scratch(tmp_path, cluster):
    made, scratch = [], tmp_path / "scratch"
    scratch.mkdir()
    backend = Backend("dask", cluster.scheduler_address)
    trained(
        settings_of(),
        tmp_path / "run",
        backend=backend,
        scratch=scratch,
        on_progress=lambda done, total: made.append((done, total)),
    )
    assert made[-1] == (36, 36)
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "run" / ".scratch").exists()


def test_a_dask_worker_killed_in_the_middle_of_a_block_changes_no_byte(tmp_path):
    """A cluster with nannies, as on a node: one worker gets SIGKILL after its first save."""
    settings = settings_of(slow=True)
    alone = trained(settings, tmp_path / "alone", workers=1)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        before = {worker.pid for worker in cluster.workers.values()}

        def kill(done, total):
            if done > 30 and {worker.pid for worker in cluster.workers.values()} == before:
                os.kill(min(before), signal.SIGKILL)

        backend = Backend("dask", cluster.scheduler_address)
        again = trained(settings, tmp_path / "dask", backend=backend, save_every=0.05, on_progress=kill)
        assert {worker.pid for worker in cluster.workers.values()} != before
    assert again == alone


def test_calls_that_take_a_gpu_go_to_the_worker_that_has_one(tmp_path, scheduler):
    """Two workers without the resource stand by, idle."""
    with (
        dask_worker(tmp_path, "--resources", "GPU=1") as worker,
        DaskExecutor(scheduler_file=scheduler[1], gpu=True) as executor,
    ):
        assert {call.result() for call in [executor.submit(os.getpid) for _ in range(12)]} == {worker.pid}


# -- what is lost ---------------------------------------------------------------------------------------------------


def test_a_lost_scheduler_is_one_line_and_resume_goes_on_to_the_same_bytes(tmp_path, scheduler):
    settings = settings_of("sweep", slow=True)
    alone = trained(settings, tmp_path / "alone", workers=1)
    (tmp_path / "slow.toml").write_text(settings.to_toml())
    process, file = scheduler
    words = ["-m", "undiffuse", "train", "slow.toml", "--out", "cut", "--backend", "dask", "--scheduler-file", file]
    job = python(tmp_path, *words)
    wait_for(lambda: any((tmp_path / "cut" / "weights").glob("*.state")))
    process.kill()
    _, err = job.communicate(timeout=60)
    assert job.returncode == 1
    lines = [line for line in err.splitlines() if not line.startswith(("training: ", "undiffuse: 12 networks"))]
    assert lines == [
        "undiffuse: the Dask scheduler was lost; what was trained is kept, and --resume goes on from there"
    ]
    assert not (tmp_path / "cut" / ".scratch").exists()
    assert trained(settings, tmp_path / "cut", resume=True, workers=1) == alone


def test_workers_of_a_lost_client_write_nothing_into_a_run_that_another_holds(tmp_path, scheduler):
    """SIGKILL to a client; another process replaces its run while the Dask workers still train for the first."""
    _, file = scheduler
    (tmp_path / "slow.toml").write_text(settings_of(slow=True).to_toml())
    (tmp_path / "client.py").write_text(
        "import undiffuse as ud\nfrom pathlib import Path\nfrom undiffuse.support.backend import Backend\n"
        "from undiffuse.training import train_run\nsettings = ud.config.load('slow.toml')\n"
        f"backend = Backend('dask', scheduler_file=Path({str(file)!r}))\n"
        "execution = ud.Execution(backend=backend, save_every=0.05)\n"
        "train_run(settings, ud.datasets.load(settings), 'run', execution=execution)\n"
    )
    client = python(tmp_path, "client.py")
    wait_for(lambda: any((tmp_path / "run" / "weights").glob("*.partial")))
    client.kill()
    client.communicate()
    mine = trained(settings_of(), tmp_path / "run", overwrite=True, workers=1)
    time.sleep(2)
    assert mine == trained(settings_of(), tmp_path / "alone", workers=1)
    assert {path.name for path in (tmp_path / "run" / "weights").iterdir()} == set(mine)
    assert ud.RunFolder.open(tmp_path / "run").unfinished == []


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


# -- the call -------------------------------------------------------------------------------------------------------


@pytest.fixture
def job(tmp_path):
    """A block of a run that nobody trains, and the run's folder."""
    settings = settings_of()
    data = datasets.load(settings)
    run = train_run(settings, data, tmp_path / "run", execution=Execution(workers=1))
    (tmp_path / "scratch").mkdir()
    scratch = Scratch(tmp_path / "scratch")
    scratch.fill(data.train, data.held_out, run.reference(), 3)
    engine = run.manifest.engine
    return Job(1, settings.blocks()[1], settings, scratch, "cpu", engine, str(run.path), "", save_every=-1.0), run


def test_a_worker_whose_processor_takes_another_engine_is_refused(job):
    job, run = job
    with (
        run.lock() as token,
        pytest.raises(ud.UserError, match="the training is on torch-bfloat16, this worker"),
    ):
        train_block(Job(**{**vars(job), "token": token, "engine": "torch-bfloat16"}))


def test_a_block_called_again_is_not_trained_again(job):
    job, run = job
    path = run.weights_path(run.blocks[1])
    with run.lock() as token:
        held = Job(**{**vars(job), "token": token})
        first = train_block(held)
        stamp = path.stat().st_mtime_ns
        second = train_block(held)
        assert path.stat().st_mtime_ns == stamp
        assert first.keys() == second.keys() == {"times", "passes", "train_error", "held_out_error"}
        path.write_bytes(path.read_bytes()[:-1])
        train_block(held)  # damaged, so it is
        assert path.stat().st_mtime_ns != stamp


@pytest.mark.parametrize("when", ["before", "at the first save"])
def test_a_block_of_a_lost_run_writes_nothing(job, monkeypatch, when):
    job, run = job
    weights = run.path / "weights"
    before = {path.name: path.stat().st_mtime_ns for path in weights.iterdir()}
    with run.lock() as token:
        held = Job(**{**vars(job), "token": token if when != "before" else "another"})

        def lost(self):
            (run.path / "lock").write_text("another")
            return real(self)

        real = Path.exists
        if when != "before":
            monkeypatch.setattr(Path, "exists", lost)  # as the block looks for its own saves
        with pytest.raises(LostRunError, match="no longer held"):
            train_block(held)
    assert {path.name: path.stat().st_mtime_ns for path in weights.iterdir()} == before


# -- mistakes -------------------------------------------------------------------------------------------------------


def test_dask_workers_of_several_threads_are_refused(tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        pytest.raises(ud.UserError, match="has 2 threads: start Dask workers with --nthreads 1"),
    ):
        trained(settings_of("sweep"), tmp_path / "run", backend=Backend("dask", cluster.scheduler_address))


def test_a_diverging_block_on_dask_says_so_once(tmp_path, cluster):
    settings = settings_of("sweep").model_dump()
    settings["training"]["learning_rate"] = 1e30
    with pytest.raises(ud.UserError, match="diverged at t = 6"):
        trained(config.validate(settings, "test"), tmp_path / "run", backend=Backend("dask", cluster.scheduler_address))


def test_without_dask_or_a_scheduler_no_run_is_made(tmp_path, monkeypatch):
    with pytest.raises(ud.UserError, match="no Dask scheduler answers at 'nonsense'"):
        trained(settings_of(), tmp_path / "run", backend=Backend("dask", "nonsense"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ud.UserError, match=r"pip install 'undiffuse\[distributed\]'"):
        trained(settings_of(), tmp_path / "run", backend=Backend("dask"))
    assert list(tmp_path.iterdir()) == []


def test_training_in_memory_stays_on_this_machine():
    settings = settings_of()
    with pytest.raises(ud.UserError, match="backend 'dask' trains run folders"):
        train_bank(settings, datasets.load(settings), Execution(backend=Backend("dask")))
