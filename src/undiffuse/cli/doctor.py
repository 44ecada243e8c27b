"""The command doctor."""

from __future__ import annotations

from undiffuse.cli.answers import Json, answer
from undiffuse.cli.tables import Part, Table
from undiffuse.studies import doctor as examination
from undiffuse.support.memory import in_bytes


def doctor(settings: examination.Settings = examination.Settings(), *, json: Json = False) -> None:  # noqa: B008
    """Say what this machine has, what is installed, and what will hurt."""
    found = examination.run(settings)
    versions = ", ".join(f"{name} {number}" for name, number in found.versions.items())
    cores = f"{found.cores} of {found.cores_of_machine}"
    load = "" if found.load is None else f", {found.load:.1f} processes want one"
    rows = [
        ["versions", versions],
        ["python", f"{found.python} on {found.system}"],
        ["cores", cores + load],
        ["memory", f"{in_bytes(found.memory)}, {in_bytes(found.memory_free)} of them free"],
        ["instructions", f"{found.processor}: {_instructions(found)}"],
        ["bfloat16", "products of training are in bfloat16 where a recipe allows it" if found.bfloat16 else "no"],
        *(["threads", f"{' '.join(filter(None, (b.name, b.version)))}: {b.threads} ({b.file})"] for b in found.blas),
        [
            "torch",
            f"built for {found.torch_build}; {_gpus(found) or 'no GPU'}" if found.torch_build else "not installed",
        ],
        *(["disk", f"{in_bytes(disk.free)} free for {what} in {disk.folder}"] for what, disk in found.disks.items()),
        *(
            [f"extra {e.extra}", f"{e.library} {e.version}" if e.version else f"{e.library} is missing: {e.install}"]
            for e in found.extras
        ),
    ]
    lines: list[Part] = [Table(["", ""], rows, words=(0, 1))]
    lines += [f"warning: {each}" for each in found.warnings] or ["nothing here will hurt"]
    answer(found, json, lines)


def _instructions(found: examination.Result) -> str:
    if found.instructions is None:
        return "the system does not say"
    return ", ".join(found.instructions) or "none that matter here"


def _gpus(found: examination.Result) -> str:
    return ", ".join(
        f"{gpu.name}, {in_bytes(gpu.memory)}, {'bfloat16' if gpu.bfloat16 else 'no bfloat16'}" for gpu in found.gpus
    )
