"""What is asked of a copy of the state is what the results said last, of all that has not closed."""

import orjson
from aggregations import Event, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Application, Count, Hopping, Session, Stream, Tumbling, c
from pipeline.api.totals import Between, Totals, that_can_be_asked
from pipeline.tables.fold import PartitionFold
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.results import Result
from pipeline.tables.state import State
from pipeline.tables.windows import Window

windows = st.one_of(
    st.none(),
    st.builds(lambda size, grace: Tumbling(size, grace_ms=grace), st.integers(1, 60), st.integers(0, 100)),
    st.builds(
        lambda n, a, g: Hopping(n * a, a, g), st.integers(1, 8), st.sampled_from([1, 5, 10]), st.integers(0, 100)
    ),
    st.builds(Session, st.integers(1, 40), st.integers(0, 100)),
)
TENS = st.integers(0, 15).map(lambda n: 10 * n)
events = st.lists(st.tuples(st.integers(0, 150), st.sampled_from(["x", "y"])), max_size=30)


@settings(max_examples=500)
@given(windows, events, st.integers(1, 9), TENS, TENS)
def test_rows_are_the_latest_results_of_what_has_not_closed(
    window: Window | None, stream: list[Event], size: int, first_ms: int, end_ms: int
) -> None:
    visits = Stream("visits", {"g": "STRING"}, key="g")
    grouped = (visits if window is None else visits.window(window)).group_by(c.g).aggregate(n=Count())
    application = Application("visits", grouped.to("VISITS"))
    [statement] = that_can_be_asked(application.statements)
    totals, state, at = Totals([statement]), State(), 0
    fold = PartitionFold([statement.aggregate], 0, State())
    merge = PartitionMerge([statement.aggregate], 1, state)
    latest: dict[tuple[str, int, int], Result] = {}
    for start in range(0, len(stream), size):
        folded = fold.fold(rows(stream[start : start + size], start))
        sent = [*folded.partials, *([folded.watermark] if folded.watermark else [])]
        for result in merge.merge(sent, at, at + len(sent) - 1) if sent else []:
            key = (result.group, result.start_ms, result.end_ms)
            if result.retired:
                latest.pop(key, None)
            else:
                latest[key] = result
        at += len(sent)
        for key, value in state.take_changes().items():
            totals.apply(orjson.dumps(key), None if value is None else orjson.dumps(value))
    table = totals.tables["VISITS"]
    found = {
        (row["g"], row.get("window_start_ms", 0), row.get("window_end_ms", 0)): (row["n"], row["version"])
        for group in table.groups()
        for row in table.rows(group)
    }
    said = {key: (result.state, result.version) for key, result in latest.items()}
    # a session's version is that of its group, and moves on with the group's other sessions
    of_state = {key: value[0] for key, value in found.items()}
    assert of_state.items() <= {key: value[0] for key, value in said.items()}.items()
    if not isinstance(window, Session):
        assert found.items() <= said.items()
    now = max((time_ms for time_ms, _ in stream), default=-1)
    is_open = {
        key
        for key in said
        if window is None or not window.closed(key[2] if isinstance(window, Session) else key[1], now)
    }
    assert is_open <= found.keys()
    between = Between(first_ms, end_ms)
    if window is not None:
        chosen = {row["window_start_ms"] for group in table.groups() for row in table.rows(group, between)}
        assert chosen == {start for _, start, _ in found if first_ms <= start < end_ms}
