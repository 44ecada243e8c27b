"""Drawings of how the model works: the thesis's Figures 3 and 4."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from undiffuse.figures.images import Pixels
from undiffuse.figures.style import GREY, MODEL, panels, styled
from undiffuse.networks.network import Architecture
from undiffuse.support.arrays import Floats

_NODE = "#f2f2f2"


@styled
def training_scheme(step: tuple[Floats, Floats, Floats, Floats], t: int, pixels: Pixels) -> Figure:
    """Draw one step of Algorithm 1 for one image and one time: Figure 3.

    ``step`` holds ``x_0``, ``xi``, ``x_t`` and ``xi_hat``, each ``(dim,)``.
    """
    x0, xi, x_t, xi_hat = step
    figure, axes = panels(1, 1, 8.4, 2.9)
    axis = axes[0, 0]
    axis.set(xlim=(0, 10), ylim=(0, 3.5))
    axis.axis("off")
    places = {
        "$x_0$, a training sample": (0.1, 1.9, x0, False),
        r"$\xi \sim \mathcal{N}(0, I)$": (0.1, 0.0, xi, True),
        f"$x_t$, $t = {t}$": (3.1, 0.95, x_t, True),
        r"$\hat\xi(x_t)$": (7.0, 0.95, xi_hat, True),
    }
    for label, (left, bottom, x, noisy) in places.items():
        inset = axis.inset_axes((left, bottom, 1.25, 1.25), transform=axis.transData)
        pixels.show(inset, x, free=noisy)
        inset.set_title(label, fontsize=9, pad=3)
    _box(axis, 5.3, 1.575, "autoencoder\nof time $t$")
    _box(axis, 9.15, 1.575, r"$|\xi - \hat\xi|^2$")
    for start, end in (
        ((1.4, 2.5), (3.05, 1.85)),
        ((1.4, 0.65), (3.05, 1.3)),
        ((4.4, 1.575), (4.65, 1.575)),
        ((5.95, 1.575), (6.95, 1.575)),
        ((8.3, 1.575), (8.5, 1.575)),
    ):
        _arrow(axis, start, end)
    axis.text(2.05, 2.45, r"$\sqrt{\bar\alpha_t}$", fontsize=10)
    axis.text(2.05, 0.55, r"$s\sqrt{\Delta_t}$", fontsize=10)
    axis.add_patch(
        FancyArrowPatch(
            (9.15, 1.1), (5.3, 1.0), connectionstyle="arc3,rad=-0.28", arrowstyle="-|>", mutation_scale=10, color=MODEL
        )
    )
    axis.text(7.25, 0.0, "gradient: Adam", ha="center", color=MODEL, fontsize=9)
    return figure


@styled
def architecture_scheme(x_t: Floats, xi_hat: Floats, net: Architecture, t: int, pixels: Pixels) -> Figure:
    """Draw the single-hidden-layer autoencoder of one time: Figure 4.

    Parameters
    ----------
    x_t, xi_hat : (dim,)
        Input and output.
    net : Architecture
    t : int
    pixels : Pixels
    """
    figure, axes = panels(1, 1, 7.2, 3.4)
    axis = axes[0, 0]
    axis.set(xlim=(0, 10), ylim=(-0.5, 4.3))
    axis.axis("off")
    columns = {2.6: 7, 5.0: 9, 7.4: 7}
    nodes = {x: [(x, 0.2 + 3.2 * i / (n - 1)) for i in range(n)] for x, n in columns.items()}
    for left, right in ((2.6, 5.0), (5.0, 7.4)):
        for a in nodes[left]:
            for b in nodes[right]:
                axis.plot(*zip(a, b, strict=True), color="#d9d9d9", lw=0.5, zorder=1)
    for places in nodes.values():
        axis.scatter(*zip(*places, strict=True), s=70, facecolor=_NODE, edgecolor=GREY, zorder=2)
    kind = "components" if net.components else "variables"
    axis.text(2.6, 3.8, f"$x_t$: {net.width} {kind}", ha="center")
    axis.text(5.0, 3.8, f"{net.hidden} hidden units", ha="center")
    axis.text(7.4, 3.8, r"$\hat\xi$: " + f"{net.width} {kind}", ha="center")
    axis.text(3.8, -0.4, "$W$, $b_h$", ha="center")
    axis.text(5.0, -0.4, net.h.title, ha="center")
    axis.text(6.2, -0.4, "$A$, $b_r$", ha="center")
    for left, x in ((0.2, x_t), (8.2, xi_hat)):
        inset = axis.inset_axes((left, 1.0, 1.6, 1.6), transform=axis.transData)
        pixels.show(inset, x, free=True)
        inset.set_title(f"$t = {t}$", fontsize=9, pad=3)
    return figure


def _box(axis: Axes, x: float, y: float, text: str) -> None:
    axis.text(
        x, y, text, ha="center", va="center", fontsize=9, bbox={"boxstyle": "round,pad=0.4", "fc": _NODE, "ec": GREY}
    )


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=10, color="black", lw=0.8))
