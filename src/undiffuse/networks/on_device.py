"""The reverse process of a bank on a device, such as a GPU: weights moved there once, states and noise made there.

The steps are those of :mod:`undiffuse.diffusion.samplers`, which do not ask what kind of array they move. Every step
is taken, along the bank's axes where it has such; states are float64 and networks float32, as on a processor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.samplers import Ancestral, Sampler, Step, left_the_numbers
from undiffuse.diffusion.starts import Beginning
from undiffuse.networks.bank import Bank
from undiffuse.networks.network import Weights
from undiffuse.support import gpu
from undiffuse.support.arrays import Floats
from undiffuse.support.errors import require
from undiffuse.support.philox import Rows
from undiffuse.support.streams import Purpose, key_words
from undiffuse.support.with_torch import torch

_SHARE = 0.5  # of the free memory, for weights and for states each half
_IN_A_STEP = 12  # arrays of states, noise and what is made on the way, in numbers of 64 bits
_OWN_MEMORY = 1 << 30  # bytes that a processor takes for states

Net = dict[str, torch.Tensor]


class Shelf:
    """Weights of a bank on a device: all of them where memory holds them, else those of one block at a time.

    Parameters
    ----------
    bank : Bank
    device : torch.device
    """

    def __init__(self, bank: Bank, device: torch.device) -> None:
        self._blocks, self._device = bank.blocks, device
        sizes = [(b.last - b.first + 1) * b.architecture.size for b in self._blocks]
        self._all = device.type == "cpu" or 4 * sum(sizes) <= _SHARE * gpu.free_bytes()
        self._moved: dict[int, Net] = {}

    def at(self, t: int) -> Net:
        """Weights of time ``t``, by name."""
        i = next(i for i, block in enumerate(self._blocks) if block.first <= t <= block.last)
        block = self._blocks[i]
        if i not in self._moved:
            if not self._all:
                self._moved.clear()
            stacked = Weights.stack([block.at(time) for time in range(block.first, block.last + 1)])
            self._moved[i] = {name: torch.from_numpy(a).to(self._device) for name, a in stacked.arrays().items()}
        return {name: tensor[t - block.first] for name, tensor in self._moved[i].items()}


class DeviceBank(Denoiser):
    """A bank that answers tensors on a device, along its own axes where it works on components.

    Parameters
    ----------
    bank : Bank
    device : torch.device
    along : bool
        Whether to take its own axes, where it has such.

    Attributes
    ----------
    axes : (dim, dim) array or None
        What the states are coordinates along; None for the variables of the data.
    """

    def __init__(self, bank: Bank, device: torch.device, along: bool = True) -> None:
        super().__init__(bank.forward, bank.dim)
        self._bank, self._shelf, self.device = bank, Shelf(bank, device), device
        found = bank.along_axes() if along else None
        self.axes: Floats | None = None if found is None else found[1]
        reference = bank.reference
        mean = np.zeros(bank.dim) if reference is None else reference.mean
        self._mean = self.tensor(mean if self.axes is None else mean @ self.axes)
        self._turn = None if reference is None or self.axes is not None else self.tensor(reference.axes)

    def tensor(self, array: Floats) -> torch.Tensor:
        """Move an array to the device, in float64."""
        return torch.from_numpy(np.ascontiguousarray(array, np.float64)).to(self.device)

    def xi_hat(self, x_t: Any, t: int) -> Any:
        """Noise estimate at tensors ``x_t`` along the axes, ``(n, dim)`` float64."""
        parametrisation, width = self._bank.parametrisation(t), self._bank.architecture(t).width
        shift, gain = parametrisation.linear_part(t)
        out = x_t - shift * self._mean
        if len(gain) == 1:  # the same along any axes
            out = out * float(gain[0])
        elif self._turn is None:
            out = out * self.tensor(gain)
        else:
            out = ((out @ self._turn) * self.tensor(gain)) @ self._turn.T
        inner = None if parametrisation.axes is None or self._turn is None else self._turn[:, :width]
        inputs = x_t if parametrisation.axes is None else x_t - self.forward.signal(t) * self._mean
        output = self._network(inputs[:, :width] if inner is None else inputs @ inner, t)
        output = parametrisation.affine(t)[0] * output.to(out.dtype)
        if inner is None:
            out[:, :width] += output
        else:
            out += output @ inner.T
        return out

    def xi_state(self, x_t: Any, t: int) -> Any:
        """See :class:`~undiffuse.Denoiser`; here a tensor."""
        return self.xi_hat(x_t, t)

    def _network(self, x: torch.Tensor, t: int) -> torch.Tensor:
        net = self._shelf.at(t)
        h = torch.addmm(net["b_h"], x.float(), net["W"].T)
        return torch.addmm(net["b_r"], self._bank.architecture(t).h.of_tensor(h), net["A"].T)


class DeviceNoise:
    """Standard normal noise of some samples: a function of ``(seed, sample)`` and of the number of the call.

    Parameters
    ----------
    seed : int
    rows : range
        Samples by number.
    dim : int
    device : torch.device
    """

    def __init__(self, seed: int, rows: range, dim: int, device: torch.device) -> None:
        self._rows = Rows.of(key_words(seed, Purpose.DEVICE_SAMPLES)[None], device, list(rows))
        self._dim, self._calls = dim, 0

    def __call__(self) -> Any:
        """Return the next ``(n, dim)`` numbers, drawn in float32."""
        self._calls += 1
        return self._rows.normal(self._calls - 1, self._dim, torch.float32).double()


def sample(
    bank: Bank,
    n: int,
    device: torch.device,
    *,
    sampler: Sampler | None = None,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda samples: None,
) -> Floats:
    """Generate ``n`` samples of a bank on a device, shape ``(n, dim)``: in law those of :func:`undiffuse.sample`.

    Sample i has noise of its own, which is the same for every ``n`` and on any device, up to the last digits of normal
    numbers. It is another noise than that of :func:`undiffuse.sample`.

    Parameters
    ----------
    bank : Bank
    n : int
    device : torch.device
    sampler : Sampler
        :class:`~undiffuse.Ancestral` (DDPM) with all steps by default.
    seed : int
    on_step : callable
        Called after each step with the number of samples moved.

    Raises
    ------
    UserError
        If ``n`` is below 1, the sampler does not fit the bank, a state becomes infinite, or memory is too small.
    """
    require(n >= 1, f"n = {n}: wanted at least one sample")
    sampler = sampler or Ancestral()
    times = sampler.way(bank)
    there = DeviceBank(bank, device, along=sampler.clip is None)
    begin = sampler.beginning(bank, there.axes)
    size, out = _rows(bank, device), np.empty((n, bank.dim))
    with gpu.within_memory(f"{size} samples at once; use --device cpu"):
        for first in range(0, n, size):
            rows = range(first, min(first + size, n))
            noise = DeviceNoise(seed, rows, bank.dim, device)
            x = _walk(there, begin, sampler, times, noise, partial(on_step, len(rows)))
            out[rows.start : rows.stop] = x.cpu().numpy()
    return out


def _walk(
    there: DeviceBank,
    begin: Beginning,
    sampler: Sampler,
    times: list[int],
    noise: Callable[[], Any],
    on_step: Callable[[], None],
) -> torch.Tensor:
    """Take samples from their start to data, ``(n, dim)`` in the variables of the data."""
    mean, root, z = there.tensor(begin.mean), there.tensor(begin.root), noise()
    x: Any = mean + (z * root if begin.independent else z @ root)
    memory = None
    on_step()
    finite = torch.zeros((), dtype=torch.int64, device=there.device)  # looked at once: each look waits for the device
    steps = [Step(*pair) for pair in pairwise(times)]
    for at in steps:
        x, memory = sampler.move(there, x, at, noise, memory)
        finite += torch.isfinite(x).all()
        on_step()
    if int(finite) < len(steps):
        raise left_the_numbers(steps[int(finite)])
    out: torch.Tensor = x if there.axes is None else x @ there.tensor(there.axes.T)
    return out


def _rows(bank: Bank, device: torch.device) -> int:
    """How many samples are moved together."""
    free = _OWN_MEMORY if device.type == "cpu" else int((1 - _SHARE) / 2 * gpu.free_bytes())
    hidden = max(block.architecture.hidden for block in bank.blocks)
    return max(1, free // (8 * _IN_A_STEP * bank.dim + 2 * 4 * hidden))
