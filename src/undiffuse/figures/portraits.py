"""What a schedule, a network and a model show of themselves: their ``plot()``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from undiffuse.datasets.views import View
from undiffuse.figures.style import DATA, EMPIRICAL, GAUSSIAN, GREY, MODEL, canvas, panels, styled
from undiffuse.figures.views import draw_view
from undiffuse.support.arrays import Floats

if TYPE_CHECKING:
    from undiffuse.networks.portrait import Portrait

_LINES = {"W": GAUSSIAN, "A": EMPIRICAL, "AW": MODEL}
_ALONG, _AGAINST = GAUSSIAN, "#d55e00"  # told apart by the colour-blind


@styled
def noise_schedule(title: str, tables: Mapping[str, Floats]) -> Figure:
    """Four panels of a schedule against t: what is left of the data, the steps, OU time, signal to noise.

    Parameters
    ----------
    title : str
    tables : dict of (T,) arrays
        ``t``, ``alpha_bar``, ``Delta``, ``beta``, ``posterior_variance``, ``ou_time``, ``snr``.
    """
    figure, axes = panels(1, 4, 12.0, 2.8)
    t = tables["t"]
    left, steps, clock, ratio = axes[0]
    left.plot(t, tables["alpha_bar"], color=DATA, label=r"$\bar\alpha_t$: variance left of the data")
    left.plot(t, tables["Delta"], color=MODEL, label=r"$\Delta_t$: variance of the noise")
    left.set(title=title, ylim=(-0.02, 1.25))
    steps.plot(t, tables["beta"], color=MODEL, label=r"$\beta_t$")
    steps.plot(t[1:], tables["posterior_variance"][1:], color=GREY, ls="--", label=r"$\tilde\beta_t$: given $x_0$")
    steps.set(title="variance of a step", yscale="log")
    clock.plot(t, tables["ou_time"], color=GAUSSIAN)
    clock.set(title=r"OU time $\tau_t = -\frac{1}{2}\log\bar\alpha_t$")
    ratio.plot(t, tables["snr"], color=EMPIRICAL)
    ratio.axhline(1.0, color=GREY, lw=0.8, ls=":")
    ratio.set(title=r"signal to noise $\bar\alpha_t/\Delta_t$", yscale="log")
    for axis in (left, steps):
        axis.legend(fontsize=7.5)
    for axis in axes[0]:
        axis.set(xlabel="diffusion time $t$")
    return figure


@styled
def network_in_the_plane(
    portrait: Portrait, extent: float, field: tuple[Floats, Floats], states: Floats | None
) -> Figure:
    """A network of two inputs: kinks of its units over states, its output, and its units by direction and kink.

    Parameters
    ----------
    portrait : Portrait
    extent : float
        Half the side of the square shown.
    field : (k, 2), (k, 2)
        Points, and the network's output there.
    states : (n, 2) or None
    """
    figure, axes = panels(1, 3, 11.0, 3.7)
    kinks, output, units = axes[0]
    for axis in (kinks, output):
        if states is not None:
            axis.scatter(states[:, 0], states[:, 1], s=2, color=GREY, alpha=0.5, linewidths=0, rasterized=True)
        axis.set(xlim=(-extent, extent), ylim=(-extent, extent), xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    _draw_kinks(kinks, portrait, extent)
    points, r = field
    length = np.linalg.norm(r, axis=1)
    longest = 0.5 * np.sqrt(len(points)) * (float(length.max()) or 1.0)  # reaches over two places of the grid
    arrows = output.quiver(*points.T, *r.T, length, cmap="viridis", width=0.005, scale=longest, scale_units="width")
    figure.colorbar(arrows, ax=output, shrink=0.8)
    output.set(title="output $r(x)$; colour: $|r|$")
    angle = np.degrees(np.arctan2(portrait.W[:, 1], portrait.W[:, 0]))
    shown = units.scatter(
        angle, portrait.kink, c=portrait.cosine, s=_sizes(portrait.strength), cmap="coolwarm_r", vmin=-1, vmax=1
    )
    reach = 1.3 * extent
    beyond = int(np.sum(np.abs(portrait.kink) > reach))
    more = f"; {beyond} lie beyond" if beyond else ""
    units.set(xlim=(-180, 180), ylim=(-reach, reach), xticks=[-180, -90, 0, 90, 180])
    units.set(xlabel="direction of $w_k$ (degrees)", ylabel="distance of the kink", title=f"units, by strength{more}")
    figure.colorbar(shown, ax=units, label="cosine of $w_k$ and $a_k$")
    return figure


@styled
def network_as_images(portrait: Portrait, pictures: Sequence[Floats], pixels: tuple[int, int]) -> Figure:
    """A network on images: encoder and decoder of its strongest units, and its matrices in numbers.

    Parameters
    ----------
    portrait : Portrait
    pictures : two of (units, dim)
        Encoders and decoders of its strongest units in the data's variables.
    pixels : (rows, columns)
    """
    figure = canvas(11.0, 4.9)
    upper, lower = np.asarray(figure.subfigures(2, 1, height_ratios=[1.0, 1.15]))
    count, chosen = len(pictures[0]), portrait.strongest(len(pictures[0]))
    axes = upper.subplots(2, count, squeeze=False)
    for row, (images, name) in enumerate(zip(pictures, ("encoder $w_k$", "decoder $a_k$"), strict=True)):
        for axis, image in zip(axes[row], images, strict=True):
            top = float(np.abs(image).max()) or 1.0
            axis.imshow(image.reshape(pixels), cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axis, k in zip(axes[0], chosen, strict=True):
        axis.set_title(f"{portrait.cosine[k]:+.2f}", fontsize=8)
    upper.suptitle("strongest units, with the cosine of the two (red: above 0)", fontsize=9)
    _in_numbers([*lower.subplots(1, 3)], portrait)
    return figure


@styled
def network_in_numbers(portrait: Portrait, line: tuple[Floats, Floats] | None = None) -> Figure:
    """A network's singular values, cosines and units; ``line`` is the output of a network of one input, against it."""
    figure, axes = panels(1, 3 if line is None else 4, 9.6 if line is None else 12.4, 3.0)
    if line is not None:
        x, r = line
        axes[0, 0].plot(x, r, color=MODEL)
        places = portrait.kink * np.sign(portrait.W[:, 0])
        inside = places[np.abs(places) <= np.abs(x).max()]
        axes[0, 0].plot(inside, np.full_like(inside, r.min()), "|", color=GREY, ms=8, label="kinks")
        axes[0, 0].set(xlabel="$x$", ylabel="output $r(x)$")
        axes[0, 0].legend(fontsize=8)
    _in_numbers([*axes[0, -3:]], portrait)
    return figure


