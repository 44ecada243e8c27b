"""Small plain banks trained for ``undiffuse physics cascade``: along diffusion time, and along training."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from undiffuse.networks.network import Architecture, Weights
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.physics.cascade import Moments, gains, half_step, half_time, regression_slopes, two_layer_half
from undiffuse.runs.config import Config
from undiffuse.runs.sections import TrainingSection
from undiffuse.studies.small_banks import centred, seconds_of_step, trained_with_adam
from undiffuse.support.arrays import Float32, Floats
from undiffuse.support.stats import PrincipalAxes
from undiffuse.support.streams import Purpose, stream
from undiffuse.support.threads import one_thread, one_torch_thread
from undiffuse.training import engines
from undiffuse.training.passes import Examples, Minibatches
from undiffuse.training.state import TrainingState

ACTIVE = {"linear": 1.0, "relu": 0.5}  # share of a signal that the units pass
MOST_STEPS = 200_000  # of SGD
_START = 1e-3  # slope that SGD starts from, of linear units
_RECORDS = 90  # along SGD
_AHEAD = 1.2  # trainings by SGD last so many times the longest half time predicted
_PROBES = 1_000  # samples at which gains are measured


@dataclass(frozen=True)
class Bench:
    """What all trainings share.

    Attributes
    ----------
    config : Config
        Of the data and the schedule.
    hidden, components, passes, batch : int
    times : tuple of int
        Trained times, rising.
    clock : int
        Time of the network that is followed along SGD.
    growth : float
        Rate of SGD times ``Cov(x_0, x_t)`` along the first axis.
    seed : int
    """

    config: Config
    hidden: int
    components: int
    passes: int
    batch: int
    times: tuple[int, ...]
    clock: int
    growth: float
    seed: int

    def training(self) -> TrainingSection:
        """Settings of the bank along diffusion time."""
        return TrainingSection(
            epochs=self.passes, batch=self.batch, learning_rate=0.001, decay="linear", engine="torch"
        )

    def architecture(self, dim: int, activation: str = "relu") -> Architecture:
        """Plain network that predicts x0, without a skip."""
        return Architecture(dim, self.hidden, prediction="x0", activation=activation)

    def rate(self, variances: Floats) -> float:
        """Learning rate of SGD."""
        return float(self.growth / Moments.of(self.config.forward(), variances[:1], self.clock).cross[0])

    def steps(self, variances: Floats) -> int:
        """Steps of SGD: enough for ReLU units to learn the last component."""
        last = variances[self.components - 1 : self.components]
        moments = Moments.of(self.config.forward(), last, self.clock)
        start = ACTIVE["relu"] * _START
        if moments.slope[0] <= 2 * start:
            return MOST_STEPS + 1  # as much as is there from the start would be left to learn
        half = two_layer_half(self.rate(variances), moments, start, ACTIVE["relu"])
        return int(min(np.ceil(_AHEAD * half[0]), MOST_STEPS + 1))


class Learned(NamedTuple):
    """What SGD learned along the axes, of one kind of units.

    Attributes
    ----------
    share : (records, k)
        Slope over what theory says it will be, at each record.
    start : (k,)
        Slope that the balanced part of the weights began with.
    half, theory : (k,)
        Steps to half, measured and predicted.
    """

    share: Floats
    start: Floats
    half: Floats
    theory: Floats


class Trained(NamedTuple):
    """What the trainings of one seed gave.

    Attributes
    ----------
    regression, jacobian : (times, k)
        Gains of the bank.
    half, jacobian_half : (k,)
        OU times at which they are one half.
    steps : (records,)
    learned : dict of Learned
        By kind of units.
    """

    regression: Floats
    jacobian: Floats
    half: Floats
    jacobian_half: Floats
    steps: Floats
    learned: dict[str, Learned]


def trained(bench: Bench, replicate: int) -> Trained:
    """Train a bank along diffusion time and two networks along SGD, from a seed of their own, and measure them."""
    with one_thread(), one_torch_thread():
        x = centred(bench.config)
        axes = PrincipalAxes.of(x)
        seed = int(stream(bench.seed, Purpose.CASCADE_SEED, replicate).integers(2**63))
        leading = axes.axes[:, : bench.components]
        probes = x[stream(seed, Purpose.CASCADE_PROBES, 0).permutation(len(x))[:_PROBES]]
        data = x.astype(np.float32)
        setting = bench.config.forward(), bench.architecture(data.shape[1]), bench.training()
        found = trained_with_adam(*setting, bench.times, data, seed)
        measured = [gains(found, probes, t, leading, stream(seed, Purpose.CASCADE_PROBES, t)) for t in bench.times]
        regression, jacobian = (np.stack(part) for part in zip(*measured, strict=True))
        tau = bench.config.forward().schedule.ou_time(bench.times)
        steps = records(bench.steps(axes.variances))
        half, other = (np.array([half_time(tau, column) for column in part.T]) for part in (regression, jacobian))
        return Trained(
            regression,
            jacobian,
            half,
            other,
            steps,
            {kind: _learned(bench, kind, data, axes, seed) for kind in ACTIVE},
        )


def seconds(bench: Bench, x: Floats, variances: Floats) -> float:
    """Seconds of the trainings of one seed, from a few steps of each; ``variances`` are those along the data's axes."""
    with one_thread(), one_torch_thread():
        a, made = bench.architecture(x.shape[1]), bench.passes * -(-len(x) // bench.batch)
        side_by_side = seconds_of_step(a, bench.batch, x, len(bench.times)) * made
        return side_by_side + seconds_of_step(a, bench.batch, x) * len(ACTIVE) * bench.steps(variances)


def records(steps: int) -> Floats:
    """Steps at which SGD is looked at, evenly spaced in their logarithm."""
    return np.unique(np.rint(np.geomspace(max(1, steps / 1000), steps, _RECORDS))).astype(np.float64)


# -- inside -----------------------------------------------------------------------------------------------------------


def _examples(bench: Bench, x: Float32, seed: int, t: int) -> Examples:
    """Pairs ``(x_t, x_0)`` of one time."""
    link = Parametrisation(bench.config.forward(), bench.architecture(x.shape[1]))
    return Examples(link, x, x, seed, t, bench.training())


def _learned(bench: Bench, kind: str, x: Float32, axes: PrincipalAxes, seed: int) -> Learned:
    """Follow one network along SGD from small weights.

    Parameters
    ----------
    bench : Bench
    kind : str
        Activation of the units.
    x : (n, dim)
    axes : PrincipalAxes
    seed : int
    """
    k, forward, t = bench.components, bench.config.forward(), bench.clock
    leading, steps = axes.axes[:, :k], records(bench.steps(axes.variances))
    a = bench.architecture(len(axes.mean), kind)
    rng = stream(seed, Purpose.CASCADE_START)
    size = np.float32(np.sqrt(2 * _START / a.hidden))
    W = size * rng.standard_normal((a.hidden, a.dim), dtype=np.float32)
    A = size * rng.standard_normal((a.dim, a.hidden), dtype=np.float32)
    weights = Weights(W, np.zeros(a.hidden, np.float32), A, np.zeros(a.dim, np.float32))
    start = ACTIVE[kind] * np.sum(((W @ leading + A.T @ leading) / 2) ** 2, axis=0)
    moments, rate = Moments.of(forward, axes.variances[:k], t), bench.rate(axes.variances)
    few = x[rng.permutation(len(x))[:_PROBES]]
    probes = forward.jump(few, t, rng.standard_normal(few.shape)).astype(np.float32)
    engine = engines.build("torch", a, [TrainingState.fresh(weights, a)], optimiser="sgd")
    slopes, stock = [], Minibatches(_examples(bench, x, seed, t), bench.batch)
    for before, now in pairwise([0, *map(int, steps)]):
        for inputs, targets in stock.of(now - before):
            rates = np.full(-(-len(inputs) // bench.batch), rate)
            engine.run_pass(inputs[None], targets[None], bench.batch, rates, [1.0])
        outputs = engine.outputs(probes[None])[0]
        slopes.append(regression_slopes(outputs.astype(np.float64), probes.astype(np.float64), leading))
    share = np.stack(slopes) / moments.slope
    return Learned(
        share,
        start,
        np.array([half_step(steps, column) for column in share.T]),
        two_layer_half(rate, moments, start, ACTIVE[kind]),
    )
