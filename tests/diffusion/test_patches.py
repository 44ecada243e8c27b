"""The exact local denoiser, against one softmax at a time, and at both of its ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import undiffuse as ud

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(100, 1e-3, 0.2), noise_scale=0.7)


def images(seed, m, shape):
    """Smooth random images, some of whose pixels never vary."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((m, *shape)).cumsum(axis=1)
    x[:, 0, 0] = 0.3
    return x.reshape(m, -1)


def posterior(seen, patches, centres, t):
    """Mean, and covariance with the patch, of centres under the weights of patches: one softmax."""
    gaps = np.sum((seen - FORWARD.signal(t) * patches) ** 2, axis=1) / (2 * FORWARD.noise(t) ** 2)
    w = np.exp(-(gaps - gaps.min()))
    w /= w.sum()
    mean = w @ centres
    return mean, (w * (centres - mean)) @ (patches - w @ patches)


def window(i, j, radius, shape):
    """Rows and columns of a patch, cut at the edge."""
    return [(a, b) for a in range(i - radius, i + radius + 1) for b in range(j - radius, j + radius + 1)
            if 0 <= a < shape[0] and 0 <= b < shape[1]]  # fmt: skip


def brute(points, side, shape, x_t, t, equivariant=False):
    """x0_hat and mean Jacobian, pixel by pixel."""
    radius, flat = side // 2, lambda places: [a * shape[1] + b for a, b in places]
    x0, jacobian = np.empty_like(x_t), np.zeros((x_t.shape[1],) * 2)
    for i, j in np.ndindex(shape):
        mine = window(i, j, radius, shape)
        offsets = [(a - i, b - j) for a, b in mine]
        cut = {
            place: [(a - place[0], b - place[1]) for a, b in window(*place, radius, shape)]
            for place in np.ndindex(shape)
        }
        same = [place for place in cut if cut[place] == offsets]
        places = same if equivariant else [(i, j)]
        patches = np.concatenate([points[:, flat(window(*place, radius, shape))] for place in places])
        centres = np.concatenate([points[:, flat([place])[0]] for place in places])
        (pixel,), seen = flat([(i, j)]), flat(mine)
        for n, x in enumerate(x_t):
            x0[n, pixel], covariance = posterior(x[seen], patches, centres, t)
            jacobian[pixel, seen] += covariance * FORWARD.signal(t) / FORWARD.noise(t) ** 2 / len(x_t)
    return x0, jacobian


