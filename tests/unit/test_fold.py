"""Folding, lateness per window, null groups, and replay."""

from aggregations import Pipeline, rows

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.fold import PartitionFold
from pipeline.tables.functions import LatestByOffset
from pipeline.tables.partials import Late, Partial, Progress, Rows, Watermark
from pipeline.tables.state import State
from pipeline.tables.windows import Hopping, Tumbling, Unwindowed, Window


def test_counts_by_window_and_row_time_is_the_largest_event_time() -> None:
    p = Pipeline(Tumbling(100))
    p.feed(rows([(150, "x"), (120, "x"), (20, "y")]))
    assert p.table() == {("x", 100, 200): 2, ("y", 0, 100): 1}
    assert [r.time_ms for r in p.results] == [150, 20]


def test_batch_of_one_shows_every_intermediate_row() -> None:
    p = Pipeline(Unwindowed())
    p.feed_all([rows([(0, "x")]), rows([(1, "x")], 1), rows([(2, "y")], 2)])
    assert [(r.group, r.state) for r in p.results] == [("x", 1), ("x", 2), ("y", 1)]


def test_hopping_rows_go_out_earliest_window_first() -> None:
    p = Pipeline(Hopping(60, 30))
    assert [r.start_ms for r in p.feed(rows([(70, "x")]))] == [30, 60]


def test_lateness_is_judged_per_window() -> None:
    p = Pipeline(Hopping(60, 30, grace_ms=0))
    p.feed(rows([(60, "x"), (45, "x")]))  # 45 lies in [0, 60), closed at 60, and in [30, 90), open
    assert p.table() == {("x", 30, 90): 2, ("x", 60, 120): 1}
    (late,) = p.folded[0].late
    assert (late.start_ms, late.end_ms, late.offset, late.late_by_ms) == (0, 60, 1, 0)


def test_stream_time_is_over_all_keys() -> None:
    p = Pipeline(Tumbling(100, grace_ms=0))
    p.feed(rows([(100, "other"), (99, "x")]))
    assert ("x", 0, 100) not in p.table()


def test_a_null_group_is_not_counted_and_does_not_move_stream_time() -> None:
    p = Pipeline(Tumbling(100, grace_ms=0))
    p.feed(rows([(5_000, None), (50, "x")]))
    assert p.table() == {("x", 0, 100): 1}
    assert p.folded[0].null_groups == 1


def test_stream_time_survives_a_restart() -> None:
    p = Pipeline(Tumbling(100, grace_ms=0))
    p.feed(rows([(100, "x")]))
    p.restart()
    p.feed(rows([(99, "x")], 1))
    assert len(p.folded[1].late) == 1


def test_a_replayed_batch_changes_nothing_and_sends_its_rows_again() -> None:
    p = Pipeline(Tumbling(100))
    first = p.feed(rows([(10, "x"), (20, "y")]))
    p.restart()
    assert p.feed(rows([(10, "x"), (20, "y")])) == first


def test_replay_after_a_crash_between_a_key_and_the_marker() -> None:
    """The changelog has the keys of a batch but not its marker; the replay comes with other borders."""
    p = Pipeline(Unwindowed())
    p.feed(rows([(1, "x")]))
    marker = p.fold_state.rows[("marker",)]
    p.feed(rows([(2, "x"), (3, "y"), (4, "x")], 1))
    p.fold_state.rows[("marker",)] = marker
    del p.fold_state.rows[("a", "y", 0)]
    p.restart()
    p.feed_all([rows([(2, "x"), (3, "y")], 1), rows([(4, "x"), (5, "y")], 3)])
    assert p.table() == {("x", 0, 0): 3, ("y", 0, 0): 2}


def test_rows_that_an_earlier_stage_sent_twice_count_once() -> None:
    p = Pipeline(Unwindowed())
    batch = rows([(1, "x"), (2, "x"), (3, "x")])
    batch.origins = [(0, 7), (0, 8), (0, 7)]
    p.feed(batch)
    again = rows([(2, "x"), (4, "x")], 3)
    again.origins = [(0, 8), (1, 0)]
    p.feed(again)
    assert p.table() == {("x", 0, 0): 3}
    assert [f.duplicates for f in p.folded] == [1, 1]


