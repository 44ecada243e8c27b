"""Commands about clusters: slurm, plan."""

from __future__ import annotations

from undiffuse.cli.answers import Json, answer
from undiffuse.studies import slurm as batch


def slurm(settings: batch.Settings, *, json: Json = False) -> None:
    """Write a batch script that trains a run on the nodes of a SLURM cluster."""
    result = batch.run(settings)
    answer(
        result, json, [f"trains {result.run} on {result.workers} workers; submit it with", f"sbatch {result.script}"]
    )
