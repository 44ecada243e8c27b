"""``undiffuse slurm``: a batch script that trains a run on the nodes of a SLURM cluster."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from undiffuse.runs import config as configuration
from undiffuse.runs.folder import RunFolder
from undiffuse.studies.options import Changes, Flag, IdxFolder, all_changes
from undiffuse.support import results
from undiffuse.support.backend import check_workers
from undiffuse.support.errors import require
from undiffuse.support.files import check_output, write_file

_SCRIPT = """\
#!/bin/bash
# A Dask scheduler, workers with one thread each, and the training that gives them work. Submitted again, after a time
# limit say, it goes on from where it was. The run folder and Python have to be the same on all nodes.
#SBATCH --job-name={job}
#SBATCH --ntasks={tasks}
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu={memory}
#SBATCH --time={time}
#SBATCH --output={log}
#SBATCH --requeue
{more}set -euo pipefail
cd {here}
{before}python={python}
out={out}
export OMP_NUM_THREADS=1 DASK_LOGGING__DISTRIBUTED=warning
# Dask asks the allocator to give memory back at once, which makes every large array of a training new pages.
export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=67108864

# Whoever reaches a scheduler can run programs as you, so this one talks only to who holds the key of this job.
mkdir -p "$(dirname "$out")"
private=$(mktemp -d "$out.job-XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$private"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -days 60 -subj /CN=undiffuse \\
  -keyout "$private/key.pem" -out "$private/cert.pem" 2>/dev/null
tls=DASK_DISTRIBUTED__COMM__TLS
export DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=True "${{tls}}__CA_FILE=$private/cert.pem"
for side in SCHEDULER WORKER CLIENT; do
  export "${{tls}}__${{side}}__CERT=$private/cert.pem" "${{tls}}__${{side}}__KEY=$private/key.pem"
done

address=$private/scheduler.json
srun --overlap --ntasks=1 "$python" -m distributed.cli.dask_scheduler --protocol tls --port 0 --no-dashboard \\
  --scheduler-file "$address" &
until [ -s "$address" ]; do kill -0 $!; sleep 1; done
srun --exact --ntasks={workers}{gpus} "$python" -m distributed.cli.dask_worker --scheduler-file "$address" \\
  --nthreads 1 --no-dashboard --death-timeout 120{resource} &

resume=
if [ -e "$out/manifest.json" ]; then resume=--resume; fi
srun --overlap --ntasks=1 "$python" -m undiffuse train {training} --out "$out" $resume \\
  --backend dask --scheduler-file "$address"
"""


# As man sbatch has them.
_TIME = re.compile(r"\d+(:\d\d){0,2}|\d+-\d+(:\d\d){0,2}|UNLIMITED|INFINITE")
_MEMORY = re.compile(r"\d+[KMGT]?")


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What to train, on what part of a cluster.

    Attributes
    ----------
    what : str
        Preset, TOML file, or a run folder to finish.
    script : path
        Batch script to write, for sbatch.
    out : path, optional
        Run folder to make, on a file system that all nodes share; runs/PRESET by default.
    workers : int
        Dask workers, with one core each; scheduler and client share one more.
    gpu : bool
        Give each worker a GPU.
    time : str
        Limit of the job, as SLURM writes it; what is trained until then is kept.
    memory : str
        Of each core, as SLURM writes it.
    partition : str, optional
        Part of the cluster, as SLURM knows it.
    account : str, optional
        Whom the hours are counted to, as SLURM knows it.
    before : tuple of str
        Line of shell to run first, such as "module load openssl"; may be repeated.
    changes : tuple of str
        Replace a setting, such as training.epochs=5; may be repeated.
    seed : int, optional
        Seed of every random stream; the preset's by default.
    data : path, optional
        Folder of IDX files (.gz or not) to take the digits from; for image presets.
    overwrite : bool
        Replace a script that is there.
    """

    what: str
    _: KW_ONLY
    script: Path
    out: Path | None = None
    workers: int = 16
    gpu: Flag = False
    time: str = "01:00:00"
    memory: str = "2G"
    partition: str | None = None
    account: str | None = None
    before: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    changes: Changes = ()
    seed: int | None = None
    data: IdxFolder = None
    overwrite: Flag = False


@dataclass(frozen=True)
class Result(results.Result):
    """Where the script is, the run folder that it makes, and on how many workers."""

    script: str
    run: str
    workers: int


def run(settings: Settings) -> Result:
    """Write the script.

    Raises
    ------
    UserError
        If what to train is no preset, file or run, a setting is wrong, or the script is there already.
    """
    check_workers(settings.workers)
    for name in ("time", "memory", "partition", "account"):
        value = getattr(settings, name)
        require(value is None or value.split() == [value], f"{name} = {value!r}: wanted one word")
    require(
        _TIME.fullmatch(settings.time), f"time = {settings.time!r}: wanted minutes, or such as 2:00:00 or 1-12:00:00"
    )
    require(_MEMORY.fullmatch(settings.memory), f"memory = {settings.memory!r}: wanted megabytes, or such as 2G")
    check_output(settings.script, settings.overwrite)
    folder = Path(settings.what)
    if (folder / "manifest.json").is_file():
        given = (settings.changes, settings.seed, settings.data, settings.out)
        require(given == ((), None, None, None), "a run has its folder and settings: no --set, --seed, --data or --out")
        RunFolder.open(folder)
        preset, out = str(folder.absolute() / "config.toml"), folder.absolute()
    else:
        configuration.load(settings.what, all_changes(settings.changes, settings.data), settings.seed)
        preset = str(folder.absolute()) if settings.what.endswith(".toml") else settings.what
        out = (settings.out or Path("runs") / folder.stem).absolute()
    write_file(settings.script, _script(settings, preset, out).encode())
    return Result(str(settings.script), str(out), settings.workers)


def _script(settings: Settings, preset: str, out: Path) -> str:
    training = [preset, *(word for change in settings.changes for word in ("--set", change))]
    training += [] if settings.seed is None else ["--seed", str(settings.seed)]
    training += [] if settings.data is None else ["--data", str(settings.data.absolute())]
    training += ["--device", "cuda" if settings.gpu else "cpu"]
    more = {"partition": settings.partition, "account": settings.account, "gpus": settings.workers * settings.gpu}
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in out.name)
    return _SCRIPT.format(
        job=f"undiffuse-{name}",
        tasks=settings.workers + 1,
        memory=settings.memory,
        time=settings.time,
        log=f"{name}-%j.log",
        more="".join(f"#SBATCH --{option}={value}\n" for option, value in more.items() if value),
        here=shlex.quote(str(Path.cwd())),
        before="".join(f"{line}\n" for line in settings.before),
        python=shlex.quote(sys.executable),
        out=shlex.quote(str(out)),
        workers=settings.workers,
        gpus=" --gpus-per-task=1" if settings.gpu else "",
        resource=" --resources GPU=1" if settings.gpu else "",
        training=shlex.join(training),
    )
