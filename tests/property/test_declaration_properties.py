"""Any declaration over any schema is refused in a sentence, or runs: the test runner's path takes its records."""

import asyncio
import dataclasses
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from declared import COLUMNS, COMPOUND, OTHERS, SCALARS, VALUES, topic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.codecs import Record, fields, schema
from pipeline.declarations import column_types
from pipeline.errors import SettingError
from pipeline.records import RecordBatch
from pipeline.runner.local import topology_application
from pipeline.settings import load
from pipeline.tables import functions as f
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.types import column_type
from pipeline.tables.windows import Hopping, Session, Tumbling, Unwindowed
from pipeline.topics import Topic
from pipeline.topology import Aggregation, Topology

SENTENCE = re.compile(
    r"topology \S+(, aggregation \S+(, (aggregate|topic) \S*(, output \S+)?)?)?: .+ must .+"
    r"|(Min|Max|\w+ByOffset|TopK\w*|Collect\w+): type is .+ must be .+|Several: .+ must be .+",
    re.DOTALL,
)
TEXT = {"event_time": "s", "event_time_format": "yyyy-MM-dd"}
SCALAR_FAMILIES = f.CountDistinct.TAKES
SUMMED = {"l": st.integers(-(1 << 55), 1 << 55), "dec": st.decimals(-9999, 9999, places=2)}
SUMMED["fdec"] = st.decimals(-(10**14), 10**14, places=3)
"""Values of which fifty can be summed: what a sum's column cannot hold has tests of its own."""
DRAWN = {**VALUES, **OTHERS, **SUMMED}

names = st.sampled_from([*COLUMNS, "missing"])
types = st.sampled_from([*COLUMNS.values()])
windows = st.sampled_from(
    [Unwindowed(), Tumbling(1_000), Tumbling(60_000, grace_ms=0), Hopping(1_000, 300), Session(10_000), Session(5, 0)]
)
Making = Callable[[], Aggregate]


def makers(name: str, output: str, kind: Any) -> dict[Any, tuple[Any, ...]]:
    """Every function of one column, with what it is made of."""
    return {
        f.Count: (output,),
        **dict.fromkeys(
            [f.CountValues, f.CountDistinct, f.SumLong, f.SumDouble, f.SumDecimal, f.Average], (name, output)
        ),
        **dict.fromkeys([f.Histogram, f.SampleVariance, f.StandardDeviation], (name, output)),
        **dict.fromkeys(
            [f.Min, f.Max, f.EarliestByOffset, f.LatestByOffset, f.CollectList, f.CollectSet], (name, output, kind)
        ),
        **dict.fromkeys([f.TopK, f.TopKDistinct], (name, output, kind, 2)),
        f.Correlation: (name, name, output),
        f.TopKRows: (name, output, kind, 2, ((name, kind), ("s", "string"))),
    }


def paired(function: Callable[..., Any], *parts: Any) -> Any:
    """The function, beside a count and the first values of a column."""
    return f.Several((f.Count("rows"), function(*parts), f.EarliestByOffset("s", "first", "string", 2, False)))


@st.composite
def sources(draw: st.DrawFn, **settings: Any) -> Topic:
    """A topic with some of the columns, of which some take no null."""
    chosen = draw(st.sets(st.sampled_from(list(COLUMNS)), min_size=3)) | {"s", "l", "ms"}
    source = topic({name: COLUMNS[name] for name in COLUMNS if name in chosen}, **settings)
    declared = schema(source.schema or {})
    drawn = []
    for field in declared["fields"]:
        required = field["name"] != "either" and draw(st.booleans())
        drawn.append({"name": field["name"], "type": field["type"][1]} if required else field)
    return dataclasses.replace(source, schema={**declared, "fields": drawn})


@st.composite
def anything(draw: st.DrawFn) -> tuple[Topic, list[Making]]:
    """A source, and what makes its aggregates: making them may be refused already."""
    source = draw(
        sources(
            event_time=draw(st.one_of(st.none(), names)),
            event_time_format=draw(st.sampled_from([None, None, None, "yyyy-MM-dd", "yyyy-mm"])),
        )
    )
    making: list[Making] = []
    for _ in range(draw(st.integers(1, 2))):
        name, output = draw(names), draw(st.sampled_from(["o", "O2", "s", "version", "n-n"]))
        kind = draw(st.one_of(types, st.just(COLUMNS.get(name))))
        function, parts = draw(st.sampled_from(list(makers(name, output, kind).items())))
        if draw(st.booleans()):
            function, parts = paired, (function, *parts)
        making.append(
            partial(
                _aggregate,
                draw(st.sampled_from("abc")),
                draw(st.one_of(names, st.lists(names, max_size=2).map(tuple))),
                partial(function, *parts),
                f"OUT{draw(st.integers(0, 4))}",
                draw(windows),
            )
        )
    return source, making


@st.composite
def sensible(draw: st.DrawFn) -> tuple[Topic, list[Making]]:
    """A source, and aggregates that make sense over it."""
    time = draw(st.sampled_from([{}, {"event_time": "l"}, {"event_time": "ms"}, TEXT]))
    source = draw(sources(**time))
    columns = [name for name in fields(source.schema or {}) if name in SCALARS]
    making: list[Making] = []
    for number in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(columns))
        fitting = {
            made: parts
            for made, parts in makers(name, "o", COLUMNS[name]).items()
            if made is f.Count or column_type(COLUMNS[name]).family in getattr(made, "TAKES", SCALAR_FAMILIES)
        }
        function, parts = draw(st.sampled_from(list(fitting.items())))
        if draw(st.booleans()):
            function, parts = paired, (function, *parts)
        group = draw(st.one_of(st.sampled_from(columns), st.lists(st.sampled_from(columns), max_size=2, unique=True)))
        making.append(
            partial(_aggregate, f"a{number}", group, partial(function, *parts), f"OUT{number}", draw(windows))
        )
    return source, making


