"""The second stage: watermarks of all origins, what they close and drop, and results that go out once, when final."""

from typing import Any

import pytest
from aggregations import count
from joining import Changelog

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.closing import Closing
from pipeline.tables.functions import Count, SumLong
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import Partial, Sent, SessionPartial, Watermark
from pipeline.tables.results import Result
from pipeline.tables.windows import Hopping, Session, Tumbling, Unwindowed, Window

TUMBLING = Tumbling(100, grace_ms=10)
SESSION = Session(10, grace_ms=5)


class Merging:
    """A merge over `origins` source partitions, which can crash; what it is sent has rising offsets."""

    def __init__(self, window: Window = TUMBLING, origins: int = 1, final: bool = False) -> None:
        self._aggregates = [Aggregate("a", "g", Count("n"), "OUTPUT", window, final)]
        self._origins = origins
        self.changelog = Changelog()
        self.next = 0
        self.crash()

    def crash(self) -> None:
        """What was in memory is gone."""
        self.merge = PartitionMerge(self._aggregates, self._origins, self.changelog.restored())

    def send(self, *batch: Sent, first: int | None = None, lost: int | None = None) -> list[Result]:
        """A batch; `first` goes back to an offset, `lost` crashes with so many changes unwritten."""
        first = self.next if first is None else first
        self.next = first + len(batch)
        results = self.merge.merge(batch, first, self.next - 1)
        self.changelog.write(self.merge.state, lost or 0)
        if lost is not None:
            self.crash()
        return results

    @property
    def held(self) -> list[tuple]:
        """Keys of the state, without marker."""
        return sorted(key[1:] for key in self.changelog.restored().rows if key[0] == "a")


def partial(group: str, start: int, n: int = 1, offset: int = 0, origin: int = 0, time: int = 0) -> Partial:
    return Partial("a", group, start, origin, offset, time, n, time)


def session(first: int, last: int, n: int = 1, offset: int = 0, origin: int = 0, group: str = "x") -> SessionPartial:
    return SessionPartial("a", group, origin, offset, [[first, last, n]], [], last)


def passed(time_ms: int, origin: int = 0) -> Watermark:
    return Watermark(origin, {"a": time_ms})


def shown(results: list[Result]) -> list[tuple]:
    """(group, start, state), or (group, start, end, state) of sessions; None for a retired one."""
    return [(r.group, r.start_ms, r.state) for r in results]


# --- merging


def test_the_newest_partial_of_each_origin_and_the_largest_time() -> None:
    m = Merging(origins=2)
    assert shown(m.send(partial("x", 0, 2, offset=4, time=50))) == [("x", 0, 2)]
    assert m.send(partial("x", 0, 3, offset=1, origin=1, time=20)) == [Result("a", "x", 0, 100, 5, 50, 7)]
    assert m.send(partial("x", 0, 6, offset=9, time=40)) == [Result("a", "x", 0, 100, 9, 40, 12)]


@pytest.mark.parametrize(("offset", "total"), [(3, 2), (4, 2), (5, 7)])
def test_only_a_later_offset_replaces_what_an_origin_sent_but_the_result_goes_out_again(
    offset: int, total: int
) -> None:
    m = Merging()
    m.send(partial("x", 0, 2, offset=4))
    assert shown(m.send(partial("x", 0, 7, offset=offset))) == [("x", 0, total)]


def test_one_result_per_window_and_batch_in_the_order_of_first_touch() -> None:
    m = Merging()
    batch = [partial("y", 0), partial("x", 0), partial("x", 100), partial("y", 0, 2, offset=1)]
    assert shown(m.send(*batch)) == [("y", 0, 2), ("x", 0, 1), ("x", 100, 1)]


def test_versions_never_fall_whatever_comes_again() -> None:
    m = Merging(origins=3)
    sent = [
        partial("x", 0, n, offset=o, origin=p) for n, o, p in [(1, 0, 0), (1, 7, 1), (1, 0, 2), (2, 3, 0), (1, 0, 0)]
    ]
    versions = [m.send(one)[0].version for one in sent]
    assert versions == [1, 9, 10, 13, 13]


