"""Stream-stream joins: windows to the millisecond, rows that stay alone, lateness, dropping, replay."""

from typing import Any

import pytest
from joining import Crashing, Record, keyed

from pipeline.errors import SettingError
from pipeline.tables.join_buffer import JoinBuffer, Place
from pipeline.tables.joins import Joined, JoinedRow, JoinKind, Side
from pipeline.tables.state import State
from pipeline.tables.stream_join import PartitionStreamJoin, StreamJoin
from pipeline.timebase import DAY_MS

L, R = Side.LEFT, Side.RIGHT


class Streams:
    """A join WITHIN 10 ms, GRACE 5 ms, of one partition; a row's record is its time, so that results can be read.

    So a row is held until its side's stream time is 25 ms after it.
    """

    def __init__(self, kind: JoinKind = JoinKind.INNER, grace_ms: int | None = 5, within: Any = 10) -> None:
        join = StreamJoin("j", within, grace_ms, kind)
        self.crashing = Crashing(lambda state: PartitionStreamJoin(join, state))
        self.next = [0, 0]

    def take(self, side: Side, *records: Record, first: int | None = None, lost: int | None = None) -> Joined:
        """Take records in; `first` goes back to an offset, `lost` crashes with so many changes unwritten."""
        first = self.next[side] if first is None else first
        self.next[side] = first + len(records)
        return self.crashing.run(lambda join: join.take(side, keyed(records, first)), lost)

    def rows(self, side: Side, *times: int, key: str = "k") -> list[tuple[int | None, int | None]]:
        """Rows at these times in: (left, right) of each result, as times."""
        return shown(self.take(side, *((t, key, {"t": t}) for t in times)))

    @property
    def held(self) -> list[tuple[int, int]]:
        """(side, time) of the rows in the state."""
        rows = self.crashing.operator.state.rows
        return sorted((key[1], value[0]) for key, value in rows.items() if key[0] == "j")


def shown(out: Joined) -> list[tuple[int | None, int | None]]:
    return [(row.left and row.left["t"], row.right and row.right["t"]) for row in out.rows]


@pytest.mark.parametrize("first", [L, R])
@pytest.mark.parametrize(("time", "joined"), [(89, False), (90, True), (100, True), (110, True), (111, False)])
def test_both_ends_of_within_are_inclusive(first: Side, time: int, joined: bool) -> None:
    s = Streams()
    s.rows(first, 100)
    pair = (100, time) if first is L else (time, 100)
    assert s.rows(first.other, time) == ([pair] if joined else [])


@pytest.mark.parametrize(("side", "time"), [(L, 100), (R, 108)])
def test_the_output_time_is_the_larger_and_offsets_are_those_of_both(side: Side, time: int) -> None:
    s = Streams()
    s.rows(side, 50)  # offset 0
    s.take(side, (time, "k", {"t": time}))
    (row,) = s.take(side.other, (208 - time, "k", {"t": 208 - time})).rows
    offsets = (1, 0) if side is L else (0, 1)
    assert row == JoinedRow("k", {"t": 100}, {"t": 108}, 108, *offsets)


def test_partners_come_by_time_and_every_one_of_them() -> None:
    s = Streams()
    s.rows(L, 105, 95, 100, 100)
    assert s.rows(R, 100) == [(95, 100), (100, 100), (100, 100), (105, 100)]


def test_keys_are_apart() -> None:
    s = Streams()
    s.rows(L, 100, key="k")
    assert s.rows(R, 100, key="other") == []


def test_rows_of_one_side_are_not_joined_with_each_other() -> None:
    s = Streams()
    assert s.rows(L, 100, 100) == []


@pytest.mark.parametrize("closer", [L, R])
def test_a_left_row_goes_out_alone_only_after_window_and_grace(closer: Side) -> None:
    s = Streams(JoinKind.LEFT)
    s.rows(L, 100)
    assert s.rows(closer, 115, key="other") == []
    assert s.rows(closer, 116, key="other") == [(100, None)]
    assert s.rows(closer, 126, key="other") == []


def test_rows_that_stay_alone_keep_their_time_and_come_by_time_left_first() -> None:
    s = Streams(JoinKind.OUTER)
    s.rows(L, 103, 100)
    s.rows(R, 101, 100, key="other")
    out = s.take(L, (200, "end", {"t": 200}))
    assert shown(out) == [(100, None), (None, 100), (None, 101), (103, None)]
    assert [(r.key, r.time_ms, r.left_offset, r.right_offset) for r in out.rows[:2]] == [
        ("k", 100, 1, -1),
        ("other", 100, -1, 1),
    ]


