"""Confluent's wire format: magic byte 0, four bytes of schema id, then Avro's binary form.

The registry is asked once per schema, never per record (`registry.py` does the asking); encoding and decoding are
plain synchronous calls, so that a batch is one tight loop.
"""

import json
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Any

import fastavro

from pipeline.avro_schemas import UnreadableSchema
from pipeline.avro_values import Convert
from pipeline.avro_writer import FlatWriter, long
from pipeline.errors import BadRecord
from pipeline.handover import Columns, Handover
from pipeline.resolution import Resolved, resolve
from pipeline.tables.limits import misfit
from pipeline.topics import Schema

MAGIC = 0
HEADER = struct.Struct(">bI")
MARK = os.urandom(12)
"""Put before every value of a batch that is read in one go: whoever lost its place would not find the next one."""
MARK_FIELD = "__mark__"
MOST_ID = (1 << 31) - 1
"""Registries number schemas by Java's int: a larger id is none, and need not be asked for."""

Record = dict[str, Any]


@cache
def _packaged(name: str) -> dict[str, Any]:
    text = resources.files("pipeline.schemas").joinpath(f"{name}.avsc").read_text("utf-8")
    return dict(json.loads(text))


def schema(given: Schema) -> dict[str, Any]:
    """An Avro schema as plain JSON values; a name is that of a packaged one, `schemas/<name>.avsc`."""
    return _packaged(given) if isinstance(given, str) else dict(given)


def fields(given: Schema) -> tuple[str, ...]:
    """The field names of a schema, in order."""
    return tuple(field["name"] for field in schema(given)["fields"])


def schema_id(value: bytes | None) -> int | None:
    """The schema id in the header of a value, or None where there is no such header."""
    if value is None or len(value) < HEADER.size or value[0] != MAGIC:
        return None
    return int.from_bytes(value[1:5], "big")


