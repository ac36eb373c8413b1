"""Hopping windows in slices, by hand; that they equal windows kept by themselves is in the property tests."""

from dataclasses import replace

import pytest
from aggregations import count, rows

from pipeline.errors import SettingError
from pipeline.tables.fold import PartitionFold
from pipeline.tables.functions import Count
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.sliced_windows import LEAST_SLICES, are_sliced, totals
from pipeline.tables.state import State
from pipeline.tables.windows import Hopping, Session, Tumbling


def sliced(window):
    return replace(count(window), sliced=True)


def sent(fold, *events, first):
    folded = fold.fold(rows(events, first))
    return [*folded.partials, *([folded.watermark] if folded.watermark else [])]


def test_an_event_is_kept_once():
    state = State()
    fold = PartitionFold([sliced(Hopping(60_000, 1_000, 0))], 0, state)
    folded = fold.fold(rows([(90_500, "x"), (90_700, "x"), (91_000, "x")]))
    assert [(partial.start_ms, partial.state) for partial in folded.partials] == [
        (90_000, [[31_000, 1, 90_700, 2]]),
        (91_000, [[32_000, 2, 91_000, 1]]),
    ]
    assert len(state.rows) == 3  # and the marker


def test_a_row_that_is_late_for_some_windows_is_a_part_of_its_own():
    fold = PartitionFold([sliced(Hopping(30, 10, 0))], 0, State())
    fold.fold(rows([(25, "x"), (41, "x")]))
    folded = fold.fold(rows([(29, "x")], 2))
    assert [(late.start_ms, late.end_ms, late.late_by_ms) for late in folded.late] == [(0, 30, 11), (10, 40, 1)]
    assert [partial.state for partial in folded.partials] == [[[0, 0, 25, 1], [20, 2, 29, 1]]]


def test_a_repeated_batch_says_nothing_of_windows_that_were_dropped_before():
    """Window [0, 30) closes with the third row, and is dropped with the fourth, which only later windows take in."""
    fold, states = PartitionFold([sliced(Hopping(30, 10, 0))], 0, State()), State()
    merge = PartitionMerge([sliced(Hopping(30, 10, 0))], 1, states)
    batches = [sent(fold, (5, "x"), (25, "x"), first=0), sent(fold, (35, "x"), first=2), sent(fold, (26, "x"), first=3)]
    at, results = 0, []
    for batch in batches:
        results.append(merge.merge(batch, at, at + len(batch) - 1))
        at += len(batch)
    assert [(r.start_ms, r.state) for r in results[-1]] == [(10, 3), (20, 3)]
    merge = PartitionMerge([sliced(Hopping(30, 10, 0))], 1, State(dict(states.rows)))
    repeated = merge.merge(batches[-1], at - len(batches[-1]), at - 1)
    assert [(r.start_ms, r.state) for r in repeated] == [(10, 3), (20, 3)]


def test_final_results_come_once_each_in_order_also_over_a_gap():
    aggregate = replace(sliced(Hopping(30, 10, 0)), final=True)
    fold, merge = PartitionFold([aggregate], 0, State()), PartitionMerge([aggregate], 1, State())
    batch = sent(fold, (5, "x"), (15, "y"), (1_000_000_000_005, "x"), first=0)
    results = merge.merge(batch, 0, len(batch) - 1)
    assert [(r.group, r.start_ms, r.state) for r in results] == [("x", 0, 1), ("y", 0, 1), ("y", 10, 1)]


def test_windows_side_by_side_cost_a_few_sums_each():
    calls = 0

    class Counted(Count):
        def merge(self, left, right):
            nonlocal calls
            calls += 1
            return super().merge(left, right)

    window = Hopping(60_000, 1_000, 0)
    starts = range(100_000, 160_000, 1_000)
    found = dict(totals(window, Counted("n"), starts, lambda start: [[0, start, start, [[start - 59_000, 1, 1, 1]]]]))
    assert {total.state for total in found.values()} == {60}
    assert calls < 2 * (2 * len(starts)) + len(starts), "two sums a slice, one a window"


@pytest.mark.parametrize("window", [Hopping(25, 10), Session(10)])
def test_only_windows_that_slices_add_up_to_can_be_sliced(window):
    with pytest.raises(SettingError, match="aggregate a: sliced needs hopping windows whose size is a multiple"):
        sliced(window)


def test_the_planner_slices_where_many_windows_overlap():
    assert are_sliced(Hopping(60_000, 1_000))
    assert are_sliced(Hopping(LEAST_SLICES, 1))
    assert not are_sliced(Hopping(LEAST_SLICES - 1, 1))
    assert not are_sliced(Hopping(65, 10))
    assert not are_sliced(Tumbling(60_000))
    assert not are_sliced(Session(60_000))