def test_which_sides_go_out_alone() -> None:
    for kind, expected in [
        (JoinKind.INNER, []),
        (JoinKind.LEFT, [(100, None)]),
        (JoinKind.RIGHT, [(None, 101)]),
        (JoinKind.OUTER, [(100, None), (None, 101)]),
    ]:
        s = Streams(kind)
        s.rows(L, 100, key="x")
        s.rows(R, 101, key="y")
        assert s.rows(R, 200) == expected


@pytest.mark.parametrize("first", [L, R])
def test_a_row_that_had_a_partner_does_not_go_out_alone(first: Side) -> None:
    s = Streams(JoinKind.OUTER)
    s.rows(first, 100)
    assert len(s.rows(first.other, 105)) == 1
    assert s.rows(L, 200) == []


def test_rows_go_out_alone_before_the_partners_of_the_row_that_closed_them() -> None:
    s = Streams(JoinKind.LEFT)
    s.rows(L, 100)
    s.rows(L, 112)
    assert s.rows(R, 116) == [(100, None), (112, 116)]


@pytest.mark.parametrize("side", [L, R])
def test_late_when_its_own_side_has_gone_on_by_before_after_and_grace(side: Side) -> None:
    s = Streams()
    s.rows(side.other, 10_000, key="other")
    s.rows(side, 124, key="other")
    assert s.take(side, (100, "k", {"t": 100})).late == []
    s.rows(side, 125, key="other")
    (late,) = s.take(side, (100, "k", {"t": 100})).late
    assert (late.aggregate, late.offset, late.time_ms) == ("j", 3, 100)
    assert (late.start_ms, late.end_ms, late.late_by_ms) == (90, 110, 0)


@pytest.mark.parametrize("side", [L, R])
def test_a_late_row_meets_what_the_other_side_holds_but_is_not_held_itself(side: Side) -> None:
    s = Streams()
    s.rows(side.other, 105)
    s.rows(side, 125, key="other")
    pair = (100, 105) if side is L else (105, 100)
    assert s.rows(side, 100) == [pair]
    assert s.rows(side.other, 106) == []


@pytest.mark.parametrize("kind", [JoinKind.LEFT, JoinKind.OUTER])
def test_a_late_row_without_a_partner_goes_out_alone_at_once(kind: JoinKind) -> None:
    s = Streams(kind)
    s.rows(L, 125, key="other")
    out = s.take(L, (100, "k", {"t": 100}))
    assert (shown(out), len(out.late)) == ([(100, None)], 1)
    assert s.rows(R, 125, key="other") == [(125, 125)]
    assert s.rows(L, 500, key="end") == []


def test_a_row_whose_window_has_closed_goes_out_alone_at_once_and_may_still_meet_another() -> None:
    """The right side lags: its row is not late for its own stream time, so it is held for the left row that follows."""
    s = Streams(JoinKind.RIGHT)
    s.rows(L, 116, key="other")
    out = s.take(R, (100, "k", {"t": 100}))
    assert (shown(out), out.late) == ([(None, 100)], [])
    assert s.rows(L, 110) == [(110, 100)]


@pytest.mark.parametrize(("closer", "at_once"), [(115, []), (116, [(100, None)])])
def test_within_the_grace_a_row_waits(closer: int, at_once: list) -> None:
    s = Streams(JoinKind.LEFT)
    s.rows(R, closer, key="other")
    assert s.rows(L, 100) == at_once


def test_a_row_that_has_gone_out_alone_may_meet_a_partner_that_is_late() -> None:
    s = Streams(JoinKind.OUTER)
    s.rows(L, 100)
    assert s.rows(R, 116, key="other") == [(100, None)]
    assert s.rows(R, 105) == [(100, 105)]
    assert s.rows(R, 200, key="end") == [(None, 116)]


@pytest.mark.parametrize("closer", [124, 125])
def test_a_row_is_held_by_the_time_of_its_own_side(closer: int) -> None:
    s = Streams()
    s.rows(L, 100)
    s.rows(R, 10_000, key="other")
    assert s.rows(R, 105) == [(100, 105)]
    s.rows(L, closer, key="other")
    assert s.rows(R, 105) == ([(100, 105)] if closer == 124 else [])


