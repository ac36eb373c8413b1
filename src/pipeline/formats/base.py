"""What decoders and encoders of all formats besides Avro have in common."""

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.codecs import HEADER, MAGIC, MOST_ID, Record, schema_id
from pipeline.errors import BadRecord
from pipeline.formats.misfit import Misfit
from pipeline.handover import Columns, Handover

LONGEST_SHOWN = 80


class Unregistered:
    """The part of a decoder that has to do with schema ids, for a format without: there is nothing to learn."""

    schema_type = ""
    handover: Handover | None = None

    def unknown(self, values: Iterable[bytes | None]) -> set[int]:
        """None: the format has no ids, or needs no schema besides the reader's."""
        return set()

    def learn(self, number: int, writer: Any, referenced: Iterable[Any] = ()) -> None:
        """Nothing is kept."""

    def refuse(self, number: int, reason: str) -> None:
        """Nothing is kept."""

    def handed_over(self, values: Sequence[bytes | None]) -> Columns | None:
        """The fields of records that this process itself has written; None when it has not, or not all of them."""
        return None if self.handover is None else self.handover.take(values)


class Taught:
    """The part of a decoder that has to do with schema ids, for a format that is read by the writer's schema."""

    schema_type = ""
    handover: Handover | None = None

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._refused: dict[int, str] = {}

    def unknown(self, values: Iterable[bytes | None]) -> set[int]:
        """Schema ids in these values which have been neither taught nor refused for good."""
        headers = {value[: HEADER.size] for value in values if value}
        ids = {number for header in headers if (number := schema_id(header)) is not None}
        return {n for n in ids if n <= MOST_ID and n not in self._known and n not in self._refused}

    def refuse(self, number: int, reason: str) -> None:
        """Teach that records under an id are bad, whatever is in them, and why: a schema never changes."""
        self._refused[number] = reason

    def handed_over(self, values: Sequence[bytes | None]) -> Columns | None:
        """The fields of records that this process itself has written; None when it has not, or not all of them."""
        return None if self.handover is None else self.handover.take(values)

    def _number(self, value: bytes) -> int:
        """The id of a value that can be read; raises BadRecord."""
        number = framed(value)
        if number not in self._known:
            raise BadRecord(self._refused.get(number, f"unknown schema id {number}"))
        return number


def framed(value: bytes) -> int:
    """The schema id of a value in Confluent's wire format; raises BadRecord when it is not in it."""
    if len(value) < HEADER.size or value[0] != MAGIC:
        raise BadRecord("value is not in the registry's wire format (magic byte 0, schema id)")
    return int.from_bytes(value[1:5], "big")


class RowEncoder:
    """Records one by one, and columns as records: an encoder is `_write`, and `_framed` where it has a header."""

    handover: Handover | None = None

    def registered(self, number: int) -> None:
        """The format has no ids."""

    def _write(self, record: Record) -> bytes:
        """The written form of a record; raises Misfit, ValueError or TypeError."""
        raise NotImplementedError

    def __call__(self, record: Record) -> bytes:
        """The written form of a record; one that does not fit raises ValueError or TypeError."""
        try:
            value = self._write(record)
        except Misfit as misfit:
            raise ValueError(str(misfit)) from None
        if self.handover is not None:
            self.handover.put([value], {name: [record[name]] for name in self.handover.names})
        return value

    def columns(self, columns: Columns, count: int) -> list[bytes]:
        """The written forms of `count` records that are given as columns; raises as for a single one."""
        try:
            rows = zip(*columns.values(), strict=True)
            written = [self._write(dict(zip(columns, row, strict=True))) for row in rows]
        except Misfit as misfit:
            raise ValueError(str(misfit)) from None
        if self.handover is not None:
            self.handover.put(written, columns)
        return written


def cut(value: bytes) -> str:
    """A value as a sentence has it: its beginning."""
    return repr(value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + b"...")
