"""A step whose launches a GPU records once and repeats (CUDA graphs); a plain call on a processor."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache

import torch

_PLAIN = 3  # calls before a recording: libraries choose their algorithms and take their memory in these


class Recording:
    """Calls functions that work on the same memory each time.

    On a GPU the first calls of each kind are made as they are, on a stream of their own, and then the launches are
    recorded and played again: small networks wait for launches longer than for numbers. A function must leave nothing
    to Python that changes from one call to the next.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._records = device.type == "cuda"
        self._made: dict[Hashable, int] = {}
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        # Nothing that a recording makes is read after it, so that all of them may use the same memory in any order.
        self._memory = torch.cuda.graph_pool_handle() if self._records else None

    def __call__(self, kind: Hashable, function: Callable[[], None]) -> None:
        """Call ``function``, the same one for each ``kind``."""
        if not self._records:
            function()
            return
        made = self._made[kind] = self._made.get(kind, 0) + 1
        if made <= _PLAIN:
            aside = _aside()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                function()
            torch.cuda.current_stream().wait_stream(aside)
            return
        if kind not in self._graphs:
            graph = self._graphs[kind] = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._memory, stream=_aside()):  # nothing is computed yet
                function()
        self._graphs[kind].replay()


@cache
def _aside() -> torch.cuda.Stream:
    """The one stream for recordings: libraries keep memory for each that they were ever called on."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]