@styled
def model(errors: Floats, gaussian: Floats | None, views: Sequence[View]) -> Figure:
    """A model's errors along t, and its samples, beside data where there are any.

    Parameters
    ----------
    errors : (T, 3)
        ``(t, training error, held-out error)``.
    gaussian : (T,) or None
        Error of the best linear denoiser of the training data.
    views : sequence of View
        Samples last.
    """
    figure = canvas(4.4 + 3.4 * len(views), 3.4)
    axes = figure.subplots(1, 1 + len(views), width_ratios=[4.4, *[3.4] * len(views)])
    losses = axes[0]
    losses.plot(errors[:, 0], errors[:, 1], color=DATA, lw=0.7, alpha=0.7, label="training data")
    losses.plot(errors[:, 0], errors[:, 2], color=MODEL, label="held-out data")
    if gaussian is not None:
        losses.plot(errors[:, 0], gaussian, color=GAUSSIAN, ls="--", label="best linear denoiser")
    losses.set(xlabel="diffusion time $t$", ylabel=r"$\langle(\xi-\hat\xi)^2\rangle$ per dimension", yscale="log")
    losses.legend(fontsize=8)
    for axis, view, colour in zip(axes[1:], views, [*[DATA] * (len(views) - 1), MODEL], strict=True):
        draw_view(axis, view, colour)
    return figure


def _in_numbers(axes: Sequence[Axes], portrait: Portrait) -> None:
    """Singular values; cosines of encoders and decoders; encoders' norms against decoders'."""
    values, cosines, norms = axes
    for name, colour in _LINES.items():
        spectrum = portrait.spectra[name]
        values.plot(np.arange(1, len(spectrum) + 1), spectrum, color=colour, marker=".", ms=3, label=f"${name}$")
    values.set(xlabel="rank", ylabel="singular value", yscale="log")
    values.legend(fontsize=8)
    cosines.hist(portrait.cosine, np.linspace(-1, 1, 41).tolist(), color=MODEL, alpha=0.75)
    cosines.set(xlabel="cosine of $w_k$ and $a_k$", ylabel="units", xlim=(-1, 1))
    lengths = np.linalg.norm(portrait.W, axis=1), np.linalg.norm(portrait.A, axis=1)
    shown = norms.scatter(*lengths, c=portrait.cosine, s=5, cmap="coolwarm_r", vmin=-1, vmax=1)
    norms.set(xlabel="$|w_k|$", ylabel="$|a_k|$")
    norms.figure.colorbar(shown, ax=norms, label="cosine")


def _draw_kinks(axis: Axes, portrait: Portrait, extent: float) -> None:
    """Lines on which units turn on, as opaque as the units are strong."""
    length = np.linalg.norm(portrait.W, axis=1)
    there = (np.abs(portrait.kink) < 1.5 * extent) & (length > 0)
    direction = portrait.W[there] / length[there, None]
    middle = portrait.kink[there, None] * direction
    along = 3 * extent * np.column_stack([-direction[:, 1], direction[:, 0]])
    opacity = np.clip(portrait.strength[there] / max(float(np.quantile(portrait.strength, 0.95)), 1e-12), 0.08, 1)
    crowd = min(1.0, 7 / np.sqrt(max(int(there.sum()), 1)))  # many lines together must not be a carpet
    for name, colour, chosen in (
        ("along $w_k$", _ALONG, portrait.cosine[there] >= 0),
        ("against $w_k$", _AGAINST, portrait.cosine[there] < 0),
    ):
        ends = np.stack([middle - along, middle + along], axis=1)[chosen]
        shades = [(*to_rgb(colour), float(alpha)) for alpha in crowd * opacity[chosen]]
        lines = LineCollection(list(ends), colors=shades, linewidths=0.8)
        axis.add_collection(lines)
        axis.plot([], [], color=colour, label=f"pushes {name}")
    axis.set(title=f"kinks of {int(there.sum())} of {len(length)} units")
    axis.legend(fontsize=7.5, frameon=True, framealpha=0.9, edgecolor="none", loc="upper right")


def _sizes(strength: Floats) -> Floats:
    """Areas of marks, in points squared."""
    return np.clip(30 * strength / max(float(strength.max()), 1e-12), 2, 30)