class Encoder:
    """Writes records of one schema under the id that the registry gave it.

    The id may be set later than the encoder is made (`registered`), but before it is first used. With a `handover`,
    records that are written are kept for a decoder of the same process; they must not be changed afterwards.
    """

    handover: Handover | None = None

    def __init__(self, given: Schema, registered_id: int | None = None) -> None:
        self._schema = fastavro.parse_schema(schema(given))
        self._flat = FlatWriter.of(schema(given))
        self._fields = schema(given)["fields"]
        self._header = b""
        if registered_id is not None:
            self.registered(registered_id)

    def registered(self, number: int) -> None:
        """Set the schema id that goes before every record."""
        self._header = HEADER.pack(MAGIC, number)

    def __call__(self, record: Record) -> bytes:
        """The wire format of a record; a record that does not fit the schema raises ValueError or TypeError."""
        if not self._header:
            raise RuntimeError("the encoder's schema has not been registered yet")
        if self._flat is not None and (written := self._flat(record)) is not None:
            value = self._header + written
            if self.handover is not None:
                self.handover.put([value], {name: [record[name]] for name in self.handover.names})
            return value
        if (reason := misfit(record, self._fields)) is not None:
            raise ValueError(reason)
        out = BytesIO()
        out.write(self._header)
        fastavro.schemaless_writer(out, self._schema, record)
        return out.getvalue()

    def columns(self, columns: Columns, count: int) -> list[bytes]:
        """The wire formats of `count` records that are given as columns; raises as for a single one."""
        written = self._flat.columns(self._header, columns, count) if self._flat is not None and self._header else None
        if written is None:
            return [self(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]
        if self.handover is not None:
            self.handover.put(written, columns)
        return written


class Decoder:
    """Reads records written with any schema that can be resolved into the shape of one schema: see `resolution.py`.

    Writers' schemas are taught by `learn` before they are met: an id that was not taught is a bad record.
    """

    schema_type = "AVRO"
    handover: Handover | None = None

    def __init__(self, given: Schema) -> None:
        self._name = schema(given)["name"]
        self._given = schema(given)
        self._readers: dict[int, _Reader] = {}
        self._marked: dict[bytes, _Reader] = {}
        self._refused: dict[int, str] = {}

    def unknown(self, values: Iterable[bytes | None]) -> set[int]:
        """Schema ids in these values which have been neither taught nor refused for good.

        An id that the registry does not know is among them each time: it may have learned it since.
        """
        headers = {value[: HEADER.size] for value in values if value}
        ids = {number for header in headers if (number := schema_id(header)) is not None}
        return {n for n in ids if n <= MOST_ID and n not in self._readers and n not in self._refused}

    def learn(self, number: int, writer: Any, referenced: Iterable[Any] = ()) -> None:
        """Teach the writer's schema of an id, plain JSON; `referenced` are schemas that define names used in it."""
        try:
            resolved = resolve(writer, self._given, referenced)
            reader, marked = _Reader.of(resolved), _Reader.of_marked(resolved)
        except UnreadableSchema as error:
            self.refuse(number, f"schema id {number} cannot be read as {self._name}: {error}")
        else:
            self._readers[number], self._marked[HEADER.pack(MAGIC, number)] = reader, marked

    def refuse(self, number: int, reason: str) -> None:
        """Teach that records under an id are bad, whatever is in them, and why: a schema never changes."""
        self._refused[number] = reason

    def handed_over(self, values: Sequence[bytes | None]) -> Columns | None:
        """The fields of records that this process itself has written; None when it has not, or not all of them."""
        return None if self.handover is None else self.handover.take(values)

    def together(self, values: Sequence[bytes | None]) -> list[Record] | None:
        """The records of a whole batch, read in one go, which is faster than one by one.

        None unless all of them are good and written under one schema id: then each has to be looked at by itself.
        """
        header = values[0][: HEADER.size] if values and values[0] else b""
        reader = self._marked.get(header)
        if reader is None:
            return None
        mark = MARK + header
        try:
            data = b"".join((long(len(values)), MARK, MARK.join(values), b"\0"))  # type: ignore[arg-type]
            stream = BytesIO(data)
            records: Any = reader.read(stream)
            marks = [record.pop(MARK_FIELD) for record in records]
            if stream.tell() != len(data) or marks.count(mark) < len(values):
                return None
            return list(records if reader.convert is None else map(reader.convert, records))
        except Exception:  # a null among them, or damaged input, on which fastavro raises many kinds
            return None

    def __call__(self, value: bytes | None) -> Record:
        """The record in a value; raises BadRecord with the reason when it cannot be read."""
        if value is None:
            raise BadRecord("null value")
        if len(value) < HEADER.size or value[0] != MAGIC:
            raise BadRecord("value is not in the registry's wire format (magic byte 0, schema id)")
        number = int.from_bytes(value[1:5], "big")
        reader = self._readers.get(number)
        if reader is None:
            raise BadRecord(self._refused.get(number, f"unknown schema id {number}"))
        stream = BytesIO(value)
        stream.seek(HEADER.size)
        try:
            record = reader.read(stream)
            if stream.tell() == len(value) and reader.convert is not None:
                record = reader.convert(record)
        except Exception as error:  # fastavro raises many kinds on damaged input, IndexError and EOFError among them
            raise BadRecord(
                f"value is no {self._name} under schema id {number}: {type(error).__name__}: {error}"
            ) from None
        if stream.tell() != len(value):
            raise BadRecord(f"{len(value) - stream.tell()} bytes left over after the {self._name}")
        return dict(record)


@dataclass(frozen=True, slots=True)
class _Reader:
    """How the records of one writer's schema are read."""

    writer: Any
    reader: Any
    convert: Convert | None

    @classmethod
    def of(cls, resolved: Resolved) -> "_Reader":
        """For a record by itself; raises UnreadableSchema where fastavro does not take the schemas."""
        return cls(_parsed(resolved.writer), resolved.reader and _parsed(resolved.reader), resolved.convert)

    @classmethod
    def of_marked(cls, resolved: Resolved) -> "_Reader":
        """For an array of records, each behind its mark and header; raises UnreadableSchema as `of` does."""
        writer, reader = _marked_array(resolved.writer), resolved.reader and _marked_array(resolved.reader)
        return cls(writer, reader, resolved.convert)

    def read(self, stream: BytesIO) -> Any:
        """What the stream holds, as fastavro reads it."""
        return fastavro.schemaless_reader(stream, self.writer, self.reader)


def _marked_array(record: Mapping[str, Any]) -> Any:
    """Avro's array of such records, each of which begins with the mark and the registry's header."""
    mark = {"name": MARK_FIELD, "type": {"type": "fixed", "name": "pipeline_mark", "size": len(MARK) + HEADER.size}}
    items = {name: value for name, value in record.items() if not name.startswith("__")}
    return _parsed({"type": "array", "items": {**items, "fields": [mark, *items["fields"]]}})


def _parsed(given: Any) -> Any:
    """A schema as fastavro reads with it; raises UnreadableSchema where it does not take it."""
    try:
        return fastavro.parse_schema(given)
    except Exception as error:  # it raises many kinds on schemas that are none
        raise UnreadableSchema(f"it is no Avro schema: {type(error).__name__}: {error}") from None


def key_text(key: bytes | None) -> str:
    """A record's key as text, which may be empty; raises BadRecord when it is null or not UTF-8."""
    if key is None:
        raise BadRecord("null key")
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRecord("key is not UTF-8") from None
