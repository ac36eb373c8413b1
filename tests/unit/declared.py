"""Shared by the tests of declarations: topics with columns of all types, and topologies run over records of theirs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from pipeline.codecs import Record
from pipeline.runner.cases import actual
from pipeline.runner.local import topology_application
from pipeline.settings import load
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.functions import Count
from pipeline.tables.windows import Unwindowed, Window
from pipeline.topics import Kind, Topic
from pipeline.topology import Aggregation, Topology

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
FIXED_DECIMAL = {"type": "fixed", "name": "money", "size": 8, "logicalType": "decimal", "precision": 18, "scale": 3}
SCALARS: dict[str, Any] = {
    "s": "string",
    "i": "int",
    "l": "long",
    "f": "float",
    "d": "double",
    "b": "boolean",
    "raw": "bytes",
    "dec": DECIMAL,
    "fdec": FIXED_DECIMAL,
    "u": {"type": "string", "logicalType": "uuid"},
    "day": {"type": "int", "logicalType": "date"},
    "tms": {"type": "int", "logicalType": "time-millis"},
    "tus": {"type": "long", "logicalType": "time-micros"},
    "ms": {"type": "long", "logicalType": "timestamp-millis"},
    "us": {"type": "long", "logicalType": "timestamp-micros"},
    "lms": {"type": "long", "logicalType": "local-timestamp-millis"},
    "lus": {"type": "long", "logicalType": "local-timestamp-micros"},
    "e": {"type": "enum", "name": "colour", "symbols": ["RED", "GREEN", "BLUE"]},
    "x": {"type": "fixed", "name": "four", "size": 4},
}
COMPOUND: dict[str, Any] = {
    "list": {"type": "array", "items": "string"},
    "dict": {"type": "map", "values": "long"},
    "rec": {"type": "record", "name": "inner", "fields": [{"name": "a", "type": "string"}]},
    "either": ["null", "string", "long"],
}
COLUMNS = {**SCALARS, **COMPOUND}

DATES = st.dates()
MOMENTS = st.datetimes(min_value=datetime(1, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
NAIVE = st.datetimes()


def whole_ms(moment: Any) -> Any:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "s": st.text(),
    "i": st.integers(-(1 << 31), (1 << 31) - 1),
    "l": st.integers(-(1 << 63), (1 << 63) - 1),
    "f": st.floats(width=32, allow_nan=False),
    "d": st.floats(allow_nan=False),
    "b": st.booleans(),
    "raw": st.binary(max_size=12),
    "dec": st.decimals(places=2, allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40),
    "fdec": st.decimals(places=3, allow_nan=False, allow_infinity=False),
    "u": st.uuids(),
    "day": DATES,
    "tms": st.times().map(whole_ms),
    "tus": st.times(),
    "ms": MOMENTS.map(whole_ms),
    "us": MOMENTS,
    "lms": NAIVE.map(whole_ms),
    "lus": NAIVE,
    "e": st.sampled_from(["RED", "GREEN"]),
    "x": st.binary(min_size=4, max_size=4),
}
"""Values of each scalar column, all of them."""
OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "list": st.lists(st.text(max_size=3), max_size=3),
    "dict": st.dictionaries(st.text(max_size=3), st.integers(-5, 5), max_size=3),
    "rec": st.fixed_dictionaries({"a": st.text(max_size=3)}),
    "either": st.one_of(st.text(max_size=3), st.integers(-5, 5)),
    "d": st.floats(),
    "f": st.floats(width=32),
}
"""Values of the others, and doubles that JSON has not."""


def topic(columns: Mapping[str, Any] = COLUMNS, **settings: Any) -> Topic:
    """An event topic of nullable columns."""
    fields = [
        {"name": name, "type": kind if isinstance(kind, list) else ["null", kind], "default": None}
        for name, kind in columns.items()
    ]
    schema = {"type": "record", "name": "row", "namespace": "tests", "fields": fields}
    return Topic("rows", Kind.EVENT, key="s", schema=schema, **settings)


def by(column: str, function: Any = None, window: Window | None = None, name: str = "agg") -> Aggregate:
    """An aggregate of the topic's rows into a topic of its own."""
    return Aggregate(name, column, function or Count("n"), f"OUT_{name}", window or Unwindowed())


async def fed(topology: Topology, records: Sequence[Record], first_ms: int = 0) -> dict[str, list[dict[str, Any]]]:
    """What lies in each output topic after these records, one by one, as the test runner shows it; and dead letters."""
    async with topology_application(load(), topology).running() as app:
        source = topology.aggregations[0].source
        for place, record in enumerate(records):
            await app.feed(source.name, b"k", app.encode(source.name, record), first_ms + place)
        names = [*(output.name for output in topology.outputs), "pipeline-dead-letters"]
        return {name: await actual(app, name) for name in names}


async def results(aggregate: Aggregate, *records: Record, source: Topic | None = None) -> list[tuple[Any, ...]]:
    """(key, group, the function's columns) of each result of one aggregate."""
    topology = Topology("test", Aggregation(source or topic(), aggregate))
    out = await fed(topology, records)
    assert out["pipeline-dead-letters"] == []
    names = [field["name"] for field in aggregate.function.fields()]
    return [
        (row["key"], *(row["value"][name] for name in aggregate.group_columns), *(row["value"][name] for name in names))
        for row in out[aggregate.output]
    ]
