"""How far a block is: its finished times, and the networks in training, as arrays that can be kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from undiffuse.networks.network import Weights
from undiffuse.support.arrays import Arrays, Floats
from undiffuse.training.state import TrainingState

Errors = Floats
_MARK = "unfinished."


@dataclass
class Progress:
    """Finished part of a block: weights and errors of whole times, largest time first.

    Attributes
    ----------
    weights : dict of Weights
        By time.
    train, held_out : dict of list of float
        By time, one mean square xi-error per dimension for each pass.
    state : TrainingState or None
        State of a sweep after the last finished time.
    gentler : list of int
        Times that diverged and were trained again with a lower learning rate.
    """

    weights: dict[int, Weights] = field(default_factory=dict)
    train: dict[int, list[float]] = field(default_factory=dict)
    held_out: dict[int, list[float]] = field(default_factory=dict)
    state: TrainingState | None = None
    gentler: list[int] = field(default_factory=list)

    def kept_before(self, t: int, upwards: bool = False) -> Weights:
        """Weights that were kept of the time trained before ``t``, in this block or in the one that it continues."""
        before = self.weights.get(t - 1 if upwards else t + 1)
        if before is None and self.state is not None:
            before = self.state.result
        if before is None:
            raise ValueError(f"no network was trained before that of t = {t}")
        return before

    def to_arrays(self) -> Arrays:
        """Flatten into named arrays, times in increasing order."""
        times = sorted(self.weights)
        out: Arrays = {"times": np.array(times, np.int64)}
        if times:
            out |= Weights.stack([self.weights[t] for t in times]).arrays()
        out["passes"] = np.array([len(self.train[t]) for t in times], np.int64)
        out["train_error"] = np.array([e for t in times for e in self.train[t]], np.float64)
        out["held_out_error"] = np.array([e for t in times for e in self.held_out[t]], np.float64)
        if self.gentler:
            out["gentler"] = np.array(sorted(self.gentler), np.int64)
        return out

    @staticmethod
    def from_arrays(arrays: Arrays) -> Progress:
        """Undo :meth:`to_arrays`."""
        out = Progress(gentler=gentler_times(arrays))
        ends = np.cumsum(arrays["passes"])
        for i, t in enumerate(arrays["times"].tolist()):
            out.weights[t] = Weights(**{name: arrays[name][i] for name in Weights.NAMES})
            errors = slice(ends[i] - arrays["passes"][i], ends[i])
            out.train[t] = arrays["train_error"][errors].tolist()
            out.held_out[t] = arrays["held_out_error"][errors].tolist()
        return out


def gentler_times(arrays: Arrays) -> list[int]:
    """Times of a block, as it was kept, that were trained again with a lower learning rate."""
    return [int(t) for t in arrays.get("gentler", ())]


def named(times: Iterable[int]) -> str:
    """Times in words, such as 1..20, 25."""
    ranges: list[list[int]] = []
    for t in sorted(times):
        if ranges and t == ranges[-1][1] + 1:
            ranges[-1][1] = t
        else:
            ranges.append([t, t])
    return ", ".join(str(a) if a == b else f"{a}..{b}" for a, b in ranges)


@dataclass
class Group:
    """Networks that are trained side by side, and how far they are.

    Attributes
    ----------
    times : list of int
    states : list of TrainingState
        Of each time.
    train, held_out : (times, passes)
        Errors of the passes made.
    rate : float
        Factor on the learning rate.
    """

    times: list[int]
    states: list[TrainingState]
    train: Errors
    held_out: Errors
    rate: float = 1.0

    @staticmethod
    def fresh(times: list[int], states: list[TrainingState], rate: float = 1.0) -> Group:
        """Before the first pass."""
        nothing = np.empty((len(times), 0))
        return Group(times, states, nothing, nothing, rate)

    def to_arrays(self) -> Arrays:
        """Flatten into named arrays, which go with those of a :class:`Progress`."""
        both = pack_state(self.states) | {
            "times": np.array(self.times, np.int64),
            "train": self.train,
            "held_out": self.held_out,
            "rate": np.array(self.rate),
        }
        return {_MARK + name: array for name, array in both.items()}

    @staticmethod
    def from_arrays(arrays: Arrays) -> Group | None:
        """Undo :meth:`to_arrays`; None if no group was in training."""
        mine = {name.removeprefix(_MARK): array for name, array in arrays.items() if name.startswith(_MARK)}
        if "times" not in mine:
            return None
        train, held_out = (np.array(mine[name], float) for name in ("train", "held_out"))
        return Group(mine["times"].tolist(), unpack_state(mine), train, held_out, mine["rate"].item())

    def part(self, times: list[int]) -> Group:
        """Some of the networks, as far as they are."""
        rows = [self.times.index(t) for t in times]
        return Group(times, [self.states[i] for i in rows], self.train[rows], self.held_out[rows], self.rate)

    def diverged(self) -> list[int]:
        """Times whose errors or weights are not finite."""
        return [
            t
            for t, state, errors in zip(self.times, self.states, self.train, strict=True)
            if not np.isfinite(errors).all() or not all(np.isfinite(w).all() for w in state.weights.arrays().values())
        ]


def pack_state(states: list[TrainingState]) -> Arrays:
    """Training states of several networks as named arrays."""
    out: Arrays = {"step": np.array(states[0].step, np.int64)}
    for part in ("weights", "first", "second", "average"):
        each = [getattr(state, part) for state in states]
        if each[0] is not None:
            out |= {f"{part}.{name}": array for name, array in Weights.stack(each).arrays().items()}
    return out


def unpack_state(arrays: Arrays) -> list[TrainingState]:
    """Undo :func:`pack_state`."""
    stacked = {
        part: Weights(**{name: arrays[f"{part}.{name}"] for name in Weights.NAMES})  # type: ignore[arg-type]
        for part in ("weights", "first", "second", "average")
        if f"{part}.W" in arrays
    }
    count, step = len(stacked["weights"].W), int(arrays["step"].item())
    return [TrainingState(step=step, **{part: w[i].copy() for part, w in stacked.items()}) for i in range(count)]
