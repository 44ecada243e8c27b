"""Where a bank's samples lose variance, and what a linear correction of each network would give back.

    python benchmarks/digit_calibration.py RUN

An expected noise leaves an error that no linear function of ``x_t`` can predict. For a trained network it need not be
so: this measures the slope of ``xi - xi_hat`` against ``x_t`` along groups of principal axes, on training and on
held-out images, and draws samples with the held-out slopes added, from none to three times.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np

import undiffuse as ud
from undiffuse.metrics.features import frechet_distance
from undiffuse.workflow import readers_of, run_data

EDGES = [0, 1, 2, 3, 5, 8, 12, 17, 24, 33, 45, 60, 80, 100, 130, 170, 220, 300, 400, 577]
TIMES = [1, 3, 8, 20, 30, 40, 50, 65, 80, 100, 120, 150, 175, 200, 225, 250, 275, 300, 350, 400, 450, 500, 600, 1000]
SHOWN = {"1": slice(0, 1), "2-5": slice(1, 5), "6-20": slice(5, 20), "21-100": slice(20, 100)}


class Corrected(ud.Denoiser):
    """A denoiser along principal axes, with ``slope(t) (z - mean)`` added."""

    def __init__(self, inner: ud.Denoiser, mean: np.ndarray, slopes: np.ndarray) -> None:
        super().__init__(inner.forward, inner.dim)
        self.inner = inner
        self.mean, self.slopes = mean, slopes

    def xi_hat(self, x_t: np.ndarray, t: int) -> np.ndarray:
        """Corrected noise estimate, slopes interpolated in t."""
        after = min(int(np.searchsorted(TIMES, t)), len(TIMES) - 1)
        share = 1.0 if TIMES[after] == t else (t - TIMES[after - 1]) / (TIMES[after] - TIMES[after - 1])
        slope = share * self.slopes[after] + (1 - share) * self.slopes[max(0, after - 1)]
        return self.inner.xi_hat(x_t, t) + slope * (x_t - self.forward.signal(t) * self.mean)


def slopes(denoiser: ud.Denoiser, z: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Slope of the error against the state, one for each group of axes, at each of TIMES."""
    rng, out = np.random.default_rng(1), np.zeros((len(TIMES), denoiser.dim))
    for row, t in zip(out, TIMES, strict=True):
        xi = rng.standard_normal(z.shape)
        z_t = denoiser.forward.jump(z, t, xi)
        away = z_t - denoiser.forward.signal(t) * mean
        with_error = np.sum((xi - denoiser.xi_hat(z_t, t)) * away, axis=0)
        for first, last in pairwise(EDGES):
            row[first:last] = with_error[first:last].sum() / np.sum(away[:, first:last] ** 2)
    return out


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    run = ud.RunFolder.open(sys.argv[1])
    model, data = ud.Diffusion.load(run), run_data(run)
    readers = readers_of(run, data)
    turned = model.along_axes()
    if turned is None:
        sys.exit("this bank does not work on principal components")
    inner, axes = turned
    train, mean = data.train @ axes, data.train.mean(axis=0) @ axes
    found = {"training": slopes(inner, train[:4000], mean)}
    found["held out"] = slopes(inner, np.tile(data.held_out @ axes, (3, 1)), mean)
    print("slope of the error, components " + ", ".join(SHOWN))
    for t in (50, 100, 200, 300, 400):
        for name, slope in found.items():
            row = "".join(f"{slope[TIMES.index(t), part].mean():+9.4f}" for part in SHOWN.values())
            print(f"t = {t:3d}  {name:9s} {row}")
    print("correction   Frechet  above 0.9     ones   variance of the components over the data's")
    for scale in (0, 1, 2, 3):
        z = ud.sample(Corrected(inner, mean, scale * found["held out"]), 4000, seed=5)
        x = z @ axes.T
        shares = readers.shares(x)
        kept = "".join(f"{z[:, p].var(0).sum() / train[:, p].var(0).sum():8.3f}" for p in SHOWN.values())
        distance = frechet_distance(readers.plain.features(x), readers.plain.features(data.held_out))
        print(f"{scale:10d} {distance:9.2f} {shares['confident']:10.4f} {shares['share_of_1']:8.4f}   {kept}")


if __name__ == "__main__":
    main()