def test_versions_of_sessions_never_fall_and_a_retired_one_is_below_what_follows() -> None:
    m = Merging(SESSION, origins=2)
    (first,) = m.send(session(0, 4, 2, offset=3))
    retired, joined = m.send(session(10, 10, origin=1))
    assert (first.version, retired, joined) == (
        4,
        Result("a", "x", 0, 4, None, 4, 5, retired=True),
        Result("a", "x", 0, 10, 3, 10, 5),
    )


def test_results_are_kept_by_origin_whatever_the_order_in_which_they_came() -> None:
    one, two = Merging(origins=2), Merging(origins=2)
    sent = [partial("x", 0, 2), partial("x", 0, 3, origin=1)]
    one.send(*sent)
    two.send(*reversed(sent))
    assert one.changelog.restored().get(("a", "x", 0)) == two.changelog.restored().get(("a", "x", 0))


# --- closing


def test_a_window_is_dropped_when_all_origins_have_passed_its_end_plus_grace() -> None:
    m = Merging(origins=2)
    m.send(partial("x", 0), passed(500))
    m.send(passed(109, origin=1))
    m.send(passed(500))
    assert m.held == [("x", 0)]
    m.send(passed(110, origin=1))
    assert m.held == [("x", 0)]  # its batch is not known to be done
    m.send(passed(110, origin=1))
    assert m.held == []


def test_an_origin_that_has_said_nothing_holds_everything_back() -> None:
    m = Merging(origins=2, final=True)
    assert m.send(partial("x", 0), passed(10_000)) == []
    m.send(passed(10_000))
    assert m.held == [("x", 0)]


def test_a_watermark_never_goes_back() -> None:
    m = Merging(origins=2, final=True)
    m.send(partial("x", 0), passed(110), passed(50))
    assert shown(m.send(passed(110, origin=1))) == [("x", 0, 1)]


def test_windows_close_apart() -> None:
    m = Merging(Hopping(100, 50, grace_ms=0))
    m.send(partial("x", 0), partial("x", 50), partial("y", 100))
    m.send(passed(149))
    m.send(passed(150))
    assert m.held == [("x", 50), ("y", 100)]


def test_a_partial_of_a_dropped_window_is_ignored() -> None:
    m = Merging()
    m.send(partial("x", 0), passed(110))
    assert m.send(partial("x", 0)) == []
    assert m.held == []
    assert shown(m.send(partial("x", 100, offset=1))) == [("x", 100, 1)]


def test_a_new_partial_of_a_window_that_has_not_closed_everywhere_is_taken() -> None:
    m = Merging(origins=2)
    m.send(passed(500), passed(109, origin=1))
    assert shown(m.send(partial("x", 0, origin=1))) == [("x", 0, 1)]


def test_no_window_is_never_dropped() -> None:
    m = Merging(Unwindowed())
    m.send(partial("x", 0), passed(10**15))
    m.send(passed(10**15))
    assert shown(m.send(partial("x", 0, 2, offset=1))) == [("x", 0, 2)]


def test_what_had_closed_is_dropped_after_a_restart_too() -> None:
    m = Merging()
    m.send(partial("x", 0), partial("x", 100), passed(110), lost=0)
    m.send(passed(111))
    assert m.held == [("x", 100)]


def test_windows_that_were_open_at_a_restart_close_later() -> None:
    m = Merging(final=True)
    m.send(partial("x", 0, 3), passed(109), lost=0)
    assert shown(m.send(passed(110))) == [("x", 0, 3)]
    m.send(passed(111))
    assert m.held == []


def test_watermarks_survive_a_restart() -> None:
    m = Merging(origins=2, final=True)
    m.send(partial("x", 0), passed(110), lost=0)
    assert shown(m.send(passed(110, origin=1))) == [("x", 0, 1)]


def test_a_session_is_dropped_when_stream_time_has_passed_its_end_plus_gap_plus_grace() -> None:
    m = Merging(SESSION)
    m.send(session(100, 104), passed(119))
    m.send(passed(119))
    assert m.held == [("x",)]
    m.send(passed(120))
    m.send(passed(120))
    assert m.held == []


