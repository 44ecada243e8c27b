"""Twins on disjoint data: the more points, the more alike they are."""

from __future__ import annotations

import pytest

import undiffuse as ud
from undiffuse import datasets
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


def test_pairs_on_worker_processes_are_those_of_one_process(tmp_path):
    (tmp_path / "t.toml").write_text(RECIPE)
    small = ("data.n=200", "training.epochs=1", "network.hidden=8")
    one, two = (
        memorise.run(
            memorise.Settings(str(tmp_path / "t.toml"), n=(40, 90), changes=small, samples=20, seeds=2, workers=workers)
        )
        for workers in (1, 2)
    )
    assert one == two


def test_a_process_reads_the_data_once_for_all_pairs_of_a_job_and_anew_for_the_next(tmp_path, monkeypatch):
    (tmp_path / "t.toml").write_text(RECIPE)
    small, read, load = ("data.n=200", "training.epochs=1", "network.hidden=8"), [], datasets.load
    monkeypatch.setattr(datasets, "load", lambda *args: read.append(args) or load(*args))
    settings = memorise.Settings(str(tmp_path / "t.toml"), n=(40,), changes=small, samples=20, seeds=2, workers=1)
    memorise.run(settings)
    whole = [config for config, *given in read if not given and config.data.name == "spiral"]
    assert len(whole) == 1
    memorise.run(settings)
    assert len([config for config, *given in read if not given and config.data.name == "spiral"]) == 2


@pytest.mark.parametrize(
    ("sizes", "message"),
    [([5], "at least 10 training points"), ([3000], "need 6000, there are 4000")],
)
def test_sizes_that_do_not_fit_are_refused(sizes, message, tmp_path):
    (tmp_path / "t.toml").write_text(RECIPE)
    with pytest.raises(ud.UserError, match=message):
        memorise.run(memorise.Settings(str(tmp_path / "t.toml"), n=tuple(sizes), samples=10))


DIGITS = """
name = "twins-on-components"
[data]
name = "mnist"
n = 2400
held_out = 50
[diffusion]
T = 12
beta_1 = 0.002
beta_T = 0.9
[network]
hidden = 16
prediction = "x0"
skip = "gaussian"
components = 20
decoder_scale = 0.1
[training]
order = "continuation"
epochs = 4
warm_epochs = 1
batch = 50
learning_rate = 0.002
decay = "linear"
block = 12
"""


def test_twins_on_components_draw_alike_too(tmp_path):
    """Banks of 1,000 digits on 20 components, whose axes are their own half's: two pairs of each size, 60 samples.

    From noise along their own axes they would be 0.6 and more apart; from the same noise in pixels far less, and the
    Gaussian twins beside them as well.
    """
    (tmp_path / "t.toml").write_text(DIGITS)
    settings = memorise.Settings(str(tmp_path / "t.toml"), n=(100, 300, 1000), samples=60, seeds=2, workers=1)
    found = memorise.run(settings)
    few, _, many = found.twins
    assert many.seeds == 2
    assert many.apart < few.apart
    assert many.apart < 0.45
    assert many.gaussian_apart < 0.3
    assert found.powers[16]["gaussian"].exponent < -0.2