def _aggregate(name: str, group: Any, make: Callable[[], Any], output: str, window: Any) -> Aggregate:
    return Aggregate(name, group, make(), output, window)


def records(source: Topic) -> st.SearchStrategy[list[Record]]:
    values = {
        field["name"]: (
            st.one_of(st.none(), DRAWN[field["name"]]) if isinstance(field["type"], list) else DRAWN[field["name"]]
        )
        for field in schema(source.schema or {})["fields"]
    }
    few = {name: st.lists(value, min_size=3, max_size=3) for name, value in values.items()}
    return st.fixed_dictionaries(few).flatmap(
        lambda drawn: st.lists(
            st.fixed_dictionaries({n: st.sampled_from(v) for n, v in drawn.items()}), min_size=50, max_size=50
        )
    )


async def run(topology: Topology, source: Topic, rows: list[Record]) -> tuple[int, int]:
    """Feed the records, half of them one by one and half in one batch; how many results, how many dead letters."""
    async with topology_application(load(), topology).running() as app:
        values = [app.encode(source.name, row) for row in rows]
        for place, value in enumerate(values[:25]):
            await app.feed(source.name, b"k", value, place)
        rest = values[25:]
        await app.feed_batch(RecordBatch(source.name, 0, range(25, 50), range(25, 50), [b"k"] * len(rest), list(rest)))
        results = 0
        for output in topology.outputs:
            found = await app.rows(output.name)
            results += len(found)
            assert all(row is None or row.keys() == set(fields(output.schema or {})) for _, row in found)
        return results, len(await app.rows("pipeline-dead-letters"))


@settings(max_examples=300)
@given(anything())
def test_any_declaration_is_taken_or_refused_in_a_sentence(declared: tuple[Topic, list[Making]]) -> None:
    source, making = declared
    try:
        Topology("drawn", Aggregation(source, *(make() for make in making)))
    except SettingError as error:
        assert SENTENCE.fullmatch(str(error)), str(error)


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=50, deadline=None, suppress_health_check=SLOW)
@given(anything(), st.data())
def test_a_declaration_that_is_not_refused_takes_any_record(
    declared: tuple[Topic, list[Making]], data: st.DataObject
) -> None:
    try:
        aggregates = [make() for make in declared[1]]
        topology = Topology("drawn", Aggregation(declared[0], *aggregates))
    except SettingError:
        return
    _runs(topology, aggregates, data.draw(records(declared[0])))


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
@given(sensible(), st.data())
def test_a_declaration_that_makes_sense_is_taken_and_takes_any_record(
    declared: tuple[Topic, list[Making]], data: st.DataObject
) -> None:
    aggregates = [make() for make in declared[1]]
    topology = Topology("drawn", Aggregation(declared[0], *aggregates))
    _runs(topology, aggregates, data.draw(records(declared[0])))


@settings(max_examples=200)
@given(sources(), st.data())
def test_a_function_on_a_type_that_it_cannot_hold_is_refused(source: Topic, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(fields(source.schema or {})))
    kind = column_types(source.schema or {})[name]
    declared = kind.avro if kind.is_scalar else "string"
    wrong = [
        (made, parts)
        for made, parts in makers(name, "o", declared).items()
        if kind.family not in getattr(made, "TAKES", {kind.family})
    ]
    if not wrong:
        return
    function, parts = data.draw(st.sampled_from(wrong))
    with pytest.raises(SettingError) as refused:
        Topology("drawn", Aggregation(source, Aggregate("a", "s", function(*parts), "OUT", Unwindowed())))
    expected = (
        f"aggregate a: {function.__name__} is of column {name}, which is of type {kind.name}, but must be of type"
    )
    assert expected in str(refused.value)


@settings(max_examples=200)
@given(sources(), st.data())
def test_a_column_without_event_times_is_refused_as_one(source: Topic, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(fields(source.schema or {})))
    pattern = data.draw(st.sampled_from([None, "yyyy-MM-dd"]))
    timed = dataclasses.replace(source, event_time=name, event_time_format=pattern)
    right = name == "s" if pattern is not None else name in ("l", "ms", "us", "lms", "lus")
    try:
        Topology("drawn", Aggregation(timed, Aggregate("a", "s", f.Count("o"), "OUT", Unwindowed())))
    except SettingError as error:
        assert not right
        assert f"event_time {name} of topic rows is of type {column_types(source.schema or {})[name].name}, but" in str(
            error
        )
    else:
        assert right


def _runs(topology: Topology, aggregates: list[Aggregate], rows: list[Record]) -> None:
    source = topology.aggregations[0].source
    results, letters = asyncio.run(run(topology, source, rows))
    if source.event_time is None:
        assert letters == 0
        assert results > 0 or all(None in [row[n] for n in a.group_columns] for row in rows for a in aggregates)


def test_all_columns_are_drawn() -> None:
    assert DRAWN.keys() == COLUMNS.keys()
    assert COMPOUND.keys() <= OTHERS.keys()