@pytest.mark.parametrize("kind", list(JoinKind))
@pytest.mark.parametrize("first", [L, R])
def test_without_a_grace_a_row_goes_out_alone_at_once_and_then_with_its_partner(kind: JoinKind, first: Side) -> None:
    s = Streams(kind, grace_ms=None)
    alone = (100, None) if first is L else (None, 100)
    assert s.rows(first, 100) == ([alone] if kind.keeps(first) else [])
    assert s.rows(first.other, 100) == [(100, 100)]
    assert s.rows(L, 10**9, key="end") == ([(10**9, None)] if kind.keeps(L) else [])


def test_without_a_grace_rows_are_held_for_24_hours() -> None:
    for closer, joined in ((100 + DAY_MS - 1, True), (100 + DAY_MS, False)):
        s = Streams(grace_ms=None)
        s.rows(L, 100)
        s.rows(L, closer, key="other")
        assert s.rows(R, 105) == ([(100, 105)] if joined else [])


def test_a_grace_of_24_hours_that_is_given_is_one() -> None:
    s = Streams(JoinKind.LEFT, grace_ms=StreamJoin("j", 10).used_grace_ms)
    assert s.rows(L, 100) == []


@pytest.mark.parametrize(("time", "joined"), [(88, False), (89, True), (105, True), (106, False)])
def test_before_and_after_may_differ(time: int, joined: bool) -> None:
    for first in Side:
        s = Streams(within=(11, 5))
        s.rows(first, 100 if first is L else time)
        assert s.rows(first.other, time if first is L else 100) == ([(100, time)] if joined else [])


def test_with_before_and_after_each_side_closes_by_its_own_window() -> None:
    s = Streams(JoinKind.OUTER, within=(11, 5))
    s.rows(L, 100)
    s.rows(R, 100, key="other")
    assert s.rows(L, 110, key="x") == []
    assert s.rows(L, 111, key="x") == [(100, None)]
    assert s.rows(L, 116, key="x") == []
    assert s.rows(L, 117, key="x") == [(None, 100)]


Step = tuple[Side, str, int, list]
KSQLDB: dict[JoinKind, list[Step]] = {
    JoinKind.INNER: [
        (L, "0", 0, []),
        (R, "0", 60_000, [(0, 60_000)]),
        (L, "1", 330_000, []),
        (L, "2", 90_000, []),
        (R, "2", 90_000, []),
        (L, "3", 60_000, []),
        (R, "3", 60_000, []),
    ],
    JoinKind.LEFT: [
        (L, "0", 0, []),
        (R, "0", 60_000, [(0, 60_000)]),
        (L, "1", 330_000, []),
        (L, "2", 90_000, [(90_000, None)]),
        (R, "2", 90_000, []),
        (L, "3", 60_000, [(60_000, None)]),
        (R, "3", 60_000, []),
    ],
    JoinKind.RIGHT: [
        (L, "0", 0, []),
        (R, "0", 60_000, [(0, 60_000)]),
        (L, "1", 330_000, []),
        (L, "2", 90_000, []),
        (R, "2", 90_000, [(None, 90_000)]),
        (R, "3", 60_000, [(None, 60_000)]),
        (L, "3", 90_000, [(90_000, 60_000)]),
    ],
    JoinKind.OUTER: [
        (L, "0", 0, []),
        (R, "0", 60_000, [(0, 60_000)]),
        (R, "1", 330_000, []),
        (R, "2", 90_000, [(None, 90_000)]),
        (L, "2", 90_000, [(90_000, None)]),
        (R, "3", 60_000, [(None, 60_000)]),
        (L, "3", 60_000, [(60_000, None)]),
    ],
}
"""Rows out of order, WITHIN 1 MINUTE GRACE PERIOD 1 MINUTE: what ksqlDB 8.0's own case of its LEFT join expects, and
what the same rules give for the other kinds."""


@pytest.mark.parametrize("kind", list(JoinKind))
def test_rows_out_of_order_as_in_ksqldbs_own_case(kind: JoinKind) -> None:
    s = Streams(kind, grace_ms=60_000, within=60_000)
    for side, key, time_ms, expected in KSQLDB[kind]:
        assert s.rows(side, time_ms, key=key) == expected, (key, side)


