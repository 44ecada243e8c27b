import pytest

from undiffuse.runs import config
from undiffuse.runs.differences import from_preset


@pytest.mark.parametrize("name", config.presets())
def test_a_preset_as_it_is_differs_in_nothing(name):
    assert from_preset(config.load(name, seed=3)) == ()


def test_changed_settings_are_told_with_what_they_replace():
    changed = config.load("mnist-01-quick", ["data.digits=[1,3]", "training.batch=50", 'description="mine"'])
    assert from_preset(changed) == ("data.digits = [1, 3] instead of [0, 1]", "training.batch = 50 instead of 100")


def test_settings_that_only_one_of_both_has_are_told():
    changed = config.load("mnist-01-quick")
    first, *others = changed.times
    changed = changed.model_copy(update={"times": (first.model_copy(update={"batch": 7, "blends": None}), *others)})
    assert from_preset(changed) == ("times[1..20].batch = 7", "no times[1..20].blends")


def test_a_configuration_of_another_name_has_no_preset_to_differ_from():
    assert from_preset(config.load("spiral-2pi", ["name=mine", "training.batch=1"])) == ()
