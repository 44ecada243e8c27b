import numpy as np
import pytest

from undiffuse.datasets.views import look
from undiffuse.support.errors import UserError


def test_samples_are_shown_in_the_ranges_of_the_data(rng):
    data, samples = rng.normal(size=(1_000, 2)), np.vstack([rng.normal(size=(1_000, 2)), [[1e6, 0.0]] * 20])
    views = look({"data": data, "samples": samples}, names=("a", "b")).views
    assert views[0].limits == views[1].limits
    assert max(high for _, high in views[0].limits) < 6


def test_axes_are_the_principal_ones_of_standardised_columns(rng):
    """Two columns that are the same but for their units, and one of noise: the first axis is their sum."""
    z = rng.normal(size=5_000)
    x = np.column_stack([z, 1_000 * z, rng.normal(size=5_000)])
    found = look({"x": x})
    assert abs(np.corrcoef(found.views[0].x[:, 0], z)[0, 1]) > 0.999
    assert found.words.endswith("100 % of their variance")


def test_a_constant_column_hurts_nobody(rng):
    x = np.column_stack([rng.normal(size=(50, 3)), np.full(50, 7.0)])
    assert np.isfinite(look({"x": x}).views[0].x).all()


@pytest.mark.parametrize("columns", [1, 2, 3, 16])
def test_constant_data_have_a_range(columns):
    for view in look({"x": np.full((20, columns), 3.0)}).views:
        assert all(low <= high for low, high in view.limits)


def test_a_circle_is_shown_as_one(rng):
    x = rng.normal(size=(500, 2)) * [10.0, 1.0]
    (a, b), (c, d) = look({"x": x}).views[0].limits
    assert b - a == pytest.approx(d - c)


def test_other_columns_and_nothing_but_missing_values_are_refused():
    with pytest.raises(UserError, match="samples has 3 columns, wanted 2"):
        look({"data": np.ones((5, 2)), "samples": np.ones((5, 3))})
    with pytest.raises(UserError, match="every row has a missing value"):
        look({"data": np.full((5, 2), np.nan)})
