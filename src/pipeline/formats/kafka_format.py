"""KAFKA: one value alone, as Kafka's own serializers write it; for keys, and for schemas of one column.

Texts are UTF-8, int is 4 bytes, long and double are 8, all big-endian; bytes are as they are. There is no null.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from pipeline.codecs import Record
from pipeline.errors import BadRecord, SettingError
from pipeline.formats.base import RowEncoder, Unregistered, cut
from pipeline.formats.misfit import Misfit
from pipeline.formats.reading import reader
from pipeline.formats.shape import Column, Kind
from pipeline.formats.writing import checked_bytes, value_of, writer

NUMBERS: Mapping[str, struct.Struct] = {
    "int": struct.Struct(">i"),
    "long": struct.Struct(">q"),
    "double": struct.Struct(">d"),
}
TYPES = (*NUMBERS, "string", "bytes")


def check_kafka(where: str, kind: Kind) -> None:
    """Raise SettingError unless Kafka has a serializer for the type."""
    if kind.family not in TYPES:
        raise SettingError(f"{where} is of type {kind.name}, but must be {', '.join(TYPES)} in the format KAFKA")


def kafka_reader(kind: Kind, what: str) -> Callable[[bytes], Any]:
    """The function from bytes to a value; it raises BadRecord. `what` begins the sentence."""
    form = NUMBERS.get(kind.family)

    def read_number(raw: bytes) -> Any:
        assert form is not None
        if len(raw) != form.size:
            raise BadRecord(f"{what} of type {kind.name} is {cut(raw)}, but must be {form.size} bytes, not {len(raw)}")
        number = form.unpack(raw)[0]
        if not isfinite(number):
            raise BadRecord(f"{what} of type {kind.name} is {number}, but must be a finite number")
        return number

    def read_text(raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise BadRecord(f"{what} is not UTF-8 at byte {error.start}: {cut(raw)}") from None

    return read_number if form is not None else bytes if kind.family == "bytes" else read_text


def kafka_writer(kind: Kind) -> Callable[[Any], bytes]:
    """The function from a value to bytes; it raises Misfit."""
    form = NUMBERS.get(kind.family)
    if kind.family == "bytes":
        return checked_bytes(kind)
    if form is None:
        check = reader(kind)
        return lambda value: check(value).encode()
    number = writer(kind)
    return lambda value: form.pack(number(value))


class KafkaDecoder(Unregistered):
    """Reads values alone as records of one column."""

    def __init__(self, column: Column) -> None:
        self._name = column.name
        self._read = kafka_reader(column.kind, f"column {column.name}")

    def __call__(self, value: bytes | None) -> Record:
        """The record of a value; raises BadRecord with the reason when it cannot be read."""
        if value is None:
            raise BadRecord("null value")
        return {self._name: self._read(value)}

    def together(self, values: Sequence[bytes | None]) -> list[Record] | None:
        """The records of a whole batch; None where one is bad."""
        try:
            return [self(value) for value in values]
        except BadRecord:
            return None


class KafkaEncoder(RowEncoder):
    """Writes the one column of records."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._write_value = kafka_writer(column.kind)

    def _write(self, record: Record) -> bytes:
        try:
            value = value_of(self._column, record)
            if value is None:
                raise Misfit(None, self._column.kind, "there: the format KAFKA has no null")
            return self._write_value(value)
        except Misfit as misfit:
            raise misfit.inside(self._column.name) from None