def test_a_group_keeps_its_open_sessions_when_another_is_dropped() -> None:
    m = Merging(SESSION)
    m.send(session(0, 4, 2), session(100, 104, 3, offset=1), passed(20))
    m.send(passed(21))
    ((_, _, sessions),) = m.changelog.restored().get(("a", "x"))[0]
    assert sessions == [[100, 104, 3]]


def test_what_is_ignored_is_counted() -> None:
    for window, sent in [(TUMBLING, partial("x", 0)), (SESSION, session(0, 4))]:
        m = Merging(window)
        m.send(sent, passed(110))
        assert m.merge._merges["a"].ignored == 0
        m.send(sent)
        m.send(sent, passed(120))
        assert m.merge._merges["a"].ignored == 2


def test_a_closed_session_that_is_still_held_takes_what_its_origin_says() -> None:
    m = Merging(SESSION)
    batch = [session(0, 4, 2), passed(100)]
    m.send(*batch, lost=0)
    results = m.send(*batch, session(0, 4, 3, offset=1), first=0)
    assert [(r.start_ms, r.end_ms, r.state) for r in results] == [(0, 4, 3)]


def test_origins_are_sorted_by_number() -> None:
    m = Merging(origins=3)
    for origin in (2, 0, 1):
        m.send(partial("x", 0, origin, offset=9 - origin, origin=origin))
    assert [entry[0] for entry in m.changelog.restored().get(("a", "x", 0))] == [0, 1, 2]


def test_a_partial_of_dropped_sessions_is_ignored_but_not_one_of_a_session_that_is_open() -> None:
    m = Merging(SESSION)
    m.send(session(0, 4), passed(20))
    m.send(passed(20))
    assert m.held == []
    assert m.send(session(0, 4)) == []
    assert m.held == []
    assert shown(m.send(session(5, 5, offset=1))) == [("x", 5, 1)]


def test_a_dropped_session_does_not_come_back_with_another_of_its_group() -> None:
    """Else a part of it, sent again by one origin, would stand where the whole of it was shown."""
    m = Merging(SESSION, origins=2, final=True)
    m.send(session(0, 4, 2), session(0, 4, 3, origin=1))
    assert [r.state for r in m.send(passed(100), passed(100, 1))] == [5]
    again = SessionPartial("a", "x", 0, 1, [[0, 4, 2], [200, 200, 1]], [[0, 0]], 200)
    assert m.send(again) == []
    assert shown(m.send(passed(900), passed(900, 1))) == [("x", 200, 1)]


@pytest.mark.parametrize("open_one", [False, True])
def test_dropped_sessions_are_not_retired_once_more(open_one: bool) -> None:
    m = Merging(SESSION)
    m.send(session(0, 4, 2), *([session(100, 100, offset=1)] if open_one else []), passed(50))
    again = SessionPartial("a", "x", 0, 2, [[0, 4, 2], [101, 101, 1]], [[0, 0], [100, 100]], 100)
    retired = [(r.start_ms, r.end_ms) for r in m.send(again) if r.retired]
    assert retired == [(100, 100)]


@pytest.mark.parametrize(("origins", "time_ms"), [(1, 20), (2, 30)])
def test_sessions_over_several_origins_wait_one_gap_longer(origins: int, time_ms: int) -> None:
    """Another origin's session may still begin one gap after this one's end, and be late only a gap after that."""
    m = Merging(SESSION, origins, final=True)
    m.send(session(0, 4, 2), *(passed(0, origin) for origin in range(origins)))
    assert m.send(*(passed(time_ms - 1, origin) for origin in range(origins))) == []
    assert shown(m.send(*(passed(time_ms, origin) for origin in range(origins)))) == [("x", 0, 2)]


def test_a_session_of_another_origin_joins_in_that_gap() -> None:
    m = Merging(SESSION, origins=2, final=True)
    m.send(session(0, 4, 2), passed(29), passed(29, 1))
    assert m.send(session(14, 14, 1, origin=1)) == []
    results = m.send(passed(40), passed(40, 1))
    assert [(r.start_ms, r.end_ms, r.state) for r in results] == [(0, 14, 3)]


