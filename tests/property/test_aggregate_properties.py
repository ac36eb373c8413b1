"""Every function: merging in any way, in any order, is the fold of all; and so is any cut, crash and replay."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.fold import PartitionFold
from pipeline.tables.functions import (
    Average,
    CollectList,
    CollectSet,
    Correlation,
    Count,
    CountDistinct,
    EarliestByOffset,
    Histogram,
    LatestByOffset,
    SampleVariance,
    Several,
    StandardDeviation,
    SumLong,
    TopKRows,
)
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import Rows
from pipeline.tables.state import State
from pipeline.tables.windows import Hopping, Session, Tumbling, Unwindowed, Window

LONGS = {"type": "array", "items": "long"}
RECORD = {"type": "record", "name": "r", "fields": [{"name": "a", "type": ["null", "double"]}]}

small = st.one_of(st.none(), st.integers(-3, 3))
doubles = st.one_of(st.none(), st.floats())
texts = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d", "", "ä"]))
lists = st.one_of(st.none(), st.lists(st.integers(0, 2), max_size=2))
records = st.one_of(st.none(), st.fixed_dictionaries({"a": st.one_of(st.none(), st.floats())}))
CASES: dict[str, tuple[Any, Any]] = {
    "list": (CollectList("c", "o", "long", 4), small),
    "list of doubles": (CollectList("c", "o", "double"), doubles),
    "list of records": (CollectList("c", "o", RECORD, 3), records),
    "set": (CollectSet("c", "o", "long", 3), small),
    "set of arrays": (CollectSet("c", "o", LONGS, 3), lists),
    "set of doubles": (CollectSet("c", "o", "double", 3), doubles),
    "histogram": (Histogram("c", "o", 3), texts),
    "variance": (SampleVariance("c", "o"), doubles),
    "deviation": (StandardDeviation("c", "o"), doubles),
    "correlation": (Correlation("x", "y", "o"), st.tuples(doubles, doubles)),
    "distinct": (CountDistinct("c", "o", 3), small),
    "distinct doubles": (CountDistinct("c", "o", 2), doubles),
    "top rows": (TopKRows("c", "o", "long", 3, (("d", "string"), ("e", LONGS))), st.tuples(small, texts, lists)),
    "several": (
        Several((Count("n"), Correlation("x", "y", "r"), Histogram("c", "h", 2), Average("x", "m"))),
        st.tuples(doubles, doubles, texts, doubles),
    ),
}
for make in (EarliestByOffset, LatestByOffset):
    for n in (None, 1, 3):
        for ignored in (True, False):
            CASES[f"{make.__name__} {n} {ignored}"] = (make("c", "o", "long", n, ignored), small)
            CASES[f"{make.__name__} of arrays {n} {ignored}"] = (make("c", "o", LONGS, n, ignored), lists)
            CASES[f"{make.__name__} of doubles {n} {ignored}"] = (make("c", "o", "double", n, ignored), doubles)
SUBTRACTING = ["variance", "deviation", "correlation", "list of doubles", "histogram"]


def fold(function: Any, values: list, first_offset: int = 0) -> Any:
    state = function.zero()
    for offset, value in enumerate(values, first_offset):
        state = function.add(state, value, offset)
    return state


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=40)
@given(data=st.data())
def test_merging_in_any_order_is_the_fold_of_all(name: str, data: st.DataObject) -> None:
    function, values = CASES[name]
    a, b, c = (data.draw(st.lists(values, max_size=8)) for _ in range(3))
    merge = function.merge
    left, mid, right = fold(function, a), fold(function, b, len(a)), fold(function, c, len(a) + len(b))
    whole = fold(function, a + b + c)
    assert merge(left, right) == merge(right, left)
    assert merge(merge(left, mid), right) == merge(left, merge(mid, right)) == merge(mid, merge(right, left)) == whole
    assert merge(function.zero(), left) == merge(left, function.zero()) == left
    assert function.add_many(left, b + c, range(len(a), len(a + b + c))) == whole
    assert json.loads(orjson.dumps(whole)) == whole
    assert [field["name"] for field in function.fields()] == list(function.columns(whole))


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=40)
@given(data=st.data())
def test_partitions_whose_offsets_are_the_same_merge_in_any_order(name: str, data: st.DataObject) -> None:
    function, values = CASES[name]
    one, two, three = (fold(function, data.draw(st.lists(values, max_size=6))) for _ in range(3))
    merge, before = function.merge, orjson.dumps([one, two, three])
    assert merge(one, two) == merge(two, one)
    assert merge(merge(one, two), three) == merge(one, merge(two, three)) == merge(merge(three, one), two)
    assert orjson.dumps([one, two, three]) == before


@pytest.mark.parametrize("name", SUBTRACTING)
@given(data=st.data())
def test_what_was_added_can_be_taken_back(name: str, data: st.DataObject) -> None:
    function, values = CASES[name]
    if name == "histogram":
        function = Histogram("c", "o")
    kept, taken = data.draw(st.lists(values, max_size=8)), data.draw(st.lists(values, max_size=8))
    rest, gone = fold(function, kept), fold(function, taken, len(kept))
    assert function.subtract(function.merge(rest, gone), gone) == rest


windows = st.one_of(
    st.just(Unwindowed()),
    st.builds(Tumbling, st.integers(1, 60), grace_ms=st.integers(0, 100)),
    st.builds(lambda n, a, g: Hopping(n * a, a, g), st.integers(1, 3), st.integers(1, 30), st.integers(0, 100)),
    st.builds(Session, st.integers(1, 40), st.integers(0, 100)),
)
groups = st.sampled_from(["x", "y", None])
events = st.lists(st.tuples(st.integers(0, 300), groups, groups, small, st.floats()), max_size=30)
FUNCTION = Several(
    (
        Count("n"),
        SumLong("v", "s"),
        Correlation("v", "w", "r"),
        CollectList("w", "l", "double", 3),
        CollectSet("v", "d", "long", 2),
        LatestByOffset("w", "last", "double", 2, False),
        TopKRows("v", "t", "long", 2, (("w", "double"),)),
        CountDistinct("v", "c", 2),
    )
)


class Run:
    """Both stages over one partition, with a crash of everything in memory wherever it is asked for."""

    def __init__(self, window: Window, by: Any, stream: list) -> None:
        self.given = Aggregate("a", by, FUNCTION, "OUT", window)
        self.stream, self.states, self.sent = stream, (State(), State()), 0
        self.table: dict[tuple[str, int, int], Any] = {}
        self.start()

    def start(self) -> None:
        """Begin from what the states hold, as they come back from their changelogs."""
        rows = [{tuple(k): v for k, v in orjson.loads(orjson.dumps([*s.rows.items()]))} for s in self.states]
        self.states = (State(rows[0]), State(rows[1]))
        self.fold = PartitionFold([self.given], 0, self.states[0])
        self.merge = PartitionMerge([self.given], 1, self.states[1])

    def feed(self, first: int, end: int) -> None:
        """Fold and merge the rows at [first, end)."""
        part = self.stream[first:end]
        records = [{"g": g, "h": h, "v": v, "w": w} for _, g, h, v, w in part]
        offsets = list(range(first, first + len(part)))
        folded = self.fold.fold(Rows(offsets, [row[0] for row in part], records, [(0, o) for o in offsets]))
        sent = [*folded.partials, *([folded.watermark] if folded.watermark else [])]
        for result in self.merge.merge(sent, self.sent, self.sent + len(sent) - 1) if sent else []:
            key = (result.group, result.start_ms, result.end_ms)
            if result.retired:
                self.table.pop(key, None)
            else:
                self.table[key] = result.state
        self.sent += len(sent)

    def feed_all(self, size: int, first: int = 0) -> "Run":
        """Everything from an offset on, in batches of this size."""
        for at in range(first, len(self.stream), size):
            self.feed(at, min(at + size, len(self.stream)))
        return self


@settings(max_examples=40, deadline=None)
@given(
    windows, st.sampled_from(["g", ("g", "h"), ()]), events, st.integers(1, 30), st.integers(0, 30), st.integers(0, 30)
)
def test_cuts_crashes_and_replays_change_nothing(
    window: Window, by: Any, stream: list, size: int, crash: int, back: int
) -> None:
    calm = Run(window, by, stream).feed_all(1)
    crashed = Run(window, by, stream)
    crash = min(crash, len(stream))
    for at in range(0, crash, size):
        crashed.feed(at, min(at + size, crash))
    crashed.start()
    crashed.feed_all(size, min(back, crash))
    assert crashed.table == calm.table == Run(window, by, stream).feed_all(30).table


@settings(max_examples=40, deadline=None)
@given(windows, events)
def test_each_row_of_a_group_is_in_its_json_array(window: Window, stream: list) -> None:
    both, all_rows = (Run(window, by, stream).feed_all(7).table for by in (("g", "h"), ()))
    named = {orjson.dumps([g, h]).decode() for _, g, h, _, _ in stream if None not in (g, h)}
    assert {group for group, _, _ in both} <= named
    assert {group for group, _, _ in all_rows} == ({"[]"} if stream else set())
