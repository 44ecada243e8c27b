"""A step of Adam in one pass, against torch's."""

import numpy as np
import pytest
import torch

from undiffuse.kernels.moments import adam_step

NO_FLOATS, NO_HALVES = np.empty(0, np.float32), np.empty(0, np.uint16)
COUNT = 5000  # more than two of the pieces that the kernel works on


def halves(x):
    """Numbers in bfloat16 as integers, rounded by torch."""
    return torch.from_numpy(x.copy()).to(torch.bfloat16).view(torch.uint16).numpy()


@pytest.fixture
def start(rng):
    return rng.standard_normal(COUNT).astype("f4")


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
def test_steps_are_those_of_torch(rng, start, half):
    """Ten steps with rates that change; gradients over six decades."""
    ours, m, v = start.copy(), np.zeros(COUNT, "f4"), np.zeros(COUNT, "f4")
    theirs = torch.from_numpy(start.copy())
    adam = torch.optim.Adam([theirs])
    for step in range(1, 11):
        g = (rng.standard_normal(COUNT) * 10.0 ** rng.uniform(-5, 1, COUNT)).astype("f4")
        if half:
            g = torch.from_numpy(g).to(torch.bfloat16).float().numpy()
        theirs.grad = torch.from_numpy(g.copy())
        adam.param_groups[0]["lr"] = 0.01 / step
        adam.step()
        adam_step(ours, m, v, halves(g) if half else g, NO_HALVES, NO_FLOATS, step, 0.01 / step, 0.0)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-6)
    np.testing.assert_allclose(v, adam.state[theirs]["exp_avg_sq"].numpy(), rtol=1e-5)


def test_copies_are_rounded_as_torch_rounds(rng, start):
    low = np.empty(COUNT, np.uint16)
    start[:4] = np.array([0x3F808000, 0x3F818000, 0x80000000, 0x00000001], np.uint32).view("f4")  # ties, -0, the least
    w = start.copy()
    adam_step(w, np.zeros(COUNT, "f4"), np.zeros(COUNT, "f4"), np.zeros(COUNT, "f4"), low, NO_FLOATS, 1, 0.0, 0.0)
    np.testing.assert_array_equal(w, start)
    np.testing.assert_array_equal(low, halves(start))


def test_the_average_moves_a_share_of_the_way(rng, start):
    average = rng.standard_normal(COUNT).astype("f4")
    expected = average + 0.25 * (start - average)
    zeros = [np.zeros(COUNT, "f4") for _ in range(3)]
    adam_step(start, *zeros, NO_HALVES, average, 1, 0.0, 0.25)
    np.testing.assert_allclose(average, expected, rtol=1e-6, atol=1e-7)
