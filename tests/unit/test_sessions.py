"""Session windows: the inclusive gap, merging with retirement, lateness, closed sessions."""

import pytest
from aggregations import Pipeline, rows
from recomputed import Event, sessions

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.fold import PartitionFold
from pipeline.tables.functions import Count, LatestByOffset
from pipeline.tables.merge import PartitionMerge, SessionMerge
from pipeline.tables.partials import Late, Progress, Rows, SessionPartial
from pipeline.tables.sessions import SessionFold
from pipeline.tables.state import State
from pipeline.tables.windows import Session
from pipeline.timebase import DAY_MS


def one_by_one(p: Pipeline, *times: int) -> list[list[tuple]]:
    """What each event brings forth: (first, last, count), or (first, last, None) for a retired session."""
    start = len(p.folded)
    return [[(r.start_ms, r.end_ms, r.state) for r in p.feed(rows([(t, "x")], start + i))] for i, t in enumerate(times)]


def test_a_lone_event_and_the_same_time_again_is_a_plain_update() -> None:
    assert one_by_one(Pipeline(Session(10)), 100, 100) == [[(100, 100, 1)], [(100, 100, 2)]]


def test_events_exactly_one_gap_apart_are_one_session() -> None:
    assert one_by_one(Pipeline(Session(10)), 100, 110) == [[(100, 100, 1)], [(100, 100, None), (100, 110, 2)]]


def test_events_more_than_a_gap_apart_are_two() -> None:
    assert one_by_one(Pipeline(Session(10)), 100, 111)[1] == [(111, 111, 1)]


def test_an_event_inside_retires_and_sends_the_same_window() -> None:
    p = Pipeline(Session(10))
    one_by_one(p, 100, 110)
    assert one_by_one(p, 105) == [[(100, 110, None), (100, 110, 3)]]


def test_an_event_that_reaches_several_sessions_joins_them_all() -> None:
    p = Pipeline(Session(10))
    one_by_one(p, 100, 120)
    assert one_by_one(p, 110) == [[(100, 100, None), (120, 120, None), (100, 120, 3)]]


def test_late_strictly_after_gap_and_grace() -> None:
    p = Pipeline(Session(10, grace_ms=5))
    p.feed(rows([(115, "other"), (100, "x")]))
    assert p.table()["x", 100, 100] == 1
    late = Pipeline(Session(10, grace_ms=5))
    late.feed(rows([(116, "other"), (100, "x")]))
    assert len(late.folded[0].late) == 1
    assert ("x", 100, 100) not in late.table()


@pytest.mark.parametrize(("late_by_ms", "taken"), [(DAY_MS - 1, True), (DAY_MS, True), (DAY_MS + 1, False)])
def test_without_a_grace_a_view_may_be_24_hours_late(late_by_ms: int, taken: bool) -> None:
    """Grace is 24 hours less the gap: so a view starts a session of its own until it is 24 hours late."""
    gap = 15 * 60_000
    now = 10 * DAY_MS
    p = Pipeline(Session(gap))
    p.feed(rows([(now, "other"), (now - late_by_ms, "x")]))
    assert (("x", now - late_by_ms, now - late_by_ms) in p.table()) == taken
    assert len(p.folded[0].late) == (not taken)
    assert sessions([Event(0, now, "other"), Event(0, now - late_by_ms, "x")], gap, None)[1] == (not taken)


def test_a_view_that_joins_an_open_session_is_not_late_however_old() -> None:
    gap, now = 15 * 60_000, 10 * DAY_MS
    p = Pipeline(Session(gap))
    p.feed(rows([(now - DAY_MS, "x"), (now, "other"), (now - DAY_MS - gap, "x")]))
    assert p.table()["x", now - DAY_MS - gap, now - DAY_MS] == 2


def test_a_closed_session_takes_no_more_events() -> None:
    p = Pipeline(Session(10, grace_ms=0))
    p.feed_all([rows([(0, "x")]), rows([(11, "other")], 1), rows([(5, "x")], 2)])
    assert p.table() == {("x", 0, 0): 1, ("x", 5, 5): 1, ("other", 11, 11): 1}


def test_one_batch_gives_what_single_events_give() -> None:
    events = [(0, "x"), (30, "x"), (10, "x"), (20, "x"), (100, "x"), (20, "x")]
    single, whole = Pipeline(Session(10)), Pipeline(Session(10))
    single.feed_all(rows([event], i) for i, event in enumerate(events))
    whole.feed(rows(events))
    assert whole.table() == single.table() == {("x", 0, 30): 5, ("x", 100, 100): 1}


def test_retired_sessions_go_out_again_after_a_crash() -> None:
    p = Pipeline(Session(10))
    p.feed(rows([(0, "x")]))
    lost = p.feed(rows([(5, "x")], 1))
    p.restart()
    assert p.feed(rows([(5, "x")], 1)) == lost


