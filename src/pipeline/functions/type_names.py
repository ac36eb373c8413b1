"""The names of types in ksqlDB's statements: ARRAY<STRUCT<A INT, B DECIMAL(9, 2)>> and so on."""

import re
from functools import lru_cache

from pipeline.functions.base import SignatureError
from pipeline.functions.kinds import (
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    INT,
    LONG,
    STRING,
    TIME_MILLIS,
    TIMESTAMP_MILLIS,
    array_of,
    decimal,
    kind,
    map_of,
    record_of,
)
from pipeline.tables.types import ColumnType

SIMPLE = {
    "BOOLEAN": BOOLEAN,
    "INT": INT,
    "INTEGER": INT,
    "BIGINT": LONG,
    "DOUBLE": DOUBLE,
    "STRING": STRING,
    "VARCHAR": STRING,
    "BYTES": BYTES,
    "DATE": DATE,
    "TIME": TIME_MILLIS,
    "TIMESTAMP": TIMESTAMP_MILLIS,
}
NAMES = (*SIMPLE, "DECIMAL(p, s)", "ARRAY<type>", "MAP<STRING, type>", "STRUCT<name type, ...>")
TOKEN = re.compile(r"\s*(?:([A-Za-z_][A-Za-z0-9_]*)|`([^`]+)`|([0-9]{1,9})|([<>(),]))")
DEEPEST = 50


class _Reader:
    """The words of a type, one after another."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def fail(self, what: str) -> SignatureError:
        return SignatureError(f"has the type {self.text!r}, in which {what}; types are {', '.join(NAMES)}")

    def next(self) -> tuple[str, bool]:
        """The next word, and whether it was in backticks; empty at the end."""
        if not self.text[self.place :].strip():
            return "", False
        found = TOKEN.match(self.text, self.place)
        if found is None:
            raise self.fail(f"{self.text[self.place :].strip()!r} is not known")
        self.place = found.end()
        return found[1] or found[2] or found[3] or found[4], found[2] is not None

    def expect(self, *wanted: str) -> str:
        word, quoted = self.next()
        if word not in wanted or quoted:
            raise self.fail(f"{' or '.join(wanted)} must be where {word or 'the end'} is")
        return word

    def number(self) -> int:
        word, _ = self.next()
        if not word.isdigit():
            raise self.fail(f"a number must be where {word or 'the end'} is")
        return int(word)

    def type(self, depth: int = 0) -> ColumnType:
        word, quoted = self.next()
        name = word.upper()
        if depth > DEEPEST:
            raise self.fail("types are too deep in each other")
        if name in SIMPLE and not quoted:
            return SIMPLE[name]
        match name:
            case "DECIMAL":
                return self.decimal()
            case "ARRAY":
                self.expect("<")
                item = self.type(depth + 1)
                self.expect(">")
                return array_of(item)
            case "MAP":
                self.expect("<")
                if kind(self.type(depth + 1)) != "STRING":
                    raise self.fail("keys must be STRING, since Avro has no others")
                self.expect(",")
                value = self.type(depth + 1)
                self.expect(">")
                return map_of(value)
            case "STRUCT":
                return self.struct(depth)
        raise self.fail(f"{word or 'nothing'} is no type")

    def decimal(self) -> ColumnType:
        self.expect("(")
        precision = self.number()
        scale = 0
        if self.expect(",", ")") == ",":
            scale = self.number()
            self.expect(")")
        return decimal(precision, scale)

    def struct(self, depth: int) -> ColumnType:
        self.expect("<")
        fields: dict[str, ColumnType] = {}
        while True:
            word, quoted = self.next()
            field = word if quoted else word.upper()
            if not quoted and not re.fullmatch("[A-Z_][A-Z0-9_]*", field):
                raise self.fail(f"a field must be where {word or 'the end'} is")
            if field in fields:
                raise self.fail(f"the field {field} is twice")
            fields[field] = self.type(depth + 1)
            if self.expect(",", ">") == ">":
                return record_of(fields)


@lru_cache(maxsize=256)
def parse_type(text: str) -> ColumnType:
    """The type of a name; SignatureError when it is none. Names of fields are in capitals unless in backticks."""
    reader = _Reader(text)
    found = reader.type()
    word, _ = reader.next()
    if word:
        raise reader.fail(f"{word} must not follow")
    return found
