"""Random streams: two of them are the same only if seed, purpose and key are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import undiffuse as ud
from undiffuse import UserError
from undiffuse.support.streams import LARGEST_SEED, Purpose, Streams, stream

SEEDS = st.one_of(st.integers(0, 3), st.integers(0, LARGEST_SEED), st.sampled_from([2**32, 2**32 - 1, 2**63]))
PARTS = st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1))


@st.composite
def addresses(draw):
    purpose = draw(st.sampled_from(list(Purpose)))
    return draw(SEEDS), purpose, *(draw(PARTS) for _ in purpose.names)


@given(addresses(), addresses())
def test_streams_share_numbers_only_if_their_keys_are_the_same(a, b):
    alike = np.array_equal(stream(*a).integers(2**63, size=4), stream(*b).integers(2**63, size=4))
    assert alike == (a == b)


@given(SEEDS, st.sampled_from([p for p in Purpose if p.names]))
def test_a_trailing_zero_is_part_of_the_key(seed, purpose):
    """The seed sequence beneath pads entropy with zeros; keys of every length must differ all the same."""
    shorter = [p for p in Purpose if len(p.names) < len(purpose.names)]
    zero = stream(seed, purpose, *[0] * len(purpose.names)).integers(2**63, size=4)
    for other in shorter:
        assert not np.array_equal(zero, stream(seed, other, *[0] * len(other.names)).integers(2**63, size=4))


def test_every_purpose_has_its_own_number():
    assert len({purpose.number for purpose in Purpose}) == len(Purpose)


@pytest.mark.parametrize("key", [(), (1, 2), (-1,), (2**32,)])
def test_a_key_of_another_length_or_out_of_range_is_an_error(key):
    with pytest.raises(ValueError, match="the key of START is"):
        stream(0, Purpose.START, *key)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, None, "0"])
def test_a_seed_is_a_whole_number_in_range(seed):
    with pytest.raises(UserError, match="a seed is an integer"):
        stream(seed, Purpose.DATA)


def test_a_sample_sees_the_same_noise_in_any_batch():
    whole, part = Streams(3).noise(5, 2), Streams(3).noise(2, 2, first=3)
    for _ in range(3):
        np.testing.assert_array_equal(whole()[3:], part())


@given(addresses().filter(lambda a: a[1].names), st.integers(1, 3))
def test_noise_of_a_sample_is_what_numpy_draws_from_its_stream(address, count):
    seed, purpose, *key = address
    first = min(key[-1], 2**32 - count)
    noise = Streams(seed, purpose, tuple(key[:-1])).noise(count, 5, first)
    for _ in range(2):
        drawn = noise()
    for i in range(count):
        np.testing.assert_array_equal(drawn[i], stream(seed, purpose, *key[:-1], first + i).standard_normal(10)[5:])


def test_half_a_million_numbers_of_four_samples_are_numpys_and_reach_its_tail():
    """Beyond 3.65, where the ziggurat's last layer ends, one number in four thousand is found another way."""
    drawn = Streams(9).noise(4, 500_000)()
    for i in range(4):
        np.testing.assert_array_equal(drawn[i], stream(9, Purpose.SAMPLE, i).standard_normal(500_000))
    assert (np.abs(drawn) > 3.6542).sum() > 300


def test_samples_made_in_parts_are_those_made_at_once(tiny_run_path):
    """As on several machines: each part begins with its own first sample."""
    model = ud.Diffusion.load(tiny_run_path)
    whole = model.sample(9, seed=4)
    parts = [model.sample(n, seed=ud.Streams(4, first=first)) for first, n in ((0, 4), (4, 5))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