def test_late_rows_of_the_latest_batch_are_told_again_after_a_crash() -> None:
    p = Pipeline(Tumbling(100, grace_ms=0))
    batch = [(200, "x"), (50, "x")]
    p.feed(rows(batch))
    p.restart()
    p.feed(rows(batch))
    assert p.folded[1].late == p.folded[0].late != []
    p.feed(rows([(300, "x")], 2))
    assert p.folded[2].late == []


def test_a_replay_sends_the_watermark_only_when_all_that_it_closes_has_gone_out_again() -> None:
    p = Pipeline(Tumbling(100, grace_ms=0))
    batch = [(10, "x"), (20, "y"), (100, "x")]
    p.fold.fold(rows(batch))  # nothing of it is sent
    p.restart()
    p.feed_all([rows([]), *(rows([event], offset) for offset, event in enumerate(batch))])
    assert p.table() == {("x", 0, 100): 1, ("y", 0, 100): 1, ("x", 100, 200): 1}
    assert [bool(folded.watermark) for folded in p.folded] == [False, False, False, True]


def test_a_replay_that_goes_on_sends_the_watermark_again_although_nothing_closes() -> None:
    p = Pipeline(Tumbling(100))
    p.feed(rows([(10, "x")]))
    p.restart()
    p.feed(rows([(10, "x"), (11, "x")]))
    assert p.folded[1].watermark == Watermark(0, {"a": 11})


def test_the_watermark_goes_out_when_stream_time_passes_a_border_or_closes_a_window() -> None:
    p = Pipeline(Tumbling(100, grace_ms=10))
    times = (0, 50, 99, 100, 105, 109, 110)
    p.feed_all(rows([(time_ms, "x")], offset) for offset, time_ms in enumerate(times))
    assert [folded.watermark and folded.watermark.stream_times_ms["a"] for folded in p.folded] == [
        0,
        None,
        None,
        100,
        None,
        None,
        110,
    ]


def test_without_a_window_there_is_no_watermark() -> None:
    p = Pipeline(Unwindowed())
    p.feed_all([rows([(0, "x")]), rows([(10**15, "x")], 1)])
    assert [folded.watermark for folded in p.folded] == [None, None]


def test_a_closed_window_is_dropped_when_its_batch_is_done_and_not_while_it_is_read_again() -> None:
    p = Pipeline(Tumbling(100, grace_ms=0))
    p.feed(rows([(10, "x"), (100, "y")]))
    p.restart()
    p.feed(rows([(10, "x"), (100, "y"), (101, "y")]))
    assert ("a", "x", 0) in p.fold_state.rows
    p.feed(rows([(102, "y")], 3))
    assert ("a", "x", 0) not in p.fold_state.rows
    assert p.fold_state.rows["a", "y", 100] == [3, 102, 3]


def test_windows_that_were_open_at_a_restart_are_dropped_later() -> None:
    p = Pipeline(Tumbling(100, grace_ms=0))
    p.feed(rows([(10, "x")]))
    p.restart()
    p.feed_all([rows([(100, "y")], 1), rows([(101, "y")], 2)])
    assert set(p.fold_state.rows) == {("a", "y", 100), ("marker",)}


def test_row_time_is_the_largest_over_all_batches() -> None:
    p = Pipeline(Unwindowed())
    p.feed_all([rows([(50, "x")]), rows([(20, "x")], 1)])
    assert [(r.state, r.time_ms) for r in p.results] == [(1, 50), (2, 50)]


def test_hopping_counts_sum_to_size_by_advance_times_as_much() -> None:
    p = Pipeline(Hopping(90, 30))
    p.feed(rows([(time_ms, "x") for time_ms in range(100, 300)]))
    assert sum(p.table().values()) == 3 * 200


def latest(window: Window) -> PartitionFold:
    """LATEST_BY_OFFSET(v) by g over partition 3."""
    return PartitionFold([Aggregate("a", "g", LatestByOffset("v", "o", "long"), "O", window)], 3, State())


