"""Protobuf's messages by the writer's schema alone, as {field: value}."""

from collections.abc import Callable
from typing import Any

from pipeline.formats.proto_text import Field, Message, ProtoFile, parse
from pipeline.formats.proto_wire import LEN, SCALARS, VARINT, WireError, fields, packed
from pipeline.formats.protobuf import indexes

MOST_NESTED = 50
GOOGLE = parse(
    """
    syntax = "proto3";
    package google.protobuf;
    message Timestamp { int64 seconds = 1; int32 nanos = 2; }
    message Duration { int64 seconds = 1; int32 nanos = 2; }
    message DoubleValue { double value = 1; }
    message FloatValue { float value = 1; }
    message Int64Value { int64 value = 1; }
    message UInt64Value { uint64 value = 1; }
    message Int32Value { int32 value = 1; }
    message UInt32Value { uint32 value = 1; }
    message BoolValue { bool value = 1; }
    message StringValue { string value = 1; }
    message BytesValue { bytes value = 1; }
    """,
    [
        """
        syntax = "proto3";
        package google.type;
        message Date { int32 year = 1; int32 month = 2; int32 day = 3; }
        message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }
        """,
        """
        syntax = "proto3";
        package confluent.type;
        message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }
        """,
    ],
)
"""What schemas may use without saying it: registries do not tell these files."""


def protobuf_reader(file: ProtoFile) -> Callable[[bytes], Any]:
    """By a writer's schema of Protobuf: fields by name; absent ones are left out."""
    file = ProtoFile(file.messages, GOOGLE.types | file.types, file.enums)

    def read(value: bytes) -> Any:
        path, place = indexes(value)
        return message(file, file.at(path), value[place:])

    return read


def message(file: ProtoFile, of: Message, data: bytes, depth: int = 0) -> dict[str, Any]:
    """A message as {field: value}; fields that the schema does not know are left out. Raises WireError."""
    if depth > MOST_NESTED:
        raise WireError("its messages are nested too deeply")
    by_number = {given.number: given for given in of.fields}
    record: dict[str, Any] = {}
    for number, wire, raw in fields(data):
        given = by_number.get(number)
        if given is None:
            continue
        if given.key:
            record.setdefault(given.name, {}).update([_entry(file, given, raw, depth)])
        elif given.repeated:
            record.setdefault(given.name, []).extend(_items(file, given, wire, raw, depth))
        else:
            record[given.name] = _one(file, given, raw, depth)
    return record


def _entry(file: ProtoFile, given: Field, raw: bytes, depth: int) -> tuple[str, Any]:
    parts = {number: part for number, _, part in fields(raw)}
    _, convert = SCALARS[given.key]
    key = convert(parts[1]) if 1 in parts else ""
    return str(key), _one(file, given, parts[2], depth) if 2 in parts else None


def _items(file: ProtoFile, given: Field, wire: int, raw: Any, depth: int) -> list[Any]:
    of = SCALARS[given.type][0] if given.type in SCALARS else LEN
    if given.type not in SCALARS and file.resolve(given.type, given.scope) in file.enums:
        of = VARINT
    parts = packed(raw, of) if wire == LEN and of != LEN else [raw]
    return [_one(file, given, part, depth) for part in parts]


def _one(file: ProtoFile, given: Field, raw: Any, depth: int) -> Any:
    if given.type in SCALARS:
        wire, convert = SCALARS[given.type]
        if isinstance(raw, bytes) == (wire == VARINT):
            raise WireError(f"field {given.name} is not of type {given.type}")
        return convert(raw)
    full = file.resolve(given.type, given.scope)
    if full in file.enums:
        number = SCALARS["int32"][1](raw)
        return file.enums[full].get(number, number)
    if not isinstance(raw, bytes):
        raise WireError(f"field {given.name} is no message")
    return message(file, file.types[full], raw, depth + 1)
