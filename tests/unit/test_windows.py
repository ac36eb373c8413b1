"""Bounds and closing of windows, to the millisecond."""

from functools import partial

import pytest

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.functions import Count
from pipeline.tables.windows import Hopping, Session, Tumbling, Unwindowed, default_grace_ms
from pipeline.timebase import DAY_MS, HOUR_MS


@pytest.mark.parametrize(("time_ms", "start"), [(0, 0), (99, 0), (100, 100), (199, 100)])
def test_tumbling_start_is_inclusive_and_end_exclusive(time_ms: int, start: int) -> None:
    assert list(Tumbling(100).starts(time_ms)) == [start]


@pytest.mark.parametrize(
    ("time_ms", "starts"), [(0, [0]), (29, [0]), (30, [0, 30]), (59, [0, 30]), (60, [30, 60]), (100, [60, 90])]
)
def test_hopping_windows_hold_the_event_earliest_first_none_negative(time_ms: int, starts: list[int]) -> None:
    assert list(Hopping(60, 30).starts(time_ms)) == starts


def test_an_advance_that_does_not_divide_the_size() -> None:
    assert list(Hopping(50, 20).starts(100)) == [60, 80, 100]


def test_a_window_closes_when_stream_time_reaches_end_plus_grace() -> None:
    window = Tumbling(100, grace_ms=10)
    assert not window.closed(0, 109)
    assert window.closed(0, 110)


def test_a_session_closes_when_stream_time_has_passed_last_plus_gap_plus_grace() -> None:
    window = Session(10, 5)
    assert not window.closed(100, 115)
    assert window.closed(100, 116)


def test_default_grace_is_what_is_left_of_a_day() -> None:
    assert Tumbling(HOUR_MS).grace_ms == 23 * HOUR_MS
    assert Hopping(2 * DAY_MS, DAY_MS).grace_ms == 0
    assert Session(1).grace_ms == DAY_MS - 1
    assert Session(2 * DAY_MS).grace_ms == 0
    assert default_grace_ms(DAY_MS) == 0


def test_no_window_never_closes() -> None:
    assert list(Unwindowed().starts(5)) == [0]
    assert not Unwindowed().closed(0, 10**15)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Tumbling(0),
        lambda: Hopping(10, 0),
        lambda: Hopping(10, 20),
        lambda: Session(0),
        lambda: Tumbling(10, grace_ms=-2),
    ],
)
def test_impossible_windows_are_refused_with_a_sentence(make) -> None:
    with pytest.raises(SettingError, match="but must"):
        make()


@pytest.mark.parametrize("make", [partial(Tumbling, 100), partial(Hopping, 100, 50), partial(Session, 10)])
def test_final_results_have_no_grace_unless_it_is_given(make) -> None:
    def grace_ms(window, final: bool) -> int:
        return Aggregate("a", "g", Count("n"), "OUTPUT", window, final).window.grace_ms

    assert grace_ms(make(), final=True) == 0
    assert grace_ms(make(grace_ms=DAY_MS - 100), final=True) == DAY_MS - 100
    assert grace_ms(make(), final=False) == make().grace_ms >= DAY_MS - 100


def test_the_advance_of_tumbling_windows_is_their_size() -> None:
    assert Tumbling(10, 10) == Tumbling(10)
    with pytest.raises(SettingError, match="Tumbling: advance_ms is 5, but is always size_ms 10"):
        Tumbling(10, 5)


def test_least_values_are_allowed_and_sentences_name_setting_and_value() -> None:
    assert (Tumbling(1, grace_ms=0).size_ms, Session(1, 0).grace_ms) == (1, 0)
    for make, sentence in [
        (lambda: Hopping(0, 1), "Hopping: size_ms is 0, but must be at least 1 ms"),
        (lambda: Hopping(1, 0), "Hopping: advance_ms is 0, but must be at least 1 ms"),
        (lambda: Hopping(10, 20), "Hopping: advance_ms is 20, but must not exceed size_ms 10"),
        (lambda: Tumbling(5, grace_ms=-2), "Tumbling: grace_ms is -2, but must be at least 0 ms"),
        (lambda: Session(0), "Session: gap_ms is 0, but must be at least 1 ms"),
        (lambda: Session(1, -2), "Session: grace_ms is -2, but must be at least 0 ms"),
    ]:
        with pytest.raises(SettingError, match=f"^{sentence}$"):
            make()
