"""The unit of work: train the networks of one block of consecutive times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from undiffuse.config import Config, TrainingSection
from undiffuse.denoiser import GaussianDenoiser
from undiffuse.errors import UserError
from undiffuse.network import Architecture, Float32, Weights, start_weights
from undiffuse.parametrisation import Parametrisation
from undiffuse.streams import Purpose, stream
from undiffuse.training import engines
from undiffuse.training.engines import TrainingState
from undiffuse.training.passes import Examples, learning_rates, loss_weight

Arrays = dict[str, NDArray[np.generic]]
Errors = NDArray[np.float64]
Begun = tuple[list[TrainingState], Errors, Errors]


@dataclass
class Progress:
    """What a block has finished: weights and errors of whole times, largest time first.

    ``train[t]`` and ``held_out[t]`` hold one mean square xi-error per dimension for each pass.
    """

    weights: dict[int, Weights] = field(default_factory=dict)
    train: dict[int, list[float]] = field(default_factory=dict)
    held_out: dict[int, list[float]] = field(default_factory=dict)

    def to_arrays(self) -> Arrays:
        """Flatten into named arrays, times in increasing order."""
        times = sorted(self.weights)
        out: Arrays = {"times": np.array(times, np.int64)}
        if times:
            out |= Weights.stack([self.weights[t] for t in times]).arrays()
        out["passes"] = np.array([len(self.train[t]) for t in times], np.int64)
        out["train_error"] = np.array([e for t in times for e in self.train[t]], np.float64)
        out["held_out_error"] = np.array([e for t in times for e in self.held_out[t]], np.float64)
        return out

    @staticmethod
    def from_arrays(arrays: Arrays) -> Progress:
        """Undo :meth:`to_arrays`."""
        out = Progress()
        ends = np.cumsum(arrays["passes"])
        for i, t in enumerate(arrays["times"].tolist()):
            out.weights[t] = Weights(**{name: arrays[name][i] for name in Weights.NAMES})
            errors = slice(ends[i] - arrays["passes"][i], ends[i])
            out.train[t] = arrays["train_error"][errors].tolist()
            out.held_out[t] = arrays["held_out_error"][errors].tolist()
        return out


class BlockTrainer:
    """Trains the times ``first..last`` of a configuration, from the largest down.

    Parameters
    ----------
    config : Config
    first, last : int
    train, held_out : float32 (n, dim)
    reference : GaussianDenoiser
        Linear theory of the training data.
    device : str
    """

    def __init__(
        self,
        config: Config,
        first: int,
        last: int,
        train: Float32,
        held_out: Float32,
        reference: GaussianDenoiser,
        device: str = "cpu",
    ) -> None:
        self._config = config
        self._training: TrainingSection = config.training_at(last)
        self._architecture: Architecture = config.architecture_at(last, train.shape[1])
        self._parametrisation = Parametrisation(reference.forward, self._architecture, reference)
        self._data = train, held_out
        self._device = device
        self.engine = engines.choose(self._training.engine, self._architecture, device)
        side_by_side = self.engine == "torch" and self._training.order == "independent"
        at_once = self._training.at_once if side_by_side else 1
        descending = range(last, first - 1, -1)
        self._groups = [list(descending[i : i + at_once]) for i in range(0, len(descending), at_once)]

    def run(
        self,
        saved: Arrays | None = None,
        save: Callable[[Arrays], None] | None = None,
        save_every: float = 30.0,
        on_pass: Callable[[int], None] = lambda networks: None,
    ) -> Progress:
        """Train the whole block, or what is left of it.

        Parameters
        ----------
        saved : dict of arrays, optional
            What ``save`` was last given: training goes on from there, to the same bits.
        save : callable, optional
            Called between passes, at most every ``save_every`` seconds.
        on_pass : callable, optional
            Called after each pass with the number of networks it trained, and once with those found done.
        """
        progress = Progress.from_arrays(saved) if saved else Progress()
        on_pass(sum(len(progress.train[t]) for t in progress.weights))
        last_save = time.monotonic()
        for group in self._groups:
            if group[-1] in progress.weights:
                continue
            states, train, held_out = self._begin(group, progress, saved)
            on_pass(train.size)
            engine = engines.build(self.engine, self._architecture, states, self._device)
            examples = [self._examples(t) for t in group]
            units = np.array([self._parametrisation.xi_unit(t) ** 2 for t in group])
            weights = [loss_weight(self._training, self._parametrisation, t) for t in group]
            test_x, test_y = _stack([e.of_held_out() for e in examples])
            passes = _passes(self._training, warm=self._is_warm(group))
            steps = -(-len(self._data[0]) // self._training.batch)
            for number in range(train.shape[1], passes):
                x, y = _stack([e.of_pass(number) for e in examples])
                rates = learning_rates(self._training, number * steps, steps, passes * steps)
                error = engine.run_pass(x, y, self._training.batch, rates, weights)
                test_error = np.mean(np.square(engine.outputs(test_x) - test_y, dtype=np.float64), axis=(1, 2))
                train = np.column_stack([train, error * units])
                held_out = np.column_stack([held_out, test_error * units])
                on_pass(len(group))
                if save and time.monotonic() - last_save > save_every:
                    save(progress.to_arrays() | _pack_unfinished(engine.states(), train, held_out))
                    last_save = time.monotonic()
            for t, state, a, b in zip(group, engine.states(), train, held_out, strict=True):
                if not np.isfinite(a[-1]) or not all(np.isfinite(w).all() for w in state.weights.arrays().values()):
                    raise UserError(f"training diverged at t = {t}: lower training.learning_rate")
                progress.weights[t] = state.weights
                progress.train[t], progress.held_out[t] = a.tolist(), b.tolist()
        return progress

    def _is_warm(self, group: list[int]) -> bool:
        return self._training.order == "continuation" and group is not self._groups[0]

    def _examples(self, t: int) -> Examples:
        return Examples(self._parametrisation, *self._data, self._config.seed, t)

    def _begin(self, group: list[int], progress: Progress, saved: Arrays | None) -> Begun:
        """States and errors so far of a group: what was saved, fresh weights, or those of the time above."""
        if saved and "unfinished.step" in saved:
            # It belongs to the first group that is not finished, which is the first one begun: used once.
            return _unpack_unfinished(saved, int(saved.pop("unfinished.step")))
        if self._is_warm(group):
            starts = [progress.weights[t + 1].copy() for t in group]
        else:
            starts = [self._fresh_weights(t) for t in group]
        states = [TrainingState.fresh(weights, self._architecture) for weights in starts]
        return states, np.empty((len(group), 0)), np.empty((len(group), 0))

    def _fresh_weights(self, t: int) -> Weights:
        rng = stream(self._config.seed, Purpose.START, t)
        inputs = self._examples(t).at_start(self._architecture.hidden, rng)
        return start_weights(self._architecture, inputs, rng)


def total_passes(config: Config, blocks: Iterable[tuple[int, int]] | None = None) -> int:
    """Passes over the data made in training ``blocks`` (default all), summed over their times."""
    total = 0
    for first, last in config.blocks() if blocks is None else blocks:
        training = config.training_at(last)
        total += _passes(training, warm=False) + (last - first) * _passes(training, training.order == "continuation")
    return total


def _passes(training: TrainingSection, warm: bool) -> int:
    return training.warm_epochs if warm and training.warm_epochs is not None else training.epochs


def _stack(pairs: list[tuple[Float32, Float32]]) -> tuple[Float32, Float32]:
    if len(pairs) == 1:
        return pairs[0][0][None], pairs[0][1][None]
    return np.stack([x for x, _ in pairs]), np.stack([y for _, y in pairs])


_PARTS = ("weights", "first", "second")


def _pack_unfinished(states: list[TrainingState], train: Errors, held_out: Errors) -> Arrays:
    out: Arrays = {"unfinished.step": np.array(states[0].step, np.int64)}
    out |= {"unfinished.train": train, "unfinished.held_out": held_out}
    for part in _PARTS:
        stacked = Weights.stack([getattr(state, part) for state in states])
        out |= {f"unfinished.{part}.{name}": array for name, array in stacked.arrays().items()}
    return out


def _unpack_unfinished(arrays: Arrays, step: int) -> Begun:
    parts = [Weights(**{n: arrays[f"unfinished.{part}.{n}"] for n in Weights.NAMES}) for part in _PARTS]  # type: ignore[arg-type]
    count = len(parts[0].W)
    weights, first, second = parts
    states = [TrainingState(weights[i].copy(), first[i].copy(), second[i].copy(), step) for i in range(count)]
    return states, np.array(arrays["unfinished.train"], float), np.array(arrays["unfinished.held_out"], float)
