"""Values of each type from JSON's: the Python values that come out are exactly those that fastavro gives.

JSON's forms are ksqlDB's: decimals are numbers, dates are days since 1970, times and timestamps are whole numbers of
the column's unit (milliseconds, or Avro's microseconds), bytes are base64, all else is as in JSON. As in ksqlDB, a
number may also be given as a text. Nothing is rounded or cut off, and nothing is taken for what it is not.
"""

import re
import struct
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any
from uuid import UUID

from pipeline.formats.misfit import Misfit, shown
from pipeline.formats.names import given_names
from pipeline.formats.shape import MISSING, Column, Kind, Part
from pipeline.tables.limits import LARGEST_FLOAT, RANGES
from pipeline.tables.types import EXACT, scaled

Convert = Callable[[Any], Any]

WHOLE = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
MOST_DIGITS = 5_000
"""A number with more is none that a column could hold; Python's own conversions take ever longer."""
FLOAT = struct.Struct("<f")
DAY_UNITS = {"time-millis": 86_400_000, "time-micros": 86_400_000_000}
COUNTS = {"date": "int", "time-millis": "int"}
"""Types that are written as a whole number, with the type of that number; the others as a long."""


def reader(kind: Kind) -> Convert:
    """The function from JSON's value, never null, to Python's; it raises Misfit."""
    make = READERS.get(kind.family, _count_reader)
    return make(kind)


def part_reader(part: Part) -> Convert:
    """The same for what may be null."""
    read, kind, nullable = reader(part.kind), part.kind, part.nullable

    def convert(value: Any) -> Any:
        if value is not None:
            return read(value)
        if nullable:
            return None
        raise Misfit(None, kind, "there: the column takes no null")

    return convert


def missing(column: Column) -> Any:
    """The value of a column that a record does not have; raises Misfit where it must have it."""
    value = column.without()
    if value is MISSING:
        raise Misfit(MISSING, column.kind, "there: the column takes no null and has no default")
    return value


def _text_reader(kind: Kind) -> Convert:
    def read(value: Any) -> str:
        if type(value) is not str:
            raise Misfit(value, kind, "a text")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Misfit(value, kind, "a text that is UTF-8, without half a pair of surrogates") from None
        return value

    return read


def _enum_reader(kind: Kind) -> Convert:
    symbols = tuple(kind.avro["symbols"])

    def read(value: Any) -> str:
        if type(value) is not str or value not in symbols:
            raise Misfit(value, kind, f"one of {', '.join(symbols)}")
        return value

    return read


def _boolean_reader(kind: Kind) -> Convert:
    def read(value: Any) -> bool:
        if type(value) is not bool:
            raise Misfit(value, kind, "true or false")
        return value

    return read


def whole_reader(kind: Kind, family: str) -> Convert:
    """Whole numbers of int or long, from integers, Decimals and texts; 5.0 is one, 5.5 is none.

    A float is refused: it may have lost digits, so that what reads JSON exactly has to look at it.
    """
    lowest, highest = RANGES[family]
    right = f"a whole number in {lowest} .. {highest}"

    def read(value: Any) -> int:
        given = value
        if type(value) is str and len(value) <= MOST_DIGITS and WHOLE.fullmatch(value) is not None:
            value = Decimal(value)
        if type(value) is Decimal and (not value or (value.adjusted() < 20 and value == value.to_integral_value())):
            value = int(value) if value else 0
        if type(value) is not int or not lowest <= value <= highest:
            raise Misfit(given, kind, right)
        return value

    return read


def _float_reader(kind: Kind) -> Convert:
    is_double = kind.family == "double"
    right = "a finite number that a double holds" if is_double else "a finite number that a float of 32 bits holds"

    def read(value: Any) -> float:
        given = value
        if type(value) is str and len(value) <= MOST_DIGITS and NUMBER.fullmatch(value) is not None:
            value = float(value)
        if type(value) not in (int, float, Decimal):
            raise Misfit(given, kind, right)
        try:
            number = float(value)
        except OverflowError:
            raise Misfit(given, kind, right) from None
        if not isfinite(number) or (not is_double and abs(number) >= LARGEST_FLOAT):
            raise Misfit(given, kind, right)
        return number if is_double else float(FLOAT.unpack(FLOAT.pack(number))[0])

    return read


