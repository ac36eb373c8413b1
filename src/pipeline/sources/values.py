"""Values as the driver gives them, as those of Avro's types: nothing is cut, rounded or wrapped around.

| column | Avro | value |
|---|---|---|
| DATETIME, TIMESTAMP | timestamp, local-timestamp | units since 1970, UTC; what is no date is null |
| DATETIME, TIMESTAMP | long without logical type | epoch milliseconds |
| DATE | date | a day; what is no date is null |
| TIME | time-millis, time-micros | a time of the day; one below 0 or of 24 hours and more does not fit |
| TINYINT, BIT(1) | boolean | 0 and 1; others do not fit |
| DECIMAL, whole numbers | decimal | exact |
| SET | string | with commas |
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pipeline.codecs import Record
from pipeline.tables.types import ColumnType
from pipeline.timebase import EPOCH, to_ms, to_us

Row = Mapping[str, Any]
Convert = Callable[[Any], Any]

MOMENTS = ("datetime", "timestamp")


def converters(columns: Mapping[str, ColumnType], kinds: Mapping[str, str]) -> dict[str, Convert]:
    """The functions of the columns whose values are not taken as they are; `kinds` are those of the database, if known.

    They are given no nulls, and raise ValueError for what does not fit.
    """
    found = {name: _converter(kind, kinds.get(name, "")) for name, kind in columns.items()}
    return {name: convert for name, convert in found.items() if convert is not None}


def record_of(row: Row, convert: Mapping[str, Convert]) -> Record:
    """A row as its record; raises ValueError where a value does not fit."""
    record = dict(row)
    for name, change in convert.items():
        value = record.get(name)
        if value is not None:
            record[name] = change(value)
    return record


def _converter(kind: ColumnType, sql: str) -> Convert | None:
    match kind.family:
        case "timestamp-millis" | "local-timestamp-millis":
            return _millis
        case "timestamp-micros" | "local-timestamp-micros":
            return _micros
        case "long" if sql in MOMENTS:
            return _millis
        case "date":
            return _day
        case "time-millis" | "time-micros":
            return _time
        case "boolean":
            return _truth
        case "decimal":
            return _decimal
        case "string":
            return _text
    return None


def _millis(value: Any) -> int | None:
    """The driver gives zero dates, and days that there are not, as text."""
    return to_ms(value) if isinstance(value, datetime) else None


def _micros(value: Any) -> int | None:
    return to_us(value) if isinstance(value, datetime) else None


def _day(value: Any) -> date | None:
    return value if isinstance(value, date) else None


def _time(value: Any) -> Any:
    if not isinstance(value, timedelta) or not timedelta(0) <= value < timedelta(days=1):
        raise ValueError(f"{value} is no time of a day")
    return (EPOCH + value).time()


def _truth(value: Any) -> bool:
    number = int.from_bytes(value, "big") if isinstance(value, bytes) else value
    if number not in (0, 1):
        raise ValueError(f"{value!r} is neither 0 nor 1")
    return bool(number)


def _decimal(value: Any) -> Any:
    return Decimal(value) if type(value) is int else value


def _text(value: Any) -> Any:
    return ",".join(sorted(value)) if isinstance(value, set | frozenset) else value
