"""Columns of Avro records as columns of Arrow, which DuckDB takes as they are.

Timestamps are TIMESTAMP in UTC, enums and UUIDs are VARCHAR, arrays are lists, maps are MAP, records are STRUCT. What
SQL has no type for, a union of several types, is a text in JSON.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import orjson
import pyarrow as pa

from pipeline.avro_schemas import Expansion, UnreadableSchema
from pipeline.codecs import schema
from pipeline.tables.types import column_type
from pipeline.topics import Schema

Convert = Callable[[Any], Any]

MOST_DIGITS = 38
"""Of a DECIMAL of DuckDB."""
EXACT = Context(prec=1_000)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
UNITS = {"millis": timedelta(milliseconds=1), "micros": timedelta(microseconds=1)}
SIMPLE: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "bytes": pa.binary(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type in Arrow, and what makes values of that type; None where they are so already.

    A decimal of a row itself is a text here, which DuckDB makes a number of: a writer may have more digits than the
    schema has. `scale` is that of its schema, `precision` its digits; None for all others.
    """

    name: str
    type: pa.DataType
    convert: Convert | None
    precision: int | None = None
    scale: int = 0

    def array(self, values: Sequence[Any]) -> pa.Array:
        """The values as a column; null stays null."""
        if self.convert is not None:
            convert = self.convert
            values = [None if value is None else convert(value) for value in values]
        return pa.array(values, type=self.type)


def columns_of(given: Schema) -> tuple[Column, ...]:
    """The columns of a record's schema."""
    expanded = _expanded(given)
    found = []
    for field in schema(given)["fields"] if expanded is None else expanded["fields"]:
        kind, convert = (pa.string(), _json) if expanded is None else _typed(field["type"])
        precision, scale = None, 0
        if pa.types.is_decimal(kind):
            precision, scale, kind, convert = kind.precision, kind.scale, pa.string(), lambda value: format(value, "f")
        found.append(Column(field["name"], kind, convert, precision, scale))
    return tuple(found)


def _expanded(given: Schema) -> dict[str, Any] | None:
    """The schema with every name written out; None where a record contains itself."""
    try:
        return dict(Expansion([]).whole(schema(given)))
    except UnreadableSchema:
        return None


def _typed(avro: Any) -> tuple[pa.DataType, Convert | None]:
    """The type of values of an expanded Avro type, and what makes values of it."""
    branches = [b for b in avro if b["type"] != "null"] if isinstance(avro, list) else [avro]
    if len(branches) != 1:
        return pa.string(), _json
    avro = branches[0]
    if avro["type"] == "array":
        item, convert = _typed(avro["items"])
        return pa.list_(item), _each(convert)
    if avro["type"] == "map":
        item, convert = _typed(avro["values"])
        one = convert or _same
        return pa.map_(pa.string(), item), lambda value: [(k, v if v is None else one(v)) for k, v in value.items()]
    if avro["type"] == "record":
        return _record(avro)
    family = column_type(avro).family
    if family == "decimal":
        precision, scale = min(avro["precision"], MOST_DIGITS), avro.get("scale", 0)
        return pa.decimal128(precision, scale), _rounded(scale)
    if family == "date":
        return pa.date32(), lambda value: value if isinstance(value, date) else date(1970, 1, 1) + timedelta(value)
    if family == "uuid":
        return pa.string(), str
    if family.startswith("time-"):
        return pa.time64("us"), _time(UNITS[family.rpartition("-")[2]])
    if "timestamp-" in family:
        return pa.timestamp("us"), _moment(UNITS[family.rpartition("-")[2]])
    return SIMPLE.get(family, pa.string()), None


def _record(avro: Mapping[str, Any]) -> tuple[pa.DataType, Convert]:
    parts = [(field["name"], *_typed(field["type"])) for field in avro["fields"]]
    made = [(name, convert or _same) for name, _, convert in parts]

    def convert(value: Mapping[str, Any]) -> dict[str, Any]:
        return {name: None if value.get(name) is None else one(value[name]) for name, one in made}

    return pa.struct([(name, kind) for name, kind, _ in parts]), convert


def _each(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda values: [None if value is None else convert(value) for value in values]


def _rounded(scale: int) -> Convert:
    least = Decimal(1).scaleb(-scale)
    return lambda value: value.quantize(least, ROUND_HALF_UP, EXACT)


def _moment(unit: timedelta) -> Convert:
    """Moments in UTC without a time zone."""

    def convert(value: datetime | int) -> datetime:
        if isinstance(value, int):
            return EPOCH + value * unit
        return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)

    return convert


def _time(unit: timedelta) -> Convert:
    return lambda value: value if isinstance(value, time) else (EPOCH + value * unit).time()


def _same(value: Any) -> Any:
    return value


def _json(value: Any) -> str:
    """A text for what SQL has no type for; equal values have equal ones."""
    return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()
