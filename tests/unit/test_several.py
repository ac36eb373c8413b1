"""Several functions in one row, and groups of several columns or of none: both stages, windows, tables, replay."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from declared import fed, stream
from joining import keyed

import pipeline
from pipeline import c
from pipeline.declare.aggregates import Aggregated
from pipeline.errors import SettingError
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.fold import PartitionFold
from pipeline.tables.functions import (
    Average,
    CollectList,
    Correlation,
    Count,
    Max,
    Min,
    Several,
    SumDecimal,
    SumLong,
)
from pipeline.tables.grouped_table import GroupedTable
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import Rows
from pipeline.tables.state import State
from pipeline.tables.windows import Session, Tumbling, Unwindowed, Window

ROWS = [
    {"g": "x", "h": "1", "v": 3, "w": 1.0},
    {"g": "y", "h": "1", "v": None, "w": 2.0},
    {"g": "x", "h": "2", "v": 5, "w": None},
    {"g": "x", "h": None, "v": 7, "w": 4.0},
    {"g": None, "h": "2", "v": 9, "w": 3.0},
]
TOTALS = Several((Count("n"), SumLong("v", "total"), Correlation("v", "w", "r"), Max("v", "largest", "long")))


def aggregate(function: Any = TOTALS, by: Any = "g", window: Window | None = None, final: bool = False) -> Aggregate:
    return Aggregate("a", by, function, "OUT", window or Unwindowed(), final)


def rows(times: list[int], records: list[dict[str, Any]], first: int = 0) -> Rows:
    offsets = list(range(first, first + len(times)))
    return Rows(offsets, times, records, [(0, offset) for offset in offsets])


def run(given: Aggregate, times: list[int], records: list[dict[str, Any]], size: int) -> dict[Any, Any]:
    """The last result of each (group, start, end), fed in batches of this size, through JSON between the stages."""
    fold, merge, sent, table = PartitionFold([given], 0, State()), PartitionMerge([given], 1, State()), 0, {}
    for first in range(0, len(times), size):
        folded = fold.fold(rows(times[first : first + size], records[first : first + size], first))
        batch = [type(p)(*orjson.loads(orjson.dumps(list(p)))) for p in folded.partials]
        batch += [folded.watermark] if folded.watermark else []
        for result in merge.merge(batch, sent, sent + len(batch) - 1) if batch else []:
            table[result.group, result.start_ms, result.end_ms] = result.state
            if result.retired:
                del table[result.group, result.start_ms, result.end_ms]
        sent += len(batch)
    return table


def test_each_function_gets_its_inputs_and_gives_its_columns() -> None:
    assert TOTALS.inputs == ("v", "v", "w", "v")
    state = TOTALS.add(TOTALS.add(TOTALS.zero(), (3, 3, 1.0, 3), 0), (None, None, 2.0, None), 1)
    assert state == [2, 3, [1, [3.0], [1.0], [9.0], [1.0], [3.0]], [3]]
    assert [(name, value) for name, value in TOTALS.columns(state).items() if name != "r"] == [
        ("n", 2),
        ("total", 3),
        ("largest", 3),
    ]
    assert [column["name"] for column in TOTALS.fields()] == ["n", "total", "r", "largest"]


def test_one_input_or_none_is_given_as_it_is() -> None:
    counts = Several((Count("n"), Count("m")))
    assert counts.inputs == ()
    assert counts.add(counts.zero(), None, 0) == counts.add_many(counts.zero(), (), [0]) == [1, 1]
    one = Several((Count("n"), SumLong("v", "s")))
    assert one.inputs == ("v",)
    assert one.add(one.zero(), 5, 0) == one.add_many(one.zero(), [5], [0]) == [1, 5]
    assert one.add_many([1, 5], [], []) == [1, 5]


def test_several_of_several() -> None:
    inner = Several((SumLong("v", "s"), Average("w", "m")))
    nested = Several((Count("n"), inner, Min("v", "least", "long")))
    assert nested.inputs == ("v", "w", "v")
    values = [(3, 1.0, 3), (5, 2.0, 5)]
    state = nested.add_many(nested.zero(), values, [0, 1])
    assert state == nested.add(nested.add(nested.zero(), values[0], 0), values[1], 1) == [2, [8, [2, 3.0]], [3]]
    assert nested.columns(state) == {"n": 2, "s": 8, "m": 1.5, "least": 3}


@pytest.mark.parametrize(
    ("functions", "sentence"),
    [
        ((), "Several: functions is empty, but must be at least one function"),
        ((Count("n"), SumLong("v", "n")), "Several: column n is there twice, but must be a name of its own for each"),
        ((SumDecimal("v", "t"), Count("t_cents")), "Several: column t_cents is there twice"),
    ],
)
def test_what_makes_no_row_is_refused(functions: Any, sentence: str) -> None:
    with pytest.raises(SettingError, match=f"^{sentence}"):
        Several(functions)


@pytest.mark.parametrize("size", [1, 5, 100])
@pytest.mark.parametrize("window", [Unwindowed(), Tumbling(1_000, grace_ms=500), Session(1_000, 500)])
def test_each_column_is_what_its_function_alone_gives(window: Window, size: int) -> None:
    records = [ROWS[place % 5] for place in range(40)]
    times = [place * 97 % 500 + place * 50 for place in range(40)]
    together = run(aggregate(window=window), times, records, size)
    assert len(together) >= 2
    for place, function in enumerate(TOTALS.functions):
        alone = run(aggregate(function, window=window), times, records, size)
        assert {key: state[place] for key, state in together.items()} == alone


def test_final_results_of_several() -> None:
    given = aggregate(Several((Count("n"), SumLong("v", "s"))), window=Tumbling(100, grace_ms=0), final=True)
    times = [10, 20, 30, 100]
    assert run(given, times, [*ROWS[:3], ROWS[0]], 1) == {("x", 0, 100): [2, 8], ("y", 0, 100): [1, 0]}


@pytest.mark.parametrize("by", ["g", ("g", "h"), ()])
def test_a_replay_changes_nothing_and_sends_the_same_again(by: Any) -> None:
    state = State()
    batch = rows([1, 2, 3, 4, 5], ROWS)
    sent = PartitionFold([aggregate(by=by)], 0, state).fold(batch).partials
    again = PartitionFold([aggregate(by=by)], 0, State(state.rows)).fold(batch)
    assert again.partials == sent
    assert len(sent) == {"g": 2, ("g", "h"): 3, (): 1}[by]


@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_group_of_several_columns_is_a_json_array_and_a_null_in_any_is_no_group(size: int) -> None:
    found = run(aggregate(Count("n"), ("g", "h")), [1, 2, 3, 4, 5], ROWS, size)
    assert found == {('["x","1"]', 0, 0): 1, ('["y","1"]', 0, 0): 1, ('["x","2"]', 0, 0): 1}
    folded = PartitionFold([aggregate(Count("n"), ("g", "h"))], 0, State()).fold(rows([1, 2, 3, 4, 5], ROWS))
    assert folded.null_groups == 2


def test_groups_whose_texts_look_alike_are_different() -> None:
    records = [{"g": 'a","b', "h": "c"}, {"g": "a", "h": 'b","c'}, {"g": "ä", "h": ""}]
    assert list(run(aggregate(Count("n"), ("g", "h")), [1, 2, 3], records, 3)) == [
        ('["a\\",\\"b","c"]', 0, 0),
        ('["a","b\\",\\"c"]', 0, 0),
        ('["ä",""]', 0, 0),
    ]


@pytest.mark.parametrize("size", [1, 100])
def test_without_columns_all_rows_are_one_group(size: int) -> None:
    assert run(aggregate(Count("n"), ()), [1, 2, 3, 4, 5], ROWS, size) == {("[]", 0, 0): 5}
    records = [ROWS[0] for _ in range(20)]
    found = run(aggregate(Count("n"), (), Tumbling(10, grace_ms=5)), list(range(20)), records, size)
    assert found == {("[]", 0, 10): 10, ("[]", 10, 20): 10}


def test_a_group_may_be_called_like_a_marker() -> None:
    """State keys begin with the aggregate's name: a group called marker is just a group."""
    state = State()
    fold = PartitionFold([aggregate(Count("n"))], 0, state)
    fold.fold(rows([1, 2], [{"g": "marker"}, {"g": ""}]))
    assert set(state.rows) == {("marker",), ("a", "marker", 0), ("a", "", 0)}


