"""The command physics locality on smooth images of 8 x 8 pixels, whose correlations reach two pixels."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from helpers import answer, write_folder
from undiffuse.studies import locality

SMOOTH = """
name = "smooth"
[data]
name = "mnist"
digits = [0]
folder = "{folder}"
[diffusion]
T = 100
beta_1 = 1e-3
beta_T = 0.1
noise_scale = 0.3
"""


@pytest.fixture(scope="module")
def smooth(tmp_path_factory):
    path = tmp_path_factory.mktemp("locality")
    noise = np.random.default_rng(0).standard_normal((2_000, 12, 12))
    x = gaussian_filter(noise, (0, 1, 1))[:, 2:10, 2:10]
    images = np.clip(127.5 + 60 * x / x.std(), 0, 255).astype(np.uint8)
    folder = write_folder(path / "images", images, np.zeros(len(images), np.uint8))
    (path / "smooth.toml").write_text(SMOOTH.format(folder=folder))
    return path / "smooth.toml"


@pytest.fixture(scope="module")
def found(smooth):
    return locality.run(
        locality.Settings(
            str(smooth),
            tau=(0.1, 0.5, 1.5),
            side=(3, 15),
            equivariant=(3, 15),
            images=200,
            n=60,
            hidden=128,
            passes=10,
            seeds=3,
            workers=1,
        )
    )


def test_networks_look_where_the_wiener_filter_looks(found):
    """Nearly Gaussian images: maps correlate above 0.9, and reach half as far as one that looks everywhere, or less.

    At the two times with little noise; at the third there is little to learn.
    """
    assert min(found.beside["wiener"].correlation.value[:2]) > 0.9
    assert max(found.radius.value[:2]) < 0.5 * found.everywhere


def test_maps_of_reordered_pixels_follow_the_order(found):
    """Three trainings each, half of whose difference is noise: radii put back agree within 5 %; as they stand, none."""
    np.testing.assert_allclose(found.put_back_radius.value[:2], found.radius.value[:2], rtol=0.05)
    assert min(np.divide(found.reordered_radius.value[:2], found.radius.value[:2])) > 1.3
    wiener = found.beside["wiener"].correlation.value[:2]
    np.testing.assert_allclose(found.put_back_correlation.value[:2], wiener, atol=0.02)


def test_outputs_are_explained_better_by_the_wiener_filter_than_by_memory(found):
    assert (np.array(found.beside["wiener"].explained.value) > found.beside["empirical"].explained.value).all()


def test_patches_as_large_as_the_image_are_the_empirical_denoiser(found):
    """Where there is little noise both are sure of one image, and sensitivities are rounding or nothing."""
    assert found.beside["patch 15"].radius[-1] == pytest.approx(found.beside["empirical"].radius[-1], rel=1e-4)
    np.testing.assert_allclose(found.beside["patch 15"].error, found.beside["empirical"].error, rtol=1e-5)


def test_patches_as_large_as_the_image_fit_nowhere_else(found):
    assert found.beside["equivariant 15"] == found.beside["patch 15"]


def test_the_command_draws_its_figures_and_answers_the_same_on_two_workers(smooth, tmp_path, capsys):
    sizes = ["--images", "50", "-n", "8", "--hidden", "16", "--passes", "1"]
    words = ["--tau", "0.3", "--side", "3", "--equivariant", "3", *sizes]
    out = tmp_path / "out"
    one, two = (
        answer(capsys, "physics", "locality", smooth, *words, "--seeds", "2", "--workers", workers, "--out", out)
        for workers in ("1", "2")
    )
    assert {path.name for path in out.iterdir()} == {"locality.png", "sensitivity.png", "summary.json"}
    assert list(one["beside"]) == ["wiener", "empirical", "patch 3", "equivariant 3"]
    assert one | {"seconds": 0} == two | {"seconds": 0}
