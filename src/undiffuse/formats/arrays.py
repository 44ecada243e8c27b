"""A bank as plain arrays, with one formula for every kind of network, skip and components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from undiffuse.networks.bank import Bank
from undiffuse.networks.network import Weights
from undiffuse.support.arrays import Arrays, Float32, Floats
from undiffuse.support.errors import UserError, require
from undiffuse.support.memory import check_memory

_COPIES = 4  # a bank in arrays, stacked, as the content of a file, and while that is written


@dataclass(frozen=True)
class BankArrays:
    r"""The networks of times ``first..last`` and all that turns their outputs into ``xi_hat``.

    With row ``i = t - first`` of each array that has one row a time, for ``x_t`` of shape ``(n, dim)``::

        z = (x_t - shift_i mean) axes            # axes is orthogonal
        y = z[:, :width] if on_components else x_t
        r = h(y W_i^T + b_h_i) A_i^T + b_r_i     # in float32
        xi_hat = (gain_i z) axes^T + scale_i r axes[:, :width]^T      on components
        xi_hat = (gain_i z) axes^T + scale_i r                        otherwise

    Networks with fewer hidden units or components than others are filled up with zeros, which changes no output.

    Attributes
    ----------
    first, T : int
        First of these times; number of times of the whole bank.
    noise_scale : float
        s.
    activation : str
        Name of h.
    on_components : bool
        Whether networks work on the leading principal components.
    signal, noise, shift, scale : (times,) arrays
        ``sqrt(alpha_bar_t)``, ``s sqrt(Delta_t)``, and the two of the formula.
    gain : (times, dim) array
    mean : (dim,) array
    axes : (dim, dim) array
    weights : Weights
        Stacked: ``W`` (times, hidden, width), ``b_h``, ``A`` (times, width, hidden), ``b_r``.
    """

    first: int
    T: int
    noise_scale: float
    activation: str
    on_components: bool
    signal: Floats
    noise: Floats
    shift: Floats
    scale: Floats
    gain: Floats
    mean: Floats
    axes: Floats
    weights: Weights

    @staticmethod
    def of(bank: Bank, first: int = 1, last: int | None = None) -> BankArrays:
        """Read them from a bank.

        Raises
        ------
        UserError
            If the range of times is empty or outside 1..T, its networks work partly on components and partly on
            variables, or the memory does not hold it.
        """
        T = bank.forward.T
        last = T if last is None else last
        require(1 <= first <= last <= T, f"times {first}..{last}: wanted a range inside 1..{T}")
        times = range(first, last + 1)
        parts = [bank.parametrisation(t) for t in times]
        on_components = [part.axes is not None for part in parts]
        if len({*on_components}) == 2:
            change = first + on_components.index(not on_components[0])
            raise UserError(
                f"networks work on components on one side of t = {change} alone: "
                f"export times {first}..{change - 1} and {change}..{last} apart"
            )
        nets = [bank[t].architecture for t in times]
        hidden, width = max(net.hidden for net in nets), max(net.width for net in nets)
        numbers = len(times) * (2 * hidden * width + hidden + width + 2 * bank.dim)
        check_memory(_COPIES * 4 * numbers, f"the bank of {len(times)} times in arrays")
        linear = [part.linear_part(t) for t, part in zip(times, parts, strict=True)]
        # With the same gain along every axis any axes will do.
        turned = on_components[0] or any(np.ptp(gain) > 0 for _, gain in linear)
        reference = bank.reference
        return BankArrays(
            first=first,
            T=T,
            noise_scale=bank.forward.noise_scale,
            activation=nets[0].activation,
            on_components=on_components[0],
            signal=np.array([bank.forward.signal(t) for t in times]),
            noise=np.array([bank.forward.noise(t) for t in times]),
            shift=np.array([shift for shift, _ in linear]),
            scale=np.array([part.affine(t)[0] for t, part in zip(times, parts, strict=True)]),
            gain=np.stack([np.broadcast_to(gain, bank.dim) for _, gain in linear]),
            mean=np.zeros(bank.dim) if reference is None else reference.mean,
            axes=reference.axes if reference is not None and turned else np.eye(bank.dim),
            weights=Weights.stack([_filled_up(bank[t].weights, hidden, width) for t in times]),
        )

    @property
    def times(self) -> range:
        """Times these are of."""
        return range(self.first, self.first + len(self.scale))

    @property
    def dim(self) -> int:
        """Number of variables."""
        return len(self.mean)

    def arrays(self) -> Arrays:
        """Return every array by name, ``times`` among them."""
        names = ("signal", "noise", "shift", "scale", "gain", "mean", "axes")
        return {
            "times": np.array(self.times),
            "noise_scale": np.array(self.noise_scale),
            "on_components": np.array(self.on_components),
            **{name: getattr(self, name) for name in names},
            **self.weights.arrays(),
        }


def _filled_up(weights: Weights, hidden: int, width: int) -> Weights:
    """Return the same network with further hidden units and components, all zeros."""
    wider = weights.widened(width)
    more = (0, hidden - len(wider.b_h))

    def rows(array: Float32) -> Float32:
        return np.pad(array, (more, *[(0, 0)] * (array.ndim - 1)))

    return Weights(rows(wider.W), rows(wider.b_h), np.ascontiguousarray(rows(wider.A.T).T), wider.b_r)
