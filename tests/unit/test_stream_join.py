"""Stream-stream joins: windows to the millisecond, rows that stay alone, lateness, dropping, replay."""

import pytest
from joining import Crashing, Record, keyed

from pipeline.errors import SettingError
from pipeline.tables.join_buffer import Entry, JoinBuffer, Place
from pipeline.tables.joins import Joined, JoinedRow, JoinKind, Side
from pipeline.tables.state import State
from pipeline.tables.stream_join import PartitionStreamJoin, StreamJoin
from pipeline.timebase import DAY_MS

L, R = Side.LEFT, Side.RIGHT


class Streams:
    """A join WITHIN 10 ms, GRACE 5 ms, of one partition; a row's record is its time, so that results can be read."""

    def __init__(self, kind: JoinKind = JoinKind.INNER, grace_ms: int = 5) -> None:
        join = StreamJoin("j", 10, grace_ms, kind)
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
def test_late_strictly_after_window_and_grace_by_the_time_of_both_sides(side: Side) -> None:
    s = Streams()
    s.rows(side, 115, key="other")
    assert s.take(side.other, (100, "k", {"t": 100})).late == []
    s.rows(side, 116, key="other")
    (late,) = s.take(side.other, (100, "k", {"t": 100})).late
    assert (late.aggregate, late.offset, late.time_ms) == ("j", 1, 100)
    assert (late.start_ms, late.end_ms, late.late_by_ms) == (90, 110, 1)


def test_a_late_row_is_neither_joined_nor_held_nor_sent_alone() -> None:
    s = Streams(JoinKind.LEFT)
    s.rows(R, 105)
    s.rows(R, 116, key="other")
    assert s.rows(L, 100) == []
    assert s.held == [(R, 105), (R, 116)]
    assert s.rows(R, 300) == []


def test_a_row_whose_window_has_closed_gets_no_partner_any_more() -> None:
    """It went out alone; a partner that is itself not late would show it twice."""
    s = Streams(JoinKind.OUTER)
    s.rows(L, 100)
    assert s.rows(R, 116, key="other") == [(100, None)]
    assert s.rows(R, 105) == []
    assert (None, 105) in s.rows(R, 200)


@pytest.mark.parametrize("closer", [115, 116])
def test_inner_joins_end_with_the_window_too(closer: int) -> None:
    s = Streams()
    s.rows(L, 100)
    s.rows(L, closer, key="other")
    assert s.rows(R, 105) == ([(100, 105)] if closer == 115 else [])


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
    s.rows(L, 115)
    s.rows(L, 116)
    assert s.held == [(L, 100), (L, 115), (L, 116)]
    s.rows(L, 117)
    assert s.held == [(L, 115), (L, 116), (L, 117)]
    assert len(s.crashing.changelog.restored().rows) == 4  # the marker


def test_a_dropped_row_leaves_the_others_of_its_key() -> None:
    s = Streams()
    s.rows(L, 101, 100, 110)
    s.rows(L, 116)
    s.rows(L, 116)
    assert s.held == [(L, 101), (L, 110), (L, 116), (L, 116)]
    assert s.rows(R, 111) == [(101, 111), (110, 111), (116, 111), (116, 111)]


def test_a_side_that_falls_silent_holds_the_state_until_its_batch_is_said_to_be_safe() -> None:
    s = Streams()
    s.rows(R, 100)
    s.rows(L, 200)
    s.rows(L, 300)
    assert (R, 100) in s.held
    s.crashing.operator.acked(R)
    s.rows(L, 301)
    assert s.held == [(L, 300), (L, 301)]


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
    s.rows(R, 116, key="other")
    s.take(R, (105, "k", {"t": 105}), lost=0)
    assert (100, 105) not in shown(s.take(R, (105, "k", {"t": 105}), first=1))


