"""Table-table joins: either side triggers, tombstones only where there was a row, replay."""

import pytest
from joining import Crashing, Record, keyed

from pipeline.tables.joins import Joined, JoinedRow, JoinKind, Side
from pipeline.tables.state import State
from pipeline.tables.table_join import PartitionTableJoin, TableJoin

L, R = Side.LEFT, Side.RIGHT
A, B, X, Y = {"l": "a"}, {"l": "b"}, {"r": "x"}, {"r": "y"}


class Tables:
    """A join of one partition; records in, results out."""

    def __init__(self, kind: JoinKind = JoinKind.INNER) -> None:
        self.crashing = Crashing(lambda state: PartitionTableJoin(TableJoin("j", kind), state))
        self.next = [0, 0]

    def batch(self, side: Side, *records: Record, first: int | None = None, lost: int | None = None) -> Joined:
        """Take records in; `first` goes back to an offset, `lost` crashes with so many changes unwritten."""
        first = self.next[side] if first is None else first
        self.next[side] = first + len(records)
        return self.crashing.run(lambda join: join.take(side, keyed(records, first)), lost)

    def rows(self, side: Side, time_ms: int, row: dict | None, key: str = "k") -> list[tuple]:
        """One record in: (left, right, time), or ("tombstone", time), of each result."""
        return shown(self.batch(side, (time_ms, key, row)))


def shown(out: Joined) -> list[tuple]:
    return [("tombstone", r.time_ms) if r.retired else (r.left, r.right, r.time_ms) for r in out.rows]


def test_inner_needs_both_and_either_side_triggers() -> None:
    t = Tables()
    assert t.rows(L, 1, A) == []
    assert t.rows(R, 2, X) == [(A, X, 2)]
    assert t.rows(L, 3, B) == [(B, X, 3)]
    assert t.rows(R, 4, Y) == [(B, Y, 4)]


def test_left_needs_the_left_row_only() -> None:
    t = Tables(JoinKind.LEFT)
    assert t.rows(R, 1, X) == []
    assert t.rows(L, 2, A) == [(A, X, 2)]
    assert t.rows(R, 3, None) == [(A, None, 3)]
    assert t.rows(L, 4, B) == [(B, None, 4)]
    assert t.rows(L, 5, None) == [("tombstone", 5)]


def test_outer_needs_either_row() -> None:
    t = Tables(JoinKind.OUTER)
    assert t.rows(R, 1, X) == [(None, X, 1)]
    assert t.rows(L, 2, A) == [(A, X, 2)]
    assert t.rows(R, 3, None) == [(A, None, 3)]
    assert t.rows(L, 4, None) == [("tombstone", 4)]


@pytest.mark.parametrize("side", [L, R])
def test_the_output_time_is_the_larger_of_both(side: Side) -> None:
    t = Tables()
    t.rows(side, 100, A)
    assert [r[-1] for r in t.rows(side.other, 50, X)] == [100]
    assert [r[-1] for r in t.rows(side.other, 150, X)] == [150]
    assert t.rows(side.other, 70, None) == [("tombstone", 100)]


def test_a_row_that_has_gone_has_no_part_in_the_output_time() -> None:
    t = Tables(JoinKind.LEFT)
    t.rows(R, 900, None)
    assert t.rows(L, 5, A) == [(A, None, 5)]


def test_a_later_offset_is_the_newer_row_whatever_its_time() -> None:
    t = Tables(JoinKind.LEFT)
    t.rows(L, 100, A)
    assert t.rows(L, 50, B) == [(B, None, 50)]


@pytest.mark.parametrize("kind", list(JoinKind))
@pytest.mark.parametrize("side", [L, R])
def test_deleting_what_is_not_there_says_nothing(kind: JoinKind, side: Side) -> None:
    t = Tables(kind)
    assert t.rows(side, 1, None) == []


def test_a_tombstone_goes_out_once() -> None:
    t = Tables()
    t.rows(L, 1, A)
    t.rows(R, 2, X)
    assert t.rows(L, 3, None) == [("tombstone", 3)]
    assert t.rows(L, 4, None) == []
    assert t.rows(R, 5, None) == []
    assert t.rows(R, 6, Y) == []
    assert t.rows(L, 7, B) == [(B, Y, 7)]


def test_no_tombstone_for_a_right_row_that_was_never_joined() -> None:
    t = Tables(JoinKind.LEFT)
    t.rows(R, 1, X)
    assert t.rows(R, 2, None) == []


def test_keys_are_apart() -> None:
    t = Tables()
    t.rows(L, 1, A, "k")
    assert t.rows(R, 2, X, "other") == []


def test_null_keys_are_dropped_and_counted_once_even_after_a_crash() -> None:
    t = Tables(JoinKind.LEFT)
    out = t.batch(L, (1, None, A), (2, "k", A), (3, None, B))
    assert (out.null_keys, len(out.rows)) == (2, 1)
    t.crashing.crash()
    again = t.batch(L, (2, "k", A), (3, None, B), (4, None, B), first=1)
    assert again.null_keys == 1
    assert t.batch(L, (4, None, B), first=3).null_keys == 0


