import threading

import pytest

from undiffuse.support.threads import PartThreads, one_ahead


def test_results_come_in_the_order_of_the_parts():
    assert list(one_ahead(lambda k: k * k, range(5))) == [(k, k * k) for k in range(5)]
    assert list(one_ahead(lambda k: k, [])) == []


def test_the_next_part_is_worked_on_while_the_present_one_is_used():
    begun = [threading.Event() for _ in range(3)]

    def work(k):
        begun[k].set()
        return k

    for k, _ in one_ahead(work, range(3)):
        assert begun[min(k + 1, 2)].wait(10)


def test_an_error_of_a_part_comes_when_that_part_is_due():
    def work(k):
        if k == 1:
            raise ValueError("one")
        return k

    parts = one_ahead(work, range(3))
    assert next(parts) == (0, 0)
    with pytest.raises(ValueError, match="one"):
        next(parts)


@pytest.mark.parametrize("cores", [1, 2])
def test_an_error_leaves_no_part_waiting(monkeypatch, cores):
    """Parts behind the one that fails are not begun, but for those that threads were at."""
    monkeypatch.setattr("undiffuse.support.threads.cores", lambda: cores)
    begun = []

    def work(k):
        begun.append(k)
        if k == 0:
            raise ValueError("zero")
        return threading.Event().wait(0.01)

    with pytest.raises(ValueError, match="zero"), PartThreads(100) as threads:
        threads.map(work, range(100))
    assert len(begun) < 20
