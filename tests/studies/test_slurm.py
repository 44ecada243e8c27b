"""Batch scripts, submitted to a SLURM of one node that the test starts and ends."""

import getpass
import os
import shutil
import socket
import subprocess
import time

import pytest

from helpers import TINY, answer, complaint
from undiffuse.studies import train

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "openssl")
MISSING = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]

SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={path}/munge/socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={path}/state
SlurmdSpoolDir={path}/spool
SlurmctldPidFile={path}/slurmctld.pid
SlurmdPidFile={path}/slurmd.pid
SlurmctldLogFile={path}/slurmctld.log
SlurmdLogFile={path}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
KillWait=10
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Start SLURM with all of its state below a temporary folder."""
    path = tmp_path / "slurm"
    for name in ("munge", "state", "spool"):
        (path / name).mkdir(parents=True)
    (path / "munge").chmod(0o700)
    (path / "munge" / "key").write_bytes(os.urandom(128))
    (path / "munge" / "key").chmod(0o600)
    conf = path / "slurm.conf"
    conf.write_text(
        SLURM_CONF.format(
            host=socket.gethostname().split(".")[0], path=path, user=getpass.getuser(), ports=free_ports(2)
        )
    )
    monkeypatch.setenv("SLURM_CONF", str(conf))
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
    munge = [
        f"--{name}={path / 'munge' / name.split('-')[0]}" for name in ("key-file", "socket", "pid-file", "seed-file")
    ]
    daemons = [
        ["munged", "--foreground", "--force", *munge],
        ["slurmctld", "-D", "-f", str(conf)],
        ["slurmd", "-D", "-f", str(conf)],
    ]
    started = []
    try:
        for words in daemons:
            started.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(0.5)
        wait_for(lambda: "idle" in said("sinfo", "--noheader"))
        yield
        subprocess.run(["scancel", "--me", "--full"], check=False)
        wait_for(lambda: said("squeue", "--noheader") == "")
    finally:
        for daemon in reversed(started):
            daemon.terminate()
            daemon.wait(20)


def said(*words):
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def weights(path):
    return {file.name: file.read_bytes() for file in (path / "weights").iterdir()}


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_a_job_cancelled_and_submitted_again_ends_with_the_bytes_of_one_process(slurm, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    slow = {"epochs = 3": "epochs = 300", "n = 400": "n = 4000", "block = 4": "block = 1"}
    text = TINY
    for old, new in slow.items():
        text = text.replace(old, new)
    (tmp_path / "slow run.toml").write_text(text)
    out = tmp_path / "shared" / "slow run"
    found = answer(
        capsys, "slurm", "slow run.toml", "--script", "job.sbatch", "--workers", 2, "--memory", "100M", "--out", out
    )
    assert found["run"] == str(out)
    job = said("sbatch", "--parsable", "job.sbatch")
    wait_for(lambda: list(out.glob("weights/*.safetensors")))
    said("scancel", job)
    wait_for(lambda: said("squeue", "--noheader") == "")
    assert len(weights(out)) < 12
    subprocess.run(["sbatch", "--wait", "job.sbatch"], check=True, timeout=120, stdout=subprocess.DEVNULL)
    train.run(train.Settings("slow run.toml", out=tmp_path / "alone", workers=1))
    assert weights(out) == weights(tmp_path / "alone")
    assert [path.name for path in out.parent.iterdir()] == ["slow run"]  # and nobody's key


def test_a_script_for_a_run_finishes_it(capsys, tmp_path, tiny_run_path):
    script = tmp_path / "job.sbatch"
    answer(capsys, "slurm", tiny_run_path, "--script", script, "--partition", "long", "--before", "module load x")
    text = script.read_text()
    assert f"out={tiny_run_path}\n" in text
    assert f"train {tiny_run_path}/config.toml" in text
    assert "#SBATCH --partition=long\nset -euo" in text
    assert "\nmodule load x\n" in text
    assert subprocess.run(["bash", "-n", script]).returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["spiral-4pi"], "did you mean 'spiral-"),
        (["spiral-2pi", "--set", "training.epochs=0"], "training.epochs = 0"),
        (["spiral-2pi", "--workers", "0"], "workers = 0"),
        (["spiral-2pi", "--time", "1 hour"], "wanted one word"),
        (["spiral-2pi", "--time", "banana"], "time = 'banana': wanted minutes, or such as 2:00:00"),
        (["spiral-2pi", "--memory=-5"], "memory = '-5': wanted megabytes, or such as 2G"),
        (["RUN", "--seed", "3"], "no --set, --seed"),
    ],
)
def test_no_script_is_written_for_what_cannot_be_trained(capsys, tmp_path, tiny_run_path, words, message):
    words = [tiny_run_path if word == "RUN" else word for word in words]
    assert message in complaint(capsys, "slurm", *words, "--script", tmp_path / "job.sbatch")
    assert list(tmp_path.iterdir()) == []
