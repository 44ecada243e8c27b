import time
from itertools import islice

import pytest

from undiffuse.support.costs import Cost, seconds_of, stages, step_seconds
from undiffuse.support.progress import duration


def walk(steps, first, others):
    yield 0
    for k in range(steps):
        time.sleep(others if k else first)
        yield k + 1


def test_a_step_is_measured_without_the_first_which_loads():
    assert step_seconds(walk(10, 0.2, 0.02)) == pytest.approx(0.02, rel=0.5)


def test_a_walk_of_one_step_is_measured_by_it():
    assert step_seconds(walk(1, 0.05, 0.0)) == pytest.approx(0.05, rel=0.5)
    assert step_seconds(walk(0, 0.0, 0.0)) == 0.0


def test_a_measurement_stops_early():
    steps = iter(walk(1_000, 0.0, 0.05))
    step_seconds(steps)
    assert next(islice(steps, 1)) < 10


def test_a_call_that_loads_something_is_measured_the_second_time():
    pauses = iter([0.1, 0.01])
    assert seconds_of(lambda: time.sleep(next(pauses))) == pytest.approx(0.01, rel=0.9)


def test_stages_share_out_a_hundred_by_their_seconds():
    seen = []
    first, second = stages(lambda done, total: seen.append((done, total)), (1.0, 3.0))
    first(1, 2)
    first(2, 2)
    second(500, 1_000)
    second(1_000, 1_000)
    assert seen == [(12, 100), (25, 100), (62, 100), (100, 100)]


def test_only_long_jobs_are_told_how_to_be_shorter():
    assert Cost(30.0, "work", "less of it").line() == "work: about 30 s"
    assert Cost(600.0, "work", "less of it").line() == "work: about 10 min; sooner with less of it"
    assert Cost(30.0, "work", at_most=True).line() == "work: at most about 30 s"


@pytest.mark.parametrize(
    ("seconds", "words"), [(38, "38 s"), (720, "12 min"), (3.5 * 3600, "3.5 h"), (159 * 3600, "6.6 days")]
)
def test_times_are_in_the_unit_that_suits_them(seconds, words):
    assert duration(seconds) == words
