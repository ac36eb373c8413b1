"""Rows without copies: what passes, and that neither batches nor crashes change it."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tables.distinct_rows import PartitionDistinct
from pipeline.tables.state import State

WITHIN = 10
steps = st.lists(st.tuples(st.sampled_from(["a", "b", "marker", None]), st.integers(-25, 15)), max_size=40)


def walked(steps: list[tuple[str | None, int]]) -> list[tuple[str | None, int]]:
    now, found = 50, []
    for one, step in steps:
        time_ms = max(0, now + step)
        now = max(now, time_ms)
        found.append((one, time_ms))
    return found


def expected(rows: list[tuple[str | None, int]]) -> tuple[list[int], list[int]]:
    """By the plainest rule: offsets that pass, offsets that are late."""
    passed, late, now = [], [], -1
    for offset, (one, time_ms) in enumerate(rows):
        now = max(now, time_ms)
        near = any(rows[other][0] == one and abs(rows[other][1] - time_ms) <= WITHIN for other in passed)
        if one is None or not (near or time_ms < now - WITHIN):
            passed.append(offset)
        elif not near:
            late.append(offset)
    return passed, late


def run(rows: list[tuple[str | None, int]], borders: list[int], again: set[int]) -> tuple[set[int], set[int]]:
    state = State()
    distinct = PartitionDistinct("d", WITHIN, state)
    places = sorted({0, len(rows), *(border for border in borders if border < len(rows))})
    passed: set[int] = set()
    late: set[int] = set()
    for number, (start, end) in enumerate(itertools.pairwise(places)):
        for _ in range(2 if number in again else 1):
            offsets = list(range(start, end))
            kept = distinct.take([one for one, _ in rows[start:end]], [time for _, time in rows[start:end]], offsets)
            found = {offset for offset, passes in zip(offsets, kept.mask, strict=True) if passes}
            told = {one.offset for one in kept.late}
            if number in again:
                distinct = PartitionDistinct("d", WITHIN, State(dict(state.rows)))
                state = distinct.state
            assert found.isdisjoint(passed - set(offsets))
            passed = (passed - set(offsets)) | found
            late = (late - set(offsets)) | told
    return passed, late


@given(steps.map(walked), st.lists(st.integers(0, 40), max_size=6), st.sets(st.integers(0, 6)))
def test_the_first_of_each_passes_whatever_the_batches_and_repeats(
    rows: list[tuple[str | None, int]], borders: list[int], again: set[int]
) -> None:
    passed, late = expected(rows)
    one_by_one = run(rows, list(range(40)), set())
    assert one_by_one[0] == set(passed)
    found = run(rows, borders, again)
    assert found[0] == set(passed)
    assert found[1] >= set(late)


@given(steps.map(walked))
def test_what_is_kept_is_bounded_by_time(rows: list[tuple[str | None, int]]) -> None:
    state = State()
    distinct = PartitionDistinct("d", WITHIN, state)
    for offset, (one, time_ms) in enumerate(rows):
        distinct.take([one], [time_ms], [offset])
    now = max((time for _, time in rows), default=0)
    distinct.take([None], [now], [len(rows)])
    assert all(value[-1][0] >= now - 2 * WITHIN for key, value in state.items() if key[0] == "seen")
