"""Keys: inside the application they are texts, and on the wire what their topic says."""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from pipeline.codecs import Decoder, key_text
from pipeline.errors import BadRecord
from pipeline.formats.base import Unregistered
from pipeline.formats.json_format import parsed
from pipeline.formats.kafka_format import kafka_reader, kafka_writer
from pipeline.formats.misfit import Misfit
from pipeline.formats.protocols import Key, ValueEncoder
from pipeline.formats.reading import reader
from pipeline.formats.shape import Kind
from pipeline.formats.texts import text_reader
from pipeline.formats.writing import writer


class TextKeys(Unregistered):
    """Reads UTF-8, as it has always been: the text is the value."""

    def __call__(self, key: bytes | None) -> Key:
        """The key; raises BadRecord when it is null or not UTF-8."""
        text = key_text(key)
        return Key(text, text)


class PlainKeys(Unregistered):
    """Reads keys of the formats KAFKA and JSON."""

    def __init__(self, kind: Kind, read: Callable[[bytes], Any]) -> None:
        self._text = kind.column.text
        self._read = read

    @classmethod
    def kafka(cls, kind: Kind) -> "PlainKeys":
        """Of the format KAFKA."""
        return cls(kind, kafka_reader(kind, "key"))

    @classmethod
    def json(cls, kind: Kind) -> "PlainKeys":
        """Of the format JSON: one value alone, no object."""
        read = reader(kind)
        return cls(kind, lambda key: read(parsed(key, "key")))

    def __call__(self, key: bytes | None) -> Key:
        """The key; raises BadRecord when it is null or cannot be read."""
        if key is None:
            raise BadRecord("null key")
        try:
            value = self._read(key)
        except Misfit as misfit:
            raise _bad(misfit) from None
        if value is None:
            raise BadRecord("null key")
        return Key(self._text(value), value)


class AvroKeys:
    """Reads Avro in Confluent's wire format: a value alone, or a record with the key's field."""

    schema_type = "AVRO"

    def __init__(self, kind: Kind, column: str) -> None:
        self._column = column
        self._text = kind.column.text
        self._decode = Decoder(key_record(column, kind.avro))

    def unknown(self, values: Iterable[bytes | None]) -> set[int]:
        """Schema ids in these keys which have been neither taught nor refused for good."""
        return self._decode.unknown(values)

    def learn(self, number: int, writer: Any, referenced: Iterable[Any] = ()) -> None:
        """Teach the writer's schema of an id; one that is no record's is read as the key's field alone."""
        is_record = isinstance(writer, dict) and writer.get("type") in ("record", "error")
        self._decode.learn(number, writer if is_record else key_record(self._column, writer), referenced)

    def refuse(self, number: int, reason: str) -> None:
        """Teach that keys under an id are bad."""
        self._decode.refuse(number, reason)

    def __call__(self, key: bytes | None) -> Key:
        """The key; raises BadRecord when it is null or cannot be read."""
        if key is None:
            raise BadRecord("null key")
        try:
            value = self._decode(key)[self._column]
        except BadRecord as error:
            raise BadRecord(f"key: {error}") from None
        return Key(self._text(value), value)


def key_record(column: str, avro: Any) -> dict[str, Any]:
    """A record with the key as its one field, which Avro writes as the key alone."""
    return {"type": "record", "name": "key", "fields": [{"name": column, "type": avro}]}


class Keys:
    """Writes keys of a kind."""

    def __init__(self, kind: Kind, write: Callable[[Any], bytes]) -> None:
        self._write = write
        self._check = text_reader(kind)

    @classmethod
    def kafka(cls, kind: Kind) -> "Keys":
        """What Kafka's own serializers write; UTF-8 for a string."""
        return cls(kind, kafka_writer(kind))

    @classmethod
    def json(cls, kind: Kind) -> "Keys":
        """One JSON value."""
        write = writer(kind)
        return cls(kind, lambda value: orjson.dumps(write(value)))

    @classmethod
    def avro(cls, kind: Kind, column: str, encoder: ValueEncoder) -> "Keys":
        """Avro in Confluent's wire format, by the encoder of a record with the key as its one field."""
        return cls(kind, lambda value: encoder({column: value}))

    def __call__(self, value: Any) -> bytes:
        """The written form of a value; raises ValueError or TypeError when it does not fit the key's type."""
        try:
            return self._write(value)
        except Misfit as misfit:
            raise ValueError(str(_bad(misfit))) from None

    def of_text(self, text: str) -> bytes:
        """The written form of the value that has this text; raises as for the value."""
        try:
            return self._write(self._check(text))
        except Misfit as misfit:
            raise ValueError(str(_bad(misfit))) from None


def _bad(misfit: Misfit) -> BadRecord:
    return BadRecord(str(misfit.inside("key")).removeprefix("column "))
