"""Twins on disjoint data: the more points, the more alike they are."""

from __future__ import annotations

import pytest

import undiffuse as ud
from undiffuse.studies import memorise

RECIPE = """
name = "twins"
[data]
name = "spiral"
n = 4000
held_out = 100
[diffusion]
T = 60
beta_1 = 0.002
beta_T = 0.25
noise_scale = 0.3
[network]
hidden = 200
[training]
epochs = 4
batch = 50
learning_rate = 0.01
decay = "linear"
block = 15
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("twins") / "twins.toml"
    path.write_text(RECIPE)
    return memorise.run(memorise.Settings(str(path), n=(12, 2000), samples=200, workers=1)).twins


def test_twins_on_many_points_draw_the_same_samples(found):
    few, many = found
    assert many.apart + 4 * many.apart_stderr < few.apart
    assert many.apart < 0.5


@pytest.mark.parametrize(
    ("sizes", "message"),
    [([5], "at least 10 training points"), ([3000], "need 6000, there are 4000")],
)
def test_sizes_that_do_not_fit_are_refused(sizes, message, tmp_path):
    (tmp_path / "t.toml").write_text(RECIPE)
    with pytest.raises(ud.UserError, match=message):
        memorise.run(memorise.Settings(str(tmp_path / "t.toml"), n=tuple(sizes), samples=10))
