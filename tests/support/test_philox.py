"""The counter-based generator against published numbers, and its rows against one another."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.support.philox import Rows, block
from undiffuse.support.streams import Purpose, key_words

CPU = torch.device("cpu")
KNOWN = [  # known-answer tests of Random123, Philox4x32-10
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def rows(count, seed=0):
    return Rows.of(np.stack([key_words(seed, Purpose.PASS, t, 0) for t in range(1, count + 1)]), CPU)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_words_are_those_of_the_published_tests(counter, key, words):
    tensors = [torch.tensor([word]) for word in (*counter, *key)]
    assert [int(word) for word in block(tuple(tensors[:4]), tuple(tensors[4:]))] == list(words)


@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 40))
def test_a_row_is_the_same_whatever_is_made_beside_it_and_after_it(count, short, longer):
    alone = rows(count).normal(3, short, torch.float32)[-1]
    beside = rows(count + 2).normal(3, short + longer, torch.float32)[count - 1, :short]
    assert torch.equal(alone, beside)


def test_pieces_made_one_after_the_other_are_those_made_at_once(monkeypatch):
    whole = rows(3).normal(1, 1_001, torch.float64), rows(3).uniform(1, 1_001)
    monkeypatch.setattr("undiffuse.support.philox._AT_ONCE", 30)
    assert torch.equal(whole[0], rows(3).normal(1, 1_001, torch.float64))
    assert torch.equal(whole[1], rows(3).uniform(1, 1_001))


def test_normal_numbers_have_the_moments_of_the_normal_law_and_no_correlation():
    """A million numbers, five standard errors: of x, x^2, x^3, x^4, and of neighbours, draws and rows."""
    x = rows(2).normal(0, 1_000_000, torch.float64).numpy()
    other = rows(2).normal(1, 1_000_000, torch.float64).numpy()
    n = x.shape[1]
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((x[0] ** power).mean() - mean) < 5 * np.sqrt(variance / n)
    for a, b in ((x[0][1:], x[0][:-1]), (x[0][2:], x[0][:-2]), (x[0], x[1]), (x[0], other[0])):
        assert abs((a * b).mean()) < 5 / np.sqrt(n)
        assert abs((a**2 * b**2).mean() - 1) < 5 * np.sqrt(8 / n)


def test_normal_numbers_pass_a_test_of_kolmogorov_and_smirnov():
    from scipy.stats import kstest

    assert kstest(rows(1).normal(0, 200_000, torch.float32).double().numpy()[0], "norm").pvalue > 1e-3


def test_orders_are_permutations_and_differ_between_rows():
    order = rows(4).order(2, 500)
    assert all(sorted(row) == list(range(500)) for row in order.tolist())
    assert not torch.equal(order[0], order[1])


def test_rows_of_one_key_are_told_apart_by_their_numbers():
    key = key_words(7, Purpose.DEVICE_SAMPLES)[None]
    some, others = (Rows.of(key, CPU, numbers).normal(0, 9, torch.float64) for numbers in ([4, 5], [5, 6]))
    assert torch.equal(some[1], others[0])
    assert not torch.equal(some[0], some[1])
