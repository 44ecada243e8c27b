"""The unit of work: train the networks of one block of consecutive times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.network import Architecture, Weights, start_weights
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.runs.config import Block, Config, TrainingSection
from undiffuse.support.arrays import Arrays, Float32, Floats
from undiffuse.support.errors import UserError
from undiffuse.support.interrupts import StoppedError
from undiffuse.support.streams import Purpose, stream
from undiffuse.training import engines
from undiffuse.training.passes import Examples, learning_rates, loss_weight
from undiffuse.training.state import TrainingState

Errors = Floats
Begun = tuple[list[TrainingState], Errors, Errors]


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
    """

    weights: dict[int, Weights] = field(default_factory=dict)
    train: dict[int, list[float]] = field(default_factory=dict)
    held_out: dict[int, list[float]] = field(default_factory=dict)
    state: TrainingState | None = None

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


class XiErrors:
    """Turns a network's output error into the xi-error per dimension of the data, on one data set.

    For the components that the network leaves out, the expected error of the linear estimate there is added.
    """

    def __init__(self, reference: GaussianDenoiser, x: Floats, width: int) -> None:
        self._reference, self._width = reference, width
        self._moments = np.empty(0)
        if width < reference.dim:
            centred = x - reference.mean
            second = centred.T @ centred / len(x)
            self._moments = np.einsum("ij,ik,kj->j", reference.axes, second, reference.axes, optimize=True)

    def error_of(self, parametrisation: Parametrisation, t: int) -> tuple[float, float]:
        """``(a, b)`` such that the error is ``a * (mean square output error) + b``."""
        dim = self._reference.dim
        rest = 0.0
        if self._width < dim:
            rest = float(self._reference.axis_errors(t, self._moments)[self._width :].sum())
        return parametrisation.xi_unit(t) ** 2 * self._width / dim, rest / dim


