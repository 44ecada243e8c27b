"""Inputs, targets and learning rates of one pass over the data, for the network of one time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.objective import bound_weight
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.runs.sections import TrainingSection
from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.stats import exp_rows
from undiffuse.support.streams import Purpose, stream


def between(bounds: tuple[float, float], uniform: Any) -> Any:
    """Numbers uniform on ``bounds``, from some on [0, 1): an array or a tensor, in its own precision."""
    low, high = bounds
    return low + (high - low) * uniform


class Examples:
    """Pairs ``(x_t, target)`` for the network of one time, fresh noise and a fresh order on each pass.

    Everything is a function of ``(seed, t, pass)``, so there is no generator to save.

    Parameters
    ----------
    parametrisation : Parametrisation
        Decides the target.
    train, held_out : float32 (n, width)
        Data in the network's own variables.
    seed, t : int
    training : TrainingSection
        Its ``targets``, ``posterior_share``, ``blends``, ``blend_own`` and ``blend_other`` are used.
    """

    def __init__(
        self,
        parametrisation: Parametrisation,
        train: Float32,
        held_out: Float32,
        seed: int,
        t: int,
        training: TrainingSection,
    ) -> None:
        self._parametrisation = parametrisation
        self._forward: ForwardProcess = parametrisation.forward
        self._train, self._held_out = train, held_out
        self._seed, self.t = seed, t
        self._training = training
        self._points = max(1, int(training.posterior_share * len(train)))

    def of_pass(self, number: int) -> tuple[Float32, Float32]:
        """Inputs and targets of pass ``number``, in the order of the pass; each ``(n, dim)`` float32."""
        rng, training = stream(self._seed, Purpose.PASS, self.t, number), self._training
        order = rng.permutation(len(self._train))
        x0 = np.take(self._train, order, axis=0)
        if training.targets == "sample" and not training.blends:
            return self._pair(x0, rng)
        blended = rng.random(len(x0)) < training.blends
        u, v = rng.random((2, blended.sum(), 1), dtype=np.float32)
        others = self._train[rng.integers(0, len(x0), blended.sum())]
        x0[blended] = between(training.blend_own, u) * x0[blended] + between(training.blend_other, v) * others
        xi, x_t = self._diffused(x0, rng)
        # A blend is not a sample of the data, so the noise that was added to it is never its target.
        answered = blended if training.targets == "sample" else np.ones(len(x0), bool)
        chosen = rng.permutation(len(x0))[: self._points]
        added = np.zeros(len(x0), bool)
        if training.targets == "stable":
            added = ~np.isin(order, chosen)
        own = self._train[order[answered]]
        x0[answered] = self._posterior_means(x_t[answered], self._train[chosen], own, added[answered])
        signal, noise = np.float32(self._forward.signal(self.t)), np.float32(self._forward.noise(self.t))
        xi[answered] = (x_t[answered] - signal * x0[answered]) / noise
        return x_t, self._target(x0, xi, x_t)

    def of_training(self) -> tuple[Float32, Float32]:
        """Inputs and targets made from as many training samples as there are held out, the same at every call."""
        count = min(len(self._train), len(self._held_out))
        return self._pair(self._train[:count], stream(self._seed, Purpose.TRAINING_ERROR, self.t))

    def of_held_out(self) -> tuple[Float32, Float32]:
        """Inputs and targets made from the held-out data, the same at every call."""
        return self._pair(self._held_out, stream(self._seed, Purpose.HELD_OUT_ERROR, self.t))

    def at_start(self, count: int, rng: np.random.Generator) -> Floats:
        """Draw ``count`` inputs for the initialisation of weights, shape ``(count, dim)``."""
        x0 = self._train[rng.integers(0, len(self._train), count)]
        return self._forward.jump(x0, self.t, rng.standard_normal(x0.shape)).astype(np.float64)

    def _pair(self, x0: Float32, rng: np.random.Generator) -> tuple[Float32, Float32]:
        xi, x_t = self._diffused(x0, rng)
        return x_t, self._target(x0, xi, x_t)

    def _target(self, x0: Float32, xi: Float32, x_t: Float32) -> Float32:
        target = self._parametrisation.target(x0, xi, x_t, self.t)
        return np.ascontiguousarray(target, dtype=np.float32)

    def _diffused(self, x0: Float32, rng: np.random.Generator) -> tuple[Float32, Float32]:
        xi = rng.standard_normal(x0.shape, dtype=np.float32)
        x_t = np.float32(self._forward.signal(self.t)) * x0
        x_t += np.float32(self._forward.noise(self.t)) * xi
        return xi, x_t

    def _posterior_means(self, x_t: Float32, points: Float32, own: Float32, added: NDArray[np.bool_]) -> Float32:
        """``E[x_0 | x_t]`` when ``x_0`` is one of ``points``, all equally likely, in float32.

        Where ``added`` is True, the row's ``own`` is one of the points too.
        """
        signal, variance = self._forward.signal(self.t), self._forward.noise(self.t) ** 2
        slope, curve = np.float32(signal / variance), np.float32(signal**2 / (2 * variance))
        scaled = np.ascontiguousarray(points.T) * slope
        offset = np.sum(points**2, axis=1) * curve
        out = np.empty_like(x_t)
        for start in range(0, len(x_t), 512):
            rows = slice(start, start + 512)
            weights = x_t[rows] @ scaled
            weights -= offset
            top, total = exp_rows(weights)
            sums: Float32 = weights @ points
            if added[rows].any():
                mine = own[rows]
                exponent = np.einsum("ij,ij->i", mine, x_t[rows]) * slope - np.einsum("ij,ij->i", mine, mine) * curve
                above = np.where(added[rows], exponent - top, -np.inf).astype(np.float32)
                weight, shrunk = np.exp(np.minimum(above, 0)), np.exp(-np.maximum(above, 0))
                sums *= shrunk[:, None]
                sums += weight[:, None] * mine
                total = shrunk * total + weight
            out[rows] = sums / total[:, None]
        return out


class Passes(Protocol):
    """Examples of several times side by side, as the engine that trains them takes them: arrays or tensors."""

    def of_pass(self, number: int) -> tuple[Any, Any]:
        """Inputs and targets of pass ``number``, each ``(times, n, width)``."""
        ...

    def of_training(self) -> tuple[Any, Any]:
        """See :meth:`Examples.of_training`."""
        ...

    def of_held_out(self) -> tuple[Any, Any]:
        """See :meth:`Examples.of_held_out`."""
        ...


class Beside:
    """Examples of several times, stacked along a first axis.

    Parameters
    ----------
    each : list of Examples
    """

    def __init__(self, each: list[Examples]) -> None:
        self._each = each

    def of_pass(self, number: int) -> tuple[Float32, Float32]:
        """Inputs and targets of pass ``number``, each ``(times, n, width)``."""
        return _stack([one.of_pass(number) for one in self._each])

    def of_training(self) -> tuple[Float32, Float32]:
        """See :meth:`Examples.of_training`."""
        return _stack([one.of_training() for one in self._each])

    def of_held_out(self) -> tuple[Float32, Float32]:
        """See :meth:`Examples.of_held_out`."""
        return _stack([one.of_held_out() for one in self._each])


def _stack(pairs: list[tuple[Float32, Float32]]) -> tuple[Float32, Float32]:
    if len(pairs) == 1:
        return pairs[0][0][None], pairs[0][1][None]
    return np.stack([x for x, _ in pairs]), np.stack([y for _, y in pairs])


class Minibatches:
    """Minibatches of pass after pass, handed out by number of steps; what is left of a pass and fills none is dropped.

    Parameters
    ----------
    examples : Examples
    batch : int
        At most as many as there are samples.
    """

    def __init__(self, examples: Examples, batch: int) -> None:
        self._examples, self.batch, self._number = examples, batch, 0
        self._left: tuple[Float32, Float32] | None = None

    def of(self, steps: int) -> Sequence[tuple[Float32, Float32]]:
        """Inputs and targets of so many steps, whole batches each."""
        out = []
        while steps > 0:
            if self._left is None or len(self._left[0]) < self.batch:
                self._left, self._number = self._examples.of_pass(self._number), self._number + 1
            made = min(steps, len(self._left[0]) // self.batch)
            cut = made * self.batch
            out.append((self._left[0][:cut], self._left[1][:cut]))
            self._left = self._left[0][cut:], self._left[1][cut:]
            steps -= made
        return out


def learning_rates(
    training: TrainingSection, first_step: int, steps: int, total: int, warm_rate: float | None = None
) -> Floats:
    """Learning rates of consecutive steps: constant, or decaying to zero, shape ``(steps,)``.

    Parameters
    ----------
    training : TrainingSection
        Its ``learning_rate`` and ``decay``; ``trapezoid`` is constant for the first half and then falls linearly.
    first_step : int
        Steps made before these.
    steps : int
    total : int
        Steps of the whole training of this network.
    warm_rate : float, optional
        Constant rate that replaces all of this.
    """
    if warm_rate is not None:
        return np.full(steps, warm_rate)
    done = (first_step + np.arange(steps) + 0.5) / total
    factor = {
        "none": np.ones(steps),
        "linear": 1 - done,
        "cosine": 0.5 * (1 + np.cos(np.pi * done)),
        "trapezoid": np.minimum(1, 2 * (1 - done)),
    }[training.decay]
    return training.learning_rate * factor


def loss_weight(training: TrainingSection, parametrisation: Parametrisation, t: int) -> float:
    """Factor on the squared output error: 1 for the simple loss, that of (19) in nats for the weighted one.

    It multiplies every gradient of this time's network alike, and Adam divides it out; for SGD it is a factor on the
    learning rate.
    """
    if training.loss == "simple":
        return 1.0
    return bound_weight(parametrisation.forward.schedule, t) * parametrisation.xi_unit(t) ** 2
