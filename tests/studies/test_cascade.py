"""The command physics cascade on a few spins, whose first component is strong and whose others are alike."""

import numpy as np
import pytest

from helpers import answer
from undiffuse import UserError
from undiffuse.studies import cascade, cascade_training

SPINS = """
name = "eight-spins"
[data]
name = "curie-weiss"
spins = 8
n = 2000
held_out = 100
[diffusion]
T = 200
beta_1 = 5e-4
beta_T = 0.1
"""


@pytest.fixture(scope="module")
def spins(tmp_path_factory):
    path = tmp_path_factory.mktemp("cascade") / "spins.toml"
    path.write_text(SPINS)
    return path


@pytest.fixture(scope="module")
def found(spins):
    return cascade.run(
        cascade.Settings(str(spins), components=2, hidden=32, points=6, passes=12, batch=20, seeds=2, workers=1)
    )


def test_half_gains_lie_where_theory_wants_them(found):
    """Two short trainings: within 20 %, against components that are 4.7 times apart."""
    assert found.tau_theory[0] > 4 * found.tau_theory[1]
    np.testing.assert_allclose(found.tau, found.tau_theory, rtol=0.2)


def test_linear_networks_learn_each_component_when_theory_says(found):
    """No free parameter: within 10 % at the rate of the command."""
    linear = found.clock["linear"]
    np.testing.assert_allclose(linear.steps, linear.theory, rtol=0.1)
    assert linear.steps[1] > 4 * linear.steps[0]


def test_relu_networks_learn_the_first_component_of_symmetric_data_at_half_the_rate(found):
    """Eight spins and 32 units leave some asymmetry: within 20 %."""
    assert found.clock["relu"].steps[0] == pytest.approx(found.clock["relu"].theory[0], rel=0.2)


def test_the_command_draws_a_figure_and_answers_the_same_on_two_workers(spins, tmp_path, capsys):
    words = ["--components", "2", "--hidden", "8", "--points", "4", "--passes", "1", "--seeds", "2"]
    few = [*words, "--set=data.n=100", "--set=data.beta=0.3"]
    out = tmp_path / "out"
    one, two = (
        answer(capsys, "physics", "cascade", str(spins), *few, "--workers", workers, "--out", str(out))
        for workers in ("1", "2")
    )
    assert (out / "cascade.png").is_file()
    assert {"linear", "relu"} == set(one["clock"])
    assert one | {"seconds": 0} == two | {"seconds": 0}


def test_a_component_that_takes_too_long_to_learn_is_refused_before_the_work(spins, monkeypatch):
    monkeypatch.setattr(cascade_training, "MOST_STEPS", 100)
    with pytest.raises(UserError, match="SGD would need more than 100 steps"):
        cascade.run(cascade.Settings(str(spins), components=2, workers=1))


def test_a_component_without_variance_is_refused_before_the_work(spins):
    """At beta = 9 all spins are alike."""
    with pytest.raises(UserError, match="the data do not vary along so many axes"):
        cascade.run(cascade.Settings(str(spins), changes=("data.beta=9",), components=2, workers=1))
