"""Commands about clusters: slurm, plan."""

from __future__ import annotations

from undiffuse.cli.answers import Json, answer
from undiffuse.cli.tables import Part, Table
from undiffuse.studies import plan as planning
from undiffuse.studies import slurm as batch
from undiffuse.support.memory import in_bytes
from undiffuse.support.progress import duration, progress


def plan(settings: planning.Settings, *, json: Json = False) -> None:
    """Say what a training will cost on 1, 2, 10, ... workers, from a few passes of a few networks."""
    with progress("measuring", "ranges of times") as update:
        result = planning.run(settings, update)
    lines: list[Part] = [
        f"{result.networks} networks in {result.blocks} blocks, {result.passes} passes, {result.engine} engine on "
        f"{result.device}",
        *(
            f"t = {cost.first}..{cost.last}: {1000 * cost.seconds:.3g} ms a pass, {1000 * cost.start:.3g} ms to start"
            for cost in result.costs
        ),
        Table(["workers", "time"], [[str(n), duration(seconds)] for n, seconds in result.seconds.items()]),
        f"longest chain of blocks that wait for one another: {duration(result.chain_seconds)}",
        f"on disk {in_bytes(result.disk_bytes)}, and {in_bytes(result.data_bytes)} of data while it trains; "
        f"a worker takes about {in_bytes(result.worker_bytes)} of memory",
    ]
    answer(result, json, lines)


def slurm(settings: batch.Settings, *, json: Json = False) -> None:
    """Write a batch script that trains a run on the nodes of a SLURM cluster."""
    result = batch.run(settings)
    answer(
        result, json, [f"trains {result.run} on {result.workers} workers; submit it with", f"sbatch {result.script}"]
    )