def merged(*partials: SessionPartial) -> dict[tuple[int, int], int]:
    p = Pipeline(Session(10))
    merge = PartitionMerge([p.aggregate], 3, State())
    table: dict[tuple[int, int], int] = {}
    for offset, partial in enumerate(partials):
        for r in merge.merge([partial], offset, offset):
            if r.retired:
                table.pop((r.start_ms, r.end_ms), None)
            else:
                table[r.start_ms, r.end_ms] = r.state
    return table


def test_sessions_of_two_partitions_become_one_and_are_retired() -> None:
    left = SessionPartial("a", "x", 0, 0, [[0, 4, 2]], [], 4)
    right = SessionPartial("a", "x", 1, 0, [[20, 24, 1]], [], 24)
    bridge = SessionPartial("a", "x", 2, 0, [[12, 12, 1]], [], 12)
    assert merged(left, right) == {(0, 4): 2, (20, 24): 1}
    assert merged(left, right, bridge) == {(0, 24): 4}
    assert merged(bridge, right, left) == {(0, 24): 4}


def test_an_older_partial_changes_nothing() -> None:
    new = SessionPartial("a", "x", 0, 5, [[0, 9, 3]], [[0, 4]], 9)
    old = SessionPartial("a", "x", 0, 2, [[0, 4, 2]], [], 4)
    assert merged(new, old) == {(0, 9): 3}


def test_count_merges_by_adding() -> None:
    assert Count("n").merge(2, 3) == 5


def test_a_session_that_its_own_batch_closed_goes_out_again_although_its_group_goes_on() -> None:
    p = Pipeline(Session(10, grace_ms=0))
    lost = rows([(0, "x"), (100, "other")])
    p.fold.fold(lost)  # nothing of it is sent
    p.restart()
    p.feed(rows([(0, "x"), (100, "other"), (200, "x")]))
    assert p.table() == {("x", 0, 0): 1, ("other", 100, 100): 1, ("x", 200, 200): 1}


def test_functions_get_the_value_and_the_offset_and_partials_tell_where_they_come_from() -> None:
    aggregate = Aggregate("a", "g", LatestByOffset("v", "o", "long"), "O", Session(10))
    fold = PartitionFold([aggregate], 3, State())
    batch = Rows([7, 9], [120, 110], [{"g": "x", "v": 5}, {"g": "x", "v": 6}], [(0, 0), (0, 1)])
    first = fold.fold(batch).partials
    assert first == [SessionPartial("a", "x", 3, 9, [[110, 120, [9, 6]]], [[120, 120]], 120)]
    assert fold.fold(batch).partials == first


def test_late_events_tell_by_how_much_and_keep_nobody_else_back() -> None:
    p = Pipeline(Session(10, grace_ms=5))
    p.feed(rows([(200, "other")]))
    p.feed(rows([(150, "x"), (201, "y"), (160, "x"), (1, None), (2, None)], 1))
    assert p.folded[1].late == [Late("a", 1, 150, 150, 150, 35), Late("a", 3, 160, 160, 160, 26)]
    assert [(r.group, r.state) for r in p.results] == [("other", 1), ("y", 1)]
    p.restart()
    assert p.fold.progress == {"a": Progress(201, late=2, null_groups=2)}
    assert p.folded[1].null_groups == 2


def test_all_that_was_retired_since_the_latest_batch_began_goes_out_again() -> None:
    p = Pipeline(Session(10))
    p.feed(rows([(0, "x"), (4, "x")]))
    p.fold.fold(rows([(5, "x")], 2))  # nothing of it is sent
    p.restart()
    (partial,) = p.fold.fold(rows([(5, "x"), (8, "x")], 2)).partials
    assert partial == SessionPartial("a", "x", 0, 3, [[0, 8, 4]], [[0, 4], [0, 5]], 8)


def test_a_session_that_a_group_holds_but_the_marker_does_not_is_not_counted_twice() -> None:
    p = Pipeline(Session(10))
    p.feed(rows([(0, "x"), (1, "x")]))
    del p.fold_state.rows[("marker",)]
    p.restart()
    p.feed(rows([(0, "x"), (1, "x"), (2, "x")]))
    assert p.table() == {("x", 0, 2): 3}


def test_the_watermark_goes_out_when_stream_time_passes_a_gap_or_closes_a_session() -> None:
    p = Pipeline(Session(10))
    p.feed_all(rows([(time_ms, "x")], offset) for offset, time_ms in enumerate((1, 5, 9, 11, 13, 19)))
    assert [f.watermark and f.watermark.stream_times_ms["a"] for f in p.folded] == [1, None, None, 11, None, None]
    p = Pipeline(Session(10, grace_ms=2))
    p.feed_all([rows([(1, "x")]), rows([(11, "y")], 1), rows([(13, "y")], 2), rows([(14, "y")], 3)])
    assert [f.watermark and f.watermark.stream_times_ms["a"] for f in p.folded] == [1, 11, None, 14]


