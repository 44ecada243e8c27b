r"""The weights of a bank in numbers at each diffusion time, and where along it they change.

All Jacobians are those of ``xi_hat`` in the network's own variables, times the standard deviation of the noise, so the
scale does not depend on t: the exact one is ``I - alpha_bar/(s^2 Delta) Cov(x_0|x_t)``, at most 1, and negative along
directions in which the data are still split at ``x_t``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.exact import GaussianDenoiser
from undiffuse.networks.bank import Bank
from undiffuse.networks.network import Autoencoder
from undiffuse.physics.crossings import stretched
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.streams import Purpose, stream

KEPT = 20  # singular values of each matrix that a table holds
TYPICAL = 8  # diffused samples at which Jacobians are taken
LEVEL = 0.05  # of the test whether a time of fastest change is distinguishable
_NEIGHBOURS, _STICKS = 3, 10_000  # speeds that are summed, and draws of the null hypothesis, in that test
SUBSPACE = 10  # dimension of the subspaces whose overlaps are taken


@dataclass(frozen=True)
class Row:
    """The network of one time in numbers.

    Attributes
    ----------
    t : int
        Time.
    tau : float
        The same in OU time.
    inputs, hidden : int
        Size of the network.
    norm_W, norm_A, norm_AW : float
        Frobenius norms.
    rank_W, rank_A, rank_AW : float
        Effective ranks: exponentials of the entropy of the normalised singular values (Roy & Vetterli 2007).
    cosine, cosine_spread : float
        Mean and standard deviation over units of the cosine between encoder w_k and decoder a_k.
    active, dead : float
        Mean share of units active at diffused held-out samples, and share active at none of them.
    lowest, highest : float
        Eigenvalues of the symmetric part of the Jacobian, means over typical points.
    lowest_between : float
        The same lowest eigenvalue midway between the class means, noise added.
    asymmetry : float
        ``|J - J^T|/|J + J^T|``, mean over typical points.
    circulation : float
        Integral of ``xi_hat . dl`` round a closed loop in the plane of the two leading components, over that of
        ``|xi_hat . dl|``: 0 for a gradient.
    overlap_next : float
        Overlap of the leading right singular subspace of A W with that of t + 1, from 0 to 1; between random subspaces
        it would be about their dimension over the number of inputs.
    overlap_data : float
        The same with the leading principal components of the data.
    seam : bool
        Whether the next time listed has another architecture, so that a difference between the two is due to the
        configuration.
    """

    t: int
    tau: float
    inputs: int
    hidden: int
    norm_W: float
    norm_A: float
    norm_AW: float
    rank_W: float
    rank_A: float
    rank_AW: float
    cosine: float
    cosine_spread: float
    active: float
    dead: float
    lowest: float
    highest: float
    lowest_between: float
    asymmetry: float
    circulation: float
    overlap_next: float
    overlap_data: float
    seam: bool


FOLLOWED = tuple(f.name for f in fields(Row) if f.name not in ("t", "tau", "inputs", "hidden", "seam"))


@dataclass(frozen=True)
class Spectrum:
    """Leading singular values of the matrices of one time, largest first.

    Attributes
    ----------
    t : int
    W, A, AW : arrays
        Of the encoder, the decoder and their product.
    """

    t: int
    W: NDArray[np.floating]
    A: NDArray[np.floating]
    AW: NDArray[np.floating]


def follow(
    bank: Bank,
    x0: Floats,
    between: Floats,
    times: Sequence[int],
    *,
    seed: int = 0,
    on_time: Callable[[], None] = lambda: None,
) -> tuple[list[Row], list[Spectrum]]:
    """Describe the network of each of ``times``.

    Parameters
    ----------
    bank : Bank
        With the linear theory of its training data, for their principal axes.
    x0 : (n, dim)
        Held-out samples, diffused to each time; Jacobians are taken at eight of them, the typical points.
    between : (dim,)
        Point midway between the class means.
    times : sequence of int
    seed : int
    on_time : callable
        Called after each time.

    Raises
    ------
    UserError
        If there are fewer than eight samples, or the bank has no linear theory of its data.
    """
    require(len(x0) >= TYPICAL, f"{len(x0)} held-out samples are fewer than the {TYPICAL} points wanted")
    require(bank.reference is not None, "the bank has no reference, whose principal axes are wanted")
    rows, spectra = [], []
    for t in times:
        row, spectrum = _describe(bank, x0, between, t, seed)
        rows.append(row)
        spectra.append(spectrum)
        on_time()
    networks = [bank[t].architecture for t in times]
    changed = [a != b for a, b in pairwise(networks)] + [False]
    return [replace(row, seam=seam) for row, seam in zip(rows, changed, strict=True)], spectra


def asymmetry(jacobian: Floats) -> Floats:
    """``|J - J^T|/|J + J^T|`` in the Frobenius norm, for Jacobians of shape ``(n, N, N)``: 0 for a gradient."""
    other = np.swapaxes(jacobian, 1, 2)
    return np.asarray(np.linalg.norm(jacobian - other, axis=(1, 2)) / np.linalg.norm(jacobian + other, axis=(1, 2)))


def circulation(denoiser: Denoiser, centre: Floats, plane: Floats, radius: float, t: int, n: int = 256) -> float:
    """Integral of ``xi_hat . dl`` round a circle, over that of ``|xi_hat . dl|``.

    0 for a score that is a gradient, whatever the circle. The trapezoidal rule.

    Parameters
    ----------
    denoiser : Denoiser
    centre : (dim,)
    plane : (dim, 2)
        Two orthonormal vectors that span the circle's plane.
    radius : float
    t : int
    n : int
        Points on the circle.
    """
    e, f = plane.T
    angle = 2 * np.pi * np.arange(n) / n
    out = np.outer(np.cos(angle), e) + np.outer(np.sin(angle), f)
    along = np.outer(-np.sin(angle), e) + np.outer(np.cos(angle), f)
    push = np.sum(denoiser.xi_hat(centre + radius * out, t) * along, axis=1)
    return float(push.sum() / max(np.abs(push).sum(), 1e-300))


def effective_rank(singular_values: NDArray[np.floating]) -> float:
    """Exponential of the entropy of the normalised singular values (Roy & Vetterli 2007); 0 for no matrix."""
    if not singular_values.any():
        return 0.0
    share = singular_values[singular_values > 0] / singular_values.sum()
    return float(np.exp(-np.sum(share * np.log(share))))


def subspace_overlap(a: Floats, b: Floats) -> float:
    """``|A^T B|^2/q`` for orthonormal ``(N, q)``: 1 where they span the same space, 0 where they are orthogonal."""
    return float(np.sum((a.T @ b) ** 2) / a.shape[1])


@dataclass(frozen=True)
class Change:
    """Where a quantity changes fastest.

    Attributes
    ----------
    t : int
    tau : float
        OU time.
    share : float
        Share of the quantity's whole range that this step covers.
    p_value : float
        Probability that a stick broken at random has its pieces as crowded, times the number of quantities.
    """

    t: int
    tau: float
    share: float
    p_value: float

    @property
    def distinguishable(self) -> bool:
        """Whether more of the change lies together than chance has it, at the 5 % level for all quantities together."""
        return self.p_value < LEVEL


def changes(rows: Sequence[Row], seed: int = 0) -> dict[str, Change]:
    """Where each quantity changes fastest: its steepest step, and how likely chance is to distinguish such a time.

    Speed is per unit of OU time above 0.3 and of its logarithm below. Steps from one architecture to another do not
    count. Every curve has a steepest step, so it is put to a test. The null hypothesis is a stick broken at random: the
    speeds are independent and exponential, so that no time is distinguished, and unequal by as much as their mean. The
    statistic is the largest share that three neighbouring speeds have of the sum of all, against 10,000 sticks. The
    p-value is multiplied by the number of quantities (Bonferroni). A quantity that passes changes much of its way
    within a short time, which is less than a transition; noise about a straight line, whose speeds are more equal than
    the stick's, passes less often than the level says.

    Parameters
    ----------
    rows : sequence of Row
    seed : int
        Of the sticks.
    """
    out: dict[str, Change] = {}
    tau = np.array([row.tau for row in rows])
    height = stretched(tau)
    inside = np.array([not row.seam for row in rows[:-1]])
    for name in FOLLOWED:
        values = np.array([getattr(row, name) for row in rows], float)
        steps = np.abs(np.diff(values))
        speed = np.where(inside & np.isfinite(steps), steps / np.diff(height), -1.0)
        where = int(np.argmax(speed))
        if speed[where] <= 0:
            continue
        whole = float(np.nanmax(values) - np.nanmin(values))
        middle = float((tau[where] + tau[where + 1]) / 2)
        p = _crowding(speed[speed >= 0], stream(seed, Purpose.STICKS, FOLLOWED.index(name)))
        out[name] = Change(round((rows[where].t + rows[where + 1].t) / 2), middle, float(steps[where]) / whole, p)
    return {name: replace(change, p_value=min(1.0, change.p_value * len(out))) for name, change in out.items()}


def _crowding(speed: Floats, rng: np.random.Generator) -> float:
    """Probability that neighbouring pieces of a stick broken at random hold as large a share of it as these."""
    width = min(_NEIGHBOURS, len(speed))

    def largest(rows: Floats) -> Floats:
        sums = np.lib.stride_tricks.sliding_window_view(rows, width, axis=1).sum(axis=2)
        return np.asarray(sums.max(axis=1) / rows.sum(axis=1))

    sticks = rng.standard_exponential((_STICKS, len(speed)))
    as_large = largest(sticks) >= largest(speed[None])[0]
    return float((1 + as_large.sum()) / (1 + _STICKS))


def _describe(bank: Bank, x0: Floats, between: Floats, t: int, seed: int) -> tuple[Row, Spectrum]:
    reference: GaussianDenoiser = bank.reference  # type: ignore[assignment]  # checked by follow()
    net, parametrisation, forward = bank[t], bank.parametrisation(t), bank.forward
    W, A = net.W.astype(np.float64), net.A.astype(np.float64)
    AW = A @ W
    s_W, s_A = (np.linalg.svd(m, compute_uv=False) for m in (W, A))
    s_AW, leading = _leading(AW)
    rng = stream(seed, Purpose.WEIGHTS, t)
    x_t = forward.jump(x0, t, rng.standard_normal(x0.shape))
    y = parametrisation.inputs(x_t, t)
    x_t = x_t[:TYPICAL]
    middle = forward.jump(np.broadcast_to(between, x_t.shape), t, rng.standard_normal(x_t.shape))
    h = net.hidden(y)
    on = h > 0 if net.architecture.h.silent else np.ones_like(h, bool)
    J = _jacobian(bank, net, x_t, t)
    symmetric = np.linalg.eigvalsh((J + np.swapaxes(J, 1, 2)) / 2)
    between_J = _jacobian(bank, net, middle, t)
    lowest_between = np.linalg.eigvalsh((between_J + np.swapaxes(between_J, 1, 2)) / 2)[:, 0].mean()
    norms = np.linalg.norm(W, axis=1) * np.linalg.norm(A, axis=0)
    cosine = np.sum(W * A.T, axis=1) / np.maximum(norms, 1e-300)
    axes = reference.axes
    data = np.eye(len(AW)) if parametrisation.axes is not None else axes
    q = leading.shape[1]
    overlap_next = float("nan")
    if t < len(bank) and bank[t + 1].architecture == net.architecture:
        later = bank[t + 1]
        overlap_next = subspace_overlap(leading, _leading(later.A.astype(np.float64) @ later.W)[1])
    radius = float(np.sqrt(reference.total_variances(t)[0]))
    plane = axes[:, :2] if bank.dim > 1 else np.repeat(axes[:, :1], 2, axis=1)
    turn = circulation(bank, forward.signal(t) * between, plane, radius, t)
    row = Row(
        t=t,
        tau=float(forward.schedule.ou_time(t)),
        inputs=W.shape[1],
        hidden=W.shape[0],
        norm_W=float(np.linalg.norm(W)),
        norm_A=float(np.linalg.norm(A)),
        norm_AW=float(np.linalg.norm(AW)),
        rank_W=effective_rank(s_W),
        rank_A=effective_rank(s_A),
        rank_AW=effective_rank(s_AW),
        cosine=float(cosine.mean()),
        cosine_spread=float(cosine.std()),
        active=float(on.mean()),
        dead=float((~on.any(axis=0)).mean()),
        lowest=float(symmetric[:, 0].mean()),
        highest=float(symmetric[:, -1].mean()),
        lowest_between=float(lowest_between),
        asymmetry=float(asymmetry(J).mean()),
        circulation=turn,
        overlap_next=overlap_next,
        overlap_data=subspace_overlap(leading, data[:, :q]),
        seam=False,
    )
    return row, Spectrum(t, s_W[:KEPT], s_A[:KEPT], s_AW[:KEPT])


def _leading(AW: Floats) -> tuple[Floats, Floats]:
    """Singular values of A W and its leading right singular vectors, shape ``(inputs, q)``."""
    _, values, right = np.linalg.svd(AW)
    return values, right[: min(SUBSPACE, max(1, len(values) // 2))].T


def _jacobian(bank: Bank, net: Autoencoder, x_t: Floats, t: int) -> Floats:
    """Jacobian of ``noise * xi_hat`` in the network's own variables, shape ``(n, width, width)``."""
    parametrisation, noise = bank.parametrisation(t), bank.forward.noise(t)
    J = net.jacobian(parametrisation.inputs(x_t, t))
    if parametrisation.axes is None:
        return noise * parametrisation.xi_jacobian(J, t)
    if parametrisation.skip is None:
        raise ValueError("networks on components have a skip")
    return noise * (parametrisation.correction(J, t) + parametrisation.skip.linear_map(t)[0].T)
