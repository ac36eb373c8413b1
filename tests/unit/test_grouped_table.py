"""A table aggregated by another column: subtract, then add; zeros stay; replay."""

from typing import Any

import pytest
from joining import Crashing, Record, keyed

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.functions import Average, Count, Max, SumDouble, SumLong
from pipeline.tables.grouped_table import GroupedTable
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import Folded, Partial
from pipeline.tables.state import State
from pipeline.tables.windows import Tumbling, Unwindowed

COUNT = Count("n")


def row(group: str | None, value: float | None = None) -> dict[str, Any]:
    return {"g": group, "v": value}


def aggregate(function: Any = COUNT) -> Aggregate:
    return Aggregate("a", "g", function, "OUTPUT", Unwindowed())


class Table:
    """One partition of a table, aggregated."""

    def __init__(self, function: Any = COUNT) -> None:
        self.crashing = Crashing(lambda state: GroupedTable(aggregate(function), 3, state))
        self.next = 0

    def take(self, *records: Record, first: int | None = None, lost: int | None = None) -> Folded:
        """Take records in; `first` goes back to an offset, `lost` crashes with so many changes unwritten."""
        first = self.next if first is None else first
        self.next = first + len(records)
        return self.crashing.run(lambda table: table.fold(keyed(records, first)), lost)

    def totals(self, *records: Record, first: int | None = None) -> list[tuple[str, Any]]:
        """(group, total) of each partial."""
        return [(p.group, p.state) for p in self.take(*records, first=first).partials if isinstance(p, Partial)]


def test_a_row_that_moves_is_subtracted_first_and_then_added() -> None:
    t = Table()
    assert t.totals((1, "u", row("A"))) == [("A", 1)]
    assert t.totals((2, "v", row("A"))) == [("A", 2)]
    assert t.totals((3, "u", row("B"))) == [("A", 1), ("B", 1)]
    assert t.totals((4, "u", row("A"))) == [("B", 0), ("A", 2)]


def test_a_count_that_falls_to_zero_stays_as_a_row_with_zero() -> None:
    t = Table()
    t.take((1, "u", row("A")))
    assert t.totals((2, "u", None)) == [("A", 0)]
    assert t.crashing.changelog.restored().get(("a", "A", 0)) == [1, 2, 0]


def test_a_row_that_stays_in_its_group_is_one_update() -> None:
    t = Table(SumLong("v", "s"))
    t.take((1, "u", row("A", 5)), (2, "v", row("A", 7)))
    assert t.totals((3, "u", row("A", 6))) == [("A", 13)]


def test_sums_move_by_what_the_row_added_and_nulls_add_nothing() -> None:
    t = Table(SumLong("v", "s"))
    t.take((1, "u", row("A", 5)), (2, "v", row("A", None)))
    assert t.totals((3, "u", row("B", 8))) == [("A", 0), ("B", 8)]
    assert t.totals((4, "v", row("B", 1))) == [("A", 0), ("B", 9)]


def test_averages_and_sums_of_doubles_are_left_without_a_trace() -> None:
    for function, left in [(Average("v", "x"), [1, 0.1]), (SumDouble("v", "x"), [0.1])]:
        t = Table(function)
        t.take((1, "u", row("A", 0.1)), (2, "v", row("A", 1e16)))
        assert t.totals((3, "v", None)) == [("A", left)]


def test_deleting_what_is_not_there_says_nothing_and_a_row_may_come_back() -> None:
    t = Table()
    assert t.totals((1, "u", None)) == []
    assert t.totals((2, "u", row("A"))) == [("A", 1)]
    assert t.totals((3, "u", None)) == [("A", 0)]
    assert t.totals((4, "u", None)) == []
    assert t.totals((5, "u", row("A"))) == [("A", 1)]


def test_a_null_group_is_no_group() -> None:
    t = Table()
    out = t.take((1, "u", row(None)), (2, "v", row("A")), (3, "v", row(None)), (4, "v", None))
    assert (out.null_groups, [(p.group, p.state) for p in out.partials]) == (2, [("A", 0)])
    assert t.totals((5, "u", row("A"))) == [("A", 1)]


def test_null_keys_are_dropped_and_counted_once_even_after_a_crash() -> None:
    t = Table()
    batch: list[Record] = [(1, None, row("A")), (2, None, None), (3, "u", row("A")), (4, None, None)]
    assert t.take(*batch[:3]).null_keys == 2
    t.crashing.crash()
    assert t.take(*batch[1:], first=1).null_keys == 1
    assert t.take(*batch[3:], first=3).null_keys == 0


@pytest.mark.parametrize("lost", [0, 1])
def test_an_older_record_that_is_read_again_does_not_take_a_newer_one_back(lost: int) -> None:
    """With one change lost, the marker is missing, and only the row's own offset tells."""
    t = Table()
    t.take((1, "u", row("A")), (2, "u", row("B")), lost=lost)
    assert sorted(t.totals((1, "u", row("A")), first=0)) == [("A", 0), ("B", 1)]
    assert sorted(t.totals((2, "u", row("B")))) == [("A", 0), ("B", 1)]


