"""The shape of a topic's records: its Avro schema with every name written out, as all formats look at it."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pipeline.avro_schemas import Expansion, UnreadableSchema
from pipeline.avro_values import default_value
from pipeline.codecs import schema
from pipeline.errors import SettingError
from pipeline.tables.types import ColumnType, column_type
from pipeline.topics import Schema

MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Kind:
    """A type without null. `family` is that of `column`, or enum or fixed, which Avro alone tells from text and bytes.

    `item` is that of an array's items or a map's values; `columns` are a record's.
    """

    family: str
    column: ColumnType
    avro: Mapping[str, Any]
    item: "Part | None" = None
    columns: "tuple[Column, ...]" = ()

    @property
    def name(self) -> str:
        """What sentences call it."""
        return self.column.name

    @property
    def is_scalar(self) -> bool:
        """Whether it has no parts."""
        return self.item is None and self.family != "record"


@dataclass(frozen=True, slots=True)
class Part:
    """A type that may take null."""

    kind: Kind
    nullable: bool


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a record. `default` is its value where a record has none; MISSING: then the record is bad."""

    name: str
    kind: Kind
    nullable: bool
    default: Any = MISSING

    def without(self) -> Any:
        """The value where a record has none, a new one each time; MISSING where there must be one."""
        return deepcopy(self.default) if isinstance(self.default, list | dict) else self.default


def shape(where: str, given: Schema) -> tuple[Column, ...]:
    """The columns of a record's schema; raises SettingError where a format besides Avro cannot hold them.

    `where` begins the sentence. What Avro alone can hold: unions of several types, a column of null, and a record that
    contains itself.
    """
    try:
        expanded = Expansion([]).whole(schema(given))
        if not isinstance(expanded, dict) or expanded["type"] != "record":
            raise SettingError(f"{where}: the schema is {expanded!r}, but must be that of a record")
        return _columns(where, "", expanded)
    except UnreadableSchema as error:
        raise SettingError(f"{where}: {error}, but must be written in Avro") from None


def scalar(where: str, avro: Any) -> Kind:
    """The kind of one scalar type; raises SettingError when it is none."""
    try:
        found = _part(where, Expansion([]).whole(avro))
    except UnreadableSchema as error:
        raise SettingError(f"{where}: {error}, but must be an Avro type") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise SettingError(f"{where} is {avro!r}, but must be an Avro type: {type(error).__name__}: {error}") from None
    if found.nullable or not found.kind.is_scalar:
        raise SettingError(f"{where} is {avro!r}, but must be a scalar type without null")
    return found.kind


def _columns(where: str, prefix: str, expanded: Mapping[str, Any]) -> tuple[Column, ...]:
    found = []
    for field in expanded["fields"]:
        name = field["name"]
        part = _part(f"{where}, column {prefix}{name}", field["type"], f"{prefix}{name}.")
        default = None if part.nullable else MISSING
        if "default" in field:
            default = default_value(field["type"], field["default"])
        found.append(Column(name, part.kind, part.nullable, default))
    return tuple(found)


def _part(where: str, avro: Any, prefix: str = "") -> Part:
    branches = avro if isinstance(avro, list) else [avro]
    wanted = [branch for branch in branches if branch["type"] != "null"]
    if len(wanted) != 1:
        raise SettingError(
            f"{where} is of type {column_type(avro).name}, but must be of one type, or of null and one type: "
            "a union of several is for Avro only"
        )
    return Part(_kind(where, wanted[0], prefix), len(wanted) < len(branches))


def _kind(where: str, avro: Mapping[str, Any], prefix: str) -> Kind:
    column = column_type(avro)
    if avro["type"] == "record":
        return Kind("record", column, avro, columns=_columns(where, prefix, avro))
    if avro["type"] in ("array", "map"):
        inner = avro["items"] if avro["type"] == "array" else avro["values"]
        return Kind(column.family, column, avro, _part(f"{where}, {avro['type']}", inner, prefix))
    if avro["type"] == "enum" or (avro["type"] == "fixed" and column.family == "bytes"):
        return Kind(avro["type"], column, avro)
    return Kind(column.family, column, avro)
