"""Any declaration over any schema is refused in a sentence, or runs: the test runner's path takes its records."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from declared import COLUMNS, COMPOUND, OTHERS, SCALARS, VALUES, running, schema_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pipeline as p
from pipeline import Application, Hopping, Session, Stream, Tumbling, c
from pipeline.codecs import Record, fields
from pipeline.columns import column_types
from pipeline.declare.aggregates import Aggregated
from pipeline.declare.fluent import Stream as StreamType
from pipeline.errors import SettingError
from pipeline.records import RecordBatch
from pipeline.tables import functions as f
from pipeline.tables.types import column_type
from pipeline.tables.windows import Window

SENTENCE = re.compile(r"(stream rows|application drawn)\b.*: (.+ must .+|there is no column .+, only .+)")
TEXT = {"time": "s", "time_format": "yyyy-MM-dd"}
SUMMED = {"l": st.integers(-(1 << 55), 1 << 55), "dec": st.decimals(-9999, 9999, places=2)}
SUMMED["fdec"] = st.decimals(-(10**14), 10**14, places=3)
"""Values of which fifty can be summed: what a sum's column cannot hold has tests of its own."""
DRAWN = {**VALUES, **OTHERS, **SUMMED}

names = st.sampled_from([*COLUMNS, "missing"])
windows = st.sampled_from(
    [None, Tumbling(1_000), Tumbling(60_000, grace_ms=0), Hopping(1_000, 300), Session(10_000), Session(5, 0)]
)
TAKES: dict[str, tuple[Callable[[Any], Aggregated], Sequence[str] | None]] = {
    "count": (lambda column: p.Count(), None),
    "values": (p.Count, None),
    "distinct": (p.CountDistinct, f.CountDistinct.TAKES),
    "sum": (p.Sum, ("int", "long", "float", "double", "decimal")),
    "cents": (p.SumDecimal, f.SumDecimal.TAKES),
    "average": (p.Average, f.Average.TAKES),
    "histogram": (p.Histogram, f.Histogram.TAKES),
    "variance": (p.SampleVariance, f.SampleVariance.TAKES),
    "deviation": (p.StandardDeviation, f.StandardDeviation.TAKES),
    "min": (p.Min, f.Min.TAKES),
    "max": (p.Max, f.Max.TAKES),
    "earliest": (p.EarliestByOffset, None),
    "latest": (p.LatestByOffset, None),
    "list": (p.CollectList, None),
    "set": (p.CollectSet, None),
    "top": (lambda column: p.TopK(column, 2), f.TopK.TAKES),
    "top_distinct": (lambda column: p.TopKDistinct(column, 2), f.TopKDistinct.TAKES),
    "top_rows": (lambda column: p.TopK(column, 2, again=column, s=c.s), f.TopKRows.TAKES),
    "correlation": (lambda column: p.Correlation(column, column), f.Correlation.TAKES),
}
"""Every function of one column, and the families of types that it takes; None: all."""


@dataclass(frozen=True)
class Drawn:
    """A stream, and the groups, functions and windows of its rows; building it may be refused."""

    schema: dict[str, Any]
    time: dict[str, Any]
    parts: list[tuple[Sequence[str], dict[str, Aggregated], Window | None, str]]

    def stream(self) -> StreamType:
        return Stream("rows", self.schema, key="s", **self.time)

    def results(self) -> list[StreamType]:
        rows, made = self.stream(), []
        for groups, functions, window, output in self.parts:
            grouped = rows.group_by(*(c[name] for name in groups)).aggregate(**functions)
            made.append((grouped if window is None else grouped.window(window)).to(output))
        return made


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """Some of the columns, of which some take no null."""
    chosen = draw(st.sets(st.sampled_from(list(COLUMNS)), min_size=3)) | {"s", "l", "ms"}
    declared = schema_of({name: COLUMNS[name] for name in COLUMNS if name in chosen})
    drawn = []
    for field in declared["fields"]:
        required = field["name"] != "either" and draw(st.booleans())
        drawn.append({"name": field["name"], "type": field["type"][1]} if required else field)
    return {**declared, "fields": drawn}


def paired(output: str, function: Aggregated) -> dict[str, Aggregated]:
    """The function, beside a count and the first values of a column."""
    return {"rows": p.Count(), output: function, "first": p.EarliestByOffset(c.s, 2, ignore_nulls=False)}


@st.composite
def anything(draw: st.DrawFn) -> Drawn:
    time = {"time": draw(st.one_of(st.none(), names))}
    time["time_format"] = draw(st.sampled_from([None, None, None, "yyyy-MM-dd", "yyyy-mm"]))
    parts: list[Any] = []
    for _ in range(draw(st.integers(1, 2))):
        output = draw(st.sampled_from(["o", "O2", "s", "version", "n-n"]))
        function = draw(st.sampled_from([make for make, _ in TAKES.values()]))(c[draw(names)])
        functions = paired(output, function) if draw(st.booleans()) else {output: function}
        groups = draw(st.lists(names, max_size=2))
        parts.append((groups, functions, draw(windows), f"OUT{draw(st.integers(0, 4))}"))
    return Drawn(draw(schemas()), time, parts)


