"""Values of Avro's types as Python's: times in any unit, defaults, and what is done with each part of a record."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pipeline.tables.types import LOGICAL, column_type
from pipeline.timebase import EPOCH

Convert = Callable[[Any], Any]

UNITS = {
    "date": timedelta(days=1),
    "timestamp-millis": timedelta(milliseconds=1),
    "timestamp-micros": timedelta(microseconds=1),
    "local-timestamp-millis": timedelta(milliseconds=1),
    "local-timestamp-micros": timedelta(microseconds=1),
}
"""Logical types that are a count of units since 1970; local ones are taken as UTC."""


def to_time(unit: timedelta, logical: str) -> Convert:
    """A count of units as the reader's date or time; finer parts are cut off, never rounded."""
    if logical == "date":
        return lambda count: (EPOCH + count * unit).date()
    local, step = logical.startswith("local-"), UNITS[logical]

    def convert(count: int) -> datetime:
        moment = EPOCH + (count * unit) // step * step
        return moment.replace(tzinfo=None) if local else moment

    return convert


def each(convert: Convert | None) -> Convert | None:
    """The conversion of every item of an array."""
    return None if convert is None else lambda values: [convert(value) for value in values]


def each_value(convert: Convert | None) -> Convert | None:
    """The conversion of every value of a map."""
    return None if convert is None else lambda values: {key: convert(value) for key, value in values.items()}


def unless_null(convert: Convert | None) -> Convert | None:
    """The conversion of what may be null."""
    return None if convert is None else lambda value: None if value is None else convert(value)


def on_record(converts: Mapping[str, Convert], defaults: Mapping[str, Any]) -> Convert | None:
    """Converts some fields of a record, and adds those that the writer did not have."""
    if not converts and not defaults:
        return None
    fixed = {name: value for name, value in defaults.items() if not isinstance(value, list | dict)}
    made = {name: value for name, value in defaults.items() if name not in fixed}

    def convert(record: dict[str, Any]) -> dict[str, Any]:
        for name, change in converts.items():
            record[name] = change(record[name])
        return {**record, **fixed, **deepcopy(made)}

    return convert


def default_value(schema: Any, default: Any) -> Any:
    """A field's default, which is JSON, as the value of its type (an expanded schema)."""
    if isinstance(schema, list):
        schema = next((branch for branch in schema if (branch["type"] == "null") == (default is None)), schema[0])
    kind, logical = schema["type"], schema.get("logicalType")
    if default is None:
        return None
    if kind in ("bytes", "fixed"):
        raw = str(default).encode("latin-1")
        number = int.from_bytes(raw, "big", signed=True)
        return Decimal(number).scaleb(-schema.get("scale", 0)) if logical == "decimal" else raw
    if kind in ("float", "double"):
        return float(default)
    if logical in UNITS and isinstance(default, int):
        return to_time(UNITS[logical], logical)(default)
    if logical in ("uuid", "time-millis", "time-micros") and logical in LOGICAL.get(kind, ()):
        return column_type(schema).value(default)
    if kind == "record":
        return {f["name"]: default_value(f["type"], default.get(f["name"], f.get("default"))) for f in schema["fields"]}
    if kind == "array":
        return [default_value(schema["items"], value) for value in default]
    if kind == "map":
        return {key: default_value(schema["values"], value) for key, value in default.items()}
    return default