def test_partials_have_their_origin_their_offset_and_the_largest_time() -> None:
    t = Table()
    t.take((100, "u", row("A")))
    (partial,) = t.take((50, "v", row("A"))).partials
    assert partial == Partial("a", "A", 0, 3, 1, 100, 2, 100)
    assert t.take((0, "w", row("B"))).partials == [Partial("a", "B", 0, 3, 2, 0, 1, 0)]


def test_one_partial_per_group_and_batch_in_the_order_of_first_touch() -> None:
    t = Table()
    assert t.totals((1, "u", row("B")), (2, "u", row("A")), (3, "v", row("B"))) == [("B", 1), ("A", 1)]


def test_a_later_offset_is_the_newer_row_whatever_its_time() -> None:
    t = Table()
    t.take((100, "u", row("A")))
    assert t.totals((50, "u", row("B"))) == [("A", 0), ("B", 1)]


def test_a_replay_changes_nothing_and_sends_old_and_new_groups_again() -> None:
    t = Table()
    t.take((1, "u", row("A")), (2, "w", row("C")))
    batch = [(3, "u", row("B")), (4, "u", row("C")), (5, "w", None)]
    first = t.take(*batch, lost=0)
    before = t.crashing.changelog.restored().rows
    again = t.take(*batch, first=2)
    assert sorted(again.partials) == sorted(first.partials)
    assert t.crashing.changelog.restored().rows == before


def test_a_replay_that_goes_on_sends_again_what_both_have_left() -> None:
    t = Table()
    t.take((1, "u", row("A")))
    t.take((2, "u", row("B")), lost=0)
    assert t.totals((2, "u", row("B")), (3, "u", row("C")), first=1) == [("A", 0), ("B", 0), ("C", 1)]
    t.crashing.crash()
    again = t.totals((2, "u", row("B")), (3, "u", row("C")), first=1)
    assert sorted(again) == [("A", 0), ("B", 0), ("C", 1)]


def test_groups_left_in_earlier_batches_do_not_go_out_again() -> None:
    t = Table()
    t.take((1, "u", row("A")))
    t.take((2, "u", row("B")))
    t.take((3, "u", row("C")), lost=0)
    assert t.totals((3, "u", row("C")), first=2) == [("B", 0), ("C", 1)]


def test_a_null_group_does_not_go_out_again() -> None:
    t = Table()
    t.take((1, "u", row(None)), lost=0)
    assert t.totals((1, "u", row(None)), first=0) == []


@pytest.mark.parametrize("lost", range(8))
def test_a_batch_of_which_a_part_was_written(lost: int) -> None:
    t = Table()
    t.take((1, "u", row("A")), (2, "v", row("A")))
    batch = [(3, "u", row("B")), (4, "u", row("C")), (5, "v", None)]
    t.take(*batch, lost=lost)
    totals = dict(t.totals(*batch[:2], first=2)) | dict(t.totals(batch[2]))
    assert totals == {"A": 0, "B": 0, "C": 1}
    assert dict(t.totals((6, "u", None))) == {"C": 0}


def test_the_second_stage_adds_up_the_partitions() -> None:
    state = State()
    merge = PartitionMerge([aggregate()], 2, state)
    tables = [GroupedTable(aggregate(), partition, State()) for partition in range(2)]
    sent = [p for t in tables for p in t.fold(keyed([(1, "u", row("A"))])).partials]
    sent += tables[0].fold(keyed([(2, "u", row("B"))], 1)).partials
    results = [r for i, partial in enumerate(sent) for r in merge.merge([partial], i, i)]
    assert [(r.group, r.state) for r in results] == [("A", 1), ("A", 2), ("A", 1), ("B", 1)]


def test_an_empty_batch_does_nothing() -> None:
    t = Table()
    t.take()
    assert t.crashing.changelog.written == []


def test_columns_of_unequal_length_are_refused() -> None:
    rows = keyed([(1, "u", row("A"))])
    rows.times_ms = []
    with pytest.raises(ValueError, match="shorter"):
        Table().crashing.operator.fold(rows)


def test_two_aggregates_in_one_state_are_apart() -> None:
    state = State()
    one = GroupedTable(Aggregate("one", "g", Count("n"), "O", Unwindowed()), 0, state)
    two = GroupedTable(Aggregate("two", "v", Count("n"), "O", Unwindowed()), 0, state)
    batch = keyed([(1, "u", {"g": "A", "v": "B"})])
    assert [p.group for p in one.fold(batch).partials] == ["A"]
    assert [p.group for p in two.fold(batch).partials] == ["B"]


def test_windows_and_functions_that_cannot_subtract_are_refused() -> None:
    with pytest.raises(SettingError, match="aggregate a: a table is aggregated without a window"):
        GroupedTable(Aggregate("a", "g", Count("n"), "O", Tumbling(10)), 0, State())
    with pytest.raises(SettingError, match="aggregate a: function is Max, but must be one that can subtract"):
        GroupedTable(aggregate(Max("v", "m", "long")), 0, State())
