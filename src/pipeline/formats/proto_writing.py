"""Records as the messages that `proto_schema.py` derives: fields are numbered from 1 in the order of the columns."""

import struct
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pipeline.formats.misfit import Misfit
from pipeline.formats.proto_schema import DEFAULTS, SCALARS, message_type
from pipeline.formats.proto_wire import I32, I64, LEN, VARINT, lengthened, varint
from pipeline.formats.reading import Convert, reader
from pipeline.formats.shape import Column, Kind
from pipeline.formats.writing import (
    checked_bytes,
    checked_count,
    checked_decimal,
    checked_double,
    checked_uuid,
    value_of,
    whole_checker,
)
from pipeline.tables.types import DAY_0, unscaled

Write = Callable[[Any], bytes]

PACK_DOUBLE, PACK_FLOAT = struct.Struct("<d").pack, struct.Struct("<f").pack
CHECKS: Mapping[str, Callable[[Kind], Convert]] = {
    "string": reader,
    "enum": reader,
    "uuid": checked_uuid,
    "boolean": reader,
    "int": whole_checker,
    "long": whole_checker,
    "float": checked_double,
    "double": checked_double,
    "bytes": checked_bytes,
    "fixed": checked_bytes,
}
FORMS: Mapping[str, tuple[int, Write]] = {
    "string": (LEN, str.encode),
    "bytes": (LEN, bytes),
    "bool": (VARINT, varint),
    "int32": (VARINT, varint),
    "int64": (VARINT, varint),
    "double": (I64, PACK_DOUBLE),
    "float": (I32, PACK_FLOAT),
}
ABSENT = {kind: write(DEFAULTS.get(kind, 0)) for kind, (_, write) in FORMS.items()}
"""The values that a field without `optional` does not write; -0.0 is not among them."""


def message_writer(columns: tuple[Column, ...]) -> Callable[[Mapping[str, Any]], bytes]:
    """The function from a record to its message; it raises Misfit."""
    writers = [(column, _field_writer(column, number)) for number, column in enumerate(columns, 1)]

    def write(record: Mapping[str, Any]) -> bytes:
        parts = []
        for column, write_field in writers:
            try:
                value = value_of(column, record)
                if value is not None:
                    parts.append(write_field(value))
                elif not column.nullable:
                    raise Misfit(None, column.kind, "there: the column takes no null")
            except Misfit as misfit:
                raise misfit.inside(column.name) from None
        return b"".join(parts)

    return write


def _field_writer(column: Column, number: int) -> Write:
    kind = column.kind
    if kind.family == "array":
        return _array_writer(kind, number)
    if kind.family == "map":
        return _map_writer(kind, number)
    wire, write = _value_writer(kind)
    tag = varint(number << 3 | wire)
    left_out = None if column.nullable or kind.family not in SCALARS else ABSENT[SCALARS[kind.family]]

    def one(value: Any) -> bytes:
        raw = write(value)
        if raw == left_out:
            return b""
        return tag + (varint(len(raw)) + raw if wire == LEN else raw)

    return one


def _value_writer(kind: Kind) -> tuple[int, Write]:
    """The wire type of a kind that is no array or map, and the function to its bytes without tag and length."""
    if kind.family in SCALARS:
        wire, form = FORMS[SCALARS[kind.family]]
        check = CHECKS[kind.family](kind)
        return wire, lambda value: form(check(value))
    if kind.family == "record":
        write = message_writer(kind.columns)

        def record(value: Any) -> bytes:
            if not isinstance(value, Mapping):
                raise Misfit(value, kind, "a record")
            return write(value)

        return LEN, record
    return LEN, _message_writer(kind)


def _array_writer(kind: Kind, number: int) -> Write:
    assert kind.item is not None
    item = kind.item.kind
    wire, write = _value_writer(item)

    def array(value: Any) -> bytes:
        if not isinstance(value, list | tuple):
            raise Misfit(value, kind, "a list")
        parts = []
        for place, element in enumerate(value):
            try:
                parts.append(write(_there(element, item)))
            except Misfit as misfit:
                raise misfit.inside(f"[{place}]") from None
        if wire == LEN:
            return b"".join(lengthened(number, raw) for raw in parts)
        return lengthened(number, b"".join(parts)) if parts else b""

    return array


def _map_writer(kind: Kind, number: int) -> Write:
    assert kind.item is not None
    item = kind.item.kind
    wire, write = _value_writer(item)
    tag = varint(2 << 3 | wire)

    def mapping(value: Any) -> bytes:
        if not isinstance(value, Mapping):
            raise Misfit(value, kind, "a mapping")
        entries = []
        for name, element in value.items():
            if type(name) is not str:
                raise Misfit(name, kind, "a mapping of texts")
            try:
                raw = write(_there(element, item))
            except Misfit as misfit:
                raise misfit.inside(f"[{name!r}]") from None
            entry = lengthened(1, name.encode()) + tag + (varint(len(raw)) + raw if wire == LEN else raw)
            entries.append(lengthened(number, entry))
        return b"".join(entries)

    return mapping


def _there(value: Any, kind: Kind) -> Any:
    if value is None:
        raise Misfit(None, kind, "there: the items of Protobuf's arrays and maps take no null")
    return value


def _message_writer(kind: Kind) -> Write:
    if kind.family == "decimal":
        return _decimal_writer(kind)
    count = checked_count(kind)
    if kind.family == "date":
        return lambda value: _date(count(value))
    unit = 1_000 if kind.family.endswith("micros") else 1_000_000
    parts = _time if message_type(kind.family) == message_type("time-millis") else _timestamp
    return lambda value: parts(count(value) * unit)


def _decimal_writer(kind: Kind) -> Write:
    check, precision, scale = checked_decimal(kind), kind.avro["precision"], kind.avro.get("scale", 0)

    def write(value: Decimal) -> bytes:
        units = unscaled(check(value), scale)
        raw = units.to_bytes(units.bit_length() // 8 + 1, "big", signed=True)
        return lengthened(1, raw) + _numbers({2: precision, 3: scale})

    return write


def _date(days: int) -> bytes:
    day = DAY_0 + timedelta(days=days)
    return _numbers({1: day.year, 2: day.month, 3: day.day})


def _time(nanos: int) -> bytes:
    seconds, rest = divmod(nanos, 1_000_000_000)
    return _numbers({1: seconds // 3600, 2: seconds // 60 % 60, 3: seconds % 60, 4: rest})


def _timestamp(nanos: int) -> bytes:
    seconds, rest = divmod(nanos, 1_000_000_000)
    return _numbers({1: seconds, 2: rest})


def _numbers(fields: Mapping[int, int]) -> bytes:
    """Whole numbers as fields of a message; those that are 0 are left out."""
    return b"".join(varint(number << 3 | VARINT) + varint(value) for number, value in fields.items() if value)
