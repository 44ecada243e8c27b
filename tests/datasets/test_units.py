"""The user's units and the model's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError

import undiffuse as ud
from undiffuse.datasets import Units
from undiffuse.runs import config
from undiffuse.support.errors import UserError

TABLES = arrays.arrays(
    np.float64,
    st.tuples(st.integers(2, 20), st.integers(1, 5)),
    elements=st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda x: round(x, 3)),
)


@given(TABLES)
def test_rows_come_back_from_the_units_of_the_model(x):
    if (x.max(axis=0) == x.min(axis=0)).all():
        with pytest.raises(ud.UserError, match="constant: there is nothing to learn"):
            Units.standard(x)
        return
    units = Units.standard(x)
    assert np.allclose(units.to_user(units.to_model(x)), x, rtol=1e-9, atol=1e-6)


@given(TABLES)
def test_every_column_of_the_model_has_mean_0_and_variance_1(x):
    varies = x.max(axis=0) > x.min(axis=0)
    # Columns whose spread is lost in the rounding of their mean have no sharp variance.
    if not varies.any() or (x.std(axis=0)[varies] < 1e-9 * np.abs(x).max()).any():
        return
    model = Units.standard(x).to_model(x)
    assert model.shape == (len(x), varies.sum())
    assert np.allclose(model.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(model.std(axis=0), 1, atol=1e-5)


def test_constant_columns_are_left_out_and_put_back_exactly():
    x = np.column_stack([np.full(7, 0.1), np.arange(7) / 3])
    units = Units.standard(x)
    assert units.to_model(x).shape == (7, 1)
    assert (units.to_user(units.to_model(x))[:, 0] == 0.1).all()


def test_whole_columns_come_back_rounded_and_in_the_range_of_the_data():
    x = np.array([[0.0, 0.5], [1.0, 0.25], [4.0, 1.5]])
    back = Units.standard(x).to_user([[-9.0, -9.0], [0.1, 0.1], [9.0, 9.0]])
    assert back[:, 0].tolist() == [0.0, 2.0, 4.0]
    assert back[0, 1] < 0.25
    assert not np.signbit(back[0, 0])


def test_pixels_have_one_scale_and_come_back_as_bytes():
    units = Units.pixels(0.0, 255.0, whole=True)
    assert units.to_model([[0.0, 255.0, 51.0]]).tolist() == [[0.0, 1.0, 0.2]]
    assert units.to_user([[-0.2, 0.5, 1.3]]).tolist() == [[0.0, 128.0, 255.0]]


def test_units_survive_the_configuration_bit_for_bit(rng):
    x = np.column_stack([rng.normal(1e9, 1e-3, 50), rng.integers(0, 9, 50), np.full(50, 1 / 3)])
    units = Units.standard(x, ["a", "b", "c"])
    section = ud.datasets.FileData(path="x.csv", held_out=5, units=units)
    again = config.loads(config.Config(data=section).to_toml(), "again").data
    assert again == section


@pytest.mark.parametrize(
    "wrong",
    [
        {"centre": (0.0,), "scale": (0.0,)},
        {"centre": (0.0,), "scale": (-1.0,)},
        {"centre": (0.0, 1.0), "scale": (1.0,)},
        {"centre": (0.0, 0.0), "scale": (1.0, 1.0), "names": ("a",)},
        {"centre": (0.0,), "scale": (1.0,), "whole": (1,), "low": (0.0,), "high": (1.0,)},
        {"centre": (float("nan"),), "scale": (1.0,)},
    ],
)
def test_units_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        Units(**wrong)


def test_rows_of_another_width_are_refused():
    units = Units.standard(np.eye(3))
    with pytest.raises(ud.UserError, match=r"shape \(1, 2\), wanted \(n, 3\)"):
        units.to_model([[1.0, 2.0]])


def test_numbers_whose_squares_are_infinite_are_refused():
    with pytest.raises(UserError, match="column 2 holds numbers up to 1e[+]300"):
        Units.standard(np.array([[1.0, 1e300], [2.0, -1e300]]))
