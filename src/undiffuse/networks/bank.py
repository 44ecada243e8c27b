"""The bank: one trained autoencoder for each diffusion time, behind the denoiser's interface."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from undiffuse.diffusion.denoiser import AxisDenoiser, Correction, Denoiser, March
from undiffuse.diffusion.exact import AxisWiener, GaussianDenoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.diffusion.free_energy import FreeEnergy, free_energy
from undiffuse.kernels import LARGEST_DIM
from undiffuse.networks.network import Architecture, Autoencoder, Weights
from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.support import html
from undiffuse.support.arrays import Array, Floats, as_samples
from undiffuse.support.errors import UserError, require
from undiffuse.support.stats import PrincipalAxes


class TrainedBlock(Protocol):
    """The weights of consecutive times that share an architecture.

    Attributes
    ----------
    first, last : int
        Range of times.
    architecture : Architecture
    """

    first: int
    last: int
    architecture: Architecture

    def at(self, t: int) -> Weights:
        """Weights of one time, which may share memory with the block."""
        ...


class MemoryBlock:
    """A trained block whose weights are held in memory, stacked along time."""

    def __init__(self, first: int, architecture: Architecture, stacked: Weights) -> None:
        self.first = first
        self.last = first + len(stacked.W) - 1
        self.architecture = architecture
        self._stacked = stacked

    def at(self, t: int) -> Weights:
        """Weights of one time."""
        return self._stacked[t - self.first]


class _AlongAxes(AxisDenoiser):
    """A bank of networks on components, for ``z = x_t U`` with U the principal axes, largest variance first."""

    def __init__(self, bank: Bank, linear: AxisWiener) -> None:
        super().__init__(bank.forward, bank.dim)
        self._bank, self._linear = bank, linear
        self.mean = linear.mean

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Noise estimate along the axes, shape ``(n, dim)``."""
        k = self.seen(t)
        out = self._linear.xi_hat(x_t, t)
        factor, of = self.correction(t)
        out[:, :k] += factor * of(x_t[:, :k]).astype(np.float64)
        return out

    def gain(self, t: int) -> Floats:
        """Gain of the skip along each axis, shape ``(dim,)``."""
        return self._linear.gain(t)

    def seen(self, t: int) -> int:
        """Number of components that the network of time ``t`` works on."""
        return self._bank.architecture(t).width

    def correction(self, t: int) -> Correction:
        """What the network adds to the skip along its axes: c_out and its output."""
        from undiffuse.kernels import dense

        net, centre = self._bank.kept(t), self.forward.signal(t) * self.mean[: self.seen(t)]
        return Correction(self._bank.parametrisation(t).affine(t)[0], lambda z: net.apply(dense.shifted(z, centre)))