def test_a_late_row_is_reported_once() -> None:
    s = Streams()
    s.rows(L, 200)
    late = (100, "k", {"t": 100})
    assert len(s.take(R, late, lost=0).late) == 1
    out = s.take(R, late, first=0)
    assert (out.late, out.rows) == ([], [])


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
    assert s.held == [(L, 300), (L, 301)]


def test_a_row_is_written_again_only_for_its_first_partner_and_only_where_it_could_go_out_alone() -> None:
    for kind, written in [(JoinKind.INNER, [2, 2, 2]), (JoinKind.LEFT, [2, 3, 2]), (JoinKind.OUTER, [2, 3, 2])]:
        s = Streams(kind)
        for side, expected in zip((L, R, R), written, strict=True):
            before = len(s.crashing.changelog.written)
            s.rows(side, 100)
            assert len(s.crashing.changelog.written) - before == expected  # the marker is one


def test_nothing_is_kept_of_a_key_whose_rows_were_dropped() -> None:
    buffer = JoinBuffer("j", State())
    place = Place(100, L, 0, "k")
    buffer.add(place, Entry(100, 100, {}))
    assert buffer.close(lambda time_ms: time_ms <= 100) == [place]
    buffer.drop(lambda time_ms: time_ms <= 100)
    assert not buffer.closed
    assert not buffer._times


def test_columns_of_unequal_length_are_refused() -> None:
    rows = keyed([(1, "k", {})])
    rows.times_ms = []
    with pytest.raises(ValueError, match="shorter"):
        Streams().crashing.operator.take(L, rows)


def test_stream_time_survives_a_restart() -> None:
    s = Streams()
    s.take(L, (200, "k", {"t": 200}), lost=0)
    assert len(s.take(R, (100, "k", {"t": 100})).late) == 1


def test_an_empty_batch_does_nothing() -> None:
    s = Streams()
    assert s.take(L).rows == []
    assert s.crashing.changelog.written == []


def test_two_joins_in_one_state_are_apart() -> None:
    state = State()
    one, two = (PartitionStreamJoin(StreamJoin(name, 10), state) for name in ("one", "two"))
    one.take(L, keyed([(100, "k", {"t": 1})]))
    assert PartitionStreamJoin(StreamJoin("two", 10), state).take(R, keyed([(100, "k", {"t": 2})])).rows == []
    assert two.stream_time_ms == -1


@pytest.mark.parametrize(("within", "grace"), [(0, 0), (5, 0)])
def test_no_distance_and_no_grace_are_allowed(within: int, grace: int) -> None:
    assert not StreamJoin("j", within, grace).closed(100, 100 + within)
    assert StreamJoin("j", within, grace).closed(100, 101 + within)


@pytest.mark.parametrize(("within", "grace", "name"), [(-1, 0, "within_ms"), (0, -1, "grace_ms")])
def test_impossible_settings_are_refused_with_a_sentence(within: int, grace: int, name: str) -> None:
    with pytest.raises(SettingError, match=f"StreamJoin j: {name} is -1, but must be at least 0 ms"):
        StreamJoin("j", within, grace)


def test_grace_is_24_hours_unless_given() -> None:
    assert StreamJoin("j", 10).grace_ms == DAY_MS


def test_times_survive_a_restart() -> None:
    s = Streams()
    s.take(L, (100, "other", {"t": 100}), (92, "k", {"t": 92}), lost=0)
    assert s.rows(R, 90) == [(92, 90)]
    s = Streams()
    s.take(L, (105, "other", {"t": 105}), (92, "k", {"t": 92}), lost=0)
    assert s.rows(R, 103) == []


def test_null_values_are_added_up() -> None:
    s = Streams()
    assert s.take(L, (1, "k", None), (2, "k", None)).null_values == 2


@pytest.mark.parametrize("first", [L, R])
def test_a_left_row_that_had_a_partner_does_not_go_out_alone(first: Side) -> None:
    s = Streams(JoinKind.LEFT)
    s.rows(first, 100)
    assert len(s.rows(first.other, 105)) == 1
    assert s.rows(R, 200) == []
