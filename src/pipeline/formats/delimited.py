"""DELIMITED: one line of values in the order of the columns, as ksqlDB's.

A value in double quotes may hold anything, a quote as two. An empty value is null, and an empty text is a pair of
quotes (ksqlDB reads both as null). A line may end in one line break.
"""

import re
from collections.abc import Sequence
from typing import Any

from pipeline.codecs import Record
from pipeline.errors import BadRecord, SettingError
from pipeline.formats.base import RowEncoder, Unregistered, cut
from pipeline.formats.misfit import Misfit
from pipeline.formats.shape import Column
from pipeline.formats.texts import text_reader, text_writer
from pipeline.formats.writing import value_of
from pipeline.tables.limits import RANGES

NAMED = {"SPACE": " ", "TAB": "\t"}
NO_DELIMITERS = '"\r\n'
LINE_BREAKS = ("\r\n", "\n")


def delimiter(where: str, given: str) -> str:
    """The sign that stands between values; raises SettingError when it cannot be one."""
    sign = NAMED.get(given, given)
    if len(sign) != 1 or sign in NO_DELIMITERS:
        raise SettingError(
            f"{where}: value_delimiter is {given!r}, but must be one sign other than a quote or a line break, or SPACE "
            "or TAB"
        )
    return sign


def check_scalar(where: str, columns: tuple[Column, ...]) -> None:
    """Raise SettingError when a column is no scalar: a line has no place for parts."""
    for column in columns:
        if not column.kind.is_scalar:
            raise SettingError(
                f"{where}, column {column.name} is of type {column.kind.name}, but must be a scalar: the value_format "
                "DELIMITED holds no others"
            )


class DelimitedDecoder(Unregistered):
    """Reads lines as records."""

    def __init__(self, columns: tuple[Column, ...], sign: str, name: str) -> None:
        self._columns = columns
        self._sign = sign
        self._name = name
        self._readers = [text_reader(column.kind) for column in columns]
        sign = re.escape(sign)
        self._field = re.compile(rf'"(?P<quoted>(?:[^"]|"")*)"(?={sign}|\Z)|(?P<bare>(?!")[^{sign}\r\n]*)(?={sign}|\Z)')

    def __call__(self, value: bytes | None) -> Record:
        """The record in a value; raises BadRecord with the reason when it cannot be read."""
        if value is None:
            raise BadRecord("null value")
        try:
            texts = self._split(value.decode())
        except UnicodeDecodeError as error:
            raise BadRecord(f"value is not UTF-8 at byte {error.start}: {cut(value)}") from None
        if texts is None:
            raise BadRecord(f"value is not one line of values between {self._sign!r}: {cut(value)}")
        if len(texts) != len(self._columns):
            raise BadRecord(
                f"value has {len(texts)} columns, but must have the {len(self._columns)} of {self._name}: {cut(value)}"
            )
        record: Record = {}
        for column, read, text in zip(self._columns, self._readers, texts, strict=True):
            try:
                if text is None and not column.nullable:
                    raise Misfit(None, column.kind, "there: the column takes no null")
                record[column.name] = None if text is None else read(text)
            except Misfit as misfit:
                raise BadRecord(str(misfit.inside(column.name))) from None
        return record

    def _split(self, line: str) -> list[str | None] | None:
        """The texts of a line, None for those that are empty; None when it is no line."""
        for ending in LINE_BREAKS:
            if line.endswith(ending):
                line = line.removesuffix(ending)
                break
        texts: list[str | None] = []
        place = 0
        while True:
            found = self._field.match(line, place)
            if found is None:
                return None
            quoted = found["quoted"]
            texts.append(found["bare"] or None if quoted is None else quoted.replace('""', '"'))
            place = found.end() + 1
            if found.end() == len(line):
                return texts

    def together(self, values: Sequence[bytes | None]) -> list[Record] | None:
        """The records of a whole batch, column by column; None where one may be bad, or has quotes."""
        try:
            data = b"\n".join(values).decode()  # type: ignore[arg-type]
            if '"' in data or "\r" in data:
                return None
            lines = data.split("\n")
            rows = [line.split(self._sign) for line in lines]
            if len(lines) != len(values) or set(map(len, rows)) != {len(self._columns)}:
                return None
            texts = list(zip(*rows, strict=True))
            columns = [self._column(place, column) for place, column in enumerate(texts)]
        except (Misfit, ValueError, TypeError, ArithmeticError):
            return None
        names = [column.name for column in self._columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _column(self, place: int, texts: Sequence[str]) -> Sequence[Any]:
        """A column's values; raises Misfit, or ValueError for a null that must not be."""
        column, read = self._columns[place], self._readers[place]
        if "" in texts:
            if not column.nullable:
                raise ValueError(column.name)
            return [read(text) if text else None for text in texts]
        if column.kind.family == "string":
            return texts
        if column.kind.family in RANGES:
            joined = "".join(texts)
            if joined.isascii() and "_" not in joined:
                lowest, highest = RANGES[column.kind.family]
                numbers = list(map(int, texts))
                if min(numbers) >= lowest and max(numbers) <= highest:
                    return numbers
        return list(map(read, texts))


class DelimitedEncoder(RowEncoder):
    """Writes records as lines, without a line break at the end."""

    def __init__(self, columns: tuple[Column, ...], sign: str) -> None:
        self._parts = [(column, text_writer(column.kind)) for column in columns]
        self._sign = sign
        self._special = re.compile(rf'[{re.escape(sign)}"\r\n]')

    def _write(self, record: Record) -> bytes:
        texts = []
        for column, write in self._parts:
            try:
                value = value_of(column, record)
                if value is None and not column.nullable:
                    raise Misfit(None, column.kind, "there: the column takes no null")
                texts.append("" if value is None else self._quoted(write(value)))
            except Misfit as misfit:
                raise misfit.inside(column.name) from None
        return self._sign.join(texts).encode()

    def _quoted(self, text: str) -> str:
        if text and self._special.search(text) is None:
            return text
        return '"' + text.replace('"', '""') + '"'
