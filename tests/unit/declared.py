"""Shared by the tests of declarations: streams with columns of all types, and applications run over rows of theirs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from pipeline import Application, Count, Stream, c
from pipeline.applications.loading import declared
from pipeline.codecs import Record
from pipeline.declare.aggregates import Aggregated
from pipeline.declare.fluent import Stream as StreamType
from pipeline.runner.cases import actual
from pipeline.runner.local import LocalApplication
from pipeline.settings import Settings
from pipeline.tables.windows import Window

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


def schema_of(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The Avro schema of a row of nullable columns."""
    fields = [
        {"name": name, "type": kind if isinstance(kind, list) else ["null", kind], "default": None}
        for name, kind in columns.items()
    ]
    return {"type": "record", "name": "row", "namespace": "tests", "fields": fields}


def stream(columns: Mapping[str, Any] = COLUMNS, **settings: Any) -> StreamType:
    """The stream `rows` of nullable columns, by the first of them."""
    return Stream("rows", schema_of(columns), key=next(iter(columns)), **settings)


def by(
    *columns: str, function: Aggregated | None = None, window: Window | None = None, source: StreamType | None = None
) -> StreamType:
    """One function, in the column `o`, of the groups of a stream's rows, in the topic OUT."""
    rows = stream() if source is None else source
    grouped = rows.group_by(*(c[name] for name in columns)).aggregate(o=function or Count())
    return (grouped if window is None else grouped.window(window)).to("OUT")


def running(*results: StreamType) -> LocalApplication:
    """The application of these results, not yet running."""
    return LocalApplication(Settings(), declared(Application("test", *results)))


async def fed(results: Sequence[StreamType], records: Sequence[Record], first_ms: int = 0) -> dict[str, list[Any]]:
    """What lies in each output topic after these rows, one by one, as the test runner shows it; and dead letters."""
    async with running(*results).running() as app:
        for place, record in enumerate(records):
            await app.feed("rows", b"k", app.encode("rows", record), first_ms + place)
        return {name: await actual(app, name) for name in (*(one.name for one in results), "pipeline-dead-letters")}
