"""Memory of this machine, and whether what is asked for fits into it."""

from __future__ import annotations

import os

from undiffuse.support.errors import require


def check_memory(needed: int, what: str) -> None:
    """Raise a :class:`UserError` if ``needed`` bytes are more than this machine's memory."""
    memory = total_memory()
    require(
        memory is None or needed < memory,
        f"{what} takes {in_bytes(needed)} of memory, this machine has {in_bytes(memory or 0)}",
    )


def in_bytes(count: float) -> str:
    """Number of bytes in the unit that suits it, such as 1.4 GB."""
    count = min(count, 1e30)  # integers may be larger than any float
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 1e3 * size else f"{count / size:.0f} {unit}"
    return f"{count:.0f} bytes"


def total_memory() -> int | None:
    """Bytes of memory of this machine, or None where the system does not say."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