class BlockTrainer:
    """Trains the times ``first..last`` of a configuration, from the largest down, or up in the upper half of a sweep.

    Parameters
    ----------
    config : Config
    block : Block
    train, held_out : (n, dim)
    reference : GaussianDenoiser
        Linear theory of the training data.
    device : str
    """

    def __init__(
        self,
        config: Config,
        block: Block,
        train: Floats,
        held_out: Floats,
        reference: GaussianDenoiser,
        device: str = "cpu",
    ) -> None:
        first, last = block
        self._config = config
        self._training: TrainingSection = config.training_at(last)
        self._architecture: Architecture = config.architecture_at(last, train.shape[1])
        self._parametrisation = Parametrisation(reference.forward, self._architecture, reference)
        project = self._parametrisation.project
        self._data: tuple[Float32, Float32] = project(train).astype(np.float32), project(held_out).astype(np.float32)
        self._xi_errors = [XiErrors(reference, x, self._architecture.width) for x in (train, held_out)]
        self._device = device
        self._sweeps = self._training.order == "sweep"
        self.engine = engines.choose(self._training.engine, self._architecture, device, self._sweeps)
        at_once = side_by_side(self._training, self.engine)
        upwards = self._training.sweep_from is not None and first > self._training.sweep_from
        times = range(first, last + 1) if upwards else range(last, first - 1, -1)
        self._groups = [list(times[i : i + at_once]) for i in range(0, len(times), at_once)]

    def run(
        self,
        saved: Arrays | None = None,
        before: TrainingState | None = None,
        save: Callable[[Arrays], None] | None = None,
        save_every: float = 30.0,
        on_pass: Callable[[int], None] = lambda networks: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Progress:
        """Train the whole block, or what is left of it.

        Parameters
        ----------
        saved : dict of arrays, optional
            What ``save`` was last called with: training continues from there, to the same bits.
        before : TrainingState, optional
            State in which the previous block of a sweep ended.
        save : callable, optional
            Called between passes with the state of the block as named arrays.
        save_every : float
            Least time between such calls, in seconds.
        on_pass : callable, optional
            Called after each pass with the number of networks it trained; at the start, with the passes already made.
        stopping : callable
            Asked after each pass whether to stop there.

        Raises
        ------
        StoppedError
            If it is to stop; the block has been saved as it is.
        """
        progress = Progress.from_arrays(saved) if saved else Progress()
        progress.state = before
        on_pass(sum(len(progress.train[t]) for t in progress.weights))
        last_save = time.monotonic()
        for group in self._groups:
            if group[-1] in progress.weights:
                continue
            states, train, held_out = self._begin(group, progress, saved)
            on_pass(train.size)
            engine = engines.build(self.engine, self._architecture, states, self._device, self._training.average or 0.0)
            examples = [self._examples(t) for t in group]
            to_train_error, to_held_out_error = (
                [r.error_of(self._parametrisation, t) for t in group] for r in self._xi_errors
            )
            weights = [loss_weight(self._training, self._parametrisation, t) for t in group]
            test_x, test_y = _stack([e.of_held_out() for e in examples])
            # The error against posterior means is no xi-error, which is then measured on training samples separately.
            seen = _stack([e.of_training() for e in examples]) if self._training.targets == "posterior" else None
            warm = self._is_warm(group)
            passes = _passes(self._training, warm)
            warm_rate = self._training.warm_learning_rate if warm else None
            steps = -(-len(self._data[0]) // self._training.batch)
            for number in range(train.shape[1], passes):
                x, y = _stack([e.of_pass(number) for e in examples])
                rates = learning_rates(self._training, number * steps, steps, passes * steps, warm_rate)
                error = engine.run_pass(x, y, self._training.batch, rates, weights)
                test_error = _mean_square(engine.outputs(test_x) - test_y)
                if seen is not None:
                    error = _mean_square(engine.outputs(seen[0]) - seen[1])
                train = np.column_stack([train, _apply(to_train_error, error)])
                held_out = np.column_stack([held_out, _apply(to_held_out_error, test_error)])
                on_pass(len(group))
                stop = stopping()
                if save and (stop or time.monotonic() - last_save > save_every):
                    save(progress.to_arrays() | _pack_unfinished(engine.states(), train, held_out))
                    last_save = time.monotonic()
                if stop:
                    raise StoppedError("training was asked to stop")
            for t, state, a, b in zip(group, engine.states(), train, held_out, strict=True):
                if not np.isfinite(a[-1]) or not all(np.isfinite(w).all() for w in state.weights.arrays().values()):
                    raise UserError(f"training diverged at t = {t}: lower training.learning_rate")
                progress.weights[t] = state.result
                progress.train[t], progress.held_out[t] = a.tolist(), b.tolist()
                progress.state = state if self._sweeps else None
        return progress

    def _is_warm(self, group: list[int]) -> bool:
        if self._sweeps:
            return group != [self._training.sweep_from]
        return self._training.order == "continuation" and group is not self._groups[0]

    def _examples(self, t: int) -> Examples:
        return Examples(self._parametrisation, *self._data, self._config.seed, t, self._training)

    def _begin(self, group: list[int], progress: Progress, saved: Arrays | None) -> Begun:
        """States and errors of a group at its start: those saved, fresh weights, or those of the time before."""
        if saved and _MARK + "step" in saved:
            # What was saved belongs to the first unfinished group, the first to begin; it is taken out of ``saved``.
            return _unpack_unfinished(saved)
        nothing = np.empty((len(group), 0))
        if self._sweeps and self._is_warm(group):
            if progress.state is None:
                raise ValueError("a sweep continues from the training state of the block before")
            return [progress.state.swept_to(self._architecture)], nothing, nothing
        if self._is_warm(group):
            starts = [progress.weights[t + 1].copy() for t in group]
        else:
            starts = [self._fresh_weights(t) for t in group]
        states = [TrainingState.fresh(weights, self._architecture) for weights in starts]
        return states, nothing, nothing

    def _fresh_weights(self, t: int) -> Weights:
        rng = stream(self._config.seed, Purpose.START, t)
        inputs = self._examples(t).at_start(self._architecture.hidden, rng)
        return start_weights(self._architecture, inputs, rng)


def side_by_side(training: TrainingSection, engine: str) -> int:
    """How many networks of a block an engine trains at once."""
    return training.at_once if engine == "torch" and training.order == "independent" else 1


def total_passes(config: Config, blocks: Iterable[Block] | None = None) -> int:
    """Passes over the data made in training ``blocks`` (default all), summed over their times."""
    total = 0
    for first, last in config.blocks() if blocks is None else blocks:
        training = config.training_at(last)
        cold = {"independent": last - first + 1, "continuation": 1, "sweep": int(first == training.sweep_from)}
        count = cold[training.order]
        total += count * _passes(training, warm=False) + (last - first + 1 - count) * _passes(training, warm=True)
    return total


def weight_bytes(config: Config, block: Block, dim: int) -> int:
    """Bytes of a block's weights, for data of dimension ``dim``."""
    a = config.architecture_at(block.last, dim)
    return 4 * (block.last - block.first + 1) * (2 * a.width * a.hidden + a.hidden + a.width)


def _passes(training: TrainingSection, warm: bool) -> int:
    return training.warm_epochs if warm and training.warm_epochs is not None else training.epochs


def _apply(lines: list[tuple[float, float]], errors: Errors) -> Errors:
    slope, offset = np.array(lines).T
    return slope * errors + offset


def _mean_square(residuals: Float32) -> Errors:
    return np.mean(np.square(residuals, dtype=np.float64), axis=(1, 2))


def _stack(pairs: list[tuple[Float32, Float32]]) -> tuple[Float32, Float32]:
    if len(pairs) == 1:
        return pairs[0][0][None], pairs[0][1][None]
    return np.stack([x for x, _ in pairs]), np.stack([y for _, y in pairs])


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


_MARK = "unfinished."


def _pack_unfinished(states: list[TrainingState], train: Errors, held_out: Errors) -> Arrays:
    both = pack_state(states) | {"train": train, "held_out": held_out}
    return {_MARK + name: array for name, array in both.items()}


def _unpack_unfinished(saved: Arrays) -> Begun:
    """Take the unfinished group out of what was saved."""
    names = [name for name in saved if name.startswith(_MARK)]
    arrays = {name.removeprefix(_MARK): saved.pop(name) for name in names}
    return unpack_state(arrays), np.array(arrays["train"], float), np.array(arrays["held_out"], float)
