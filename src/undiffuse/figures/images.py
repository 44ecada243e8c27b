"""Figures of images: the thesis's 1b, 2b and 6 to 10."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undiffuse.figures.style import DATA, MODEL, panels, plain, styled
from undiffuse.support.arrays import Floats
from undiffuse.support.stats import normal_density

_SMALL = 20  # pixels


@dataclass(frozen=True)
class Pixels:
    """How a vector is shown as an image.

    Attributes
    ----------
    shape : (rows, columns)
    low, high : float
        Range of the pixels in the vector.
    """

    shape: tuple[int, int]
    low: float
    high: float

    def show(self, axis: Axes, x: Floats, free: bool = False) -> None:
        """Draw one image; ``free`` scales grey to the image's own values, for noisy states."""
        low, high = (self.low, self.high)
        if free:
            spread = 2.5 * max(float(np.std(x)), (high - low) / 4)
            low, high = float(np.mean(x)) - spread, float(np.mean(x)) + spread
        axis.imshow(x.reshape(self.shape), cmap="gray_r", vmin=low, vmax=high, interpolation="nearest")
        axis.set(xticks=[], yticks=[])
        for spine in axis.spines.values():
            spine.set(visible=True, linewidth=0.4, color="#bbbbbb")


@styled
def image_grid(groups: Sequence[tuple[str, Floats]], pixels: Pixels, columns: int = 10) -> Figure:
    """Samples in rows of ``columns``, one block for each ``(title, samples)``: Figure 6."""
    rows = max(-(-len(x) // columns) for _, x in groups)
    figure, axes = panels(1, len(groups), 0.42 * columns * len(groups), 0.42 * rows + 0.35)
    for axis, (title, x) in zip(axes[0], groups, strict=True):
        draw_sheet(axis, x, pixels, rows, columns)
        axis.set(title=plain(title))
    return figure


def draw_sheet(axis: Axes, x: Floats, pixels: Pixels, rows: int, columns: int) -> None:
    """Draw images side by side on one axis.

    Parameters
    ----------
    axis : Axes
    x : (n, pixels)
    pixels : Pixels
    rows, columns : int
        At least n places together.
    """
    gap = 1 if max(pixels.shape) < _SMALL else 0  # images without a margin of their own would run together
    height, width = pixels.shape[0] + gap, pixels.shape[1] + gap
    sheet = np.full((rows * columns, height, width), pixels.low)
    sheet[: len(x), gap:, gap:] = x.reshape(-1, *pixels.shape)
    mosaic = sheet.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)
    axis.imshow(mosaic, cmap="gray_r", vmin=pixels.low, vmax=pixels.high, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


@styled
def image_rows(
    rows: Sequence[Sequence[Floats]], titles: Sequence[str], pixels: Pixels, noisy: Sequence[int], labels: Sequence[str]
) -> Figure:
    """Images in rows and titled columns.

    Figure 1b, 7 (states along a trajectory), 8 (original, diffused, repeats), 9 and 10 (original, damaged, result).

    Parameters
    ----------
    rows : sequence of sequences of (dim,) arrays
        The images of each row.
    titles : sequence of str
        One for each column.
    pixels : Pixels
    noisy : sequence of int
        Columns whose images are scaled to their own grey.
    labels : sequence of str
        One for each row.
    """
    figure, axes = panels(len(rows), len(rows[0]), 0.72 * len(rows[0]) + 0.5, 0.74 * len(rows) + 0.3)
    for i, row in enumerate(rows):
        for j, x in enumerate(row):
            pixels.show(axes[i, j], x, free=j in noisy)
            if i == 0 and titles[j]:
                axes[i, j].set_title(titles[j], fontsize=8)
        axes[i, 0].set_ylabel(labels[i], fontsize=8, rotation=0, ha="right", va="center")
    return figure


@styled
def pixel_histograms(before: Floats, after: Floats, noise_scale: float, T: int) -> Figure:
    """Histogram of one image's pixels before and after diffusion, beside ``N(0, s^2)``: Figure 2b.

    Parameters
    ----------
    before, after : (dim,)
        The image at t = 0 and at t = T.
    noise_scale : float
        ``s``, in units of the pixels.
    T : int
    """
    figure, axes = panels(1, 2, 6.4, 2.5)
    left, right = axes[0]
    left.hist(before, bins=40, color=DATA, alpha=0.75)
    left.set(xlabel="pixel value", ylabel="number of pixels", yscale="log", title="one image, $t = 0$")
    right.hist(after, bins=40, density=True, color=MODEL, alpha=0.75)
    grid = np.linspace(-4 * noise_scale, 4 * noise_scale, 200)
    right.plot(
        grid, normal_density(grid, 0.0, noise_scale**2), color="black", label=f"$\\mathcal{{N}}(0, {noise_scale:g}^2)$"
    )
    right.set(xlabel="pixel value", ylabel="density", title=f"the same image, $t = {T}$")
    right.legend()
    return figure


@styled
def perceptron_weights(w: Floats, shape: tuple[int, int], names: tuple[str, str]) -> Figure:
    """Weights of a perceptron as an image: Annex II. ``names`` are the classes of output -1 and +1."""
    figure, axes = panels(1, 1, 3.9, 3.2)
    top = float(np.abs(w).max())
    picture = axes[0, 0].imshow(w.reshape(shape), cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest")
    axes[0, 0].set(xticks=[], yticks=[], title=f"blue: speaks for {names[0]}, red: for {names[1]}")
    figure.colorbar(picture, ax=axes[0, 0], label="weight")
    return figure
