"""Inputs and targets of a pass for the networks of several times at once, made where they are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from undiffuse.networks.parametrisation import Parametrisation
from undiffuse.runs.sections import TrainingSection
from undiffuse.support.philox import Rows
from undiffuse.support.streams import Purpose, key_words
from undiffuse.training.passes import between

_AT_ONCE = 1 << 26  # posterior weights that stand in memory together

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Blends:
    """What becomes of samples that are blended: ``own x_a + other x_b``.

    Attributes
    ----------
    which : (times, n, 1) bool
    own, other : (times, n, 1)
        Factors: 1 and 0 where ``which`` is False.
    others : (times, n)
        The samples ``x_b``, by number.
    """

    which: torch.Tensor
    own: torch.Tensor
    other: torch.Tensor
    others: torch.Tensor


@dataclass(frozen=True)
class Draws:
    """Everything in a pass that is drawn at random.

    Attributes
    ----------
    order : (times, n)
        Samples by number, in the order of the pass.
    xi : (times, n, width)
        Noise, in the same order.
    blends : Blends or None
    points : (times, k) or None
        The samples that posterior means are taken over, by number; None where there are none.
    """

    order: torch.Tensor
    xi: torch.Tensor
    blends: Blends | None = None
    points: torch.Tensor | None = None


class DevicePasses:
    """The examples of :class:`~undiffuse.training.passes.Examples`, of several times, as tensors on a device.

    The mathematics are the same and the noise is not: it is made on the device, as a function of ``(seed, t, pass)``
    and of its place, so that no time's depends on which others are trained beside it.

    Parameters
    ----------
    parametrisation : Parametrisation
    train, held_out : (n, width) tensors
        Data in the networks' own variables; their precision is that of everything here.
    seed : int
    times : sequence of int
    training : TrainingSection
        Its ``targets``, ``posterior_share``, ``blends``, ``blend_own`` and ``blend_other`` are used.
    """

    def __init__(
        self,
        parametrisation: Parametrisation,
        train: torch.Tensor,
        held_out: torch.Tensor,
        seed: int,
        times: Sequence[int],
        training: TrainingSection,
    ) -> None:
        self._parametrisation, self._training = parametrisation, training
        self._train, self._held_out, self._seed, self._times = train, held_out, seed, times
        self._averaged = training.targets != "sample"
        forward = parametrisation.forward
        self._signal = self._column([forward.signal(t) for t in times])
        self._noise = self._column([forward.noise(t) for t in times])
        self._points = max(1, int(training.posterior_share * len(train)))

    def of_pass(self, number: int) -> Pair:
        """Inputs and targets of pass ``number``, each ``(times, n, width)``."""
        return self.made_from(self.draws(number))

    def of_training(self) -> Pair:
        """See :meth:`~undiffuse.training.passes.Examples.of_training`."""
        return self._measured(self._train[: len(self._held_out)], Purpose.TRAINING_ERROR)

    def of_held_out(self) -> Pair:
        """See :meth:`~undiffuse.training.passes.Examples.of_held_out`."""
        return self._measured(self._held_out, Purpose.HELD_OUT_ERROR)

    def draws(self, number: int) -> Draws:
        """Draw what a pass needs."""
        rows, (n, width) = self._rows(Purpose.PASS, number), self._train.shape
        order, xi = rows.order(0, n), rows.normal(1, n * width, self._train.dtype).reshape(-1, n, width)
        blends, points = None, None
        if self._training.blends:
            which = (rows.uniform(2, n) < self._training.blends)[..., None]
            ranges = (3, self._training.blend_own), (4, self._training.blend_other)
            u, v = (between(bounds, rows.uniform(draw, n)[..., None]).to(xi.dtype) for draw, bounds in ranges)
            own, other = torch.where(which, u, torch.ones_like(u)), torch.where(which, v, torch.zeros_like(v))
            blends = Blends(which, own, other, rows.below(5, n, n))
        if self._averaged or blends is not None:
            points = rows.order(6, n)[:, : self._points]
        return Draws(order, xi, blends, points)

    def made_from(self, draws: Draws) -> Pair:
        """Inputs and targets that follow from what was drawn.

        Returns
        -------
        x_t, target : (times, n, width)
        """
        own, xi = self._train[draws.order], draws.xi
        x0 = own
        if draws.blends is not None:
            x0 = draws.blends.own * own + draws.blends.other * self._train[draws.blends.others]
        x_t = self._signal * x0 + self._noise * xi
        if draws.points is not None:
            mean = self._posterior_means(x_t, self._train[draws.points], own, self._added(draws))
            implied = (x_t - self._signal * mean) / self._noise
            # A blend is not a sample of the data, so the noise that was added to it is never its target.
            if self._averaged or draws.blends is None:
                x0, xi = mean, implied
            else:
                which = draws.blends.which
                x0, xi = torch.where(which, mean, x0), torch.where(which, implied, xi)
        return x_t, self._target(x0, xi, x_t)

    def _measured(self, x0: torch.Tensor, purpose: Purpose) -> Pair:
        """Pairs for the measurement of errors, the same at every call."""
        xi = self._rows(purpose).normal(0, x0.numel(), x0.dtype).reshape(-1, *x0.shape)
        x_t = self._signal * x0 + self._noise * xi
        return x_t, self._target(x0, xi, x_t)

    @cached_property
    def _maps(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Those of :meth:`~undiffuse.networks.parametrisation.Parametrisation.target_map`, stacked."""
        a, b, M, m = zip(*(self._parametrisation.target_map(t) for t in self._times), strict=True)
        return self._column(a), self._column(b), self._tensor(np.stack(M)), self._tensor(np.stack(m))[:, None]

    def _target(self, x0: torch.Tensor, xi: torch.Tensor, x_t: torch.Tensor) -> torch.Tensor:
        a, b, M, m = self._maps
        if M.numel():
            return torch.baddbmm(m, x_t, M).add_(b * xi)
        kind = self._parametrisation.kind
        return (x0 if kind == "x0" else xi if kind == "xi" else a * x0 + b * xi).expand_as(x_t)

    def _added(self, draws: Draws) -> torch.Tensor | None:
        """Where the sample behind ``x_t`` is one more of the points, ``(times, n, 1)``; None where it never is."""
        if draws.points is None or self._training.targets != "stable":
            return None
        missing = torch.ones_like(draws.order, dtype=torch.bool).scatter_(1, draws.points, False)
        return missing.gather(1, draws.order)[..., None]

    def _posterior_means(
        self, x_t: torch.Tensor, points: torch.Tensor, own: torch.Tensor, added: torch.Tensor | None
    ) -> torch.Tensor:
        """``E[x_0 | x_t]`` when ``x_0`` is one of ``points`` ``(times, k, width)``, all equally likely.

        Where ``added`` is given and True, ``(times, n, 1)``, the row's ``own`` is one of the points too.
        """
        slope, curve = self._signal / self._noise**2, self._signal**2 / (2 * self._noise**2)
        scaled, offset = points * slope, (points**2).sum(dim=2)[:, None] * curve
        out, k = torch.empty_like(x_t), points.shape[1]
        step = max(1, _AT_ONCE // (len(points) * k))
        for start in range(0, x_t.shape[1], step):
            rows = slice(start, start + step)
            exponents = torch.baddbmm(offset, x_t[:, rows], scaled.mT, beta=-1)
            if added is not None:
                mine = (own[:, rows] * (slope * x_t[:, rows] - curve * own[:, rows])).sum(dim=2, keepdim=True)
                exponents = torch.cat([exponents, torch.where(added[:, rows], mine, -torch.inf)], dim=2)
            # The largest exponent of a row is taken off before exponentials are, so nothing overflows.
            weights = torch.softmax(exponents, dim=2)
            torch.bmm(weights[..., :k], points, out=out[:, rows])
            if added is not None:
                out[:, rows] += weights[..., k:] * own[:, rows]
        return out

    def _rows(self, purpose: Purpose, *rest: int) -> Rows:
        keys = np.stack([key_words(self._seed, purpose, t, *rest) for t in self._times])
        return Rows.of(keys, self._train.device)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self._train)

    def _column(self, values: Sequence[float]) -> torch.Tensor:
        return self._tensor(np.array(values, np.float64))[:, None, None]
