"""Views of data drawn with characters: dots of Braille, half blocks of grey, or plain ASCII."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from undiffuse.cli.tables import stdout_console
from undiffuse.datasets.views import View

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from undiffuse.support.arrays import Floats

Style = Literal["grey", "braille", "ascii"]
Ink = NDArray[np.float64]  # 0 to 1, one for each dot

_BRAILLE = 0x2800
_WEIGHTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # of the dots of one character
_RAMP = np.array(list(" .:-=+*#%@"))
_NARROWEST = 30  # columns of a panel beside another
_GAP = 2  # columns between panels
_HIGHEST = 20  # lines of a panel
_IMAGES_IN_A_ROW = 5  # at least
_ROWS_OF_IMAGES = 2
_FULL = 0.3  # share of the dots that points may take up, so that their density shows
_DITHER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 + 1 / 32


@dataclass(frozen=True)
class Canvas:
    """What can be drawn with.

    Attributes
    ----------
    style : {"grey", "braille", "ascii"}
        Half blocks in grey for images, Braille for all else; Braille for all; or ASCII.
    width : int
        Columns.
    """

    style: Style
    width: int

    @staticmethod
    def of(console: Console) -> Canvas:
        """Return the canvas of a terminal, or one of 80 columns without colours for what is no terminal."""
        width = console.width if console.is_terminal else 80
        if not can_show("⣿▀", sys.stdout.encoding):
            return Canvas("ascii", width)
        coloured = console.is_terminal and console.color_system is not None and not console.no_color
        return Canvas("grey" if coloured else "braille", width)

    def dots(self, images: bool) -> tuple[int, int]:
        """Dots of a character, across and down."""
        if self.style == "ascii":
            return 1, 1
        return (1, 2) if images and self.style == "grey" else (2, 4)


def can_show(text: str, encoding: str | None) -> bool:
    """Whether an encoding has all the characters of a text."""
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@dataclass(frozen=True)
class Picture:
    """Views drawn on the standard output."""

    views: Sequence[View]

    def lines(self) -> list[str]:
        """Lines of the picture."""
        console = stdout_console()
        with console.capture() as captured:
            for line in draw(self.views, Canvas.of(console)):
                console.print(line, soft_wrap=True)
        return [line.rstrip() for line in captured.get().splitlines()]


def draw(views: Sequence[View], canvas: Canvas) -> list[Text]:
    """Lines of a picture: panels beside one another where the width allows it, images below one another."""
    from rich.text import Text

    if views[0].kind == "images":
        return [line for view in views for line in (Text(view.title, "bold"), *_images(view, canvas))]
    beside = len(views) * (_NARROWEST + _GAP) - _GAP <= canvas.width
    width = (canvas.width - _GAP * (len(views) - 1)) // len(views) if beside else canvas.width
    width = min(width, 2 * _HIGHEST if views[0].kind == "points" else canvas.width)
    fewest = min(len(view.x) for view in views)  # as many points in each, so that densities compare
    panels = [_panel(view, Canvas(canvas.style, width), fewest) for view in views]
    if not beside:
        return [line for panel in panels for line in panel]
    gap = Text(" " * _GAP)
    return [gap.join(parts) for parts in zip(*panels, strict=True)]


def _panel(view: View, canvas: Canvas, most: int) -> list[Text]:
    """Title, picture and ranges of one view, each line as wide as the canvas."""
    from rich.text import Text

    across, down = canvas.dots(images=False)
    # A character is about twice as high as it is wide.
    shape = min(_HIGHEST, canvas.width // 2) * down, canvas.width * across
    if view.kind == "points":
        ink = _points(view, shape, most)
    else:
        ink = _bars(view, shape, across) if view.kind == "histogram" else _curves(view, shape)
    words = [f"{name} {low:.3g} .. {high:.3g}" for name, (low, high) in zip(view.names, view.limits, strict=False)]
    if view.kind == "curves":
        (low, high) = view.limits[1]
        words = [words[0], f"{' and '.join(view.names[1:])}: {low:.3g} .. {high:.3g}, log scale"]
    lines = [Text(view.title, "bold"), *map(Text, _characters(ink, canvas.style)), *(Text(each) for each in words)]
    for line in lines:
        line.truncate(canvas.width, pad=True)
    return lines


# -- ink --------------------------------------------------------------------------------------------------------------


def _points(view: View, shape: tuple[int, int], most: int) -> Ink:
    """Points, so many that their density shows; in ASCII, how many lie under each character."""
    rows, columns = shape
    fewer = max(1, min(most, int(_FULL * rows * columns)))
    x = view.x[:: max(1, -(-len(view.x) // fewer))]
    (left, right), (low, high) = view.limits
    counts, _, _ = np.histogram2d(x[:, 1], x[:, 0], bins=(rows, columns), range=((low, high), (left, right)))
    shown = counts[::-1]
    return np.asarray(np.sqrt(shown / max(1.0, float(shown.max()))))


def _bars(view: View, shape: tuple[int, int], across: int) -> Ink:
    """Bars of a histogram, each a character wide."""
    rows, columns = shape
    counts, _ = np.histogram(view.x, bins=columns // across, range=view.limits[0])
    heights = np.repeat(np.ceil(counts / max(1, counts.max()) * rows), across)
    return (np.arange(rows, 0, -1)[:, None] <= heights).astype(float)


def _curves(view: View, shape: tuple[int, int]) -> Ink:
    """Every curve against the times, on a logarithmic scale where all are above 0."""
    rows, columns = shape
    t = np.linspace(*view.limits[0], columns)
    low, high = np.log(np.maximum(view.limits[1], 1e-300))
    ink = np.zeros(shape)
    for values in view.x.T[1:]:
        heights = np.interp(t, view.x[:, 0], np.log(np.maximum(values, 1e-300)))
        at = ((high - heights) / max(high - low, 1e-12) * (rows - 1)).round().astype(int).clip(0, rows - 1)
        ink[at, np.arange(columns)] = 1.0
    return ink


def _images(view: View, canvas: Canvas) -> list[Text]:
    """Lines of rows of images, each made smaller by a whole factor where not enough of them fit beside one another."""
    assert view.shape is not None  # noqa: S101
    across, _ = canvas.dots(images=True)
    height, width = view.shape
    smaller = max(1, -(-_IMAGES_IN_A_ROW * (width + 1) // (canvas.width * across)))
    ((low, high),) = view.limits
    shown = (view.x.reshape(-1, height, width) - low) / max(high - low, 1e-300)
    small = _pooled(shown.clip(0, 1), smaller, 2 * smaller if canvas.style == "ascii" else smaller)
    fit = max(1, canvas.width * across // (small.shape[2] + 1))
    lines: list[Text] = []
    for first in range(0, min(len(small), fit * _ROWS_OF_IMAGES), fit):
        row = [np.pad(image, ((0, 0), (0, 1))) for image in small[first : first + fit]]
        ink = np.concatenate(row, axis=1)
        lines += _grey(ink) if canvas.style == "grey" else _as_text(ink, canvas.style)
    return lines


def _pooled(images: Floats, across: int, down: int) -> Floats:
    """Means over rectangles of pixels; what is left over at the right and below is filled up with nothing."""
    n, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, -height % down), (0, -width % across)))
    _, rows, columns = padded.shape
    return padded.reshape(n, rows // down, down, columns // across, across).mean(axis=(2, 4))


# -- characters -------------------------------------------------------------------------------------------------------


def _as_text(ink: Ink, style: Style) -> list[Text]:
    """Grey turned to dots by a fixed pattern (ordered dithering)."""
    from rich.text import Text

    if style == "braille":
        rows, columns = ink.shape
        pattern = np.tile(_DITHER, (-(-rows // 4), -(-columns // 4)))[:rows, :columns]
        ink = (ink > pattern).astype(float)
    return [Text(line) for line in _characters(ink, style)]


def _characters(ink: Ink, style: Style) -> list[str]:
    """Lines of characters for ink: in Braille any ink at all makes a dot."""
    if style == "ascii":
        shades = np.rint(ink * (len(_RAMP) - 1)).astype(int)
        return ["".join(row) for row in _RAMP[shades]]
    rows, columns = ink.shape
    dots = np.pad(ink > 0, ((0, -rows % 4), (0, -columns % 2)))
    cells = dots.reshape(dots.shape[0] // 4, 4, dots.shape[1] // 2, 2).swapaxes(1, 2)
    codes = _BRAILLE + (cells * _WEIGHTS).sum(axis=(2, 3))
    return ["".join(map(chr, row)) for row in codes.tolist()]


def _grey(ink: Ink) -> list[Text]:
    """Half blocks: the upper pixel of a character in its own colour, the lower one in that behind it."""
    from rich.color import Color
    from rich.style import Style as RichStyle
    from rich.text import Text

    pixels = np.pad((255 * ink).round().astype(int), ((0, ink.shape[0] % 2), (0, 0)))
    lines = []
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        line = Text()
        for a, b in zip(upper, lower, strict=True):
            line.append("▀", RichStyle(color=Color.from_rgb(a, a, a), bgcolor=Color.from_rgb(b, b, b)))
        lines.append(line)
    return lines
