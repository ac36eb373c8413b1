"""Messages as records: each column from the field that has its name, whatever number and type the writer gave it.

What is widened without loss is taken: any whole number as int or long where it fits, float as double, enums and their
names as texts, Protobuf's own and Google's messages for what Avro calls logical types, and wrapped scalars. A field
without presence that is absent has Protobuf's default; others are null then, and bad where the column takes no null.
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from pipeline.avro_schemas import UnreadableSchema
from pipeline.formats import proto_schema
from pipeline.formats.misfit import Misfit
from pipeline.formats.names import given_names
from pipeline.formats.proto_text import Field, Message, ProtoFile
from pipeline.formats.proto_wire import LEN, SCALARS, VARINT, WireError, fields, packed
from pipeline.formats.reading import Convert, decimal_reader, missing, reader, sized
from pipeline.formats.shape import Column, Kind
from pipeline.formats.writing import checked_double
from pipeline.tables.types import EXACT

Take = Callable[[list[tuple[int, Any]]], Any]
"""What the occurrences of a field, of which there is at least one, become: (wire type, raw value) of each."""

WHOLE = {"int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64"}
TEXTS = ("string", "uuid", "enum")
MOST_DECIMAL_BYTES = 2_000
DAY_NANOS = {"time-millis": 1_000_000, "time-micros": 1_000}
NANOS = 1_000_000_000


def message_reader(file: ProtoFile, message: Message, columns: tuple[Column, ...]) -> Callable[[bytes], dict[str, Any]]:
    """The function from a message's bytes to the record; it raises WireError or Misfit.

    Raises UnreadableSchema where the message's fields cannot be the columns.
    """
    by_name = {given.name: given for given in message.fields}
    try:
        names = given_names(columns, by_name)
    except Misfit as misfit:
        raise UnreadableSchema(f"{misfit}: those are fields of {message.name}") from None
    slots: list[tuple[Column, int, Take | None, Any]] = []
    for column, name in zip(columns, names, strict=True):
        if name is None:
            try:
                missing(column)
            except Misfit:
                raise UnreadableSchema(
                    f"{message.name} has no field {column.name}, which has no default either"
                ) from None
            slots.append((column, 0, None, None))
        else:
            try:
                take, default = _field_reader(file, by_name[name], column)
            except UnreadableSchema as error:
                raise UnreadableSchema(f"field {name}: {error}") from None
            slots.append((column, by_name[name].number, take, default))
    wanted = {number for _, number, take, _ in slots if take is not None}

    def read(data: bytes) -> dict[str, Any]:
        found: dict[int, list[tuple[int, Any]]] = {}
        for number, wire, raw in fields(data):
            if number in wanted:
                found.setdefault(number, []).append((wire, raw))
        record = {}
        for column, number, take, default in slots:
            if take is None:
                record[column.name] = column.without()
                continue
            try:
                given = found.get(number)
                value = default() if given is None else take(given)
                if value is None and not column.nullable:
                    raise Misfit(None, column.kind, "there: the column takes no null")
            except Misfit as misfit:
                raise misfit.inside(column.name) from None
            record[column.name] = value
        return record

    return read


def _field_reader(file: ProtoFile, given: Field, column: Column) -> tuple[Take, Callable[[], Any]]:
    """How a field becomes a column, and what it is where it is absent."""
    kind = column.kind
    if given.key:
        if kind.family != "map" or given.key != "string":
            raise UnreadableSchema(f"a map of {given.key} is not {kind.name}")
        return _map_taker(file, given, kind), dict
    if given.repeated:
        if kind.family != "array":
            raise UnreadableSchema(f"repeated {given.type} is not {kind.name}")
        return _array_taker(file, given, kind), list
    one, default = _one_reader(file, given, kind)
    return one, (lambda: None) if given.has_presence else default


def _one_reader(file: ProtoFile, given: Field, kind: Kind) -> tuple[Take, Callable[[], Any]]:
    """The same for a field that is there once; the last goes where a scalar is there more often."""
    if given.type in SCALARS:
        wire, convert = SCALARS[given.type]
        check = _checker(given.type, kind)
        default = proto_schema.DEFAULTS.get(given.type, 0)
        return _scalar_taker(wire, convert, check), lambda: check(default)
    full = file.resolve(given.type, given.scope, _known())
    if full in file.enums:
        if kind.family not in ("string", "enum"):
            raise UnreadableSchema(f"enum {full} is not {kind.name}")
        symbols, check = file.enums[full], reader(kind)
        signed = SCALARS["int32"][1]
        return (
            _scalar_taker(VARINT, lambda raw: symbols.get(signed(raw), str(signed(raw))), check),
            lambda: check(symbols.get(0, "0")),
        )
    if full in proto_schema.WRAPPERS:
        inner = Field("value", 1, proto_schema.WRAPPERS[full], "")
        take, default = _one_reader(file, inner, kind)
        return _message_taker(lambda raw: _wrapped(raw, take, default)), lambda: None
    if full in MESSAGES:
        if proto_schema.message_type(kind.family) != full:
            raise UnreadableSchema(f"{full} is not {kind.name}")
        return _message_taker(MESSAGES[full](kind)), lambda: None
    if kind.family != "record":
        raise UnreadableSchema(f"message {full} is not {kind.name}")
    if full not in file.types:
        raise UnreadableSchema(f"its type {full!r} is not defined")
    return _message_taker(message_reader(file, file.types[full], kind.columns)), lambda: None


def _checker(given: str, kind: Kind) -> Convert:
    """The function from a scalar's value to the column's; raises UnreadableSchema where there is none."""
    family = kind.family
    if given in WHOLE and family in ("float", "double"):
        return checked_double(kind)
    counts = family not in proto_schema.SCALARS and family not in ("decimal", "array", "map", "record")
    if given in WHOLE and (family in ("int", "long") or counts):
        return reader(kind)
    if given in ("float", "double") and family in (given, "double"):
        return checked_double(kind)
    if given == "string" and family in (*TEXTS, "decimal"):
        return reader(kind)
    if given == "bool" and family == "boolean":
        return reader(kind)
    if given == "bytes" and family in ("bytes", "fixed"):
        size = kind.avro["size"] if family == "fixed" else None
        return lambda value: sized(value, kind, size)
    raise UnreadableSchema(f"{given} is not {kind.name}")


def _scalar_taker(wire: int, convert: Convert, check: Convert) -> Take:
    def take(found: list[tuple[int, Any]]) -> Any:
        given, raw = found[-1]
        if given != wire:
            raise WireError(f"a field is of wire type {given}, but must be of {wire}")
        return check(convert(raw))

    return take


def _message_taker(read: Convert) -> Take:
    def take(found: list[tuple[int, Any]]) -> Any:
        return read(b"".join(map(_bytes, found)))  # messages that are there more often are one, in their order

    return take


def _bytes(found: tuple[int, Any]) -> bytes:
    wire, raw = found
    if wire != LEN:
        raise WireError(f"a field is of wire type {wire}, but must be of {LEN}")
    return bytes(raw)


def _wrapped(raw: bytes, take: Take, default: Callable[[], Any]) -> Any:
    found = [(wire, value) for number, wire, value in fields(raw) if number == 1]
    return take(found) if found else default()


def _array_taker(file: ProtoFile, given: Field, kind: Kind) -> Take:
    assert kind.item is not None
    take, _ = _one_reader(file, given, kind.item.kind)
    wire = SCALARS[given.type][0] if given.type in SCALARS else LEN
    if given.type not in SCALARS and file.resolve(given.type, given.scope, _known()) in file.enums:
        wire = VARINT

    def convert(found: list[tuple[int, Any]]) -> list[Any]:
        items: list[tuple[int, Any]] = []
        for given_wire, raw in found:
            if wire != LEN and given_wire == LEN:
                items += [(wire, part) for part in packed(raw, wire)]
            else:
                items.append((given_wire, raw))
        values = []
        for place, item in enumerate(items):
            try:
                values.append(take([item]))
            except Misfit as misfit:
                raise misfit.inside(f"[{place}]") from None
        return values

    return convert


def _map_taker(file: ProtoFile, given: Field, kind: Kind) -> Take:
    assert kind.item is not None
    take, default = _one_reader(file, given, kind.item.kind)
    read_key = SCALARS["string"][1]

    def convert(found: list[tuple[int, Any]]) -> dict[str, Any]:
        values = {}
        for entry in found:
            parts = fields(_bytes(entry))
            keys = [(wire, raw) for number, wire, raw in parts if number == 1]
            items = [(wire, raw) for number, wire, raw in parts if number == 2]
            key = read_key(_bytes(keys[-1])) if keys else ""
            try:
                value = take(items) if items else default()
                if value is None:
                    value = take([(LEN, b"")])  # an entry without a value has an empty message
            except Misfit as misfit:
                raise misfit.inside(f"[{key!r}]") from None
            values[key] = value
        return values

    return convert


def _known() -> tuple[str, ...]:
    return (*proto_schema.IMPORTS, *proto_schema.WRAPPERS)


def _numbers(raw: bytes) -> Mapping[int, int]:
    """The whole numbers of a message, by their fields; 0 where one is absent."""
    found = dict.fromkeys(range(1, 5), 0)
    for number, wire, value in fields(raw):
        if wire == VARINT:
            found[number] = SCALARS["int64"][1](value)
    return found


def _decimal_reader(kind: Kind) -> Convert:
    check = decimal_reader(kind)

    def read(raw: bytes) -> Decimal:
        parts = [bytes(value) for number, wire, value in fields(raw) if number == 1 and wire == LEN]
        units = parts[-1] if parts else b""
        if len(units) > MOST_DECIMAL_BYTES:
            raise Misfit(units, kind, f"no longer than {MOST_DECIMAL_BYTES} bytes")
        scale = _numbers(raw)[3]
        if abs(scale) > MOST_DECIMAL_BYTES:
            raise Misfit(scale, kind, f"of a scale up to {MOST_DECIMAL_BYTES}")
        found: Decimal = check(Decimal(int.from_bytes(units, "big", signed=True)).scaleb(-scale, EXACT))
        return found

    return read


def _date_reader(kind: Kind) -> Convert:
    def read(raw: bytes) -> date:
        parts = _numbers(raw)
        try:
            return date(parts[1], parts[2], parts[3])
        except (ValueError, OverflowError):
            raise Misfit((parts[1], parts[2], parts[3]), kind, "a day of the years 1 to 9999") from None

    return read


def _time_reader(kind: Kind) -> Convert:
    check = reader(kind)

    def read(raw: bytes) -> Any:
        parts = _numbers(raw)
        nanos = ((parts[1] * 60 + parts[2]) * 60 + parts[3]) * NANOS + parts[4]
        return check(nanos // DAY_NANOS[kind.family])

    return read


def _timestamp_reader(kind: Kind) -> Convert:
    check, unit = reader(kind), 1_000 if kind.family.endswith("micros") else 1_000_000

    def read(raw: bytes) -> Any:
        parts = _numbers(raw)
        return check((parts[1] * NANOS + parts[2]) // unit)

    return read


MESSAGES: Mapping[str, Callable[[Kind], Convert]] = {
    proto_schema.DECIMAL: _decimal_reader,
    proto_schema.DATE: _date_reader,
    proto_schema.TIME: _time_reader,
    proto_schema.TIMESTAMP: _timestamp_reader,
}