@pytest.mark.parametrize("kind", list(JoinKind))
@pytest.mark.parametrize("grace_ms", [5, None])
def test_a_row_without_a_key_goes_out_alone_where_its_sides_do(kind: JoinKind, grace_ms: int | None) -> None:
    for side in Side:
        s = Streams(kind, grace_ms)
        for again in (False, True):
            out = s.take(side, (100, None, {"t": 100}), (101, None, None), first=0)
            assert shown(out) == ([(100, None) if side is L else (None, 100)] if kind.keeps(side) else [])
            assert all(row.key is None for row in out.rows)
            assert out.null_keys == (0 if again else 1 if kind.keeps(side) else 2)
        assert s.held == []


def test_null_keys_and_values_are_dropped_counted_once_and_do_not_move_time() -> None:
    s = Streams(JoinKind.LEFT)
    s.rows(L, 100)
    out = s.take(R, (900, None, {"t": 900}), (900, "k", None), (900, None, None), (100, "k", {"t": 100}))
    assert (out.null_keys, out.null_values, shown(out)) == (2, 1, [(100, 100)])
    again = s.take(R, (900, "k", None), (900, None, None), (100, "k", {"t": 100}), (900, None, {}), first=1)
    assert (again.null_keys, again.null_values) == (1, 0)


def test_the_state_is_dropped_when_nothing_can_match_and_the_batches_are_done() -> None:
    s = Streams()
    s.rows(L, 100)
    s.rows(L, 124)
    s.rows(L, 125)
    assert s.held == [(L, 100), (L, 124), (L, 125)]
    s.rows(L, 126)
    assert s.held == [(L, 124), (L, 125), (L, 126)]
    assert len(s.crashing.changelog.restored().rows) == 4  # the marker


def test_a_row_that_waits_is_not_dropped_before_it_has_gone_out() -> None:
    s = Streams(JoinKind.LEFT, grace_ms=5, within=0)
    s.rows(L, 100)
    assert s.rows(L, 105) == []
    assert (L, 100) in s.held
    assert s.rows(L, 106) == [(100, None)]
    s.rows(L, 107)
    s.rows(L, 108)
    assert (L, 100) not in s.held


@pytest.mark.parametrize("within", [(0, 0), (0, 7), (7, 0), (7, 3)])
def test_a_row_is_held_at_least_until_its_window_has_closed(within: tuple[int, int]) -> None:
    join = StreamJoin("j", within, 5)
    for side in Side:
        last_open = 100 + join.reach_of(side)[1] + 5
        assert not join.closed(side, 100, last_open)
        assert last_open < 100 + join.kept_ms


def test_a_late_row_is_kept_until_the_next_batch_of_its_side() -> None:
    s = Streams(JoinKind.LEFT)
    s.rows(L, 200)
    s.rows(L, 100)
    s.rows(R, 300)
    assert (L, 100) in s.held
    s.rows(L, 201)
    assert (L, 100) not in s.held


def test_a_dropped_row_leaves_the_others_of_its_key() -> None:
    s = Streams()
    s.rows(L, 101, 100, 110)
    s.rows(L, 125)
    s.rows(L, 125)
    assert s.held == [(L, 101), (L, 110), (L, 125), (L, 125)]
    assert s.rows(R, 111) == [(101, 111), (110, 111)]
    assert s.rows(R, 115) == [(110, 115), (125, 115), (125, 115)]


def test_a_side_that_falls_silent_holds_the_state_until_its_batch_is_said_to_be_safe() -> None:
    s = Streams()
    s.rows(R, 100)
    s.rows(L, 200)
    s.rows(L, 300)
    assert s.held == [(L, 200), (L, 300), (R, 100)]
    s.crashing.operator.acked(R)
    s.rows(L, 301)
    assert s.held == [(L, 300), (L, 301), (R, 100)]  # by its own time the right row can still match


def test_a_replay_sends_pairs_and_lone_rows_again_and_changes_nothing() -> None:
    s = Streams(JoinKind.LEFT)
    s.rows(L, 100, 112)
    batch = [(116, "k", {"t": 116})]
    first = s.take(R, *batch, lost=0)
    before = list(s.crashing.changelog.written)
    again = s.take(R, *batch, first=0)
    assert shown(first) == [(100, None), (112, 116)]
    assert again.rows == first.rows
    assert s.crashing.changelog.written == before


