"""U-turns walked through a denoiser, and the error of walking them in few steps."""

from __future__ import annotations

import numpy as np
import pytest

import undiffuse as ud
from undiffuse.physics import Classes
from undiffuse.physics.crossings import Curve, locate
from undiffuse.physics.resampling import of_starts
from undiffuse.physics.uturns import Turns

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.linear(400, 2.5e-4, 0.05))


@pytest.fixture(scope="module")
def turns() -> Turns:
    """500 samples of two Gaussians at +-3 through the exact score of their law."""
    rng = np.random.default_rng(5)
    labels = rng.integers(2, size=500)
    x = 0.5 * rng.standard_normal((500, 2)) + 3.0 * np.outer(2 * labels - 1, [1, 0])
    law = ud.MixtureDenoiser(FORWARD, [0.5, 0.5], [[-3.0, 0.0], [3.0, 0.0]], [0.25 * np.eye(2)] * 2)
    return Turns(law, Classes(x, labels), lambda x: (x[:, 0] > 0).astype(int), 0)


@pytest.fixture(scope="module")
def curve(turns) -> Curve:
    return turns.curve([100, 150, 180, 210, 250, 300], turns.kept, lambda: None)


def test_uturns_cross_where_two_gaussians_turn_bimodal(turns, curve):
    """r = Gamma at tau = log(9 - 1/4 + 1)/2; 500 samples, 4 standard errors."""
    time = locate(lambda t: of_starts(turns.kept(t), 0), curve, 0.775, FORWARD).time
    assert time.tau == pytest.approx(0.5 * np.log(9.75), abs=4 * time.stderr)
    assert np.isnan(time.stderr_training)


def test_step_error_is_measured_with_less_scatter_than_independent_walks_have(turns, curve):
    crossing = locate(lambda t: of_starts(turns.kept(t), 0), curve, 0.775, FORWARD)
    found = turns.step_error(curve, crossing)
    assert found is not None
    assert (found.steps, found.finer, found.samples) == (60, 119, 500)
    assert found.stderr < 0.5 * np.sqrt(2 * 0.775 * 0.225 / 500)
    assert found.share == pytest.approx(0, abs=4 * found.stderr + 0.01)


def test_no_step_error_where_every_step_is_walked(turns, curve):
    early = locate(lambda t: of_starts(turns.kept(t), 0), curve, 2.0, FORWARD)
    assert turns.step_error(curve, early) is None
