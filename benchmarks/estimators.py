"""The scikit-learn estimators beside others, on scikit-learn's own data sets.

    python benchmarks/estimators.py
    python benchmarks/estimators.py --data iris wine --seeds 0 1 2 3 4 --json table.json

Each seed is a division of the rows, four fifths to train on. Densities: held-out log likelihood in nats per row (for
ours a lower bound on it), W2 between as many samples as there are held-out rows and these, beside its floor, that of
as many training rows, and the share of held-out rows that samples cover. Imputers, fitted on the complete training
rows: root mean square error on held-out rows of which a fifth of the entries is missing at random. All in units of the
training columns' standard deviations. The integers of digits get uniform noise of width one, so that they have a
density.

Beside them: KernelDensity (bandwidth by cross-validation), GaussianMixture (components by BIC), KNNImputer,
IterativeImputer, and, where it is installed and on the data that ``--forest`` names, ForestDiffusion at its own
settings but for ``--copies`` of each row: it takes minutes where there are a dozen columns. About half an hour on one
core.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  what makes IterativeImputer importable
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

from sklearn import datasets
from timing import JsonFile
from undiffuse.metrics.distances import wasserstein2
from undiffuse.metrics.features import prdc
from undiffuse.sklearn import DiffusionDensity, DiffusionImputer
from undiffuse.support.arrays import Floats
from undiffuse.support.stats import mean_and_stderr

DATA = ("iris", "wine", "diabetes", "breast_cancer", "digits")
DRAWS = 5  # sets of samples whose W2 and coverage are averaged
Numbers = dict[str, float]


def rows_of(name: str, seed: int) -> tuple[Floats, Floats]:
    """Training and held-out rows, in units of the training columns' standard deviations."""
    rng = np.random.default_rng(seed)
    x = np.asarray(getattr(datasets, f"load_{name}")().data, np.float64)
    if name == "digits":
        x += rng.random(x.shape) - 0.5
    x = rng.permutation(x)
    n = len(x) * 4 // 5
    mean, spread = x[:n].mean(axis=0), x[:n].std(axis=0)
    return (x[:n] - mean) / spread, (x[n:] - mean) / spread


# -- the others -------------------------------------------------------------------------------------------------------


def kernel_density(x: Floats, seed: int) -> Any:
    """Kernels of the bandwidth that cross-validation prefers."""
    search = GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.03, 3, 20)}).fit(x)
    return search.best_estimator_


def mixture(x: Floats, seed: int) -> Any:
    """Gaussians, as many as the BIC prefers of 1..8."""
    fits = [GaussianMixture(k, n_init=3, random_state=seed).fit(x) for k in range(1, 9)]
    return min(fits, key=lambda fit: fit.bic(x))


def diffusion(x: Floats, seed: int) -> Any:
    """Ours, at its defaults."""
    return DiffusionDensity(random_state=seed).fit(x)


class Forest:
    """ForestDiffusion: flow matching to draw, diffusion to fill in, as its authors say."""

    def __init__(self, x: Floats, seed: int, copies: int, kind: str) -> None:
        from ForestDiffusion import ForestDiffusionModel

        self.model = ForestDiffusionModel(x, diffusion_type=kind, duplicate_K=copies, n_jobs=1, seed=seed)

    def sample(self, n: int, random_state: int) -> Floats:
        """Draw rows."""
        np.random.seed(random_state)  # noqa: NPY002  the only source it draws from
        return np.asarray(self.model.generate(batch_size=n))

    def transform(self, x: Floats) -> Floats:
        """Fill in, the mean of five fillings."""
        return np.asarray(self.model.impute(k=DRAWS, X=self.model.scaler.transform(x))).mean(axis=0)


# -- measures ---------------------------------------------------------------------------------------------------------


def of_density(fit: Callable[[], Any], train: Floats, test: Floats) -> Numbers:
    """Likelihood (where there is one), W2 and coverage of samples, and seconds."""
    start = time.perf_counter()
    model = fit()
    out = {"seconds": time.perf_counter() - start}
    if hasattr(model, "score_samples"):
        out["log_likelihood"] = float(np.mean(model.score_samples(test)))
    sets = [draws(model, len(test), seed) for seed in range(DRAWS)]
    return out | of_samples(sets, test)


