"""Where on the way back samples of a bank lose variance: that of their principal components over the diffused data's.

    python research/variance_along_time.py RUN -n 600 --at 350 160 0

Along principal axes diffused data have the variances ``alpha_bar lambda_k + s^2 Delta``, whatever their law. Beside the
ratios stands the largest distance of a mean of the five leading components from the data's, in standard deviations.

    python research/variance_along_time.py RUN -n 600 --from 1000 300 100

begins instead at each of these times, from held-out images that were diffused to it, and prints the same of the images
that come out, with the share that the run's classifiers read with a vote above 0.9: what is lost from there on.
"""

from __future__ import annotations

import argparse

import numpy as np

import undiffuse as ud
from undiffuse.diffusion.reverse import sample_trajectory
from undiffuse.studies.open_run import OpenRun
from undiffuse.support.arrays import Floats

GROUPS = ((0, 5), (5, 20), (20, 50), (50, 100), (100, 300))


def main() -> None:
    """Print a line for each time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("-n", type=int, default=600)
    parser.add_argument("--at", type=int, nargs="+", help="times; ten of them by default")
    parser.add_argument("--from", type=int, nargs="+", dest="starts", help="begin from diffused images, at these times")
    options = parser.parse_args()
    opened = OpenRun.of(options.run)
    model, data = opened.model, opened.data
    theory, most = ud.GaussianDenoiser.from_data(model.forward, data.train), GROUPS[-1][-1]

    def row(x: Floats, t: int) -> str:
        signal, noise = (model.forward.signal(t), model.forward.noise(t)) if t else (1.0, 0.0)
        z = (x - signal * theory.mean) @ theory.axes[:, :most]
        wanted = signal**2 * theory.variances[:most] + noise**2
        ratio = z.var(axis=0) / wanted
        shift = np.max(np.abs(z.mean(axis=0)[:5]) / np.sqrt(wanted[:5]))
        return "".join(f"{ratio[low:high].mean():10.3f}" for low, high in GROUPS) + f"{shift:10.2f}"

    heads = "".join(f"{low + 1}-{high}".rjust(10) for low, high in GROUPS) + "      mean"
    if options.starts is None:
        print("t      " + heads)
        times = options.at or [int(t) for t in np.linspace(0, model.forward.T, 11)]
        for state in sample_trajectory(model, options.n, seed=3):
            if state.t in times:
                print(f"{state.t:<7d}{row(state.x, state.t)}", flush=True)
        return
    print("from   " + heads + "    strict     plain")
    images = data.held_out[np.random.default_rng(3).permutation(len(data.held_out))[: options.n]]
    for start in options.starts:
        noise = np.random.default_rng(start).standard_normal(images.shape)
        x = ud.reconstruct(model, model.forward.jump(images, start, noise), start, seed=3)
        votes = opened.classifiers.shares(x)
        shares = "".join(f"{100 * votes[name]:8.1f} %" for name in ("confident", "confident_plain"))
        print(f"{start:<7d}{row(x, 0)}{shares}", flush=True)


if __name__ == "__main__":
    main()
