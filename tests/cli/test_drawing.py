import numpy as np
import pytest

from undiffuse.cli.drawing import Canvas, draw
from undiffuse.datasets.views import look


def lines(sets, style, width, **how):
    return [line.plain for line in draw(look(sets, **how).views, Canvas(style, width))]


def dots(line):
    return sum((ord(char) - 0x2800).bit_count() for char in line if 0x2800 <= ord(char) < 0x2900)


def test_four_points_are_four_dots_where_they_should_be():
    """Corners of a square, on a canvas that shows a little more."""
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    picture = lines({"corners": np.repeat(corners, 50, axis=0)}, "braille", 40)
    drawn = picture[1:-2]
    assert [dots(line) for line in drawn if dots(line)] == [2, 2]
    assert dots(drawn[0]) + dots(drawn[1]) == dots(drawn[-1]) + dots(drawn[-2]) == 2
    assert picture[-1].startswith("x2 ")


@pytest.mark.parametrize("style", ["braille", "ascii", "grey"])
@pytest.mark.parametrize("width", [20, 50, 80])
@pytest.mark.parametrize("columns", [1, 2, 5, 64])
def test_no_picture_is_wider_than_its_terminal(rng, style, width, columns):
    picture = lines({"data": rng.random((300, columns)), "samples": rng.random((70, columns))}, style, width)
    assert max(map(len, picture)) <= width
    assert "data" in picture[0]


def test_ascii_is_ascii(rng):
    for columns in (1, 2, 16):
        assert "\n".join(lines({"x": rng.random((100, columns))}, "ascii", 40)).isascii()


def test_a_histogram_has_bars_as_high_as_its_bins_are_full():
    """One value thrice as often as another: its bar is the whole height, the other's a third."""
    picture = lines({"x": np.repeat([[0.0], [1.0]], [300, 100], axis=0)}, "ascii", 20)
    drawn = picture[1:-1]
    heights = sorted(h for h in (sum(line[k] != " " for line in drawn) for k in range(20)) if h)
    assert len(drawn) == 10
    assert heights == [4, 10]  # a third of 10, rounded up


def test_an_image_of_one_white_pixel_has_it_in_its_place():
    image = np.zeros((5, 16))
    image[:, 6] = 1.0  # row 1, column 2 of 4 x 4
    first = lines({"x": image}, "braille", 80, shape=(4, 4))[1]
    assert [ord(char) - 0x2800 for char in first[:2]] == [0, 0x02]  # second character, left dot of the second row


def test_points_are_as_many_in_each_panel(rng):
    """10,000 rows beside 100 of the same law: about as many dots."""
    both = lines({"data": rng.random((10_000, 2)), "samples": rng.random((100, 2))}, "braille", 80)
    left, right = (sum(dots(line[part]) for line in both[1:-2]) for part in (slice(0, 39), slice(41, 80)))
    assert left == pytest.approx(right, rel=0.1)