# --- final results


@pytest.mark.parametrize(
    ("window", "sent", "last_open"), [(TUMBLING, partial("x", 0), 109), (SESSION, session(0, 4), 19)]
)
def test_a_result_goes_out_once_when_its_window_has_closed(window: Any, sent: Sent, last_open: int) -> None:
    m = Merging(window, final=True)
    assert m.send(sent) == []
    assert m.send(passed(last_open)) == []
    assert shown(m.send(passed(last_open + 1))) == [("x", 0, 1)]
    assert m.send(passed(last_open + 1)) == []
    assert m.send(sent) == []
    assert m.send(passed(last_open + 2)) == []


def test_final_results_are_the_full_ones() -> None:
    m = Merging(origins=2, final=True)
    m.send(partial("x", 0, 2, offset=4, time=50), partial("x", 0, 3, offset=1, origin=1, time=99), passed(110))
    assert m.send(passed(110, origin=1)) == [Result("a", "x", 0, 100, 5, 99, 7)]


@pytest.mark.parametrize("window", [TUMBLING, SESSION])
def test_final_results_come_by_window_start_then_by_key(window: Any) -> None:
    m = Merging(window, final=True)
    for offset, (group, start) in enumerate([("b", 200), ("c", 0), ("a", 200), ("a", 0)]):
        m.send(partial(group, start) if window is TUMBLING else session(start, start, 1, offset, group=group))
    assert shown(m.send(passed(1_000))) == [("a", 0, 1), ("c", 0, 1), ("a", 200, 1), ("b", 200, 1)]


def test_sessions_come_by_their_start_although_they_close_by_their_end() -> None:
    m = Merging(SESSION, final=True)
    m.send(session(50, 60, group="x"), session(0, 90, group="y"))
    assert shown(m.send(passed(1_000))) == [("y", 0, 1), ("x", 50, 1)]


def test_a_group_whose_sessions_close_one_after_the_other_sends_each_once() -> None:
    m = Merging(SESSION, final=True)
    m.send(session(0, 4), session(50, 54, 2, offset=1), session(100, 104, 3, offset=2))
    assert shown(m.send(passed(70))) == [("x", 0, 1), ("x", 50, 2)]
    assert shown(m.send(passed(200))) == [("x", 100, 3)]
    m.send(passed(200))
    assert m.held == []


def test_finals_go_out_again_after_a_crash_and_not_afterwards() -> None:
    m = Merging(final=True)
    m.send(partial("x", 0, 2))
    first = m.send(passed(110), lost=0)
    assert shown(first) == [("x", 0, 2)]
    assert m.send(passed(110), first=1) == first
    assert m.send(passed(110)) == []
    assert m.held == []


def test_finals_of_sessions_go_out_again_after_a_crash_and_not_afterwards() -> None:
    m = Merging(SESSION, final=True)
    m.send(session(0, 4, 2))
    first = m.send(passed(20), lost=0)
    assert [(r.start_ms, r.end_ms, r.state) for r in first] == [(0, 4, 2)]
    assert m.send(passed(20), first=1) == first
    assert m.send(passed(20)) == []
    assert m.held == []


def test_a_replay_that_goes_on_sends_old_finals_and_new_ones_and_keeps_both() -> None:
    m = Merging(final=True)
    m.send(partial("x", 0), partial("y", 100))
    m.send(passed(110), lost=0)
    both = m.send(passed(110), passed(210), first=2, lost=0)
    assert shown(both) == [("x", 0, 1), ("y", 100, 1)]
    assert m.send(passed(110), passed(210), first=2) == both
    assert m.send(passed(211)) == []


def test_a_replay_in_smaller_batches_sends_the_finals_with_each() -> None:
    m = Merging(final=True)
    m.send(partial("x", 0), passed(110), lost=0)
    assert shown(m.send(partial("x", 0), first=0)) == [("x", 0, 1)]
    assert shown(m.send(passed(110), first=1)) == [("x", 0, 1)]


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("lost", range(4))
def test_a_batch_of_which_a_part_was_written(final: bool, lost: int) -> None:
    m = Merging(final=final)
    m.send(partial("x", 0), partial("y", 0))
    batch = [partial("x", 0, 2, offset=1), partial("z", 100), passed(110)]
    whole = m.send(*batch, lost=lost)
    assert m.send(*batch, first=2) == whole
    m.send(passed(110))
    assert m.held == [("z", 100)]


