"""Protobuf's messages as they are derived from a shape, and what both directions know of Protobuf's types.

A nullable scalar is `optional`, ksqlDB's PROTOBUF_NULLABLE_REPRESENTATION of OPTIONAL: null and 0 are told apart. Types
that Protobuf lacks are the messages that Confluent's converter uses.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import SettingError
from pipeline.formats.shape import Column, Kind

DECIMAL = "confluent.type.Decimal"
DATE = "google.type.Date"
TIME = "google.type.TimeOfDay"
TIMESTAMP = "google.protobuf.Timestamp"
IMPORTS = {
    DECIMAL: "confluent/type/decimal.proto",
    DATE: "google/type/date.proto",
    TIME: "google/type/timeofday.proto",
    TIMESTAMP: "google/protobuf/timestamp.proto",
}
WRAPPERS = {
    f"google.protobuf.{name}Value": kind
    for name, kind in (
        ("Double", "double"),
        ("Float", "float"),
        ("Int64", "int64"),
        ("UInt64", "uint64"),
        ("Int32", "int32"),
        ("UInt32", "uint32"),
        ("Bool", "bool"),
        ("String", "string"),
        ("Bytes", "bytes"),
    )
}
"""Messages of one field, number 1, which stand for a scalar that may be null."""

SCALARS: Mapping[str, str] = {
    "string": "string",
    "uuid": "string",
    "enum": "string",
    "int": "int32",
    "long": "int64",
    "float": "float",
    "double": "double",
    "boolean": "bool",
    "bytes": "bytes",
    "fixed": "bytes",
}


def message_type(family: str) -> str | None:
    """The message that stands for a family of scalars, None where it is a scalar of Protobuf's."""
    if family in SCALARS:
        return None
    if family == "decimal":
        return DECIMAL
    if family == "date":
        return DATE
    return TIME if family.startswith("time-") else TIMESTAMP


def check_protobuf(where: str, columns: tuple[Column, ...]) -> None:
    """Raise SettingError when a column is an array or map whose items are arrays or maps: Protobuf has none."""
    for column in columns:
        _check_kind(f"{where}, column {column.name}", column.kind)


def _check_kind(where: str, kind: Kind) -> None:
    check_protobuf(where, kind.columns)
    if kind.item is not None:
        if kind.item.kind.item is not None:
            raise SettingError(
                f"{where} is of type {kind.name}, but must hold scalars or records: the value_format PROTOBUF holds "
                "no arrays or maps right in each other"
            )
        _check_kind(where, kind.item.kind)


def proto_text(columns: tuple[Column, ...], full_name: str) -> str:
    """The proto3 text of a file with one message of these columns, numbered from 1 in their order."""
    namespace, _, name = full_name.rpartition(".")
    body = _message(columns, name, "")
    used = sorted({IMPORTS[kind] for kind in _messages(columns)})
    head = ['syntax = "proto3";', *([f"package {namespace};"] if namespace else [])]
    return "\n".join([*head, *(f'import "{path}";' for path in used), *body, ""])


def _messages(columns: tuple[Column, ...]) -> set[str]:
    found: set[str] = set()
    for column in columns:
        kind = column.kind if column.kind.item is None else column.kind.item.kind
        if kind.family == "record":
            found |= _messages(kind.columns)
        elif (message := message_type(kind.family)) is not None:
            found.add(message)
    return found


def _message(columns: tuple[Column, ...], name: str, indent: str) -> list[str]:
    lines, inner = [f"{indent}message {name} {{"], f"{indent}  "
    taken = {column.name for column in columns}
    for number, column in enumerate(columns, 1):
        item = column.kind.item
        kind = column.kind if item is None else item.kind
        if kind.family == "record":
            type_name = f"{column.name}_record"
            while type_name in taken:
                type_name += "_"
            taken.add(type_name)
            lines += _message(kind.columns, type_name, inner)
        else:
            type_name = message_type(kind.family) or SCALARS[kind.family]
        lines.append(f"{inner}{_declared(column, type_name)} {column.name} = {number};")
    return [*lines, f"{indent}}}"]


def _declared(column: Column, type_name: str) -> str:
    if column.kind.family == "array":
        return f"repeated {type_name}"
    if column.kind.family == "map":
        return f"map<string, {type_name}>"
    return f"optional {type_name}" if column.nullable else type_name


def is_plain(kind: Kind) -> bool:
    """Whether it is a scalar of Protobuf's: those have a default, which is left out where there is no `optional`."""
    return kind.family in SCALARS


DEFAULTS: Mapping[str, Any] = {"string": "", "bytes": b"", "bool": False, "float": 0.0, "double": 0.0}
"""What an absent field without `optional` means; 0 for numbers that are not here."""
