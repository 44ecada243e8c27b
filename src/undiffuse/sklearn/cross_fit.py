"""A bank for few rows: networks of several folds side by side, weighted by rows they have not seen."""

from __future__ import annotations

import warnings

import numpy as np

from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.model import Diffusion, fit
from undiffuse.networks.bank import Bank, MemoryBlock
from undiffuse.networks.network import Weights
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.runs.config import Config
from undiffuse.support.arrays import Floats
from undiffuse.support.streams import Purpose, stream
from undiffuse.training import Execution

_POINTS = 1 << 15  # noised rows by which a fold is judged at each time
_MOST_DRAWS = 20
_SMOOTH = 9  # times over which a weight is averaged


def cross_fit(z: Floats, config: Config, folds: int, seed: int) -> Diffusion:
    r"""Train a bank on each fold's complement and make one bank of them.

    With ``c_k`` what the network of fold k adds to the Gaussian skip, the estimate is
    ``xi_hat = xi_G + rho_t mean_k c_k``, where ``rho_t`` in [0, 1] is the least-squares weight of ``c_k`` on the rows
    of fold k, smoothed along t: stacking (Wolpert 1992). Where nothing but the Gaussian is to be learned from so few
    rows, it is near 0. The mean of networks of one hidden layer is a network of one hidden layer, ``folds`` times as
    wide, so the result is a bank as any other.

    Parameters
    ----------
    z : (n, dim)
        Rows of variance about one; at least two.
    config : Config
        Of each fold's training, with a Gaussian skip, no ranges of times and a block of all times.
    folds : int
        At most n.
    seed : int

    Returns
    -------
    Diffusion
        Its ``errors`` are means over the folds: of training, and on the rows that were left out, with ``rho_t``.
    """
    fold = stream(seed, Purpose.CROSS_FIT, 0, 0).permutation(len(z)) % folds
    models = []
    for k in range(folds):
        rows = z[fold != k]
        own = config.model_copy(update={"seed": int(stream(seed, Purpose.CROSS_FIT, 0, k + 1).integers(2**63))})
        # Every row is trained on: the one that a training keeps apart is a copy.
        both = np.concatenate([rows, rows[:1]])
        with warnings.catch_warnings():
            # The error on that one row says nothing; whether a network is worth anything is found below.
            warnings.filterwarnings("ignore", r"(mean )?held-out xi-error")
            models.append(fit(both, own, held_out=1 / len(both), execution=Execution(workers=1, notebook_bar=False)))
    times = config.forward().schedule.times.tolist()
    judged = np.array([sum(_judge(m, z[fold == k], t, (seed, k)) for k, m in enumerate(models)) for t in times])
    along, network, before, numbers = judged.T
    rho = np.clip(_smoothed(along) / np.maximum(_smoothed(network), 1e-300), 0, 1)
    left = (before - 2 * rho * along + rho**2 * network) / numbers
    network_section = config.network.model_copy(update={"hidden": folds * config.network.hidden})
    wide = config.model_copy(update={"network": network_section})
    bank = _side_by_side(models, rho, GaussianDenoiser.from_data(config.forward(), z), wide)
    training = np.mean([model.errors[:, 1] for model in models], axis=0)
    return Diffusion(wide, bank, np.column_stack([times, training, left]))


def _judge(model: Diffusion, rows: Floats, t: int, key: tuple[int, int]) -> Floats:
    """Sums over noised rows, ``c`` being what the network adds and ``r = xi - xi_G``: of r c, c^2, r^2 and of 1."""
    seed, k = key
    draws = min(_MOST_DRAWS, max(1, _POINTS // len(rows)))
    x0 = np.tile(rows, (draws, 1))
    xi = stream(seed, Purpose.CROSS_FIT, t, k).standard_normal(x0.shape)
    x_t = model.forward.jump(x0, t, xi)
    linear = reference_of(model).xi_hat(x_t, t)
    rest, added = xi - linear, model.xi_hat(x_t, t) - linear
    return np.array([np.sum(rest * added), np.sum(added**2), np.sum(rest**2), xi.size])


def reference_of(model: Diffusion) -> GaussianDenoiser:
    """Return the Gaussian skip of a bank that has one."""
    if model.bank.reference is None:
        raise ValueError("there is no skip here")
    return model.bank.reference


def _smoothed(sums: Floats) -> Floats:
    return np.convolve(sums, np.ones(_SMOOTH))[_SMOOTH // 2 :][: len(sums)]


def _side_by_side(models: list[Diffusion], rho: Floats, reference: GaussianDenoiser, config: Config) -> Bank:
    """Bank of ``xi_G + rho_t mean_k c_k``, the hidden units of all networks of a time in one layer."""
    architecture = config.architecture_at(1, reference.dim)
    unit = Parametrisation(reference.forward, architecture, reference).xi_unit
    merged = []
    for t, weight in enumerate(rho.tolist(), start=1):
        nets = [model.bank[t] for model in models]
        # Each network's output is in units of its own skip's error.
        units = [model.bank.parametrisation(t).xi_unit(t) for model in models]
        shares = [np.float32(weight / len(models) * own / max(unit(t), 1e-12)) for own in units]
        pairs = [*zip(shares, nets, strict=True)]
        merged.append(
            Weights(
                W=np.concatenate([net.W for net in nets]),
                b_h=np.concatenate([net.b_h for net in nets]),
                A=np.concatenate([share * net.A for share, net in pairs], axis=1),
                b_r=np.sum([share * net.b_r for share, net in pairs], axis=0),
            )
        )
    return Bank(reference.forward, [MemoryBlock(1, architecture, Weights.stack(merged))], reference)