def test_one_column_in_a_tuple_is_that_column_and_a_list_is_a_tuple() -> None:
    assert aggregate(by=("g",)) == aggregate(by="g")
    assert aggregate(by=["g", "h"]).group_by == ("g", "h")
    assert aggregate(by=()).group_columns == ()


def table(function: Any, by: Any = "g") -> GroupedTable:
    return GroupedTable(aggregate(function, by), 0, State())


def test_a_table_is_aggregated_by_several_functions_and_columns() -> None:
    function = Several((Count("n"), SumLong("v", "s"), CollectList("w", "all", "double")))
    grouped = table(function, ("g", "h"))
    grouped.fold(keyed([(1, "u", ROWS[0]), (2, "t", {**ROWS[0], "v": 10})]))
    moved = grouped.fold(keyed([(3, "u", ROWS[2]), (4, "t", ROWS[3])], 2)).partials
    assert [(p.group, p.state) for p in moved if hasattr(p, "state")] == [
        ('["x","1"]', [0, 0, []]),
        ('["x","2"]', [1, 5, [[2, None]]]),
    ]


def test_a_whole_table_is_one_group() -> None:
    grouped = table(Several((Count("n"), SumLong("v", "s"))), ())
    grouped.fold(keyed([(1, "u", ROWS[0]), (2, "t", ROWS[3])]))
    (partial,) = grouped.fold(keyed([(3, "u", None)], 2)).partials
    assert (partial.group, partial.state) == ("[]", [1, 7])  # type: ignore[union-attr]