def draws(model: Any, n: int, seed: int) -> Floats:
    """Rows drawn from a model."""
    if isinstance(model, GaussianMixture):  # its sample takes no random state
        model.random_state = seed
        return np.asarray(model.sample(n)[0])
    return np.asarray(model.sample(n, random_state=seed))


def of_samples(sets: Sequence[Floats], test: Floats) -> Numbers:
    """W2 and coverage, means over sets of samples."""
    w2 = [wasserstein2(x, test) for x in sets]
    return {"w2": float(np.mean(w2)), "coverage": float(np.mean([prdc(x, test)["coverage"] for x in sets]))}


def of_imputer(fit: Callable[[], Any], test: Floats, missing: Any) -> Numbers:
    """Root mean square error of what is filled in, and seconds."""
    start = time.perf_counter()
    filled = fit().transform(np.where(missing, np.nan, test))
    return {
        "rmse": float(np.sqrt(np.mean((filled - test)[missing] ** 2))),
        "seconds": time.perf_counter() - start,
    }


def measured(name: str, seed: int, copies: int, forest: bool) -> dict[str, Numbers]:
    """Every method on one division of one data set."""
    train, test = rows_of(name, seed)
    rng = np.random.default_rng([seed, 1])
    missing = rng.random(test.shape) < 0.2
    missing[missing.all(axis=1), 0] = False
    densities: dict[str, Callable[[], Any]] = {
        "DiffusionDensity": lambda: diffusion(train, seed),
        "KernelDensity": lambda: kernel_density(train, seed),
        "GaussianMixture": lambda: mixture(train, seed),
    }
    imputers: dict[str, Callable[[], Any]] = {
        "DiffusionImputer": lambda: DiffusionImputer(random_state=seed).fit(train),
        "KNNImputer": lambda: KNNImputer().fit(train),
        "IterativeImputer": lambda: IterativeImputer(max_iter=50, random_state=seed).fit(train),
    }
    if forest:
        densities["ForestDiffusion"] = lambda: Forest(train, seed, copies, "flow")
        imputers["ForestDiffusion, filling in"] = lambda: Forest(train, seed, copies, "vp")
    out = {method: of_density(fit, train, test) for method, fit in densities.items()}
    out["training rows"] = of_samples([rng.permutation(train)[: len(test)] for _ in range(DRAWS)], test)
    return out | {method: of_imputer(fit, test, missing) for method, fit in imputers.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, parents=[JsonFile.options()], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=DATA, default=DATA)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--copies", type=int, default=20, help="noised copies of each row for ForestDiffusion (its own: 100)"
    )
    parser.add_argument("--forest", nargs="*", choices=DATA, default=("iris", "wine"), help="data for ForestDiffusion")
    options = parser.parse_args(argv)
    file = JsonFile(parser, argv, options)
    warnings.simplefilter("ignore")  # of methods that do not converge
    forest = importlib.util.find_spec("ForestDiffusion") is not None
    if not forest:
        print("ForestDiffusion is not installed: pip install ForestDiffusion")
    found: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    columns = ("log_likelihood", "w2", "coverage", "rmse", "seconds")
    for name in options.data:
        runs = [measured(name, seed, options.copies, forest and name in options.forest) for seed in options.seeds]
        found[name] = {
            method: {key: mean_and_stderr([run[method][key] for run in runs]) for key in runs[0][method]}
            for method in runs[0]
        }
        for method, numbers in found[name].items():
            cells = [f"{numbers[c][0]:.2f} ± {numbers[c][1]:.2f}" if c in numbers else "" for c in columns]
            print(" | ".join(["", name, method, *cells, ""]).strip(), flush=True)
    file.write({"means_and_standard_errors": found, "columns": columns})


if __name__ == "__main__":
    main()
