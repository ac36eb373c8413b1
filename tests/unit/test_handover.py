"""Fields that go from who writes records to who reads them, whatever the borders of their batches."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.handover import Handover


def value(number: int) -> bytes:
    return b"%d" % number


def put(handover: Handover, *numbers: int) -> None:
    handover.put([value(number) for number in numbers], {"n": list(numbers), "unused": numbers})


def take(handover: Handover, *numbers: int) -> Any:
    found = handover.take([value(number) for number in numbers])
    return None if found is None else list(found["n"])


@given(st.lists(st.integers(1, 6), max_size=12), st.lists(st.integers(1, 6), max_size=40))
def test_what_is_read_in_order_is_handed_over_however_it_was_written(written: list[int], read: list[int]) -> None:
    handover, count = Handover(["n"]), 0
    for size in written:
        put(handover, *range(count, count + size))
        count += size
    place = 0
    for size in read:
        numbers = range(place, min(count, place + size))
        assert take(handover, *numbers) == (list(numbers) or None)
        place += len(numbers)
    assert len(handover) == count - place


def test_partitions_take_turns() -> None:
    handover = Handover(["n"])
    put(handover, 1, 2, 3)
    put(handover, 101, 102)
    put(handover, 4)
    assert take(handover, 101) == [101]
    assert take(handover, 1, 2, 3, 4) == [1, 2, 3, 4]
    assert take(handover, 102) == [102]
    assert len(handover) == 0


@pytest.mark.parametrize("read", [(0, 1, 2), (1, 0, 2), (1, 2, 0, 1, 2)])
def test_with_records_of_others_among_them_none_is_known_but_those_behind_are(read: tuple[int, ...]) -> None:
    handover = Handover(["n"])
    put(handover, 1, 2, 3, 4)
    put(handover, 5, 6)
    assert take(handover, *read) is None
    assert take(handover, 3, 4, 5, 6) == [3, 4, 5, 6]


def test_a_run_that_is_entered_in_its_middle_does_not_harm_the_next_one() -> None:
    handover = Handover(["n"])
    put(handover, 1, 2, 3)
    put(handover, 4, 5, 6)
    assert take(handover, 2, 3, 4, 5) is None
    assert take(handover, 6) == [6]


def test_each_record_is_handed_over_once() -> None:
    handover = Handover(["n"])
    put(handover, 1, 2)
    assert take(handover, 1, 2) == [1, 2]
    assert take(handover, 1, 2) is None
    assert take(handover) is None


def test_a_record_that_differs_or_is_null_is_not_known() -> None:
    handover = Handover(["n"])
    put(handover, 1, 2, 3)
    assert handover.take([value(1), None]) is None
    put(handover, 1, 2, 3)
    assert handover.take([value(1), value(7)]) is None


def test_only_so_many_records_wait_the_newest() -> None:
    handover = Handover(["n"], most=3)
    for number in range(5):
        put(handover, number)
    assert len(handover) == 3
    assert take(handover, 1) is None
    assert take(handover, 2, 3, 4) == [2, 3, 4]


def test_nothing_is_left_after_it_was_cleared() -> None:
    handover = Handover(["n"])
    put(handover, 1, 2)
    handover.clear()
    assert (take(handover, 1, 2), len(handover)) == (None, 0)