class Bank(Denoiser):
    """T single-hidden-layer autoencoders, one for each diffusion time.

    ``bank[t]`` is the autoencoder of time t with its weights and Jacobian; ``bank.xi_hat(x_t, t)`` is the noise it
    estimates, whatever it was trained to predict.

    Parameters
    ----------
    forward : ForwardProcess
    blocks : sequence of TrainedBlock
        Together they hold each time 1..T exactly once.
    reference : GaussianDenoiser, optional
        The linear theory of the training data; needed where an architecture has a skip.

    Raises
    ------
    UserError
        If the blocks leave a time out, hold one twice, or disagree about the dimension.

    Examples
    --------
    A bank of ten untrained networks:

    >>> import numpy as np, undiffuse as ud
    >>> from undiffuse.networks.bank import MemoryBlock
    >>> forward = ud.ForwardProcess(ud.NoiseSchedule.linear(10, 0.01, 0.5))
    >>> architecture = ud.Architecture(dim=5, hidden=8)
    >>> weights = ud.Weights.stack([ud.Weights.zeros(architecture)] * forward.T)
    >>> bank = ud.Bank(forward, [MemoryBlock(1, architecture, weights)])
    >>> bank[3]
    Autoencoder(5 -> 8 relu -> 5, predicts xi)
    >>> bank.xi_hat(np.ones((4, 5)), 3).shape
    (4, 5)

    See Also
    --------
    undiffuse.fit, undiffuse.Diffusion.load : trained banks.
    undiffuse.Autoencoder : the network of one time.
    """

    def __init__(
        self, forward: ForwardProcess, blocks: Sequence[TrainedBlock], reference: GaussianDenoiser | None = None
    ) -> None:
        self.reference = reference
        self._blocks = sorted(blocks, key=lambda block: block.first)
        expected = 1
        for block in self._blocks:
            if block.first != expected:
                raise UserError(f"the bank's blocks do not join: expected one from t = {expected}, got {block.first}")
            expected = block.last + 1
        if expected != forward.T + 1:
            raise UserError(f"the bank holds times up to {expected - 1}, its schedule has T = {forward.T}")
        dims = {block.architecture.dim for block in self._blocks}
        if len(dims) != 1:
            raise UserError(f"the bank's blocks have different dimensions: {sorted(dims)}")
        super().__init__(forward, dims.pop())
        self._kept: tuple[int, Autoencoder] | None = None
        self._lasts = [block.last for block in self._blocks]
        self._parametrisations = [Parametrisation(forward, block.architecture, reference) for block in self._blocks]

    def __repr__(self) -> str:
        return f"Bank(T={len(self)}, dim={self.dim}, {self.forward!r})"

    def _repr_html_(self) -> str:
        runs: list[tuple[int, int, Architecture]] = []  # ranges of times that share an architecture
        for block in self._blocks:
            first = runs.pop()[0] if runs and runs[-1][2] == block.architecture else block.first
            runs.append((first, block.last, block.architecture))
        rows = [
            (f"{first} to {last}", a.width, a.hidden, a.h.title, a.prediction, a.skip, a.tying)
            for first, last, a in runs
        ]
        head = ("times", "inputs", "hidden units", "activation", "predicts", "skip", "weights")
        numbers = sum((last - first + 1) * a.size for first, last, a in runs)
        facts = {"networks": len(self), "variables": self.dim, "numbers in all": f"{numbers:,}"}
        return html.card("Bank", facts, html.table(head, rows))

    def __len__(self) -> int:
        return self.forward.T

    def __getitem__(self, t: int) -> Autoencoder:
        """Return the autoencoder of time ``t`` in 1..T."""
        index = self._index(t)
        block = self._blocks[index]
        return Autoencoder(block.at(t).copy(), block.architecture, self._parametrisations[index].axes)

    def kept(self, t: int) -> Autoencoder:
        """Return the autoencoder of time ``t``; the last one used is kept and not made again.

        All threads of a sampling step use the same one, and its weights are the block's own. To change weights, take
        a copy, ``bank[t]``.
        """
        kept = self._kept
        if kept is None or kept[0] != t:
            block = self._blocks[self._index(t)]
            self._kept = kept = t, Autoencoder(block.at(t), block.architecture)
        return kept[1]

    def __iter__(self) -> Iterator[Autoencoder]:
        """Iterate over the autoencoders of t = 1..T."""
        return (self[t] for t in range(1, len(self) + 1))

    @property
    def blocks(self) -> tuple[TrainedBlock, ...]:
        """Its trained blocks, from t = 1 on."""
        return tuple(self._blocks)

    def architecture(self, t: int) -> Architecture:
        """Return the architecture of time t's network."""
        return self._blocks[self._index(t)].architecture

    def parametrisation(self, t: int) -> Parametrisation:
        """Return the map from the output of time t's network to the noise (the preconditioning)."""
        return self._parametrisations[self._index(t)]

    def xi_hat(self, x_t: Array, t: int) -> Array:
        """Noise estimated by the network of time t, shape ``(n, dim)``."""
        if np.ndim(x_t) != 2 or np.shape(x_t)[1] != self.dim:
            raise UserError(f"x_t has shape {np.shape(x_t)}, wanted (n, {self.dim})")
        x_t, parametrisation = np.asarray(x_t), self.parametrisation(t)
        return parametrisation.xi_hat(self.kept(t)(parametrisation.inputs(x_t, t)), x_t, t)

    def along_axes(self) -> tuple[AxisDenoiser, Floats] | None:
        """Return the bank in principal coordinates, if all its networks work in them."""
        if any(each.axes is None for each in self._parametrisations) or self.reference is None:
            return None
        linear, axes = self.reference.along_axes()
        return _AlongAxes(self, linear), axes

    def linear_theory(self) -> PrincipalAxes | None:
        """Mean and principal axes of the training data, where the bank has them for a skip."""
        return None if self.reference is None else self.reference.linear_theory()

    def march(self, times: Sequence[int], coefficients: Floats) -> March | None:
        """Return the fused kernel of consecutive steps, for small networks on all variables.

        Parameters
        ----------
        times, coefficients
            See :meth:`undiffuse.Denoiser.march`.
        """
        kinds = {self.architecture(t) for t in times}
        floor = next(iter(kinds)).h.floor
        if floor is None or any(a.width > LARGEST_DIM or a.components is not None for a in kinds):
            return None
        from undiffuse.kernels import autoencoder as kernel

        nets, (p, q, r) = [self.kept(t) for t in times], np.asarray(coefficients, np.float64).T
        packed = [kernel.pack(net.W, net.b_h, net.A) for net in nets]
        c, M, k = map(np.array, zip(*(self.parametrisation(t).affine_map(t) for t in times), strict=True))
        M = p[:, None, None] * np.eye(self.dim) + q[:, None, None] * M
        arrays = np.concatenate(packed), np.cumsum([len(one) for one in packed]), np.stack([net.b_r for net in nets])
        return partial(kernel.march, *arrays, np.float32(floor), M, q[:, None] * k, q * c, r, space=(0,) * self.dim)

    def xi_jacobian(self, x_t: Array, t: int) -> Floats:
        """Jacobian of :meth:`xi_hat` at each point, shape ``(n, dim, dim)``."""
        points = as_samples(x_t, self.dim, "x_t")
        parametrisation = self.parametrisation(t)
        return parametrisation.xi_jacobian(self[t].jacobian(parametrisation.inputs(points, t)), t)

    def xi_trace(self, x_t: Array, t: int) -> Floats:
        """Trace of :meth:`xi_jacobian` at each point, in closed form, shape ``(n,)``."""
        parametrisation = self.parametrisation(t)
        inputs = parametrisation.inputs(np.asarray(x_t, np.float64), t)
        return parametrisation.xi_trace(self.kept(t).trace(inputs), t)

    def x0_jacobian(self, x_t: Array, t: int) -> Floats:
        """Mean Jacobian of ``x0_hat`` over points, in closed form, shape ``(dim, dim)``: the sensitivity map."""
        parametrisation = self.parametrisation(t)
        inputs = parametrisation.inputs(as_samples(x_t, self.dim, "x_t"), t)
        of_xi = parametrisation.xi_jacobian(self.kept(t).mean_jacobian(inputs)[None], t)[0]
        return np.asarray((np.eye(self.dim) - self.forward.noise(t) * of_xi) / self.forward.signal(t))

    def potential(self, x_t: Array, t: int, origin: Array) -> Floats:
        """Minus the integral of the score along the line from ``origin`` to each ``x_t``, in closed form, ``(n,)``.

        For a ReLU network it is piecewise quadratic along the line; see :meth:`Autoencoder.line_integral`.
        """
        points, start = as_samples(x_t, self.dim, "x_t"), np.asarray(origin, np.float64)
        parametrisation = self.parametrisation(t)
        integral = self[t].line_integral(parametrisation.inputs(start[None], t)[0], parametrisation.inputs(points, t))
        from_network = parametrisation.affine(t)[0] * integral / self.forward.noise(t)
        return from_network + parametrisation.linear_potential(points, t, start)

    def log_density(self, x_t: Array, t: int) -> Floats:
        """``log q_t(x_t)`` up to a constant, shape ``(n,)``, of a network whose score is a gradient.

        From the energy (29) of tied weights, ``A = W^T`` or ``A = W^T diag(+1 .. -1)``, whatever they predict.

        Raises
        ------
        UserError
            If the weights of time ``t`` are untied, so that there is no energy.
        """
        points, parametrisation, net = as_samples(x_t, self.dim, "x_t"), self.parametrisation(t), self[t]
        y = parametrisation.inputs(points, t)
        # The energy's gradient is r(y) - y, so r is that of E + |y|^2/2.
        network = net.energy(y) + 0.5 * np.sum(y**2, axis=1)
        rest = parametrisation.linear_potential(points, t, np.zeros(self.dim))
        return -parametrisation.affine(t)[0] * network / self.forward.noise(t) - rest

    def free_energy(
        self, x: ArrayLike, *, seed: int = 0, on_step: Callable[[int], None] = lambda t: None
    ) -> FreeEnergy:
        """Constants ``log Z_t`` that normalise :meth:`log_density` at every time, and how well one diffusion fits them.

        Parameters
        ----------
        x : array_like, shape (n, dim)
            Data, such as held-out samples.
        seed, on_step
            See :func:`undiffuse.diffusion.free_energy.free_energy`.

        Raises
        ------
        UserError
            If weights of a time are untied, so that there is no energy, or as that function says.
        """
        self.check_tied()
        return free_energy(self, x, seed=seed, on_step=on_step)

    def check_tied(self) -> None:
        """Raise UserError unless the weights of all times are tied, so that each has an energy."""
        for block in self._blocks:
            require(
                block.architecture.tying != "untied",
                f"the networks of t = {block.first} to {block.last} have untied weights, so no energy: "
                "train with network.tying = 'tied' and network.prediction = 'x0'",
            )

    def _index(self, t: int) -> int:
        """Position of the block that holds time ``t``."""
        if not 1 <= t <= len(self):
            raise UserError(f"t = {t} is outside 1..{len(self)}")
        return bisect_left(self._lasts, t)
