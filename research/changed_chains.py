"""What the reverse process loses that is common to all trainings, and what asking networks of other times gives.

    python research/changed_chains.py banks RUN RUN RUN
    python research/changed_chains.py shift RUN --by -0.06 -0.03 0 0.03 0.06

``banks``: runs that differ in their seed alone. Samples of each; of a chain whose steps they take in turns; and of one
whose every step takes the mean of all. Errors that trainings do not share average out in the last two.

``shift``: below t = 0.4 T the estimate of ``x_0`` is asked of the network of a noise level ``sigma (1 - by)`` instead
of ``sigma = s sqrt(Delta/alpha_bar)``: the shifted time steps of Li, Qu, Yao, Sun & Moens (2024), by a constant.

Prints for each, judged by the classifiers of the first run against all its held-out images: Frechet distance, share
read with a vote above 0.9, recall, and the variance of groups of principal components over the training images'. Six
minutes on one core for five banks of 250 networks and 4,000 samples.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import undiffuse as ud
from record import Mean, Record, count, json_options
from undiffuse.metrics.features import frechet_distance, prdc
from undiffuse.studies.open_run import OpenRun
from undiffuse.support.arrays import Array, Floats
from undiffuse.support.errors import UserError

SHARES = (-0.06, -0.03, 0.0, 0.03, 0.06)  # of the noise left out
GROUPS = {"1-5": slice(0, 5), "6-20": slice(5, 20), "21-50": slice(20, 50), "51-100": slice(50, 100)}
SEED = 3  # of the first set of samples
SHIFTED = 0.4  # share of the chain, from t = 1 on


class Several(ud.Denoiser):
    """Several denoisers as one: in turns, or the mean of their noise estimates.

    Parameters
    ----------
    each : sequence of Denoiser
    in_turns : bool
    """

    def __init__(self, each: Sequence[ud.Denoiser], in_turns: bool) -> None:
        super().__init__(each[0].forward, each[0].dim)
        self.each, self.in_turns = each, in_turns

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Noise estimate of the denoiser whose turn it is, or the mean of all."""
        if self.in_turns:
            return self.each[t % len(self.each)].xi_hat(x_t, t)
        return np.mean([one.xi_hat(x_t, t) for one in self.each], axis=0)


class Shifted(ud.Denoiser):
    """A denoiser that is asked at the time whose noise is nearest to a share less than there is.

    Parameters
    ----------
    inner : Denoiser
    by : float
        That share; more noise if negative.
    """

    def __init__(self, inner: ud.Denoiser, by: float) -> None:
        super().__init__(inner.forward, inner.dim)
        self.inner, self.by = inner, by
        schedule = self.forward.schedule
        self._logs = -np.log(schedule.snr(schedule.times)) / 2  # of sigma/s

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Noise estimate that goes with the other network's estimate of ``x_0``."""
        if t > SHIFTED * self.forward.T:
            return self.inner.xi_hat(x_t, t)
        other = 1 + int(np.argmin(np.abs(self._logs - self._logs[t - 1] - np.log1p(-self.by))))
        x0 = self.inner.x0_hat(x_t * (self.forward.signal(other) / self.forward.signal(t)), other)
        return self.forward.to_xi("x0", x0, x_t, t)


class Judge:
    """Prints what samples of a denoiser are like, by the classifiers and the data of a run.

    Parameters
    ----------
    run : OpenRun
    record : Record
    samples : int
        In a set; no more than there are held-out images are compared with these for the recall.
    sets : int
    """

    def __init__(self, run: OpenRun, record: Record, samples: int, sets: int) -> None:
        self._run, self._record, self._samples, self._sets = run, record, samples, sets
        self._theory = ud.GaussianDenoiser.from_data(run.model.forward, run.data.train)
        self._real = run.classifiers.plain.features(run.data.held_out)
        heads = ("Frechet", "above 0.9", "recall", *(f"var {group}" for group in GROUPS))
        record.say(" " * 28 + "".join(head.rjust(18) for head in heads))

    def of(self, name: str, denoiser: ud.Denoiser, turned_back: Callable[[Floats], Floats] = lambda x: x) -> None:
        """Sample, measure and print, over the sets."""
        seeds = range(SEED, SEED + self._sets)
        rows = [self._measured(turned_back(ud.sample(denoiser, self._samples, seed=seed))) for seed in seeds]
        means = {key: Mean.of([row[key] for row in rows]) for key in rows[0]}
        cells = "".join(value.text(2 if key == "frechet_distance" else 4).rjust(18) for key, value in means.items())
        self._record.add(f"{name:28s}{cells}", "chains", chain=name, **means)

    def _measured(self, x: Floats) -> dict[str, float]:
        classifiers, theory = self._run.classifiers, self._theory
        features = classifiers.plain.features(x)
        z = (x - theory.mean) @ theory.axes
        return {
            "frechet_distance": frechet_distance(features, self._real),
            "confident": classifiers.shares(x)["confident"],
            "recall": prdc(features[: len(self._real)], self._real)["recall"],
        } | {f"variance_{g}": float(z[:, p].var(0).sum() / theory.variances[p].sum()) for g, p in GROUPS.items()}


def banks(opened: Sequence[OpenRun], judge: Judge) -> None:
    """Banks alone, in turns and their mean."""
    models = [run.model for run in opened]
    for run, model in zip(opened, models, strict=True):
        if model.forward.schedule != models[0].forward.schedule:
            raise UserError(f"{run.path} diffuses by another schedule than {opened[0].path}: they cannot share a chain")
    for run, model in zip(opened, models, strict=True):
        judge.of(run.path.name, model)
    if len(models) > 1:
        judge.of("in turns", Several(models, in_turns=True))
        judge.of("mean of all", Several(models, in_turns=False))


def shift(run: OpenRun, judge: Judge, shares: Sequence[float]) -> None:
    """One bank, asked at other noise levels."""
    inner, axes = run.model.along_axes() or (run.model, np.eye(run.model.dim))
    for by in shares:
        judge.of(f"shift {by:+g}", Shifted(inner, by), lambda z: z @ axes.T)


def below_one(text: str) -> float:
    """Read the share of a noise that is left out, as an argument."""
    number = float(text)
    if not -np.inf < number < 1:
        raise argparse.ArgumentTypeError(f"{number:g}: wanted a share of the noise to leave out, below 1")
    return number


def main(argv: Sequence[str] | None = None) -> None:
    """Compare chains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="comparison", required=True, metavar="COMPARISON")
    both = commands.add_parser("banks", help=banks.__doc__, parents=[json_options()])
    both.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="runs that differ in their seed")
    one = commands.add_parser("shift", help=shift.__doc__, parents=[json_options()])
    one.add_argument("runs", type=Path, nargs=1, metavar="RUN")
    one.add_argument("--by", type=below_one, nargs="+", default=SHARES, help="shares of the noise")
    for command in (both, one):
        command.add_argument("-n", "--samples", type=count, default=4000, help="in a set (%(default)s)")
        command.add_argument("--sets", type=count, default=1, help="sets of samples, each of its seed (%(default)s)")
    options = parser.parse_args(argv)
    try:
        record = Record(parser, argv, options.json, options.overwrite)
        opened = [OpenRun.of(path) for path in options.runs]
        judge = Judge(opened[0], record, options.samples, options.sets)
        if options.comparison == "banks":
            banks(opened, judge)
        else:
            shift(opened[0], judge, options.by)
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
