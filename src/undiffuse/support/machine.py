"""What this process may use of the machine: cores, memory, load."""

from __future__ import annotations

import os
from pathlib import Path

from undiffuse.support.threads import cores

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


def load() -> float | None:
    """Processes that want a core, over the last minute; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
