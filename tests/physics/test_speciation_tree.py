"""Successive speciation times: trees of known moments, of data, and two temperatures."""

import json
import re

import numpy as np
import pytest

import undiffuse as ud
from undiffuse import figures
from undiffuse.cli.times import tree_table
from undiffuse.physics import Classes, CurieWeiss, CurieWeissDenoiser, critical_times, speciation_tree
from undiffuse.physics.class_gaussians import TwoGaussians
from undiffuse.physics.class_moments import ClassMoments
from undiffuse.physics.empirical import EmpiricalCurves, over_spread_and_stderr
from undiffuse.physics.resampling import Resampling
from undiffuse.physics.transitions import CurveOptions
from undiffuse.physics.trees import merges

FORWARD = ud.ForwardProcess(ud.NoiseSchedule.at_ou_times(np.linspace(0.02, 4.0, 200)))
MEANS = np.array([[-6.0, 0.0], [3.0, 3.0], [3.0, -3.0]])


def test_the_pair_that_parts_last_is_merged_first():
    """One covariance, the identity: pairs part at ``log(d/2)``, and groups where their moments say."""
    moments = ClassMoments(np.full(3, 1 / 3), MEANS, np.stack([np.eye(2)] * 3))
    order, times = merges(moments, 1.0)
    assert order == [((1,), (2,)), ((0,), (1, 2))]
    assert times[(1,), (2,)] == pytest.approx(np.log(3), abs=1e-5)
    assert times[(0,), (1,)] == pytest.approx(np.log(np.hypot(9, 3) / 2), abs=1e-5)
    merged = TwoGaussians.of(moments, (0,), (1, 2), 1.0)
    np.testing.assert_allclose(merged.second.covariance, [[1, 0], [0, 10]])
    assert times[(0,), (1, 2)] == pytest.approx(merged.speciation(), abs=1e-5)


def test_guesses_change_no_time():
    rng = np.random.default_rng(1)
    roots = rng.standard_normal((4, 3, 3))
    moments = ClassMoments(np.full(4, 0.25), 3 * rng.standard_normal((4, 3)), roots @ roots.transpose(0, 2, 1))
    order, times = merges(moments, 0.7)
    again, found = merges(moments, 0.7, {pair: tau + 0.6 for pair, tau in times.items()})
    assert again == order
    for pair, tau in times.items():
        assert found[pair] == pytest.approx(tau, abs=1e-5, nan_ok=True)


def test_a_pair_that_never_parts_is_merged_before_all_others():
    """Two widths on the line have no time; the third class, far away, comes last."""
    moments = ClassMoments(np.full(3, 1 / 3), np.array([[0.0], [0.0], [9.0]]), np.array([[[1.0]], [[4.0]], [[1.0]]]))
    order, times = merges(moments, 1.0)
    assert order[0] == ((0,), (1,))
    assert np.isnan(times[(0,), (1,)])
    assert times[order[1]] > 1


@pytest.fixture(scope="module")
def three():
    rng = np.random.default_rng(0)
    labels = np.arange(1_500) % 3
    both = [Classes(MEANS[labels] + rng.standard_normal((1_500, 2)), labels, ("ant", "bee", "cow")) for _ in range(2)]
    return critical_times(ud.GaussianDenoiser.from_data(FORWARD, both[0].x), *both, CurveOptions(points=14, n=600))


def test_three_classes_make_a_tree_of_two_splits(three):
    """1,500 points, 600 diffused: Gaussian and measured times to 4 errors of those of the law, 0.02 for the grid."""
    tree = three.tree
    assert tree.classes == ("ant", "bee", "cow")
    assert [(split.first, split.second) for split in tree.splits] == [(("bee",), ("cow",)), (("ant",), ("bee", "cow"))]
    moments = ClassMoments(np.full(3, 1 / 3), MEANS, np.stack([np.eye(2)] * 3))
    _, exact = merges(moments, 1.0)
    for split, pair in zip(tree.splits, [((1,), (2,)), ((0,), (1, 2))], strict=True):
        assert split.time.tau == pytest.approx(exact[pair], abs=4 * split.time.stderr)
        assert 0 < split.time.stderr < 0.03
        assert split.measured.tau == pytest.approx(exact[pair], abs=4 * split.measured.stderr + 0.02)
        assert split.support == 1
    assert tree.root.covariance.applies
    assert tree.below(("cow", "bee")) is tree.splits[0]
    assert tree.below(("ant",)) is None


