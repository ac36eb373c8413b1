"""Whatever the batches' borders, the order within grace, or the crash: the same results as a brute-force oracle."""

import itertools
from collections import Counter

from aggregations import Pipeline, rows
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tables.fold import MARKER
from pipeline.tables.windows import Hopping, Session, Tumbling, Window

events = st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["x", "y", None])), max_size=40)
windows = st.one_of(
    st.builds(Tumbling, st.integers(1, 60), grace_ms=st.integers(0, 100)),
    st.builds(lambda n, a, g: Hopping(n * a, a, g), st.integers(1, 4), st.integers(1, 30), st.integers(0, 100)),
    st.builds(Session, st.integers(1, 40), st.integers(0, 100)),
)
cuts = st.lists(st.integers(0, 40), max_size=6)


def split(stream: list, borders: list[int]) -> list:
    """The stream cut at these places, as batches of rows."""
    places = sorted({0, len(stream), *(b for b in borders if b < len(stream))})
    return [rows(stream[a:b], a) for a, b in itertools.pairwise(places)]


def run(window: Window, stream: list, borders: list[int]) -> Pipeline:
    p = Pipeline(window)
    p.feed_all(split(stream, borders))
    return p


@given(windows, events, cuts)
def test_any_batch_borders_give_the_same_table(window: Window, stream: list, borders: list[int]) -> None:
    assert run(window, stream, borders).table() == run(window, stream, list(range(40))).table()


@given(windows, events, cuts, st.integers(0, 40), st.integers(0, 40), st.sampled_from([1, 3, 10, 40]))
def test_a_replay_from_any_earlier_offset_changes_nothing(
    window: Window, stream: list, borders: list[int], crash: int, back: int, size: int
) -> None:
    p = Pipeline(window)
    crash, back = min(crash, len(stream)), min(back, crash, len(stream))
    p.feed_all(split(stream[:crash], borders))
    p.restart()
    p.feed_all(rows(stream[a : a + size], a) for a in range(back, len(stream), size))
    assert p.table() == run(window, stream, []).table()


@given(windows, events, cuts, st.integers(0, 40), st.integers(1, 20), st.sampled_from([1, 3, 10, 40]))
def test_a_crash_after_the_keys_of_a_batch_and_before_its_marker_changes_nothing(
    window: Window, stream: list, borders: list[int], crash: int, lost: int, size: int
) -> None:
    """The changelog has the keys of a batch, of which nothing was sent, and the marker of the batch before."""
    p, crash = Pipeline(window), min(crash, len(stream))
    p.feed_all(split(stream[:crash], borders))
    marker = p.fold_state.rows.get(MARKER)
    p.fold.fold(rows(stream[crash : crash + lost], crash))
    p.fold_state.rows.pop(MARKER, None)
    if marker is not None:
        p.fold_state.rows[MARKER] = marker
    p.restart()
    p.feed_all(rows(stream[a : a + size], a) for a in range(crash, len(stream), size))
    assert p.table() == run(window, stream, []).table()


@given(windows, events, cuts)
def test_everything_is_counted_or_accounted_for(window: Window, stream: list, borders: list[int]) -> None:
    p = run(window, stream, borders)
    late = sum(len(f.late) for f in p.folded)
    nulls = sum(f.null_groups for f in p.folded)
    if isinstance(window, Session):
        assert sum(p.table().values()) + late + nulls == len(stream)
    else:
        in_windows = sum(len(window.starts(t)) for t, group in stream if group is not None)
        assert sum(p.table().values()) + late == in_windows


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from("xy")), max_size=40), st.integers(1, 40))
def test_sessions_equal_merged_intervals_under_any_order_within_grace(stream: list, gap: int) -> None:
    expected: dict = {}
    for group in "xy":
        times = sorted(t for t, g in stream if g == group)
        sessions: list[list[int]] = []
        for t in times:
            if sessions and t - sessions[-1][1] <= gap:
                sessions[-1][1:] = [t, sessions[-1][2] + 1]
            else:
                sessions.append([t, t, 1])
        expected |= {(group, first, last): n for first, last, n in sessions}
    assert run(Session(gap, 1_000), stream, [7, 20]).table() == expected


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from("xy")), max_size=40), st.integers(1, 60))
def test_tumbling_totals_do_not_depend_on_order_within_grace(stream: list, size: int) -> None:
    expected = Counter((g, t // size * size, t // size * size + size) for t, g in stream)
    assert run(Tumbling(size, grace_ms=1_000), stream, [3]).table() == dict(expected)
