"""What this process may use of the machine: cores, memory, instruction sets."""

from __future__ import annotations

import os
from pathlib import Path

from undiffuse.support.threads import cores

# Names of llvm, which the kernels are compiled with, in the order from narrow to wide.
INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512bf16": "AVX512_BF16",
    "amx-bf16": "AMX",
    "neon": "NEON",
}
_CGROUP = Path("/sys/fs/cgroup")
_FILES = ("memory.max", "memory/memory.limit_in_bytes")  # of versions 2 and 1


def granted_cores() -> int:
    """Return the cores that this process is granted: those it may run on, and no more than a container's quota."""
    import loky

    return int(min(cores(), loky.cpu_count()))


def memory_limit(root: Path = _CGROUP) -> int | None:
    """Return the bytes that a container may use, or None where there is no limit below the machine's memory."""
    import psutil

    for name in _FILES:
        try:
            text = (root / name).read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < psutil.virtual_memory().total:
            return int(text)
    return None


def instruction_sets() -> tuple[str, ...]:
    """Names of those instruction sets that matter here and that the processor has."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return tuple(name for key, name in INSTRUCTIONS.items() if features.get(key))


def load() -> float | None:
    """Processes that want a core, over the last minute; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
