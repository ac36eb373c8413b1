"""The types of SQL as column types, and back: what ksqlDB calls each type, and what is inside of the nested ones.

Items of arrays, values of maps and fields of structs may be null, as in the Avro schemas that ksqlDB writes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from hashlib import sha256
from typing import Any

from pipeline.functions.base import SignatureError, Types
from pipeline.tables.types import ColumnType, column_type

STRING = column_type("string")
INT = column_type("int")
LONG = column_type("long")
DOUBLE = column_type("double")
BOOLEAN = column_type("boolean")
BYTES = column_type("bytes")
DATE = column_type({"type": "int", "logicalType": "date"})
TIME_MILLIS = column_type({"type": "int", "logicalType": "time-millis"})
TIMESTAMP_MILLIS = column_type({"type": "long", "logicalType": "timestamp-millis"})

KINDS = {
    "string": "STRING",
    "int": "INT",
    "long": "BIGINT",
    "float": "DOUBLE",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "bytes": "BYTES",
    "date": "DATE",
    "time-millis": "TIME",
    "time-micros": "TIME",
    "timestamp-millis": "TIMESTAMP",
    "timestamp-micros": "TIMESTAMP",
    "local-timestamp-millis": "TIMESTAMP",
    "local-timestamp-micros": "TIMESTAMP",
    "decimal": "DECIMAL",
    "array": "ARRAY",
    "map": "MAP",
    "record": "STRUCT",
    "uuid": "UUID",
    "union": "UNION",
    "null": "NULL",
}
NUMBERS = ("INT", "BIGINT", "DECIMAL", "DOUBLE")
"""Each can be widened to those after it (ksqlDB's SqlBaseType.canImplicitlyCast)."""

MOST_DIGITS_OF_INT, MOST_DIGITS_OF_BIGINT = 10, 19
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def decimal(precision: int, scale: int) -> ColumnType:
    """DECIMAL(precision, scale): so many digits, of which `scale` are after the point."""
    if not (precision >= 1 and 0 <= scale <= precision):
        raise SignatureError(
            f"would be DECIMAL({precision}, {scale}), but a DECIMAL must have 1 digit or more, "
            "and no more than those after its point"
        )
    return column_type({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})


def array_of(item: ColumnType) -> ColumnType:
    """ARRAY of such items, or null."""
    return column_type({"type": "array", "items": ["null", item.avro]})


def map_of(value: ColumnType) -> ColumnType:
    """MAP of STRING to such values, or null."""
    return column_type({"type": "map", "values": ["null", value.avro]})


def record_of(fields: Mapping[str, ColumnType], name: str | None = None) -> ColumnType:
    """STRUCT of such fields, or null. Equal structs have one name, which is made of the fields when none is given."""
    for field in fields:
        if FIELD_NAME.fullmatch(field) is None:
            raise SignatureError(
                f"has the field {field!r}, but Avro's names must be letters, digits and _, and begin with no digit"
            )
    written = [{"name": field, "type": ["null", kind.avro], "default": None} for field, kind in fields.items()]
    made = "Struct_" + sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()[:12]
    return column_type({"type": "record", "name": name or made, "fields": written})


def kind(given: ColumnType | None) -> str:
    """The base type: STRING, DECIMAL, ARRAY and so on; NULL for the literal."""
    return "NULL" if given is None else KINDS[given.family]


def is_null(given: ColumnType | None) -> bool:
    """Whether there is never a value: the literal NULL, or a column of nothing else."""
    return given is None or given.family == "null"


def item_of(array: ColumnType) -> ColumnType:
    """The type of an array's items."""
    return column_type(array.avro["items"])


def value_of(of_map: ColumnType) -> ColumnType:
    """The type of a map's values."""
    return column_type(of_map.avro["values"])


def fields_of(struct: ColumnType) -> dict[str, ColumnType]:
    """The types of a struct's fields, in order."""
    return {field["name"]: column_type(field["type"]) for field in struct.avro["fields"]}


def digits(given: ColumnType) -> tuple[int, int]:
    """(precision, scale) of a decimal, or of the decimal that a whole number becomes (ksqlDB's DecimalUtil)."""
    match kind(given):
        case "DECIMAL":
            return given.avro["precision"], given.scale
        case "INT":
            return MOST_DIGITS_OF_INT, 0
    return MOST_DIGITS_OF_BIGINT, 0


def sql_name(given: ColumnType | None) -> str:
    """What ksqlDB calls a type; two types have the same values when it calls them the same."""
    if given is None:
        return "NULL"
    match kind(given):
        case "DECIMAL":
            return "DECIMAL({}, {})".format(*digits(given))
        case "ARRAY":
            return f"ARRAY<{sql_name(item_of(given))}>"
        case "MAP":
            return f"MAP<STRING, {sql_name(value_of(given))}>"
        case "STRUCT":
            return "STRUCT<" + ", ".join(f"{name} {sql_name(of)}" for name, of in fields_of(given).items()) + ">"
    return kind(given)


def sql_names(types: Types) -> str:
    """The names of the types of a call's arguments."""
    return f"({', '.join(map(sql_name, types))})"


def common(types: Types) -> ColumnType | None:
    """The narrowest type that holds values of all, nulls aside; None where there is none, or nothing but nulls.

    Numbers are widened, and so are the numbers in arrays and maps. Other types have to be equal.
    """
    found: ColumnType | None = None
    for given in types:
        if is_null(given):
            continue
        found = given if found is None else _wider(found, given)
        if found is None:
            return None
    return found


def _wider(left: ColumnType, right: ColumnType | None) -> ColumnType | None:
    if right is None or sql_name(left) == sql_name(right):
        return left
    kinds = kind(left), kind(right)
    if kinds == ("ARRAY", "ARRAY"):
        inner = _wider(item_of(left), item_of(right))
        return None if inner is None else array_of(inner)
    if kinds == ("MAP", "MAP"):
        inner = _wider(value_of(left), value_of(right))
        return None if inner is None else map_of(inner)
    if not set(kinds) <= set(NUMBERS):
        return None
    if "DOUBLE" in kinds:
        return DOUBLE
    if "DECIMAL" not in kinds:
        return LONG
    (left_digits, left_scale), (right_digits, right_scale) = digits(left), digits(right)
    scale = max(left_scale, right_scale)
    return decimal(max(left_digits - left_scale, right_digits - right_scale) + scale, scale)


def kind_of_value(value: Any) -> ColumnType | None:
    """The type of a Python value, as a literal has it. What is only null or empty inside has STRING there."""
    match value:
        case None:
            return None
        case bool():
            return BOOLEAN
        case int():
            return INT if -(1 << 31) <= value < 1 << 31 else LONG
        case float():
            return DOUBLE
        case str():
            return STRING
        case bytes():
            return BYTES
        case datetime():
            return TIMESTAMP_MILLIS
        case date():
            return DATE
        case time():
            return TIME_MILLIS
        case Decimal():
            return _of_decimal(value)
        case list():
            return _nested(value, array_of)
        case dict():
            return _nested(list(value.values()), map_of)
    raise SignatureError(f"takes no {type(value).__name__}")


def _of_decimal(value: Decimal) -> ColumnType:
    _, figures, exponent = value.as_tuple()
    scale = max(-exponent, 0) if isinstance(exponent, int) else 0
    return decimal(max(len(figures), scale + 1), scale)


def _nested(values: Sequence[Any], of: Any) -> ColumnType:
    inner = common([kind_of_value(value) for value in values])
    return of(STRING if inner is None else inner)  # type: ignore[no-any-return]
