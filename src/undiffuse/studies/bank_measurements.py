"""What is measured on a bank beside the exact denoiser of its data, along the line and the plane of its classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from undiffuse.datasets import ImageDataset
from undiffuse.diffusion.denoiser import Denoiser
from undiffuse.diffusion.forward import ForwardProcess
from undiffuse.physics.cascade import GainCurves, gains
from undiffuse.physics.classes import Classes
from undiffuse.physics.crossings import Curve
from undiffuse.physics.locality import GROUPS, Look, look
from undiffuse.physics.uturns import Turns
from undiffuse.studies.open_run import OpenRun
from undiffuse.support.arrays import Floats
from undiffuse.support.costs import seconds_of
from undiffuse.support.stats import root_and_stderr
from undiffuse.support.streams import Purpose, stream

COMPONENTS = 6  # whose gains are followed
_LOOKED = 12  # times at which sensitivity maps are taken, at most
_LOOKED_AT = 50  # diffused images whose Jacobians they are the means of
Panels = list[tuple[float, dict[str, Floats]]]  # OU time, and potentials by denoiser


@dataclass(frozen=True)
class BankMeasurements:
    """Measurements on a bank and the exact denoiser of its data, at held-out samples."""

    opened: OpenRun
    held_out: Classes
    speciation: float
    seed: int

    @property
    def _forward(self) -> ForwardProcess:
        return self.opened.model.forward

    @property
    def _both(self) -> dict[str, Denoiser]:
        name, exact = self.opened.exact
        return {"bank": self.opened.model, name: exact}

    def turns(self, n: int) -> Turns:
        """U-turns of the first ``n`` held-out samples through the bank."""
        opened = self.opened
        images = isinstance(opened.data, ImageDataset)
        predict = opened.classifiers.strict.predict if images else opened.data.class_rule()
        return Turns(opened.model, Classes(self.held_out.x[:n], self.held_out.labels[:n]), predict, self.seed)

    def score_differences(self, times: Sequence[int], n: int, on_time: Callable[[], None]) -> dict[str, Curve]:
        """Root mean square of ``xi_hat - xi_hat_exact`` along the line of class means and across it, per dimension."""
        model, (_, exact), forward = self.opened.model, self.opened.exact, self._forward
        x0, (e, _) = self.held_out.x[:n], self.held_out.direction
        along: list[tuple[float, float]] = []
        across: list[tuple[float, float]] = []
        for t in times:
            x_t = forward.jump(x0, t, stream(self.seed, Purpose.SCORE_DIFFERENCE, t).standard_normal(x0.shape))
            difference = model.xi_hat(x_t, t) - exact.xi_hat(x_t, t)
            on_line = difference @ e
            rest = (np.sum(difference**2, axis=1) - on_line**2) / max(1, model.dim - 1)
            for points, squares in ((along, on_line**2), (across, rest)):
                points.append(root_and_stderr(squares))
            on_time()
        return {"along": Curve.of(forward, times, along), "across": Curve.of(forward, times, across)}

    def gains(self, times: Sequence[int], n: int, on_time: Callable[[], None]) -> GainCurves:
        """Gains of the bank along the leading principal axes of its training data, by time, earliest first."""
        reference, x0 = self.opened.reference, self.held_out.x[:n]
        axes, times = reference.axes[:, :COMPONENTS], sorted(times)
        found = []
        for t in times:
            found.append(gains(self.opened.model, x0, t, axes, stream(self.seed, Purpose.GAINS, t)))
            on_time()
        regression, jacobian = (np.stack(part) for part in zip(*found, strict=True))
        return GainCurves(self._forward.schedule.ou_time(times), regression, jacobian)

    def looks(self, times: Sequence[int], on_time: Callable[[], None]) -> tuple[Look, ...]:
        """How far the bank looks around a pixel at ``times``; nothing where the data are no images."""
        data, forward, x0 = self.opened.data, self._forward, self.held_out.x[:_LOOKED_AT]
        if not isinstance(data, ImageDataset):
            return ()
        found = []
        for t in times:
            x_t = forward.jump(x0, t, stream(self.seed, Purpose.LOOKS, t).standard_normal(x0.shape))
            found.append(look(self.opened.model, self.opened.reference, x_t, t, data.images[0].shape))
            on_time()
        return tuple(found)

    def line_potentials(self, draws: int = 20) -> tuple[Floats, Panels]:
        """Potentials along the line of class means at several times, in units of half the means' distance."""
        forward, held_out = self._forward, self.held_out
        e, middle = held_out.direction
        means = [held_out.x[held_out.labels == c].mean(axis=0) @ e for c in np.unique(held_out.labels)]
        half = (max(means) - min(means)) / 2
        position = np.linspace(-2, 2, 81)
        panels: Panels = []
        for t in self._shown_times(5):
            noise = forward.noise(t) * stream(self.seed, Purpose.LINE_FIGURE, t).standard_normal((draws, len(e)))
            noise -= np.outer(noise @ e, e)
            curves = {name: np.zeros(len(position)) for name in self._both}
            for across in noise:
                origin = forward.signal(t) * middle + across
                line = origin + forward.signal(t) * half * np.outer(position, e)
                for name, denoiser in self._both.items():
                    curves[name] += denoiser.potential(line, t, origin) / draws
            panels.append((float(forward.schedule.ou_time(t)), curves))
        return position, panels

    def plane_potentials(self, side: int = 41) -> tuple[Floats, Panels]:
        """Potentials in the plane of the two leading components through the middle of the classes, noise across."""
        forward, held_out = self._forward, self.held_out
        plane = self.opened.reference.axes[:, :2]
        _, middle = held_out.direction
        position = np.linspace(-2.2, 2.2, side)
        panels: Panels = []
        for t in self._shown_times(4):
            noise = forward.noise(t) * stream(self.seed, Purpose.PLANE_FIGURE, t).standard_normal(len(middle))
            origin = forward.signal(t) * middle + noise - plane @ (plane.T @ noise)
            spread = np.var((held_out.x - middle) @ plane, axis=0)
            width = np.sqrt(spread * forward.signal(t) ** 2 + forward.noise(t) ** 2)
            grid = np.stack(np.meshgrid(position * width[0], position * width[1]), axis=-1).reshape(-1, 2)
            points = origin + grid @ plane.T
            potentials = {name: d.potential(points, t, origin).reshape(side, side) for name, d in self._both.items()}
            panels.append((float(forward.schedule.ou_time(t)), potentials))
        return position, panels

    def _shown_times(self, count: int) -> list[int]:
        """Times from well above the transition to well below it, latest first; around tau = 1 if there is none."""
        schedule = self._forward.schedule
        speciation = 1.0 if np.isnan(self.speciation) else self.speciation
        top = min(speciation + 0.6, float(schedule.ou_time(schedule.T)))
        taus = np.linspace(max(0.3 * speciation, 0.05), top, count)
        return sorted({schedule.time_at_ou(tau) for tau in taus}, reverse=True)


def looked_times(opened: OpenRun) -> list[int]:
    """Times, evenly spread in the logarithm of OU time, of sensitivity maps; none where the data are no images."""
    if not isinstance(opened.data, ImageDataset):
        return []
    schedule = opened.model.forward.schedule
    taus = np.geomspace(float(schedule.ou_time(1)), float(schedule.ou_time(schedule.T)), _LOOKED)
    return sorted({schedule.time_at_ou(float(tau)) for tau in taus})


def seconds_of_looks(opened: OpenRun, times: Sequence[int]) -> float:
    """Seconds of :meth:`BankMeasurements.looks`, from one map."""
    if not times:
        return 0.0
    x_t = opened.data.held_out[: _LOOKED_AT // GROUPS]
    return len(times) * GROUPS * seconds_of(lambda: opened.model.x0_jacobian(x_t, times[0]))
