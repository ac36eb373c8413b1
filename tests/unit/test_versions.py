"""A stream's row meets the version of a table's row that was valid at its time, whenever either is processed."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tables.state import State
from pipeline.tables.versions import BEGINNING, Versions

KEPT = 20


def versions(state: State | None = None, kept_ms: int = KEPT) -> Versions:
    return Versions(State() if state is None else state, 1, kept_ms)


def seen(table: Versions, *times_ms: int, key: str = "k") -> list[str | None]:
    return [row[1] for row in table.as_of([key] * len(times_ms), times_ms)]


def test_the_newest_version_that_is_not_after_the_rows_time() -> None:
    table = versions()
    assert [table.put("k", offset, time, [name]) for offset, time, name in ((0, 10, "a"), (1, 20, "b"))] == [True] * 2
    assert seen(table, 9, 10, 19, 20, 99) == [None, "a", "a", "b", "b"]
    assert seen(table, 99, key="other") == [None]


def test_of_equal_times_the_later_offset_and_a_tombstone_is_a_version() -> None:
    table = versions()
    for offset, time, name in ((0, 10, "a"), (1, 10, "b"), (2, 15, None), (3, 20, "c")):
        table.put("k", offset, time, [name])
    assert seen(table, 10, 14, 15, 19, 20) == ["b", "b", None, None, "c"]


def test_a_version_that_comes_late_is_valid_from_its_own_time() -> None:
    """It is the latest record of the topic all the same: what goes out as the user's row is decided by the offset."""
    table = versions()
    assert table.put("k", 0, 10, ["a"])
    assert table.put("k", 1, 30, ["c"])
    assert table.put("k", 2, 20, ["b"])
    assert not table.put("k", 1, 30, ["c"])
    assert seen(table, 10, 20, 29, 30) == ["a", "b", "b", "c"]


def test_what_releases_before_wrote_was_always_valid_and_goes_on() -> None:
    """Their state had one row a user, without a time: a worker restarted after the upgrade reads it."""
    state = State({("k",): [7, "old"]})
    table = versions(state)
    assert seen(table, 0, 50) == ["old", "old"]
    assert not table.put("k", 6, 40, ["replayed"])
    table.put("k", 8, 60, ["new"])
    assert seen(table, 59, 60) == ["old" if 59 < 40 else "replayed", "new"]
    assert seen(table, 39) == ["old"]


def test_versions_are_dropped_once_no_row_may_ask_for_them_and_the_newest_never_is() -> None:
    state = State()
    table = versions(state)
    for offset in range(10):
        table.put("k", offset, offset * 10, [str(offset)])
    table.joined(90)
    table.drop_old()
    assert seen(table, 70, 69, 80, 90) == ["7", None, "8", "9"]
    assert sorted(state.rows) == [("k",), ("k", 7), ("k", 8)]
    table.joined(1_000)
    table.drop_old()
    assert (state.rows, seen(table, 1_000)) == ({("k",): [9, "9", 90]}, ["9"])


def test_a_stream_that_stands_still_holds_versions_for_a_while_only() -> None:
    state = State()
    table = versions(state)
    for offset in range(1_000):
        table.put("k", offset, offset, [str(offset)])
        table.drop_old()
    assert len(state.rows) == 2 * KEPT + 1
    assert seen(table, 999 - 2 * KEPT) == [str(999 - 2 * KEPT)]


RECORDS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.sampled_from(["x", "y", None])), min_size=1, max_size=40
)


def brute_force(records: list[tuple[str, int, str | None]], key: str, time_ms: int) -> str | None:
    """By looking at every record, in the order of their offsets."""
    valid = [(time, offset, name) for offset, (k, time, name) in enumerate(records) if k == key and time <= time_ms]
    return max(valid, key=lambda version: version[:2])[2] if valid else None


@given(RECORDS, st.data())
def test_any_order_replay_and_restart_give_what_looking_at_every_record_gives(
    records: list[tuple[str, int, str | None]], data: st.DataObject
) -> None:
    state, horizon = State(), BEGINNING
    table = versions(state)
    for offset, (key, time, name) in enumerate(records):
        if data.draw(st.booleans()):
            table = versions(State(dict(state.rows)))
            state = table._state
        again = data.draw(st.integers(0, offset))
        for replayed in range(again, offset + 1):
            key, time, name = records[replayed]
            table.put(key, replayed, time, [name])
        joined = data.draw(st.integers(0, 60))
        table.joined(joined)
        table.drop_old()
        horizon = max(horizon, joined - KEPT, max(t for _, t, _ in records[: offset + 1]) - 2 * KEPT)
    for key in "ab":
        for time_ms in range(max(horizon, 0), 64):
            assert seen(table, time_ms, key=key) == [brute_force(records, key, time_ms)]


@given(RECORDS)
def test_what_is_kept_is_bounded_by_what_may_be_asked_for(records: list[tuple[str, int, str | None]]) -> None:
    state = State()
    table = versions(state)
    for offset, (key, time, name) in enumerate(records):
        table.put(key, offset, time, [name])
        table.joined(time)
        table.drop_old()
    horizon = max(time for _, time, _ in records) - KEPT
    for key in "ab":
        times = sorted(time for k, time, _ in records if k == key)
        asked_for = len([time for time in times if time > horizon]) + 1
        assert len([k for k in state.rows if k[0] == key]) <= asked_for