def test_several_can_subtract_when_all_of_them_can() -> None:
    nested = Several((Count("n"), Several((SumLong("v", "s"), Max("v", "m", "long")))))
    with pytest.raises(SettingError, match=r"^aggregate a: function is Max, but must be one that can subtract"):
        table(nested)


async def test_several_functions_and_columns_through_the_whole_pipeline() -> None:
    rows = stream()
    groups = rows.group_by(c.s, c.dec).aggregate(
        n=pipeline.Count(),
        total=pipeline.SumDecimal(c.dec),
        most=pipeline.Max(c.dec),
        last=pipeline.LatestByOffset(c.rec),
        firsts=pipeline.EarliestByOffset(c.list, 2),
        top=pipeline.TopK(c.l, 1, ms=c.ms),
    )
    everything = rows.window(Tumbling(1_000)).group_by().aggregate(n=pipeline.Count(), mean=pipeline.Average(c.d))
    second = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    records = [
        {"s": "g", "dec": Decimal("1.5"), "rec": {"a": "r"}, "list": ["p"], "l": 3, "ms": second, "d": 1.0},
        {"s": "g", "dec": None},
        {"s": "g", "dec": Decimal("1.50"), "rec": {"a": "q"}, "list": [], "l": 2, "d": 2.0},
    ]
    out = await fed([groups.to("GROUPS"), everything.to("ALL")], records)
    assert out["pipeline-dead-letters"] == []
    first, last = out["GROUPS"]
    assert first["key"] == last["key"] == '["g","1.50"]'
    assert last["value"] == {
        "s": "g",
        "dec": Decimal("1.50"),
        "n": 2,
        "total": 3.0,
        "total_cents": 300,
        "most": Decimal("1.50"),
        "last": {"a": "q"},
        "firsts": [["p"], []],
        "top": [{"sort_col": 3, "col0": 1_000}],
        "event_time_ms": 2,
        "version": 3,
    }
    means = [(row["key"], row["value"]["n"], row["value"]["mean"]) for row in out["ALL"]]
    assert means == [("[]", 1, 1.0), ("[]", 2, 1.0), ("[]", 3, 1.5)]
    assert "s" not in out["ALL"][0]["value"]


def test_a_type_with_a_name_is_defined_once_in_the_output() -> None:
    functions = {"first": pipeline.EarliestByOffset(c.rec), "last": pipeline.LatestByOffset(c.rec)}
    schema: Any = stream().group_by(c.s).aggregate(**functions).to("OUT").topic.schema
    types = {field["name"]: field["type"] for field in schema["fields"]}
    record = {"type": "record", "name": "tests.inner", "fields": [{"name": "a", "type": "string"}]}
    assert (types["first"], types["last"]) == (["null", record], ["null", "tests.inner"])


@pytest.mark.parametrize(
    ("by", "function", "sentence"),
    [
        (("s", "list"), pipeline.Count(), "group_by: list is of type array of string, but must be a scalar"),
        (("s", "what"), pipeline.Count(), "group_by: there is no column what, only"),
        (("s",), pipeline.Sum(c.u), "SumDouble is of column u, which is of type uuid, but must be"),
        (("s",), pipeline.Correlation(c.d, c.s), "Correlation is of column s, which is of type string, but must be of"),
        (("s",), pipeline.Correlation(c.d, c.what), "aggregate o: there is no column what, only"),
        (("s",), pipeline.TopK(c.list, 1, d=c.d), "TOPK is of column list, which is of type array of string, but must"),
        (("s",), pipeline.TopK(c.d, 1, w=c.what), "aggregate o: there is no column what, only"),
    ],
)
def test_every_input_and_every_column_of_a_group_is_checked(
    by: tuple[str, ...], function: Aggregated, sentence: str
) -> None:
    with pytest.raises(SettingError) as refused:
        stream().group_by(*(c[name] for name in by)).aggregate(n=pipeline.Count(), o=function).to("OUT")
    assert str(refused.value).startswith("stream rows, ")
    assert sentence in str(refused.value)
