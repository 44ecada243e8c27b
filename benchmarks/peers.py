"""Banks beside what people would pick instead: the same data, the same cores, the same judge, quality against time.

    taskset -c 0 python benchmarks/peers.py digits --json digits.json --figure docs/images/peers_digits.png
    taskset -c 0 python benchmarks/peers.py points --json points.json --figure docs/images/peers_points.png
    taskset -c 0 python benchmarks/peers.py digits --only UNet --sets 2 --beside digits.json --figure all.png

The file is written after each look. The last line measures one of them alone and draws it beside what the first found.

Zeros and ones of MNIST, or the 2 pi spiral. Everyone gets the same cores (one, in the lines above). What can go on
training is looked at after each of ``--seconds``; what trains at once is looked at when it is done. Looking does not
count. Images are judged as by ``undiffuse evaluate``: the Frechet distance in the features of one classifier, precision
and recall there, and the share that a stricter classifier reads with a vote above 0.9. Points are judged by their
distances over those of fresh points.

The others are tuned, at no cost to them: the shared networks by the best of three learning rates, the mixture by its
number of Gaussians, the kernel by its bandwidth.

- *UNet* (images): diffusers' ``UNet2DModel``, small, epsilon prediction, EMA of the weights;
- *MLP*: a time-conditioned residual network, v-prediction, cosine schedule, EMA;
- *mixture*: scikit-learn's ``GaussianMixture``; *KernelDensity* (points);
- *ForestDiffusion* (images), where it is installed: of a size that two cores train in minutes.

Shared networks are sampled by DDIM with eta = 1 in 100 steps, ours by all steps of Algorithm 2. One training of each.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from matplotlib.figure import Figure

import undiffuse as ud
from peer_methods import MLP, AtOnce, Bank, Forest, Kernel, Mixture, Peer, Shared, UNet
from quality import judges
from timing import JsonFile, drawing_options, earlier
from undiffuse.datasets import Dataset
from undiffuse.figures.style import GREY, panels, save, styled, ticks_at_round_numbers
from undiffuse.metrics import Evaluation
from undiffuse.metrics.classifiers import Classifiers
from undiffuse.support.errors import UserError
from undiffuse.support.threads import cores

SAMPLES = 1_000  # in a set
IMAGES = ("frechet_distance", "confident", "precision", "recall")
AT_ONCE: dict[str, Callable[[Dataset], Peer]] = {
    "mixture": Mixture,
    "KernelDensity": Kernel,
    "ForestDiffusion": Forest,
}
SHARED: dict[str, Callable[[Dataset, float], Peer]] = {"MLP": MLP, "UNet": UNet}
POINTS = ("sliced_w2", "distance_to_curve", "energy_distance")  # each over its floor


@dataclass(frozen=True)
class Case:
    """Data, and who is compared on them.

    Attributes
    ----------
    preset : str
        Whose data they are.
    methods : tuple of str
        Who is compared, ours as ``bank``.
    banks : tuple of str
        Presets, each with a share of its passes behind a colon.
    seconds : tuple of float
        When what goes on training is looked at.
    replicates : int
        Sets of samples that each look measures.
    measures : tuple of str
    drawn : dict
        Label of each measure that is drawn.
    """

    preset: str
    methods: tuple[str, ...]
    banks: tuple[str, ...]
    seconds: tuple[float, ...]
    replicates: int
    measures: tuple[str, ...]
    drawn: dict[str, str]


CASES = {
    "digits": Case(
        "mnist-01-quick",
        ("bank", "mixture", "ForestDiffusion", "MLP", "UNet"),
        ("mnist-01-quick:0.3", "mnist-01-quick", "mnist-01-short", "mnist-01-clear"),
        (60.0, 300.0, 1200.0),
        4,
        IMAGES,
        {"frechet_distance": "Fréchet distance", "confident": "not read with a vote above 0.9 (%)"},
    ),
    "points": Case(
        "spiral-2pi-best",
        ("bank", "mixture", "KernelDensity", "MLP"),
        ("spiral-2pi-best:0.25", "spiral-2pi-best", "spiral-2pi"),
        (10.0, 60.0, 300.0),
        32,
        POINTS,
        {"sliced_w2": "sliced $W_2$ over its floor", "distance_to_curve": "distance to the curve over its floor"},
    ),
}


@dataclass(frozen=True)
class Look:
    """What a method reaches in so many seconds of training.

    Attributes
    ----------
    method : str
    seconds : float
    sampling_seconds : float
        Of 1,000 samples.
    measures : dict
        Value and standard error over sets of samples, by name; of points over the floor.
    rate : float, optional
        Learning rate that was chosen.
    """

    method: str
    seconds: float
    sampling_seconds: float
    measures: dict[str, tuple[float, float]]
    rate: float | None


def entrants(case: Case, data: Dataset) -> Iterator[Peer]:
    """Everyone, one after the other."""
    trial = min(case.seconds) / 2
    for method in case.methods:
        if method == "bank":
            for bank in case.banks:
                preset, _, share = bank.partition(":")
                yield Bank(data, preset, float(share or 1))
        elif method == "ForestDiffusion" and importlib.util.find_spec("ForestDiffusion") is None:
            print("ForestDiffusion is not installed: pip install ForestDiffusion")
        elif method in AT_ONCE:
            yield AT_ONCE[method](data)
        else:
            yield SHARED[method](data, trial)


def looked_at(peer: Peer, data: Dataset, judge: Classifiers | None, case: Case) -> Look:
    """Draw samples and measure them."""
    start = time.perf_counter()
    samples = peer.sample(SAMPLES * case.replicates, 1)
    sampling = (time.perf_counter() - start) / case.replicates
    found = Evaluation(data, case.replicates, 0, judge).of(samples)
    whole = {
        name: (c.value, c.value_stderr) if judge is not None else (c.ratio or np.nan, c.ratio_stderr or np.nan)
        for name, c in found.items()
    }
    rate = peer.rate if isinstance(peer, Shared) else None
    return Look(peer.name, peer.seconds, sampling, {name: whole[name] for name in case.measures}, rate)


def compared(case: Case) -> Iterator[Look]:
    """Train everyone; print a line for each look."""
    data = ud.datasets.load(ud.config.load(case.preset))
    judge, marks = judges(data), sorted(case.seconds)
    for peer in entrants(case, data):
        for mark in marks[:1] if isinstance(peer, AtOnce) else marks:
            peer.train(mark)
            look = looked_at(peer, data, judge, case)
            cells = [f"{name} {value:.3f} ± {error:.3f}" for name, (value, error) in look.measures.items()]
            rate = "" if look.rate is None else f", rate {look.rate:g}"
            print(
                f"{look.method}{rate}: {look.seconds:.0f} s; {', '.join(cells)}; "
                f"1,000 samples in {look.sampling_seconds:.1f} s",
                flush=True,
            )
            yield look


@styled
def drawn(looks: Sequence[Look], labels: dict[str, str]) -> Figure:
    """Quality against seconds of training, a panel for each measure."""
    figure, axes = panels(1, len(labels), 4.3 * len(labels), 3.4)
    groups: dict[str, list[Look]] = {}
    for look in looks:
        groups.setdefault(look.method.split(",")[0], []).append(look)  # a preset's shares are one line
    for axis, (name, label) in zip(axes[0], labels.items(), strict=True):
        for method, group in groups.items():
            group.sort(key=lambda look: look.seconds)
            values = np.array([look.measures[name] for look in group])
            if name == "confident":
                values = 100 * np.column_stack([1 - values[:, 0], values[:, 1]])
            style = "o-" if method in ud.presets() else "s--"
            taken = [look.seconds for look in group]
            axis.errorbar(taken, values[:, 0], values[:, 1], fmt=style, ms=4, label=method)
        axis.set(xscale="log", xlabel="training (s)", ylabel=label)
        if name in IMAGES:
            axis.set_yscale("log")
            ticks_at_round_numbers(axis.yaxis)
            axis.minorticks_off()
        else:
            axis.axhline(1, color=GREY, lw=0.8)
    axes[0, -1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Train everyone, print a line for each look, and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[JsonFile.options(), drawing_options()],
    )
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--seconds", nargs="+", type=float, metavar="S", help="when to look")
    parser.add_argument("--banks", nargs="+", metavar="PRESET[:SHARE]", help="ours, with a share of their passes")
    methods = ("bank", *AT_ONCE, *SHARED)
    parser.add_argument("--only", nargs="+", choices=methods, help="methods to measure; all by default")
    parser.add_argument("--sets", type=int, metavar="N", help="sets of 1,000 samples at each look")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # of mixtures that do not converge
    torch.set_num_threads(cores())
    case = CASES[options.case]
    asked = {
        "seconds": options.seconds,
        "banks": options.banks,
        "replicates": options.sets,
        "methods": options.only and tuple(name for name in case.methods if name in options.only),
    }
    case = replace(case, **{name: value for name, value in asked.items() if value is not None})
    if not case.methods:
        parser.error(
            f"of {options.case} nobody in {options.only} is measured: choose from {CASES[options.case].methods}"
        )
    if case.replicates < 2:
        parser.error(f"--sets {case.replicates}: wanted at least 2, for error bars")
    found: list[Look] = []
    try:
        file = JsonFile(parser, argv, options)
        known = earlier(options, "looks", lambda look: Look(**look))
        for look in compared(case):
            found.append(look)
            file.write({"looks": [each.__dict__ for each in found]})
    except UserError as error:
        parser.error(str(error))
    if options.figure is not None:
        save(drawn([*known, *found], case.drawn), options.figure)


if __name__ == "__main__":
    main()