def test_changes_of_a_crashed_batch_go_out_again_although_it_closed_their_window() -> None:
    m = Merging()
    batch = [partial("x", 0, 3), passed(110)]
    first = m.send(*batch, lost=0)
    assert m.send(*batch, first=0) == first != []


def test_two_aggregates_with_watermarks_of_their_own() -> None:
    state = Changelog().restored()
    one, two = (Aggregate(name, "g", Count("n"), "O", TUMBLING, final=True) for name in ("one", "two"))
    merge = PartitionMerge([one, two], 1, state)
    sent = [Partial(name, "x", 0, 0, 0, 0, 1, 0) for name in ("one", "two")]
    results = merge.merge([*sent, Watermark(0, {"one": 109, "two": 110})], 0, 2)
    assert [r.aggregate for r in results] == ["two"]
    again = PartitionMerge([one, two], 1, state)
    assert [r.aggregate for r in again.merge([Watermark(0, {"one": 110})], 3, 3)] == ["one"]


def test_the_marker_is_written_only_when_offsets_rise() -> None:
    m = Merging()
    m.send(partial("x", 0), partial("y", 0), lost=0)
    before = m.changelog.restored().get(("marker",))
    m.send(partial("x", 0), first=0)
    assert m.changelog.restored().get(("marker",)) == before == [1, {}, []]
    m.send(passed(7), first=2)
    assert m.changelog.restored().get(("marker",)) == [2, {"a": [7, [[0, 7]]]}, []]


def test_final_results_need_a_window() -> None:
    with pytest.raises(SettingError, match="aggregate a: final results need a window that closes, and it has none"):
        Aggregate("a", "g", Count("n"), "OUTPUT", Unwindowed(), final=True)
    assert not count(Tumbling(1)).final


def test_states_are_merged_by_the_function() -> None:
    merge = PartitionMerge([Aggregate("a", "g", SumLong("v", "s"), "O", Unwindowed())], 2, Changelog().restored())
    sent = [Partial("a", "x", 0, origin, 0, 0, total, 0) for origin, total in ((0, 5), (1, -7))]
    assert [r.state for r in merge.merge(sent, 0, 1)] == [-2]


# --- what is open, by the time at which it closes


def test_closing_takes_by_time_then_group_and_each_once() -> None:
    closing = Closing()
    for time_ms, group in [(20, "b"), (10, "z"), (20, "a"), (30, "a"), (20, "b")]:
        closing.add(time_ms, group)
    assert list(closing.take(lambda time_ms: time_ms <= 20)) == [(10, "z"), (20, "a"), (20, "b")]
    assert list(closing.take(lambda time_ms: time_ms <= 20)) == []
    assert list(closing.take(lambda time_ms: time_ms <= 30)) == [(30, "a")]


def test_closing_knows_whether_anything_has_closed() -> None:
    closing = Closing()
    assert not closing.any(lambda _: True)
    closing.add(20, "a")
    closing.add(10, "a")
    assert closing.any(lambda time_ms: time_ms <= 10)
    assert not closing.any(lambda time_ms: time_ms <= 9)


def test_a_time_that_was_taken_may_come_again() -> None:
    closing = Closing()
    closing.add(10, "a")
    assert list(closing.take(lambda _: True)) == [(10, "a")]
    closing.add(10, "b")
    assert list(closing.take(lambda _: True)) == [(10, "b")]


@pytest.mark.parametrize(("window", "sent"), [(TUMBLING, partial("x", 0)), (SESSION, session(0, 4))])
def test_with_every_change_nothing_goes_out_at_the_close(window: Any, sent: Sent) -> None:
    m = Merging(window)
    m.send(sent)
    assert m.send(passed(500)) == []