def test_a_group_is_dropped_when_all_its_sessions_have_closed_after_a_restart_too() -> None:
    p = Pipeline(Session(10, grace_ms=0))
    p.feed(rows([(0, "x"), (50, "x"), (0, "y")]))
    p.restart()
    p.feed_all([rows([(60, "end")], 3), rows([(60, "end")], 4)])
    assert {key[1] for key in p.fold_state.rows if key[0] == "a"} == {"x", "end"}
    p.feed_all([rows([(61, "end")], 5), rows([(61, "end")], 6)])
    assert {key[1] for key in p.fold_state.rows if key[0] == "a"} == {"end"}


def test_closed_sessions_of_a_group_that_goes_on_are_not_held() -> None:
    p = Pipeline(Session(10, grace_ms=0))
    p.feed_all([rows([(0, "x"), (25, "x"), (30, "end")]), rows([(35, "x")], 3)])
    assert p.fold_state.rows["a", "x"] == [3, [[25, 35, 2]], [[25, 25]]]


def test_a_session_of_one_origin_is_retired_as_the_union_under_which_it_was_shown() -> None:
    for origin, retired, upsert, shown in [
        (0, [0, 4], [0, 3, 9], [(0, 12, None), (0, 12, 10)]),
        (1, [8, 12], [8, 13, 9], [(0, 12, None), (0, 13, 11)]),
        (2, [100, 101], [100, 104, 9], [(100, 101, None), (100, 104, 9)]),
        (3, [55, 60], [55, 62, 9], [(50, 60, None), (50, 62, 10)]),
    ]:
        merge = PartitionMerge([Aggregate("a", "g", Count("n"), "O", Session(10))], 5, State())
        parts = [[0, 4, 2], [8, 12, 1], [100, 101, 1], [55, 60, 1], [50, 57, 1]]
        merge.merge([SessionPartial("a", "x", o, 0, [part], [], 0) for o, part in enumerate(parts)], 0, 4)
        results = merge.merge([SessionPartial("a", "x", origin, 1, [upsert], [retired], 0)], 5, 5)
        assert [(r.start_ms, r.end_ms, r.state) for r in results] == shown


def test_an_origin_may_retire_what_it_had_without_anything_new() -> None:
    merge = PartitionMerge([Aggregate("a", "g", Count("n"), "O", Session(10))], 1, State())
    merge.merge([SessionPartial("a", "x", 0, 0, [[0, 4, 2], [50, 50, 1]], [], 0)], 0, 0)
    results = merge.merge([SessionPartial("a", "x", 0, 1, [], [[0, 4]], 0)], 1, 1)
    assert [(r.start_ms, r.retired) for r in results] == [(0, True)]


def test_sessions_that_fall_apart_go_out_again_although_they_have_not_changed() -> None:
    merge = PartitionMerge([Aggregate("a", "g", Count("n"), "O", Session(10))], 3, State())
    parts = [[0, 4, 2], [12, 12, 1], [20, 24, 3]]
    merge.merge([SessionPartial("a", "x", o, 0, [part], [], 0) for o, part in enumerate(parts)], 0, 2)
    results = merge.merge([SessionPartial("a", "x", 1, 1, [[90, 90, 1]], [[12, 12]], 90)], 3, 3)
    assert [(r.start_ms, r.end_ms, r.state) for r in results] == [(0, 24, None), (0, 4, 2), (20, 24, 3), (90, 90, 1)]


def test_what_is_kept_of_a_session_does_not_grow_with_its_events_and_goes_when_it_closes() -> None:
    p = Pipeline(Session(10, grace_ms=0))
    one_by_one(p, *range(0, 2_000, 5))
    fold, merge = p.fold._folds["a"], p.merge._merges["a"]
    assert isinstance(fold, SessionFold)
    assert isinstance(merge, SessionMerge)
    assert (len(fold._open_sessions), len(merge._open)) == (1, 1)
    for offset, time_ms in enumerate((5_000, 6_000, 7_000), 400):
        p.feed(rows([(time_ms, "other")], offset))
    assert [key for key, _ in p.fold_state.items() if "x" in key] == []
    assert [key for key, _ in p.merge_state.items() if "x" in key] == []
    assert (len(fold._open_sessions), len(merge._open)) == (1, 1)


def test_a_session_older_than_those_known_closes_in_its_own_time() -> None:
    p = Pipeline(Session(10, grace_ms=50))
    p.feed(rows([(100, "x"), (60, "x"), (80, "other")]))
    p.feed(rows([(121, "other")], 3))  # closes the one of 60
    p.feed(rows([(122, "other")], 4))
    merged = p.merge_state.get(("a", "x"))
    assert [part[:2] for _, _, parts in merged[0] for part in parts] == [[100, 100]]