@st.composite
def sensible(draw: st.DrawFn) -> Drawn:
    """Aggregates that make sense over their rows."""
    time = draw(st.sampled_from([{}, {"time": "l"}, {"time": "ms"}, TEXT]))
    declared = draw(schemas())
    columns = [name for name in fields(declared) if name in SCALARS]
    parts: list[Any] = []
    for number in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(columns))
        family = column_type(COLUMNS[name]).family
        function = draw(st.sampled_from([make for make, takes in TAKES.values() if takes is None or family in takes]))
        functions = paired("o", function(c[name])) if draw(st.booleans()) else {"o": function(c[name])}
        groups = draw(st.lists(st.sampled_from(columns), max_size=2, unique=True))
        parts.append((groups, functions, draw(windows), f"OUT{number}"))
    return Drawn(declared, time, parts)


def records(given: dict[str, Any]) -> st.SearchStrategy[list[Record]]:
    values = {
        field["name"]: (
            st.one_of(st.none(), DRAWN[field["name"]]) if isinstance(field["type"], list) else DRAWN[field["name"]]
        )
        for field in given["fields"]
    }
    few = {name: st.lists(value, min_size=3, max_size=3) for name, value in values.items()}
    return st.fixed_dictionaries(few).flatmap(
        lambda drawn: st.lists(
            st.fixed_dictionaries({n: st.sampled_from(v) for n, v in drawn.items()}), min_size=50, max_size=50
        )
    )


async def run(results: Sequence[StreamType], rows: list[Record]) -> tuple[int, int]:
    """Feed the records, half of them one by one and half in one batch; how many results, how many dead letters."""
    async with running(*results).running() as app:
        values = [app.encode("rows", row) for row in rows]
        for place, value in enumerate(values[:25]):
            await app.feed("rows", b"k", value, place)
        rest = values[25:]
        await app.feed_batch(RecordBatch("rows", 0, range(25, 50), range(25, 50), [b"k"] * len(rest), list(rest)))
        count = 0
        for result in results:
            found = await app.rows(result.name)
            count += len(found)
            assert all(row is None or row.keys() == set(fields(result.topic.schema or {})) for _, row in found)
        return count, len(await app.rows("pipeline-dead-letters"))


@settings(max_examples=300)
@given(anything())
def test_any_declaration_is_taken_or_refused_in_a_sentence(drawn: Drawn) -> None:
    try:
        Application("drawn", *drawn.results())
    except SettingError as error:
        assert SENTENCE.fullmatch(str(error)), str(error)


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=50, deadline=None, suppress_health_check=SLOW)
@given(anything(), st.data())
def test_a_declaration_that_is_not_refused_takes_any_record(drawn: Drawn, data: st.DataObject) -> None:
    try:
        results = drawn.results()
        Application("drawn", *results)
    except SettingError:
        return
    _runs(drawn, results, data.draw(records(drawn.schema)))


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(sensible(), st.data())
def test_a_declaration_that_makes_sense_is_taken_and_takes_any_record(drawn: Drawn, data: st.DataObject) -> None:
    _runs(drawn, drawn.results(), data.draw(records(drawn.schema)))


@settings(max_examples=200)
@given(schemas(), st.data())
def test_a_function_on_a_type_that_it_cannot_hold_is_refused(given: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(fields(given)))
    kind = column_types(given)[name]
    wrong = [make for make, takes in TAKES.values() if takes is not None and kind.family not in takes]
    if not wrong:
        return
    function = data.draw(st.sampled_from(wrong))(c[name])
    with pytest.raises(SettingError) as refused:
        Drawn(given, {}, [(["s"], {"o": function}, None, "OUT")]).results()
    expected = (
        rf"stream rows, to OUT, .+: \w+ is of column {name}, which is of type {re.escape(kind.name)}, but must be of"
    )
    assert re.match(expected, str(refused.value))


@settings(max_examples=200)
@given(schemas(), st.data())
def test_a_column_without_event_times_is_refused_as_one(given: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(fields(given)))
    pattern = data.draw(st.sampled_from([None, "yyyy-MM-dd"]))
    right = name == "s" if pattern is not None else name in ("l", "ms", "us", "lms", "lus")
    try:
        Stream("rows", given, key="s", time=name, time_format=pattern)
    except SettingError as error:
        assert not right
        assert f"event_time {name} of topic rows is of type {column_types(given)[name].name}, but" in str(error)
    else:
        assert right


def _runs(drawn: Drawn, results: Sequence[StreamType], rows: list[Record]) -> None:
    found, letters = asyncio.run(run(results, rows))
    if drawn.time.get("time") is None:
        assert letters == 0
        assert found > 0 or all(None in [row[n] for n in groups] for row in rows for groups, *_ in drawn.parts)


def test_all_columns_are_drawn() -> None:
    assert DRAWN.keys() == COLUMNS.keys()
    assert COMPOUND.keys() <= OTHERS.keys()
