"""Filling in destroyed parts: against the exact conditional law, and the rules of the known part."""

import numpy as np
import pytest
from PIL import Image

import undiffuse as ud
from undiffuse import Inpainting, UserError
from undiffuse.datasets.masks import hole, read_mask

HALF = np.array([True, False])


@pytest.fixture
def correlated(forward):
    return ud.GaussianDenoiser(forward, [1.0, -0.5], [[0.5, 0.4], [0.4, 0.5]])


@pytest.mark.parametrize("how", [Inpainting(), Inpainting("repaint", jump=5, repeats=3)])
def test_what_is_known_comes_back_untouched_and_what_is_destroyed_is_never_looked_at(correlated, rng, how):
    x = rng.standard_normal((20, 2))
    other = x.copy()
    other[:, 0] = 1e6
    filled = ud.inpaint(correlated, x, HALF, how=how, sampler=ud.Ancestral(steps=20))
    np.testing.assert_array_equal(filled[:, 1], x[:, 1])
    np.testing.assert_array_equal(ud.inpaint(correlated, other, HALF, how=how, sampler=ud.Ancestral(steps=20)), filled)


def test_repaint_fills_in_by_the_conditional_law_of_gaussian_data(correlated):
    """Conditional mean and variance from 4,000 fillings: 4 standard errors, 0.06 for the chain of 100 steps."""
    x = np.tile([0.0, 0.6], (4_000, 1))
    filled = ud.inpaint(correlated, x, HALF, how=Inpainting("repaint", jump=5, repeats=20))[:, 0]
    mean, variance = 1.0 + 0.8 * (0.6 + 0.5), 0.5 - 0.4 * 0.8
    assert filled.mean() == pytest.approx(mean, abs=0.06 + 4 * np.sqrt(variance / 4_000))
    assert filled.var() == pytest.approx(variance, abs=0.06 + 4 * variance * np.sqrt(2 / 4_000))


def test_repaint_is_closer_to_the_conditional_mean_than_one_way_down(correlated):
    x = np.tile([0.0, 1.5], (4_000, 1))
    once, again = (
        ud.inpaint(correlated, x, HALF, how=how)[:, 0].mean() for how in (Inpainting(), Inpainting("repaint", 5, 20))
    )
    mean = 1.0 + 0.8 * (1.5 + 0.5)
    assert abs(again - mean) < abs(once - mean) - 0.02


def test_a_path_with_jumps_goes_down_each_stretch_as_often_as_asked():
    path = Inpainting("repaint", jump=2, repeats=3).path([5, 4, 3, 2, 1, 0])
    assert path == [5, 4, 3, 5, 4, 3, 5, 4, 3, 2, 1, 3, 2, 1, 3, 2, 1, 0]


def test_a_thesis_path_goes_down_once():
    assert Inpainting().path([3, 2, 1, 0]) == [3, 2, 1, 0]


def test_a_sample_is_filled_in_alike_whatever_is_beside_it(correlated, rng):
    x = rng.standard_normal((6, 2))
    how = Inpainting("repaint", 3, 2)
    whole = ud.inpaint(correlated, x, HALF, how=how, sampler=ud.Ancestral(steps=10), seed=5)
    alone = ud.inpaint(correlated, x[:2], HALF, how=how, sampler=ud.Ancestral(steps=10), seed=5)
    np.testing.assert_allclose(whole[:2], alone, rtol=1e-12)


def test_each_sample_may_have_a_mask_of_its_own(correlated, rng):
    x = rng.standard_normal((2, 2))
    filled = ud.inpaint(correlated, x, [[True, False], [False, True]], sampler=ud.Ancestral(steps=5))
    assert (filled == x).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([True, False, True], r"the mask has shape \(3,\), wanted \(2,\)"),
        ([2, 0], "a mask holds True"),
        ([False, False], "destroys nothing"),
        ([True, True], "leaves nothing known"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(correlated, mask, message):
    with pytest.raises(UserError, match=message):
        ud.inpaint(correlated, [[0.0, 0.0]], mask)


def test_a_hole_lies_in_the_middle_or_where_it_is_put():
    assert np.argwhere(hole("2x4", (6, 8)).reshape(6, 8)).min(axis=0).tolist() == [2, 2]
    placed = hole("2x4+0+1", (6, 8)).reshape(6, 8)
    assert placed.sum() == 8
    assert placed[:2, 1:5].all()


@pytest.mark.parametrize("text", ["14", "axb", "0x3", "9x2", "2x2+5+0", "2x2+1"])
def test_a_hole_that_makes_no_sense_is_refused(text):
    with pytest.raises(UserError, match="hole"):
        hole(text, (6, 8))


def test_white_in_a_mask_image_is_destroyed(tmp_path):
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:5] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    np.save(tmp_path / "m.npy", mask > 0)
    for name in ("m.png", "m.npy"):
        np.testing.assert_array_equal(read_mask(tmp_path / name, (6, 8)), (mask > 0).reshape(-1))


def test_a_mask_file_that_is_missing_or_of_another_shape_is_refused(tmp_path):
    np.save(tmp_path / "m.npy", np.ones((3, 3)))
    (tmp_path / "m.png").write_text("no image")
    for name, message in (("n.npy", "there is no file"), ("m.npy", "has shape"), ("m.png", "nor an image")):
        with pytest.raises(UserError, match=message):
            read_mask(tmp_path / name, (6, 8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Inpainting("repain"), "did you mean 'repaint'"),
        (lambda: Inpainting("repaint", jump=0), "jump = 0"),
        (lambda: Inpainting("repaint", repeats=0), "repeats = 0"),
    ],
)
def test_a_wrong_method_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_jump_longer_than_the_way_down_is_refused_where_there_are_jumps():
    """The default jump of 10 is none of ``thesis``'s business, however few the steps."""
    times = [3, 2, 1, 0]
    assert Inpainting("thesis").path(times) == times
    assert Inpainting("repaint", jump=3, repeats=2).path(times) == times
    with pytest.raises(UserError, match="jump = 4: wanted at most the 3 steps"):
        Inpainting("repaint", jump=4, repeats=2).path(times)
