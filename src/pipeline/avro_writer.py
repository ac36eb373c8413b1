"""Avro's binary form of flat records, several times as fast as a general writer.

A record is flat when its fields are primitives, or unions of null and a primitive. Strings that come again and again
(ids, groups, names) are looked up in their written form. Whatever does not fit exactly is left to fastavro: the result
is the same byte for byte, which a property test holds.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

Write = Callable[[Any], bytes]
FlatWriter = Callable[[Mapping[str, Any]], "bytes | None"]

KEPT_STRINGS = 65_536
DOUBLE = struct.Struct("<d").pack
LOW_BITS = [bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in range(1 << 14)]
SHORT = [bytes((number,)) if number < 0x80 else bytes((number & 0x7F | 0x80, number >> 7)) for number in range(1 << 14)]
"""Numbers below 2 to the 14th as they are written; in LOW_BITS as they are written where more follows."""


def flat_writer(schema: Mapping[str, Any]) -> FlatWriter | None:
    """A function from a record to its binary form, or to None where fastavro has to see to it.

    None instead of the function where the schema is not flat.
    """
    fields = [(field["name"], _writer(field["type"])) for field in schema["fields"]]
    if any(write is None for _, write in fields):
        return None

    def write_flat(record: Mapping[str, Any]) -> bytes | None:
        try:
            return b"".join([write(record[name]) for name, write in fields])  # type: ignore[misc]
        except (KeyError, TypeError, AttributeError, ValueError):  # a default, or a value that does not fit
            return None

    return write_flat


def _writer(kind: Any) -> Write | None:
    if kind == "string":
        return Strings().__getitem__
    if kind == ["null", "string"]:
        return NullableStrings().__getitem__
    if isinstance(kind, list):
        write = PRIMITIVES.get(kind[1]) if len(kind) == 2 and kind[0] == "null" and isinstance(kind[1], str) else None
        return None if write is None else _nullable(write)
    return PRIMITIVES.get(kind) if isinstance(kind, str) else None


def _nullable(write: Write) -> Write:
    return lambda value: b"\0" if value is None else b"\2" + write(value)


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