def _bytes_reader(kind: Kind) -> Convert:
    size = kind.avro["size"] if kind.family == "fixed" else None

    def read(value: Any) -> bytes:
        if type(value) is not str:
            raise Misfit(value, kind, "a text in base64")
        try:
            found = b64decode(value, validate=True)
        except (Base64Error, ValueError):
            raise Misfit(value, kind, "a text in base64") from None
        return sized(found, kind, size)

    return read


def sized(value: bytes, kind: Kind, size: int | None) -> bytes:
    """Bytes of a fixed size, as they are; raises Misfit when there are more or fewer."""
    if size is not None and len(value) != size:
        raise Misfit(value, kind, f"{size} bytes long, not {len(value)}")
    return value


def _uuid_reader(kind: Kind) -> Convert:
    def read(value: Any) -> UUID:
        try:
            return UUID(value)
        except (ValueError, AttributeError, TypeError):
            raise Misfit(value, kind, "a UUID") from None

    return read


def decimal_reader(kind: Kind) -> Convert:
    """Decimals with all the digits of their scale."""
    precision, scale = kind.avro["precision"], kind.avro.get("scale", 0)
    right = f"a decimal of {precision} digits, {scale} of them after the point"

    def read(value: Any) -> Decimal:
        given = value
        if type(value) is str and len(value) <= MOST_DIGITS and NUMBER.fullmatch(value) is not None:
            try:
                value = Decimal(value)
            except InvalidOperation:
                raise Misfit(given, kind, right) from None
        if type(value) is int:
            value = Decimal(value)
        if type(value) is not Decimal or not value.is_finite():
            raise Misfit(given, kind, right)
        if not value:
            return scaled(0, scale)
        if value.adjusted() >= precision - scale:
            raise Misfit(given, kind, right)
        units = value.scaleb(scale, EXACT)
        if units.adjusted() < 0 or units != units.to_integral_value(context=EXACT):
            raise Misfit(given, kind, right)
        return scaled(int(units), scale)

    return read


def _count_reader(kind: Kind) -> Convert:
    """Dates, times and timestamps, which are whole numbers of their unit."""
    read_count = whole_reader(kind, COUNTS.get(kind.family, "long"))
    most, form = DAY_UNITS.get(kind.family), kind.column.value

    def read(value: Any) -> Any:
        count = read_count(value)
        if most is not None and not 0 <= count < most:
            raise Misfit(value, kind, f"a time of a day, in 0 .. {most - 1}")
        try:
            return form(count)
        except (OverflowError, ValueError):
            raise Misfit(value, kind, "a moment of the years 1 to 9999") from None

    return read


def _array_reader(kind: Kind) -> Convert:
    assert kind.item is not None
    read = part_reader(kind.item)

    def convert(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Misfit(value, kind, "an array")
        found = []
        for place, item in enumerate(value):
            try:
                found.append(read(item))
            except Misfit as misfit:
                raise misfit.inside(f"[{place}]") from None
        return found

    return convert


def _map_reader(kind: Kind) -> Convert:
    assert kind.item is not None
    read, read_key = part_reader(kind.item), _text_reader(kind)

    def convert(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Misfit(value, kind, "an object")
        found = {}
        for name, item in value.items():
            try:
                found[read_key(name)] = read(item)
            except Misfit as misfit:
                raise misfit.inside(f"[{shown(name)}]") from None
        return found

    return convert


def record_reader(columns: tuple[Column, ...], kind: Kind | None = None) -> Convert:
    """Records from objects: fields by name, or else by the one name that is the same without regard to case."""
    parts = [(column, part_reader(Part(column.kind, column.nullable))) for column in columns]

    def convert(value: Any) -> dict[str, Any]:
        if type(value) is not dict and kind is not None:
            raise Misfit(value, kind, "an object")
        names = given_names(columns, value)
        record = {}
        for (column, read), name in zip(parts, names, strict=True):
            try:
                record[column.name] = missing(column) if name is None else read(value[name])
            except Misfit as misfit:
                raise misfit.inside(column.name) from None
        return record

    return convert


READERS: Mapping[str, Callable[[Kind], Convert]] = {
    "string": _text_reader,
    "enum": _enum_reader,
    "boolean": _boolean_reader,
    "int": lambda kind: whole_reader(kind, "int"),
    "long": lambda kind: whole_reader(kind, "long"),
    "float": _float_reader,
    "double": _float_reader,
    "bytes": _bytes_reader,
    "fixed": _bytes_reader,
    "uuid": _uuid_reader,
    "decimal": decimal_reader,
    "array": _array_reader,
    "map": _map_reader,
    "record": lambda kind: record_reader(kind.columns, kind),
}
