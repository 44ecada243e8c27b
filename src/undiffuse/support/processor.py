"""What the processor has, as far as it decides how something is computed."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def instruction_sets() -> frozenset[str]:
    """Return the processor's flags as Linux names them (avx2, avx512f, amx_bf16); none on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = (line.split(":", 1)[1] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(flags, "").split())


def multiplies_bfloat16() -> bool:
    """Whether products of matrices in bfloat16 are faster than in float32: AVX512_BF16 or AMX."""
    return not instruction_sets().isdisjoint({"avx512_bf16", "amx_bf16"})