def test_functions_get_the_value_and_the_offset_and_partials_tell_where_they_come_from() -> None:
    batch = Rows([7, 9], [120, 110], [{"g": "x", "v": 5}, {"g": "x", "v": 6}], [(0, 0), (0, 1)])
    folded = latest(Tumbling(100)).fold(batch)
    assert folded.partials == [Partial("a", "x", 100, 3, 9, 120, [9, 6], 120)]
    assert folded.watermark == Watermark(3, {"a": 120})


def test_a_replayed_partial_goes_out_once_though_many_of_its_rows_come_again() -> None:
    p = Pipeline(Tumbling(100))
    first = p.feed(rows([(10, "x"), (20, "x"), (30, None), (40, "y")]))
    assert p.feed(rows([(10, "x"), (20, "x"), (30, None), (40, "y")])) == first
    assert [r.state for r in p.feed(rows([(20, "x"), (30, None), (40, "y"), (50, "x")], 1))] == [3, 1]


def test_a_row_at_time_0_counts_from_the_first_offset() -> None:
    p = Pipeline(Tumbling(100))
    assert p.feed(rows([(0, "x")])) == [p.results[0]]
    assert (p.results[0].time_ms, p.results[0].version) == (0, 1)


def test_late_rows_tell_their_window_and_by_how_much() -> None:
    p = Pipeline(Tumbling(100, grace_ms=10))
    p.feed(rows([(130, "x"), (99, "x"), (98, "y"), (140, "y")]))
    assert p.folded[0].late == [Late("a", 1, 99, 0, 100, 20), Late("a", 2, 98, 0, 100, 20)]


def test_what_was_left_out_is_counted_in_the_batch_and_in_the_marker() -> None:
    p = Pipeline(Tumbling(100, grace_ms=0))
    p.feed(rows([(200, "x"), (1, None), (2, None), (50, "x"), (60, "x")]))
    p.restart()
    p.feed(rows([(3, None), (70, "x")], 5))
    assert [(f.null_groups, len(f.late)) for f in p.folded] == [(2, 2), (1, 1)]
    assert p.fold.progress == {"a": Progress(200, late=3, null_groups=3)}
    p.restart()
    assert p.fold.progress == {"a": Progress(200, late=3, null_groups=3)}


def test_a_row_that_a_key_holds_but_the_marker_does_not_is_counted_once_whatever_its_offset() -> None:
    p = Pipeline(Tumbling(100))
    p.feed(rows([(10, "x"), (20, "x")]))
    del p.fold_state.rows[("marker",)]
    p.restart()
    assert [r.state for r in p.feed(rows([(10, "x"), (20, "x"), (30, "x")]))] == [3]


def test_the_first_window_of_hopping_windows_of_one_millisecond() -> None:
    p = Pipeline(Hopping(2, 1))
    p.feed(rows([(0, "x"), (1, "x")]))
    assert p.table() == {("x", 0, 2): 2, ("x", 1, 3): 1}


def test_late_rows_are_told_again_together_with_those_that_follow_in_the_replay() -> None:
    p = Pipeline(Tumbling(100, grace_ms=0))
    p.feed(rows([(200, "x"), (50, "x")]))
    p.restart()
    p.feed(rows([(50, "x"), (60, "x")], 1))
    p.restart()
    p.feed(rows([(60, "x"), (70, "x")], 2))
    p.feed(rows([(80, "x")], 4))
    assert [[late.time_ms for late in f.late] for f in p.folded] == [[50], [50, 60], [50, 60, 70], [80]]


def test_rows_that_are_read_again_are_no_duplicates() -> None:
    p = Pipeline(Unwindowed())
    p.feed(rows([(1, "x"), (2, "x")]))
    batch = rows([(1, "x"), (2, "x"), (3, "x"), (4, "x")])
    batch.origins[3] = (0, 2)
    p.feed(batch)
    assert [f.duplicates for f in p.folded] == [0, 1]
    assert p.table() == {("x", 0, 0): 3}