@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 5), st.integers(2, 5)),
    st.integers(0, 4),
    st.sampled_from([1, 30, 100]),
    st.booleans(),
)
def test_estimates_and_jacobian_equal_one_softmax_at_a_time(seed, shape, radius, t, equivariant):
    points = images(seed, 7, shape)
    side = min(2 * radius + 1, 2 * max(shape) - 1)
    x_t = FORWARD.jump(points[:3], t, np.random.default_rng(seed).standard_normal((3, points.shape[1])))
    local = ud.PatchDenoiser(FORWARD, points, side, shape=shape, equivariant=equivariant)
    x0, jacobian = brute(points, side, shape, x_t, t, equivariant)
    np.testing.assert_allclose(local.x0_hat(x_t, t), x0, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(local.x0_jacobian(x_t, t), jacobian, rtol=1e-6, atol=1e-8 * max(1, abs(jacobian).max()))


@pytest.mark.parametrize("equivariant", [False, True])
@pytest.mark.parametrize("t", [1, 20, 100])
def test_a_patch_that_holds_the_image_makes_the_empirical_denoiser(rng, t, equivariant):
    points = images(3, 40, (4, 5))
    x_t = FORWARD.jump(points[:6], t, rng.standard_normal((6, 20)))
    whole, local = (
        ud.EmpiricalDenoiser(FORWARD, points),
        ud.PatchDenoiser(FORWARD, points, 9, shape=(4, 5), equivariant=equivariant),
    )
    np.testing.assert_allclose(local.xi_hat(x_t, t), whole.xi_hat(x_t, t), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(local.xi_trace(x_t, t), whole.xi_trace(x_t, t), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(local.x0_jacobian(x_t, t), whole.x0_jacobian(x_t, t), atol=1e-7)


def test_patches_of_one_pixel_make_each_pixel_a_problem_of_its_own(rng):
    points, t = images(5, 30, (3, 3)), 40
    x_t = rng.standard_normal((8, 9))
    local = ud.PatchDenoiser(FORWARD, points, 1)
    for pixel in range(9):
        alone = ud.EmpiricalDenoiser(FORWARD, points[:, [pixel]])
        np.testing.assert_allclose(local.x0_hat(x_t, t)[:, pixel], alone.x0_hat(x_t[:, [pixel]], t)[:, 0], rtol=1e-9)


def test_one_patch_size_of_equivariant_pixels_pools_all_places(rng):
    """Side 1 with translations: the values of all pixels are one set of points on the line."""
    points, t = images(6, 12, (3, 4)), 40
    x_t = rng.standard_normal((5, 12))
    local = ud.PatchDenoiser(FORWARD, points, 1, shape=(3, 4), equivariant=True)
    pooled = ud.EmpiricalDenoiser(FORWARD, points.reshape(-1, 1))
    expected = pooled.x0_hat(x_t.reshape(-1, 1), t).reshape(x_t.shape)
    np.testing.assert_allclose(local.x0_hat(x_t, t), expected, rtol=1e-9)


@pytest.mark.parametrize("equivariant", [False, True])
def test_the_trace_is_that_of_the_jacobian(rng, equivariant):
    local = ud.PatchDenoiser(FORWARD, images(7, 20, (4, 4)), 3, equivariant=equivariant)
    x_t = rng.standard_normal((3, 16))
    np.testing.assert_allclose(local.xi_trace(x_t, 50), ud.Denoiser.xi_trace(local, x_t, 50), rtol=1e-7)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: ud.PatchDenoiser(FORWARD, x, 3),
        lambda x: ud.PatchDenoiser(FORWARD, x, 3, equivariant=True),
        lambda x: ud.EmpiricalDenoiser(FORWARD, x),
        lambda x: ud.GaussianDenoiser.from_data(FORWARD, x),
    ],
    ids=["local", "equivariant", "empirical", "gaussian"],
)
def test_mean_jacobians_in_closed_form_equal_central_differences(rng, make):
    denoiser, x_t = make(images(8, 25, (4, 4))), rng.standard_normal((4, 16))
    for t in (30, 80):
        expected = ud.Denoiser.x0_jacobian(denoiser, x_t, t)
        np.testing.assert_allclose(denoiser.x0_jacobian(x_t, t), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("equivariant", [False, True])
def test_parts_change_nothing(rng, equivariant):
    points, x_t = images(9, 30, (4, 4)), rng.standard_normal((11, 16))
    whole, cut = (ud.PatchDenoiser(FORWARD, points, 3, equivariant=equivariant, chunk=chunk) for chunk in (1 << 21, 35))
    np.testing.assert_allclose(cut.xi_hat(x_t, 20), whole.xi_hat(x_t, 20), rtol=1e-10)
    np.testing.assert_allclose(cut.x0_jacobian(x_t, 20), whole.x0_jacobian(x_t, 20), atol=1e-10)


def test_far_away_states_get_the_nearest_patch():
    """At t = 1 every kernel underflows."""
    forward = ud.ForwardProcess(ud.NoiseSchedule.linear(), 0.1)
    local = ud.PatchDenoiser(forward, [[0.0, 0.0], [1.0, 1.0]], 1, shape=(1, 2))
    np.testing.assert_allclose(local.x0_hat(np.array([[30.0, -30.0]]), 1), [[1.0, 0.0]], atol=1e-9)


def test_samplers_bounds_and_inpainting_take_it(rng):
    """A mosaic: each pixel is one that some image has there."""
    points = np.sign(images(10, 6, (3, 3)))
    local = ud.PatchDenoiser(FORWARD, points, 3)
    x = ud.sample(local, 10, seed=1)
    gaps = np.abs(x[:, None] - points[None]).min(axis=1)
    assert gaps.max() < 0.1
    assert np.isfinite(ud.bound(local, points).total)
    hole = np.arange(9) >= 4
    np.testing.assert_array_equal(ud.inpaint(local, points[:2], hole, seed=1)[:, ~hole], points[:2, ~hole])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"side": 2}, "side = 2: wanted an odd number in 1..7"),
        ({"side": 9}, "side = 9: wanted an odd number in 1..7; at 7 every patch is the whole image"),
        ({"side": 0}, "side = 0: wanted an odd"),
        ({"side": -1}, "side = -1: wanted an odd"),
        ({"side": 3.0}, "side = 3.0: wanted an odd"),
        ({"side": "3"}, "side = '3': wanted an odd"),
        ({"shape": (4, 5)}, "images of 4 x 5 pixels, but data of 16 variables"),
        ({"shape": (16,)}, "wanted rows and columns"),
        ({"images": np.zeros((3, 15))}, "data of 15 variables are no square images"),
        ({"images": np.zeros((3, 4, 4))}, "images has shape"),
        ({"images": np.full((2, 16), np.nan)}, "NaN"),
        ({"images": np.zeros((0, 16))}, "at least one image"),
    ],
)
def test_what_are_no_patches_of_images_is_refused_in_one_line(changes, message):
    with pytest.raises(ud.UserError, match=message.replace("(", r"\(").replace(")", r"\)")) as found:
        ud.PatchDenoiser(FORWARD, **{"images": np.zeros((3, 16)), "side": 3} | changes)
    assert "\n" not in str(found.value)