def test_a_replay_after_the_other_side_has_gone_on() -> None:
    s = Streams(JoinKind.LEFT)
    s.rows(L, 100, 112)
    first = s.take(R, (116, "k", {"t": 116}))
    s.rows(L, 300)
    s.rows(L, 301, 302)
    s.crashing.crash()
    again = s.take(R, (116, "k", {"t": 116}), first=0)
    assert set(shown(first)) <= set(shown(again))


def test_a_replay_does_not_join_what_was_not_joined() -> None:
    s = Streams(JoinKind.OUTER)
    s.rows(L, 100)
    s.rows(L, 125, key="other")
    s.take(R, (105, "k", {"t": 105}), lost=0)
    assert (100, 105) not in shown(s.take(R, (105, "k", {"t": 105}), first=0))


@pytest.mark.parametrize("grace_ms", [5, None])
def test_a_replay_sends_what_went_out_alone_at_once_again(grace_ms: int | None) -> None:
    s = Streams(JoinKind.LEFT, grace_ms)
    s.rows(L, 10**9, key="other")
    batch = [(100, "k", {"t": 100}), (110, "k", {"t": 110})]
    first = s.take(L, *batch, lost=0)
    assert shown(first) == [(100, None), (110, None)]
    assert s.take(L, *batch, first=1).rows[-2:] == first.rows


def test_a_row_that_went_out_alone_and_then_met_a_partner_does_both_again() -> None:
    s = Streams(JoinKind.LEFT)
    s.rows(L, 100)
    batch = [(116, "other", {"t": 116}), (105, "k", {"t": 105})]
    first = s.take(R, *batch, lost=0)
    assert shown(first) == [(100, None), (100, 105)]
    assert s.take(R, *batch, first=0).rows == first.rows


def test_a_late_row_is_reported_once_and_its_results_come_again() -> None:
    s = Streams(JoinKind.RIGHT)
    s.rows(L, 100)
    s.rows(R, 200, key="other")
    batch = [(100, "k", {"t": 100}), (150, "k", {"t": 150})]
    out = s.take(R, *batch, lost=0)
    assert (shown(out), len(out.late)) == ([(100, 100), (None, 150)], 2)
    again = s.take(R, *batch, first=1)
    assert (shown(again), again.late) == ([(100, 100), (None, 150)], [])


@pytest.mark.parametrize("lost", range(5))
def test_a_batch_of_which_a_part_was_written(lost: int) -> None:
    s = Streams(JoinKind.LEFT)
    s.rows(L, 100, 101)
    batch = [(t, "k", {"t": t}) for t in (105, 106, 300)]
    whole = s.take(R, *batch, lost=lost)
    assert shown(s.take(R, *batch[:2], first=0))[-4:] == [(100, 105), (101, 105), (100, 106), (101, 106)]
    assert shown(whole) == [(100, 105), (101, 105), (100, 106), (101, 106)]
    assert s.rows(L, 500) == []  # both had partners


@pytest.mark.parametrize("kind", [JoinKind.INNER, JoinKind.OUTER])
def test_rows_are_found_by_their_own_time_after_a_restart(kind: JoinKind) -> None:
    s = Streams(kind)
    s.rows(L, 110, 100)
    s.crashing.crash()
    assert s.rows(R, 98) == [(100, 98)]
    assert s.rows(R, 115) == [(110, 115)]
    s.rows(L, 200)
    s.rows(L, 300)
    s.crashing.operator.acked(R)
    s.rows(L, 301)
    assert s.held == [(L, 300), (L, 301), (R, 98), (R, 115)]


def test_a_row_is_written_again_only_for_its_first_partner_and_only_where_it_could_go_out_alone() -> None:
    for kind, written in [(JoinKind.INNER, [2, 2, 2]), (JoinKind.LEFT, [2, 3, 2]), (JoinKind.OUTER, [2, 3, 2])]:
        s = Streams(kind)
        for side, expected in zip((L, R, R), written, strict=True):
            before = len(s.crashing.changelog.written)
            s.rows(side, 100)
            assert len(s.crashing.changelog.written) - before == expected  # the marker is one


def test_nothing_is_kept_of_a_key_whose_rows_were_dropped() -> None:
    buffer = JoinBuffer("j", State(), 25, lambda side, entry: True)
    place, late = Place(100, L, 0, "k"), Place(75, R, 0, "k")
    buffer.add(place, buffer.new(100, [100, 100], {}))
    buffer.add(late, buffer.new(75, [100, 100], {}))
    assert buffer.close(lambda side, time_ms: (side, time_ms) == (L, 100)) == [place]
    buffer.drop(R, 0, (100, 99))
    assert (buffer._times, buffer._held, buffer._waiting, buffer._late) == ({}, ([], []), ([], []), ([], []))
    assert buffer.get(place) is buffer.get(late) is None


