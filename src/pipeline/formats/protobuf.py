"""PROTOBUF: Confluent's wire format with message indexes, read by the writer's schema and written by the derived one.

The codec is the project's own, about two hundred lines: the protobuf library is no dependency of anything that is
installed, builds its classes from compiled descriptors (which needs protoc's parser for the registry's texts), and
would give messages that have to be converted field by field all the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pipeline.avro_schemas import UnreadableSchema
from pipeline.codecs import HEADER, MAGIC, Record
from pipeline.errors import BadRecord
from pipeline.formats.base import RowEncoder, Taught, cut
from pipeline.formats.misfit import Misfit
from pipeline.formats.proto_reading import message_reader
from pipeline.formats.proto_text import ProtoFile, parse
from pipeline.formats.proto_wire import WireError, read_varint, zigzag
from pipeline.formats.proto_writing import message_writer
from pipeline.formats.shape import Column

Read = Callable[[bytes], Record]

FIRST_MESSAGE = b"\0"
"""The indexes of the first message of a schema, which are written as this one byte."""
MOST_INDEXES = 50
MOST_READERS = 256


class ProtobufDecoder(Taught):
    """Reads messages of any writer's schema whose fields can be read as the columns of a shape, by their names."""

    schema_type = "PROTOBUF"

    def __init__(self, columns: tuple[Column, ...], name: str) -> None:
        super().__init__()
        self._columns = columns
        self._name = name
        self._files: dict[int, ProtoFile] = {}
        self._readers: dict[bytes, tuple[int, Read | BadRecord]] = {}

    def learn(self, number: int, writer: Any, referenced: Iterable[Any] = ()) -> None:
        """Teach the text of a schema, and of those that it imports."""
        try:
            self._files[number] = parse(str(writer), map(str, referenced))
        except UnreadableSchema as error:
            self.refuse(number, f"schema id {number} cannot be read as {self._name}: {error}")
        else:
            self._known.add(number)

    def __call__(self, value: bytes | None) -> Record:
        """The record in a value; raises BadRecord with the reason when it cannot be read."""
        if value is None:
            raise BadRecord("null value")
        try:
            size, read = self._reader(value)
            if isinstance(read, BadRecord):
                raise BadRecord(str(read))
            return read(value[size:])
        except Misfit as misfit:
            raise BadRecord(str(misfit)) from None
        except WireError as error:
            raise BadRecord(f"value is no {self._name} in Protobuf: {error}: {cut(value)}") from None

    def together(self, values: Sequence[bytes | None]) -> list[Record] | None:
        """The records of a whole batch; None where one is bad."""
        try:
            return [self(value) for value in values]
        except BadRecord:
            return None

    def _reader(self, value: bytes) -> tuple[int, Read | BadRecord]:
        """How many bytes go before a message, and how it is read; raises BadRecord or WireError."""
        known = self._readers.get(value[: HEADER.size + 1]) if value[HEADER.size : HEADER.size + 1] == b"\0" else None
        if known is not None:
            return known
        number = self._number(value)
        path, size = indexes(value)
        header = value[:size]
        if header not in self._readers:
            if len(self._readers) >= MOST_READERS:
                self._readers.clear()
            self._readers[header] = size, self._made(number, path)
        return self._readers[header]

    def _made(self, number: int, path: Sequence[int]) -> Read | BadRecord:
        file = self._files[number]
        try:
            return message_reader(file, file.at(path), self._columns)
        except IndexError:
            return BadRecord(f"schema id {number} has no message at the indexes {list(path)}")
        except UnreadableSchema as error:
            return BadRecord(f"schema id {number} cannot be read as {self._name}: {error}")


def indexes(value: bytes) -> tuple[list[int], int]:
    """The path of message indexes behind the header, and where the message begins; raises WireError."""
    raw, place = read_varint(value, HEADER.size)
    count = zigzag(raw)
    if count == 0:
        return [0], place
    if not 0 < count <= MOST_INDEXES:
        raise WireError(f"it has {count} message indexes")
    path = []
    for _ in range(count):
        raw, place = read_varint(value, place)
        path.append(zigzag(raw))
    return path, place


class ProtobufEncoder(RowEncoder):
    """Writes records as the message that is derived from their shape."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._message: Callable[[Mapping[str, Any]], bytes] = message_writer(columns)
        self._header = b""

    def registered(self, number: int) -> None:
        """Set the schema id that goes before every record."""
        self._header = HEADER.pack(MAGIC, number) + FIRST_MESSAGE

    def _write(self, record: Record) -> bytes:
        if not self._header:
            raise RuntimeError("the encoder's schema has not been registered yet")
        return self._header + self._message(record)
