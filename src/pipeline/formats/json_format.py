"""JSON and JSON_SR: objects, without and with the registry's header.

A batch is read in one go, which is two to six times as fast as its records one by one: as one array, with a random mark
between the records, so that none can reach into the next. orjson reads it; where the shape has decimals, Python's own
parser, which keeps their digits. What is odd about a batch sends it back to be read one by one, where Python's parser
sees every key and every digit, so that letters say what is wrong. Both ways read the same.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from operator import itemgetter
from typing import Any

import orjson

from pipeline.codecs import HEADER, MAGIC, Record
from pipeline.errors import BadRecord
from pipeline.formats.base import RowEncoder, Unregistered, cut, framed
from pipeline.formats.misfit import Misfit
from pipeline.formats.names import given_names
from pipeline.formats.reading import missing, part_reader, record_reader
from pipeline.formats.shape import Column, Kind, Part
from pipeline.formats.writing import record_writer
from pipeline.tables.limits import RANGES

MARK = os.urandom(12).hex()
BETWEEN = f',"{MARK}",'.encode()
MOST_NESTED = 100
"""Objects and arrays in each other; parsers differ in how many they take, and this is below all of them."""
BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
MOST_LAYOUTS = 256
PLAIN = {"string": str, "boolean": bool, "int": int, "long": int, "double": float}
"""Families whose values are in a batch as they are to be, if they are of this type, with its numbers in range."""

Read = Callable[[Any], Any]


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has {twice[:80]!r} twice")
    return found


EXACTLY: Callable[[str], Any] = json.JSONDecoder(
    parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_once
).decode
QUICKLY: Callable[[str], Any] = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant).decode


def parsed(value: bytes, what: str = "value") -> Any:
    """What a JSON text says, with numbers that have a point as Decimals; raises BadRecord when it is none.

    It is none when it is not UTF-8, has NaN or infinities, names a key twice, or is nested too deeply.
    """
    try:
        text = value.decode()
        if text.count("[") + text.count("{") > MOST_NESTED and _depth(text) > MOST_NESTED:
            raise BadRecord(f"{what} is JSON nested deeper than {MOST_NESTED} levels: {cut(value)}")
        return EXACTLY(text)
    except UnicodeDecodeError as error:
        raise BadRecord(f"{what} is not UTF-8 at byte {error.start}: {cut(value)}") from None
    except InvalidOperation:
        raise BadRecord(f"{what} is no JSON: it has a number beyond all bounds: {cut(value)}") from None
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"{what} is no JSON: {error}: {cut(value)}") from None


def _depth(text: str) -> int:
    depth = most = 0
    for found in BRACKETS.finditer(text):
        sign = found[0]
        if sign in "[{":
            depth += 1
            most = max(most, depth)
        elif sign in "]}":
            depth -= 1
    return most


class JsonDecoder(Unregistered):
    """Reads JSON objects as records of a shape: see `reading.py` for the forms of values."""

    schema_type = "JSON"

    def __init__(self, columns: tuple[Column, ...], name: str) -> None:
        self._columns = columns
        self._name = name
        self._record = record_reader(columns)
        self._parts = [part_reader(Part(column.kind, column.nullable)) for column in columns]
        self._has_decimals = any(map(_has_decimal, (column.kind for column in columns)))
        self._layouts: dict[tuple[str, ...], list[str | None]] = {}

    def __call__(self, value: bytes | None) -> Record:
        """The record in a value; raises BadRecord with the reason when it cannot be read."""
        if value is None:
            raise BadRecord("null value")
        found = parsed(self._text(value))
        if type(found) is not dict:
            raise BadRecord(f"value is JSON, but no object with the columns of {self._name}: {cut(value)}")
        try:
            return dict(self._record(found))
        except Misfit as misfit:
            raise BadRecord(str(misfit)) from None

    def together(self, values: Sequence[bytes | None]) -> list[Record] | None:
        """The records of a whole batch, read in one go; None where one may be bad."""
        try:
            texts = self._texts(values)
            rows = None if texts is None else self._rows(texts)
            return None if rows is None else self._records(rows)
        except (Misfit, ValueError, TypeError, ArithmeticError, RecursionError):
            return None

    def _text(self, value: bytes) -> bytes:
        """The JSON of a value; raises BadRecord."""
        return value

    def _texts(self, values: Sequence[bytes | None]) -> Sequence[bytes] | None:
        """The JSON of values; None where one has none, TypeError where one is null."""
        return values  # type: ignore[return-value]

    def _rows(self, texts: Sequence[bytes]) -> list[dict[str, Any]] | None:
        """The objects as they are in JSON, if each value is one, without a key given twice."""
        data = b"".join((b"[", BETWEEN.join(texts), b"]"))
        if data.count(b"[") + data.count(b"{") - len(texts) > MOST_NESTED and _is_deep(texts):
            return None
        found = QUICKLY(data.decode()) if self._has_decimals else orjson.loads(data)
        rows: list[dict[str, Any]] = found[::2]
        if len(found) != 2 * len(texts) - 1 or found[1::2].count(MARK) < len(texts) - 1:
            return None
        if set(map(type, rows)) != {dict}:
            return None
        if self._has_decimals and b"\\u" in data:
            return None  # perhaps half a pair of surrogates, which orjson alone refuses
        keys = sum(map(len if data.count(b"{") == len(texts) else _keys, rows))
        # every key ends in `":` here, so that none was given twice when there are as many as were read
        if data.count(b'":') != keys or any(data.count(b'"' + blank) for blank in (b" ", b"\n", b"\t", b"\r")):
            return None
        return rows

    def _records(self, rows: list[dict[str, Any]]) -> list[Record]:
        """Raises Misfit where a value does not fit."""
        layouts = set(map(tuple, rows))
        if len(layouts) > 1:
            return [self._one(row) for row in rows]
        names = self._names(layouts.pop())
        columns = [
            [column.without() for _ in rows] if name is None else self._column(place, list(map(itemgetter(name), rows)))
            for place, (column, name) in enumerate(zip(self._columns, names, strict=True))
        ]
        keys = [column.name for column in self._columns]
        return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]

    def _column(self, place: int, given: list[Any]) -> list[Any]:
        column, read = self._columns[place], self._parts[place]
        types = set(map(type, given))
        if types == {PLAIN.get(column.kind.family)}:
            if column.kind.family not in RANGES:
                return given  # texts come from UTF-8, and floats are finite: orjson takes no others
            lowest, highest = RANGES[column.kind.family]
            if min(given) >= lowest and max(given) <= highest:
                return given
        return list(map(read, given))

    def _one(self, row: dict[str, Any]) -> Record:
        names = self._names(tuple(row))
        return {
            column.name: column.without() if name is None else read(row[name])
            for column, read, name in zip(self._columns, self._parts, names, strict=True)
        }

    def _names(self, given: tuple[str, ...]) -> list[str | None]:
        """What each column is called in an object with these names, worked out once."""
        names = self._layouts.get(given)
        if names is None:
            names = given_names(self._columns, given)
            for column, name in zip(self._columns, names, strict=True):
                if name is None:
                    missing(column)
            if len(self._layouts) >= MOST_LAYOUTS:
                self._layouts.clear()
            self._layouts[given] = names
        return names


class RegisteredJsonDecoder(JsonDecoder):
    """Reads JSON behind the registry's header; the schema behind its id is not asked for, as in ksqlDB.

    JSON tells its fields' names and values by itself, so the writer's schema could only forbid what can be read.
    """

    def _text(self, value: bytes) -> bytes:
        framed(value)
        return value[HEADER.size :]

    def _texts(self, values: Sequence[bytes | None]) -> Sequence[bytes] | None:
        if any(len(value) < HEADER.size or value[0] != MAGIC for value in values):  # type: ignore[arg-type,index]
            return None
        return [value[HEADER.size :] for value in values]  # type: ignore[index]


class JsonEncoder(RowEncoder):
    """Writes records as JSON objects."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._record = record_writer(columns)

    def _write(self, record: Record) -> bytes:
        return orjson.dumps(self._record(record))


class RegisteredJsonEncoder(JsonEncoder):
    """Writes records as JSON objects behind the registry's header."""

    _header = b""

    def registered(self, number: int) -> None:
        """Set the schema id that goes before every record."""
        self._header = HEADER.pack(MAGIC, number)

    def _write(self, record: Record) -> bytes:
        if not self._header:
            raise RuntimeError("the encoder's schema has not been registered yet")
        return self._header + super()._write(record)


def _has_decimal(kind: Kind) -> bool:
    inner = (*(column.kind for column in kind.columns), *(() if kind.item is None else (kind.item.kind,)))
    return kind.family == "decimal" or any(map(_has_decimal, inner))


def _is_deep(texts: Sequence[bytes]) -> bool:
    return max(text.count(b"[") + text.count(b"{") for text in texts) > MOST_NESTED


def _keys(value: Any) -> int:
    """How many keys there are in all the objects of a value."""
    if type(value) is dict:
        return len(value) + sum(map(_keys, value.values()))
    return sum(map(_keys, value)) if type(value) is list else 0