def test_the_covariance_of_a_split_is_that_of_its_own_classes(three):
    """Of bees and cows alone: largest variance 1 + 9 across, not the 19 of all; to 4 errors."""
    found = three.tree.splits[0].covariance
    assert found.eigenvalue == pytest.approx(10, abs=4 * found.eigenvalue_stderr)
    assert found.overlap > 0.99


def test_trees_go_through_json(three):
    told = json.loads(json.dumps(three.as_dict()))
    first, last = told["tree"]["splits"]
    assert (first["first"], last["second"]) == (["bee"], ["bee", "cow"])
    assert last["time"]["tau"] == three.tree.root.time.tau
    assert last["covariance"]["applies"] is True
    assert told["notes"] == []
    assert "free entropy of class Gaussians" not in told["predictions"]  # of two classes alone
    assert len(told["curves"]["class Gaussians"]["tau"]) == len(told["curves"]["cloning"]["tau"])


def test_a_tree_is_printed_and_drawn(three):
    """Leaves below the groups that part; in the figure the last split stands at its time, in the middle of its two."""
    (said, table) = tree_table(three.tree)
    assert said.startswith("successive speciation")
    names = [re.sub(r"^[├└│|`\- ]+", "", line).split("  ")[0] for line in table.lines()[1:]]
    assert names == ["ant | bee cow", "ant", "bee | cow", "bee", "cow"]
    axis, beside = figures.speciation_tree(three.tree).axes
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["ant", "bee", "cow"]
    bars = [line.get_xydata().tolist() for line in axis.get_lines() if len(line.get_xdata()) == 2]
    times = [split.time.tau for split in three.tree.splits]
    assert [[1.0, times[0]], [2.0, times[0]]] in bars
    assert [[0.0, times[1]], [1.5, times[1]]] in bars
    assert [text.get_text() for text in beside.get_legend().get_texts()] == ["empirical score", "covariance"]


def test_two_classes_make_no_tree():
    with pytest.raises(ud.UserError, match="2 classes: wanted at least three"):
        speciation_tree(FORWARD, Classes(np.eye(4), np.arange(4) % 2))


def test_the_sampled_curve_of_three_gaussians_is_the_measured_one(three):
    """Two copies in one class, for Gaussian classes: 4.5 errors of both and 0.02 for 1,500 points, past tau = 0.5."""
    measured, theory = three.curves["cloning"], three.curves["class Gaussians"]
    rows = zip(measured.tau, measured.value, measured.stderr, theory.value, theory.stderr, strict=True)
    for tau, value, error, other, its in rows:
        if tau > 0.5:
            assert abs(value - other) < 4.5 * np.hypot(error, its) + 0.02


def test_two_temperatures_part_by_what_a_covariance_does_not_see():
    """40 spins, beta = 1.5 and 0.5, no field, no means that differ. Mean over spread of the exact log odds (quadrature
    of the model, 3,000 draws) against the score of 4,000 configurations, 4.5 errors and 3 per cent: it crosses 1
    between tau = 0.6 and 1.0, where Gaussians of the same covariances are far below 1."""
    rng = np.random.default_rng(3)
    models = [CurieWeiss(40, beta=1.5), CurieWeiss(40, beta=0.5)]
    labels = np.arange(4_000) % 2
    x, fresh = (
        np.where(labels[:, None] == 0, models[0].sample(4_000, rng), models[1].sample(4_000, rng)).astype(float)
        for _ in range(2)
    )
    points = Classes(x, labels)
    curves = EmpiricalCurves(FORWARD, points, np.arange(2_000), points, Resampling.of(4_000, 4_000, 2, 0), 0)
    gaussians = TwoGaussians.of(ClassMoments.of(points), [0], [1], 1.0)
    scores = [CurieWeissDenoiser(FORWARD, model) for model in models]
    seen = []
    for t in (30, 50):
        x_t = FORWARD.jump(fresh[:3_000], t, rng.standard_normal((3_000, 40)))
        odds = np.where(labels[:3_000] == 0, 1, -1) * (scores[0].log_density(x_t, t) - scores[1].log_density(x_t, t))
        exact, error = over_spread_and_stderr(odds)
        found, its = over_spread_and_stderr(curves.class_values(t).log_odds)
        assert abs(found - exact) < 4.5 * np.hypot(error, its) + 0.03 * exact
        assert gaussians.ratio(float(FORWARD.schedule.ou_time(t))) < 0.6
        seen.append(exact)
    assert seen[0] > 1.1
    assert seen[1] < 0.9
