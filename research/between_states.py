"""What a network of tied weights can be between two states: recipes against the exact ridge of spins and of digits.

    python research/between_states.py spins
    python research/between_states.py digits

Trains networks that predict the data at single diffusion times, from several seeds each, with ``A = W^T`` or
``A = W^T diag(+1 .. -1)``, of ReLU or sigmoid units, on noised data or with a half of the inputs made of blends of
two samples, whose targets are posterior means. Prints, beside those of the exact score (of the training images where
digits are concerned), as means over seeds with standard errors: the held-out xi-error, the curvature of the reverse
potential midway between the states, and the barrier between them in nats. Ten minutes of one core for five seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import cumulative_trapezoid

import undiffuse as ud
from record import Mean, Record, count, json_options
from undiffuse.diffusion.objective import xi_error
from undiffuse.networks.network import Tying
from undiffuse.physics import Classes
from undiffuse.physics.curves import curvatures
from undiffuse.physics.empirical import in_the_middle
from undiffuse.runs.config import Config
from undiffuse.runs.sections import TrainingSection
from undiffuse.studies.small_banks import trained_with_adam
from undiffuse.support.arrays import Float32
from undiffuse.support.threads import one_thread, one_torch_thread

TAUS = (0.5, 1.0)
SPINS = ["diffusion.T=60", "diffusion.beta_1=0.002", "diffusion.beta_T=0.3", "data.n=10000"]
PASSES = {"spins": 20, "digits": 10}
SHARE = {"spins": 0.5, "digits": 0.1}  # of the training samples, in posterior means


@dataclass(frozen=True)
class Kind:
    """One way to tie and to train."""

    tying: Tying
    activation: str
    blends: bool
    learning_rate: float

    def __str__(self) -> str:
        return f"{self.tying}, {self.activation}{', blends' if self.blends else ''}"


TIES: list[tuple[Tying, str, float]] = [("tied", "relu", 0.002), ("signed", "relu", 0.002), ("tied", "sigmoid", 0.004)]
KINDS = [Kind(*ties[:2], blends, ties[2]) for ties in TIES for blends in (False, True)]


@dataclass(frozen=True)
class Ridge:
    """What a denoiser is between two states at one time."""

    error: float
    curvature: float
    barrier: float

    @staticmethod
    def of(denoiser: ud.Denoiser, held_out: Classes, t: int, seed: int) -> Ridge:
        """Measure it on held-out samples, of which the first 200 are moved along the line between the states."""
        error = xi_error(denoiser, held_out.x, t, seed)
        curved = float(np.mean(curvatures(denoiser, held_out, t, n=200, seed=seed)))
        return Ridge(error, curved, barrier(denoiser, held_out, t, seed))


def barrier(denoiser: ud.Denoiser, classes: Classes, t: int, seed: int) -> float:
    """Work against the mean score from the states to the middle of their line, in nats; mean of both sides."""
    e, middle = classes.direction
    x_t = in_the_middle(denoiser.forward, classes, t, 200, seed)
    first, _ = classes.outermost
    half = denoiser.forward.signal(t) * abs(float((classes.x[first].mean(axis=0) - middle) @ e))
    z = np.linspace(-1.6, 1.6, 33) * half
    force = np.array([np.mean(denoiser.score(x_t + at * e, t) @ e) for at in z])
    height = -cumulative_trapezoid(force, z, initial=0)
    top = len(z) // 2
    return float(height[top] - (height[:top].min() + height[top:].min()) / 2)


def trained(kind: Kind, config: Config, x: Float32, t: int, passes: int, share: float) -> ud.Denoiser:
    """Train one network at one time, on centred data."""
    plain = TrainingSection(epochs=passes, batch=100, learning_rate=kind.learning_rate, decay="linear", engine="torch")
    blends = {"targets": "posterior", "posterior_share": share, "blends": 0.5}
    training = plain.model_copy(update=blends if kind.blends else {})
    a = ud.Architecture(x.shape[1], 256, prediction="x0", tying=kind.tying, activation=kind.activation)
    with one_thread(), one_torch_thread():
        return trained_with_adam(config.forward(), a, training, (t,), x, config.seed)


def main(argv: Sequence[str] | None = None) -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], parents=[json_options()])
    parser.add_argument("data", choices=list(PASSES))
    parser.add_argument("--seeds", type=count, default=5, help="trainings of each kind")
    options = parser.parse_args(argv)
    record = Record(parser, argv, options.json, options.overwrite)
    preset, changes = ("curie-weiss", SPINS) if options.data == "spins" else ("mnist-01-quick", [])
    found: dict[tuple[float, str], list[Ridge]] = {}
    for seed in range(options.seeds):
        config = ud.config.load(preset, changes, seed)
        data = ud.datasets.load(config)
        _, exact = data.exact(config.forward())
        mean = data.train.mean(axis=0)
        x = (data.train - mean).astype(np.float32)
        classes = data.classes()[1]
        centred = Classes(classes.x - mean, classes.labels)
        for tau in TAUS:
            t = config.forward().schedule.time_at_ou(tau)
            found.setdefault((tau, "exact"), []).append(Ridge.of(exact, classes, t, seed))
            for kind in KINDS:
                denoiser = trained(kind, config, x, t, PASSES[options.data], SHARE[options.data])
                found.setdefault((tau, str(kind)), []).append(Ridge.of(denoiser, centred, t, seed))
    for (tau, name), ridges in found.items():
        error, curved, high = (
            Mean.of([getattr(r, what) for r in ridges]) for what in ("error", "curvature", "barrier")
        )
        record.add(
            f"tau {tau:g}  {name:22} xi-error {error.text(4)}, curvature {curved.text(2)}, barrier {high.text(2)} nats",
            "ridges",
            tau=tau,
            kind=name,
            error=error,
            curvature=curved,
            barrier=high,
        )


if __name__ == "__main__":
    main()