def test_columns_of_unequal_length_are_refused() -> None:
    rows = keyed([(1, "k", {})])
    rows.times_ms = []
    with pytest.raises(ValueError, match="shorter"):
        Streams().crashing.operator.take(L, rows)


def test_stream_time_survives_a_restart() -> None:
    s = Streams()
    s.take(L, (200, "k", {"t": 200}), lost=0)
    assert len(s.take(L, (100, "k", {"t": 100})).late) == 1
    assert len(s.take(R, (100, "k", {"t": 100})).late) == 0


def test_an_empty_batch_does_nothing() -> None:
    s = Streams()
    assert s.take(L).rows == []
    assert s.crashing.changelog.written == []


def test_two_joins_in_one_state_are_apart() -> None:
    state = State()
    one, two = (PartitionStreamJoin(StreamJoin(name, 10), state) for name in ("one", "two"))
    one.take(L, keyed([(100, "k", {"t": 1})]))
    assert PartitionStreamJoin(StreamJoin("two", 10), state).take(R, keyed([(100, "k", {"t": 2})])).rows == []
    assert two.times_ms == [-1, -1]


def test_within_nothing_equal_times_meet() -> None:
    s = Streams(grace_ms=0, within=0)
    s.rows(L, 100)
    assert s.rows(R, 100) == [(100, 100)]
    s.rows(L, 101, key="other")
    assert s.rows(R, 100) == []


@pytest.mark.parametrize(("within", "grace"), [(0, 0), (5, 0)])
def test_no_distance_and_no_grace_are_allowed(within: int, grace: int) -> None:
    for side in Side:
        assert not StreamJoin("j", within, grace).closed(side, 100, 100 + within)
        assert StreamJoin("j", within, grace).closed(side, 100, 101 + within)


@pytest.mark.parametrize(
    ("within", "grace", "name"),
    [(-1, 0, "within_ms"), ((0, -1), 0, "within_ms"), ((-1, 0), None, "within_ms"), (0, -1, "grace_ms")],
)
def test_impossible_settings_are_refused_with_a_sentence(within: Any, grace: int | None, name: str) -> None:
    with pytest.raises(SettingError, match=f"StreamJoin j: {name} is -1, but must be at least 0 ms"):
        StreamJoin("j", within, grace)


def test_without_a_grace_what_within_leaves_of_24_hours_is_used() -> None:
    """ksqlDB's JoinWindows.of(before).after(after): twice before."""
    assert StreamJoin("j", 10).used_grace_ms == DAY_MS - 20
    assert StreamJoin("j", (10, 3)).used_grace_ms == DAY_MS - 20
    assert StreamJoin("j", DAY_MS // 2).used_grace_ms == StreamJoin("j", DAY_MS).used_grace_ms == 0
    assert StreamJoin("j", 10, 5).used_grace_ms == 5
    assert StreamJoin("j", 10, 0).grace_ms == 0
    assert StreamJoin("j", 10).grace_ms is None


@pytest.mark.parametrize("name", ["", "marker", "row"])
def test_a_name_that_states_use_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match=f"a StreamJoin's name is '{name}', but must be another"):
        StreamJoin(name, 10)


def test_times_survive_a_restart() -> None:
    s = Streams()
    s.take(L, (100, "other", {"t": 100}), (92, "k", {"t": 92}), lost=0)
    assert s.rows(R, 90) == [(92, 90)]
    s = Streams()
    s.take(L, (117, "other", {"t": 117}), (92, "k", {"t": 92}), lost=0)
    assert s.rows(R, 100) == []


def test_null_values_are_added_up() -> None:
    s = Streams()
    assert s.take(L, (1, "k", None), (2, "k", None)).null_values == 2


@pytest.mark.parametrize("first", [L, R])
def test_a_left_row_that_had_a_partner_does_not_go_out_alone(first: Side) -> None:
    s = Streams(JoinKind.LEFT)
    s.rows(first, 100)
    assert len(s.rows(first.other, 105)) == 1
    assert s.rows(R, 200) == []
