"""The unit of work: train the networks of one block of consecutive times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

import numpy as np

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.network import Architecture, Weights, start_weights
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.runs.config import Block, Config
from undiffuse.runs.sections import TrainingSection
from undiffuse.support import gpu
from undiffuse.support.arrays import Arrays, Float32, Floats
from undiffuse.support.errors import UserError
from undiffuse.support.interrupts import StoppedError
from undiffuse.support.streams import Purpose, stream
from undiffuse.support.threads import one_thread, one_torch_thread
from undiffuse.training import engines, room
from undiffuse.training.passes import Beside, Examples, Passes, learning_rates, loss_weight
from undiffuse.training.progress import Errors, Group, Progress, named
from undiffuse.training.state import TrainingState

IN_MEMORY = 3  # times that a finished block stands in memory: as it was trained, stacked, and as its file's bytes
GENTLER = 0.5  # factor on the learning rate of a time that is trained again


class DivergedError(UserError):
    """The training of some times left the finite numbers, with a lower learning rate as well."""

    def __init__(self, times: list[int]) -> None:
        super().__init__(times)
        self.times = times

    def __str__(self) -> str:
        return f"training diverged at t = {named(self.times)}, with half of training.learning_rate as well: lower it"


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
        self.engine = engines.choose(self._training, self._architecture, device)
        samples = len(train), len(held_out)
        self._at_once = side_by_side(self._training, self._architecture, block, samples, device)
        self._upwards = self._training.sweep_from is not None and first > self._training.sweep_from
        times = range(first, last + 1) if self._upwards else range(last, first - 1, -1)
        self._groups = self._cut(list(times))

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
        DivergedError
            If the errors or weights of a time are not finite, with half the learning rate as well. In the order
            "independent" the others have been trained by then.
        """
        progress = Progress.from_arrays(saved) if saved else Progress()
        progress.state = before
        unfinished = Group.from_arrays(saved) if saved else None
        on_pass(sum(len(progress.train[t]) for t in progress.weights))
        last_save = time.monotonic()

        def after_pass(group: Group, state: Callable[[], list[TrainingState]]) -> None:
            nonlocal last_save
            on_pass(len(group.times))
            stop = stopping()
            if save and (stop or time.monotonic() - last_save > save_every):
                group.states = state()
                save(progress.to_arrays() | group.to_arrays())
                last_save = time.monotonic()
            if stop:
                raise StoppedError("training was asked to stop")

        diverged: list[int] = []
        resumed = {} if unfinished is None else self._resumed_parts(unfinished)
        for times in self._plan(resumed, progress):
            group = resumed[times[0]] if times[0] in resumed else self._begin(times, progress)
            while group.times:
                on_pass(group.train.size)
                with self._within_memory(group):
                    self._train(group, after_pass)
                again = self._enter(group, progress)
                if group.rate < 1:
                    diverged, again = diverged + again, []
                if again:
                    on_pass(-len(again) * group.train.shape[1])
                group = self._begin_again(again, progress)
            if diverged and self._training.order != "independent":
                break  # the times below start from these
        if diverged:
            if save:
                save(progress.to_arrays())
            raise DivergedError(diverged)
        return progress

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Train on one thread inside a ``with`` block, so that rounding is the same in any process."""
        torch_too = not engines.is_kernel(self.engine) and self._device == "cpu"
        with one_thread(), one_torch_thread() if torch_too else nullcontext():
            yield

    def _train(self, group: Group, after_pass: Callable[[Group, Callable[[], list[TrainingState]]], None]) -> None:
        """Make all passes of a group, or what is left of them, unless none of its networks is finite any more."""
        training = self._training
        engine = engines.build(
            self.engine,
            self._architecture,
            group.states,
            self._device,
            training.average or 0.0,
            training.optimiser,
        )
        examples = self._beside(group.times)
        to_train_error, to_held_out_error = (
            [r.error_of(self._parametrisation, t) for t in group.times] for r in self._xi_errors
        )
        weights = [loss_weight(self._training, self._parametrisation, t) for t in group.times]
        test = examples.of_held_out()
        # The error against posterior means is no xi-error, which is then measured on training samples separately.
        seen = None if self._training.targets == "sample" else examples.of_training()
        warm = self._is_warm(group.times)
        passes = _passes(self._training, warm)
        warm_rate = self._training.warm_learning_rate if warm else None
        steps = -(-len(self._data[0]) // self._training.batch)
        for number in range(group.train.shape[1], passes):
            rates = group.rate * learning_rates(self._training, number * steps, steps, passes * steps, warm_rate)
            with np.errstate(over="ignore", invalid="ignore"):  # what diverges is looked at below
                error = engine.run_pass(*examples.of_pass(number), self._training.batch, rates, weights)
                test_error = engine.errors(*test)
                if seen is not None:
                    error = engine.errors(*seen)
            group.train = np.column_stack([group.train, _apply(to_train_error, error)])
            group.held_out = np.column_stack([group.held_out, _apply(to_held_out_error, test_error)])
            after_pass(group, engine.states)
            if not np.isfinite(error).any():
                break
        group.states = engine.states()

    def _within_memory(self, group: Group) -> AbstractContextManager[None]:
        what = f"training {len(group.times)} networks at once; lower training.block, or use --device cpu"
        return gpu.within_memory(what) if self._device == gpu.CUDA else nullcontext()

    def _cut(self, times: list[int]) -> list[list[int]]:
        """Times in groups that are trained side by side."""
        return [times[i : i + self._at_once] for i in range(0, len(times), self._at_once)]

    def _resumed_parts(self, unfinished: Group) -> dict[int, Group]:
        """A group in training, by its first time; cut where fewer networks fit side by side than when it was begun."""
        return {times[0]: unfinished.part(times) for times in self._cut(unfinished.times)}

    def _plan(self, resumed: dict[int, Group], progress: Progress) -> list[list[int]]:
        """Groups left to train, those begun before first."""
        begun = [group.times for group in resumed.values()]
        done = {*progress.weights, *(t for times in begun for t in times)}
        left = [[t for t in times if t not in done] for times in self._groups]
        return begun + [times for times in left if times]

    def _enter(self, group: Group, progress: Progress) -> list[int]:
        """Enter the networks of a trained group in the block's; return the times that diverged."""
        diverged = group.diverged()
        for t, state, train, held_out in zip(group.times, group.states, group.train, group.held_out, strict=True):
            if t not in diverged:
                progress.weights[t] = state.result
                progress.train[t], progress.held_out[t] = train.tolist(), held_out.tolist()
                progress.state = state if self._sweeps else None
                progress.gentler += [t] if group.rate < 1 else []
        return diverged

    def _is_warm(self, times: list[int]) -> bool:
        if self._sweeps:
            return times != [self._training.sweep_from]
        return self._training.order == "continuation" and times != self._groups[0]

    def _examples(self, t: int) -> Examples:
        return Examples(self._parametrisation, *self._data, self._config.seed, t, self._training)

    def _beside(self, times: list[int]) -> Passes:
        """Examples of times that are trained together, made where they are trained."""
        if self._device != gpu.CUDA:
            return Beside([self._examples(t) for t in times])
        import torch

        from undiffuse.training.device_passes import DevicePasses

        home = gpu.home(self._device)
        train, held_out = (torch.from_numpy(x).to(home) for x in self._data)
        return DevicePasses(self._parametrisation, train, held_out, self._config.seed, times, self._training)

    def _begin(self, times: list[int], progress: Progress) -> Group:
        """A group at its start: with fresh weights, or those of the time before."""
        if self._sweeps and self._is_warm(times):
            if progress.state is None:
                raise ValueError("a sweep continues from the training state of the block before")
            return Group.fresh(times, [progress.state.swept_to(self._architecture)])
        return Group.fresh(times, [TrainingState.fresh(w, self._architecture) for w in self._start(times, progress)])

    def _begin_again(self, times: list[int], progress: Progress) -> Group:
        """A group of times that diverged, with a lower learning rate and nothing of what the optimiser had gathered."""
        starts = self._start(times, progress)
        states = [TrainingState.fresh(weights, self._architecture) for weights in starts]
        if self._sweeps and self._is_warm(times):
            states = [replace(state, average=state.weights.copy()) for state in states]
        return Group.fresh(times, states, GENTLER)

    def _start(self, times: list[int], progress: Progress) -> list[Weights]:
        """Weights that times start from: fresh ones, or the network's before them, as it was kept."""
        if not self._is_warm(times):
            return [self._fresh_weights(t) for t in times]
        before = (progress.kept_before(t, self._upwards) for t in times)
        return [weights.copy().widened(self._architecture.width) for weights in before]

    def _fresh_weights(self, t: int) -> Weights:
        rng = stream(self._config.seed, Purpose.START, t)
        inputs = self._examples(t).at_start(self._architecture.hidden, rng)
        return start_weights(self._architecture, inputs, rng)


def side_by_side(
    training: TrainingSection, architecture: Architecture, block: Block, samples: tuple[int, int], device: str
) -> int:
    """How many networks of a block are trained at once.

    Parameters
    ----------
    training, architecture, block, samples, device
        See :func:`undiffuse.training.room.at_once`.
    """
    alone = engines.is_kernel(engines.choose(training, architecture, device))
    return 1 if alone else room.at_once(training, architecture, block, samples, device)


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
    return 4 * (block.last - block.first + 1) * config.architecture_at(block.last, dim).size


def _passes(training: TrainingSection, warm: bool) -> int:
    return training.warm_epochs if warm and training.warm_epochs is not None else training.epochs


def _apply(lines: list[tuple[float, float]], errors: Errors) -> Errors:
    slope, offset = np.array(lines).T
    return slope * errors + offset