def test_one_row_per_key_and_batch_in_the_order_of_the_changes() -> None:
    t = Tables(JoinKind.LEFT)
    out = t.batch(L, (1, "b", A), (2, "a", A), (3, "b", B))
    assert [(r.key, r.left) for r in out.rows] == [("b", B), ("a", A)]


def test_a_row_that_comes_and_goes_in_one_batch_leaves_a_tombstone() -> None:
    t = Tables(JoinKind.LEFT)
    assert shown(t.batch(L, (1, "k", A), (2, "k", None))) == [("tombstone", 2)]


def test_an_empty_batch_does_nothing() -> None:
    t = Tables()
    t.batch(L)
    assert t.crashing.changelog.written == []


def test_offsets_and_versions() -> None:
    t = Tables(JoinKind.LEFT)
    t.batch(L, (1, "x", A), (1, "k", A))
    assert t.batch(R, (2, "k", X)).rows == [JoinedRow("k", A, X, 2, 1, 0)]
    assert t.batch(L, (3, "new", A)).rows == [JoinedRow("new", A, None, 3, 2, -1)]
    assert JoinedRow("k", A, X, 2, 1, 0).version == 3
    assert JoinedRow("new", A, None, 3, 2, -1).version == 3


def test_versions_never_fall_although_rows_go_and_come_back() -> None:
    t = Tables(JoinKind.OUTER)
    versions = [
        t.batch(side, (1, "k", row)).rows[0].version for side, row in [(R, X), (L, A), (R, None), (L, None), (L, A)]
    ]
    assert versions == sorted(set(versions))


def test_a_replay_changes_nothing_and_sends_rows_and_tombstones_again() -> None:
    t = Tables(JoinKind.LEFT)
    batch = [(1, "k", A), (2, "gone", A), (3, "gone", None)]
    first = t.batch(L, *batch, lost=0)
    before = list(t.crashing.changelog.written)
    again = t.batch(L, *batch, first=0)
    assert again.rows == first.rows
    assert t.crashing.changelog.written == before


def test_a_replay_of_what_had_no_result_sends_nothing() -> None:
    t = Tables()
    t.batch(L, (1, "k", A), lost=0)
    assert t.batch(L, (1, "k", A), first=0).rows == []


def test_a_replay_of_one_side_does_not_take_the_other_back() -> None:
    t = Tables()
    t.batch(L, (1, "k", A))
    t.batch(R, (2, "k", X))
    t.batch(R, (3, "k", Y), lost=0)
    assert shown(t.batch(R, (2, "k", X), (3, "k", Y), first=0)) == [(A, Y, 3)]
    assert shown(t.batch(L, (1, "k", A), first=0)) == [(A, Y, 3)]


@pytest.mark.parametrize("lost", [0, 1])
def test_an_older_record_that_is_read_again_does_not_take_a_newer_one_back(lost: int) -> None:
    """With one change lost, the marker is missing, and only the key's own offset tells."""
    t = Tables(JoinKind.LEFT)
    t.batch(L, (1, "k", A), (2, "k", B), lost=lost)
    assert shown(t.batch(L, (1, "k", A), first=0)) == [(B, None, 2)]
    assert shown(t.batch(L, (2, "k", B))) == [(B, None, 2)]


@pytest.mark.parametrize("lost", range(4))
def test_a_batch_of_which_a_part_was_written(lost: int) -> None:
    t = Tables(JoinKind.LEFT)
    batch = [(1, "a", A), (2, "b", A), (3, "a", None)]
    t.batch(L, *batch, lost=lost)
    assert t.next[L] == 3
    assert {r.key: r.retired for r in t.batch(L, *batch[:2], first=0).rows} | {
        r.key: r.retired for r in t.batch(L, batch[2]).rows
    } == {"a": True, "b": False}
    assert t.crashing.operator.state.get(("j", "a"))[L] == [2, 3, None]


def test_columns_of_unequal_length_are_refused() -> None:
    rows = keyed([(1, "k", A)])
    rows.times_ms = []
    with pytest.raises(ValueError, match="shorter"):
        Tables().crashing.operator.take(L, rows)


def test_two_joins_in_one_state_are_apart() -> None:
    state = State()
    one, two = (PartitionTableJoin(TableJoin(name, JoinKind.LEFT), state) for name in ("one", "two"))
    one.take(L, keyed([(1, "k", A)]))
    assert shown(two.take(R, keyed([(2, "k", X)]))) == []
    assert shown(two.take(L, keyed([(3, "k", B)]))) == [(B, X, 3)]
    assert shown(PartitionTableJoin(TableJoin("two"), state).take(L, keyed([(4, "k", A)], 1))) == [(A, X, 4)]


def test_a_tombstone_has_no_rows() -> None:
    t = Tables()
    t.batch(L, (1, "k", A))
    t.batch(R, (2, "k", X))
    assert t.batch(L, (3, "k", None)).rows == [JoinedRow("k", None, None, 3, 1, 0, retired=True)]
