"""The page of images: a trained bank on components that samples, rebuilds and returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from undiffuse.formats.browser_axes import BITS, AxisBank, Bits, characters, in_order
from undiffuse.networks.bank import Bank
from undiffuse.studies.lab_page import Asked, BankResult, Page, about_bank, critical_times, in_base64
from undiffuse.studies.open_run import OpenRun
from undiffuse.studies.options import number_of
from undiffuse.studies.report import render
from undiffuse.support.errors import UserError, require
from undiffuse.support.memory import check_memory, in_bytes

LARGEST_PAGE = 25_000_000
MOST_TILES = 36
MOST_STEPS = 50  # by default
_USUAL_TILES = 16
_HELD_OUT = 40
_REST = 200_000  # characters of script, style and numbers of the schedule


@dataclass(frozen=True, kw_only=True)
class ImageResult(BankResult):
    """What was written of images.

    Attributes
    ----------
    components : int
        Of the largest network in the page.
    bits : int
        Of each weight.
    held_out : int
        Held-out images in the page.
    """

    components: int
    bits: int
    held_out: int


def image_page(opened: OpenRun, asked: Asked, largest: int = LARGEST_PAGE) -> Page:
    """Make the page of a run on images.

    Raises
    ------
    UserError
        If the networks do not fit, a number is out of range, the run's data are gone or its
        analysis is damaged.
    """
    bank, schedule, held_out = opened.model.bank, opened.model.forward.schedule, opened.images[1]
    require(
        asked.points is None, f"points = {asked.points}: the page of images has held-out images, not training points"
    )
    tiles = number_of("particles", asked.particles, _USUAL_TILES, MOST_TILES)
    shown = held_out.x[:_HELD_OUT]
    times, bits = _that_fit(bank, asked.steps, _room(bank, largest))
    check_memory(8 * LARGEST_PAGE, f"the page of {len(times)} networks")
    axes = AxisBank.of(bank, times, bits, opened.reference)
    sizes = [bank.architecture(t) for t in times]
    critical = critical_times(opened.path)
    about = about_bank(opened, times, critical) | {
        "particles": tiles,
        "seed": asked.seed,
        "hidden": [size.hidden for size in sizes],
        "widths": [size.width for size in sizes],
        "factors": [net.factor for net in axes.networks],
        "linear": [net.linear for net in axes.networks],
        "bits": bits,
        "activation": axes.activation,
        "mean": axes.mean.tolist(),
        "variances": axes.variances.tolist(),
        "rows": held_out.shape[0],
        "columns": held_out.shape[1],
        "low": held_out.low,
        "high": held_out.high,
    }
    levels = (shown - held_out.low) / (held_out.high - held_out.low) * 255
    page = render(
        "lab/images/page",
        name=opened.config.name,
        about=about,
        activation=sizes[0].h.title,
        axes=in_base64(axes.axes, "<f2"),
        weights=axes.weights,
        scales=in_base64(in_order([net.scales for net in axes.networks]), "<f4"),
        biases=in_base64(in_order([net.bias for net in axes.networks]), "<f4"),
        images=in_base64(np.clip(np.rint(levels), 0, 255), "u1"),
    ).encode()
    result = ImageResult(
        kind="images",
        out=str(asked.out),
        bytes=len(page),
        T=schedule.T,
        steps=len(times),
        hidden=max(size.hidden for size in sizes),
        components=max(size.width for size in sizes),
        bits=bits,
        held_out=len(shown),
        critical_times=critical,
    )
    return page, result


def fits(bank: Bank, largest: int) -> bool:
    """Tell whether networks of enough times fit in a page of so many bytes."""
    try:
        _that_fit(bank, None, _room(bank, largest))
    except UserError:
        return False
    return True


def _room(bank: Bank, largest: int) -> int:
    """Characters that are left for the networks."""
    return largest - _REST - 2 * _HELD_OUT * bank.dim - 8 * bank.dim**2 // 3


def _that_fit(bank: Bank, steps: int | None, room: int) -> tuple[list[int], Bits]:
    """Times whose networks are to be in the page, and bits of their weights: 16 where they fit, else 8.

    Raises
    ------
    UserError
        If they do not fit.
    """
    require(
        room > 0, f"the principal axes of images of {bank.dim:,} pixels alone fill a page of {in_bytes(LARGEST_PAGE)}"
    )
    schedule = bank.forward.schedule
    wanted = min(MOST_STEPS, schedule.T) if steps is None else steps
    fewer = [wanted] if steps is not None else [wanted, *(each for each in (40, 30, 20, 10, 5) if each < wanted)]
    for count in fewer:
        times = schedule.spaced_times(count)[::-1].tolist()
        for bits in BITS:
            taken = sum(characters(bank, t, bits) for t in times)
            if taken <= room:
                return times, bits
    raise UserError(
        f"networks of {fewer[-1]} times take {in_bytes(taken)} in 8 bits, and there is room for "
        f"{in_bytes(room)} in a page of {in_bytes(LARGEST_PAGE)}: fewer --steps"
    )
