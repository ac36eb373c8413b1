"""Values of each type to JSON's: the way back of `reading.py`.

What fastavro takes is taken: dates, times and timestamps may also be whole numbers of their unit already.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

import orjson

from pipeline.formats.misfit import Misfit
from pipeline.formats.reading import FLOAT, Convert, decimal_reader, missing, reader, sized
from pipeline.formats.shape import MISSING, Column, Kind, Part
from pipeline.tables.limits import LARGEST_FLOAT


def writer(kind: Kind) -> Convert:
    """The function from Python's value, never null, to JSON's, as orjson writes it; it raises Misfit."""
    return WRITERS.get(kind.family, _count_writer)(kind)


def part_writer(part: Part) -> Convert:
    """The same for what may be null."""
    write, kind, nullable = writer(part.kind), part.kind, part.nullable

    def convert(value: Any) -> Any:
        if value is not None:
            return write(value)
        if nullable:
            return None
        raise Misfit(None, kind, "there: the column takes no null")

    return convert


def value_of(column: Column, record: Mapping[str, Any]) -> Any:
    """A record's value of a column, or the column's default; raises Misfit where there is neither."""
    value = record.get(column.name, MISSING)
    return missing(column) if value is MISSING else value


def record_writer(columns: tuple[Column, ...], kind: Kind | None = None) -> Convert:
    """Records as objects; what is in them besides the columns is left out, as fastavro does."""
    parts = [(column, part_writer(Part(column.kind, column.nullable))) for column in columns]

    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            if kind is None:
                raise TypeError(f"{value!r} is no record")
            raise Misfit(value, kind, "a record")
        written = {}
        for column, write in parts:
            try:
                written[column.name] = write(value_of(column, value))
            except Misfit as misfit:
                raise misfit.inside(column.name) from None
        return written

    return convert


def checked_double(kind: Kind) -> Convert:
    """Numbers as floats that the type holds, infinities and NaN among them; raises Misfit."""
    is_double = kind.family == "double"

    def check(value: Any) -> float:
        if type(value) not in (int, float):
            raise Misfit(value, kind, "a number")
        try:
            number = float(value)
        except OverflowError:
            raise Misfit(value, kind, "a number that a double holds") from None
        if not is_double and isfinite(number):
            if abs(number) >= LARGEST_FLOAT:
                raise Misfit(value, kind, "a number that a float of 32 bits holds")
            return float(FLOAT.unpack(FLOAT.pack(number))[0])
        return number

    return check


def checked_count(kind: Kind) -> Convert:
    """Dates, times and timestamps as the whole number of their unit; raises Misfit."""
    check, plain, family = reader(kind), kind.column.plain, kind.family
    takes = (date,) if family == "date" else (time,) if family.startswith("time-") else (datetime,)

    def write(value: Any) -> int:
        if type(value) is not int and not isinstance(value, takes):
            raise Misfit(value, kind, f"a {takes[0].__name__} or a whole number of its unit")
        count = int(plain([value])[0])
        check(count)
        return count

    return write


def checked_decimal(kind: Kind) -> Callable[[Any], Decimal]:
    """Decimals with all the digits of their scale; raises Misfit."""
    check = decimal_reader(kind)

    def write(value: Any) -> Decimal:
        if type(value) is not Decimal:
            raise Misfit(value, kind, "a Decimal")
        found: Decimal = check(value)
        return found

    return write


def checked_bytes(kind: Kind) -> Callable[[Any], bytes]:
    """Bytes of the type's size; raises Misfit."""
    size = kind.avro["size"] if kind.family == "fixed" else None

    def check(value: Any) -> bytes:
        if not isinstance(value, bytes | bytearray):
            raise Misfit(value, kind, "bytes")
        return sized(bytes(value), kind, size)

    return check


def checked_uuid(kind: Kind) -> Callable[[Any], str]:
    """UUIDs as their texts; raises Misfit."""
    check = reader(kind)
    return lambda value: str(value if isinstance(value, UUID) else check(value))


def whole_checker(kind: Kind) -> Convert:
    """Whole numbers of int or long; raises Misfit."""
    check = reader(kind)

    def write(value: Any) -> int:
        if type(value) is not int:
            raise Misfit(value, kind, "a whole number")
        return int(check(value))

    return write


def _double_writer(kind: Kind) -> Convert:
    check = checked_double(kind)

    def write(value: Any) -> float:
        number: float = check(value)
        if not isfinite(number):
            raise Misfit(value, kind, "a finite number: this format has no other")
        return number

    return write


def _decimal_writer(kind: Kind) -> Convert:
    check = checked_decimal(kind)
    return lambda value: orjson.Fragment(format(check(value), "f"))


def _bytes_writer(kind: Kind) -> Convert:
    check = checked_bytes(kind)
    return lambda value: b64encode(check(value)).decode()


def _count_writer(kind: Kind) -> Convert:
    return checked_count(kind)


def _array_writer(kind: Kind) -> Convert:
    assert kind.item is not None
    write = part_writer(kind.item)

    def convert(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise Misfit(value, kind, "a list")
        written = []
        for place, item in enumerate(value):
            try:
                written.append(write(item))
            except Misfit as misfit:
                raise misfit.inside(f"[{place}]") from None
        return written

    return convert


def _map_writer(kind: Kind) -> Convert:
    assert kind.item is not None
    write = part_writer(kind.item)

    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise Misfit(value, kind, "a mapping")
        written = {}
        for name, item in value.items():
            if type(name) is not str:
                raise Misfit(name, kind, "a mapping of texts")
            try:
                written[name] = write(item)
            except Misfit as misfit:
                raise misfit.inside(f"[{name!r}]") from None
        return written

    return convert


WRITERS: Mapping[str, Callable[[Kind], Convert]] = {
    "string": reader,
    "enum": reader,
    "boolean": reader,
    "int": whole_checker,
    "long": whole_checker,
    "float": _double_writer,
    "double": _double_writer,
    "bytes": _bytes_writer,
    "fixed": _bytes_writer,
    "uuid": checked_uuid,
    "decimal": _decimal_writer,
    "array": _array_writer,
    "map": _map_writer,
    "record": lambda kind: record_writer(kind.columns, kind),
}
