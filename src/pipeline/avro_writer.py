"""Avro's binary form of flat records, several times as fast as a general writer.

A record is flat when its fields are primitives, or unions of null and a primitive. Strings that come again and again
(ids, groups, names) are looked up in their written form. Whatever does not fit exactly is left to fastavro: the result
is the same byte for byte, which a property test holds.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

Write = Callable[[Any], bytes]
WriteColumn = Callable[[Sequence[Any]], Iterable[bytes]]

KEPT_STRINGS = 16_384
MISFITS = (KeyError, TypeError, AttributeError, ValueError)
DOUBLE = struct.Struct("<d").pack
LOW_BITS = [bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in range(1 << 14)]
SHORT = [bytes((number,)) if number < 0x80 else bytes((number & 0x7F | 0x80, number >> 7)) for number in range(1 << 14)]
"""Numbers below 2 to the 14th as they are written; in LOW_BITS as they are written where more follows."""


class FlatWriter:
    """Writes records of one flat schema. What it answers with None is for fastavro to see to."""

    def __init__(self, fields: Sequence[tuple[str, Write]]) -> None:
        self._fields = [(name, write, _column(write)) for name, write in fields]

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> "FlatWriter | None":
        """The writer of a schema; None where the schema is not flat."""
        fields = [(field["name"], _writer(field["type"])) for field in schema["fields"]]
        known = [(name, write) for name, write in fields if write is not None]
        return cls(known) if len(known) == len(fields) else None

    def __call__(self, record: Mapping[str, Any]) -> bytes | None:
        """The binary form of a record; None where it has a default, or a value that does not fit."""
        try:
            return b"".join([write(record[name]) for name, write, _ in self._fields])
        except MISFITS:
            return None

    def columns(self, header: bytes, columns: Mapping[str, Sequence[Any]], count: int) -> list[bytes] | None:
        """The binary forms of `count` records, given as columns, each behind the header; None where one misfits."""
        try:
            written = [write(columns[name]) for name, _, write in self._fields]
            return list(map(b"".join, zip(repeat(header, count), *written, strict=True)))
        except MISFITS:
            return None


def _writer(kind: Any) -> Write | None:
    if kind == "string":
        return Strings().__getitem__
    if kind == ["null", "string"]:
        return NullableStrings().__getitem__
    if isinstance(kind, list):
        write = PRIMITIVES.get(kind[1]) if len(kind) == 2 and kind[0] == "null" and isinstance(kind[1], str) else None
        return None if write is None else Nullable(write)
    return PRIMITIVES.get(kind) if isinstance(kind, str) else None


def _column(write: Write) -> WriteColumn:
    if isinstance(write, Nullable):
        return write.column
    return COLUMNS.get(write) or (lambda column: list(map(write, column)))


class Nullable:
    """A primitive or null."""

    def __init__(self, write: Write) -> None:
        self._write, self._column = write, _column(write)

    def __call__(self, value: Any) -> bytes:
        """The binary form of one value; raises as that of the primitive does."""
        return b"\0" if value is None else b"\2" + self._write(value)

    def column(self, values: Sequence[Any]) -> Iterable[bytes]:
        """The binary forms of a column."""
        if None in values:
            return list(map(self, values))
        return [b"\2" + written for written in self._column(values)]


class Strings(dict[str, bytes]):
    """Strings in their written form, made when they are first asked for; never more than KEPT_STRINGS."""

    def __missing__(self, value: str) -> bytes:
        if len(self) >= KEPT_STRINGS:
            self.clear()
        text = value.encode()
        written = self[value] = long(len(text)) + text
        return written


class NullableStrings(dict[str | None, bytes]):
    """The same for strings that may be null."""

    def __missing__(self, value: str | None) -> bytes:
        if len(self) >= KEPT_STRINGS:
            self.clear()
        text = b"" if value is None else value.encode()
        written = self[value] = b"\0" if value is None else b"\2" + long(len(text)) + text
        return written


class HighBits(dict[int, bytes]):
    """What is left of longs without their lowest 14 bits, in its written form: times and offsets share it for long."""

    def __missing__(self, rest: int) -> bytes:
        if not 0 <= rest < 1 << 50:
            raise ValueError(rest)
        if len(self) >= KEPT_STRINGS:
            self.clear()
        written = self[rest] = SHORT[rest] if rest < 1 << 14 else LOW_BITS[rest & 0x3FFF] + self[rest >> 14]
        return written


HIGH_BITS = HighBits()


def long(number: int) -> bytes:
    """A long: zigzag, seven bits a byte, the lowest first; raises TypeError or ValueError when it is none."""
    if type(number) is not int:
        raise TypeError(number)
    rest = (number << 1) ^ (number >> 63)
    return SHORT[rest] if rest < 1 << 14 else LOW_BITS[rest & 0x3FFF] + HIGH_BITS[rest >> 14]


def longs(column: Sequence[int], lowest: int = -(1 << 63), end: int = 1 << 63) -> Iterable[bytes]:
    """A column of numbers in [lowest, end); raises TypeError or ValueError when one of them is none."""
    if set(map(type, column)) != {int}:
        raise TypeError(column)
    least, greatest = min(column), max(column)
    if least < lowest or greatest >= end:
        raise ValueError(column)
    if least == greatest:
        return [long(least)] * len(column)
    if least >= 0 and greatest < 1 << 13:
        return [SHORT[number << 1] for number in column]
    if least >= 1 << 13 and greatest < 1 << 62:
        low, high = LOW_BITS, HIGH_BITS
        return [low[(number << 1) & 0x3FFF] + high[number >> 13] for number in column]
    return list(map(long, column))


def ints(column: Sequence[int]) -> Iterable[bytes]:
    """A column of ints; raises TypeError or ValueError when one of them is none."""
    return longs(column, -(1 << 31), 1 << 31)


def _int(number: int) -> bytes:
    if not -(1 << 31) <= number < 1 << 31:
        raise ValueError(number)
    return long(number)


def _double(number: float) -> bytes:
    if type(number) is not float:
        raise TypeError(number)
    return DOUBLE(number)


def _boolean(value: bool) -> bytes:
    if type(value) is not bool:
        raise TypeError(value)
    return b"\1" if value else b"\0"


PRIMITIVES: dict[str, Write] = {"long": long, "int": _int, "double": _double, "boolean": _boolean}
COLUMNS: dict[Write, WriteColumn] = {long: longs, _int: ints}
"""Writers of whole columns that are faster than writing one value after the other."""
