"""Session windows: the inclusive gap, merging with retirement, lateness, closed sessions."""

from aggregations import Pipeline, rows

from pipeline.tables.functions import Count
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import SessionPartial
from pipeline.tables.state import State
from pipeline.tables.windows import Session


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
