"""Avro schemas of what is declared: those that are given, and those that follow from the columns of a result."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import functions
from pipeline.codecs import schema
from pipeline.columns import columns_of
from pipeline.declare.kinds import Scope
from pipeline.errors import SettingError
from pipeline.formats import check_formats
from pipeline.names import COLUMN_NAME, avro_name
from pipeline.tables.json_forms import same_type
from pipeline.tables.types import ColumnType, column_type
from pipeline.topics import KeyFormat, Schema, Topic

NAMESPACE = "pipeline"
Formats = Mapping[str, Any]
"""`value_format`, `value_delimiter` and `key_format` of a topic, see docs/formats.md; avro and text where not given."""
NAMED = ("record", "enum", "fixed", "error")


def record_schema(name: str, given: Schema | Path) -> Schema:
    """The Avro schema of a topic's rows from what is declared.

    That is an Avro record, a file with one, or columns as {name: type}, in which a type is Avro's or, in capitals,
    ksqlDB's; such columns may be null. Fields of a STRUCT are in capitals unless in backticks, as in
    ksqlDB. Raises SettingError when it is none of these.
    """
    if isinstance(given, Path):
        try:
            return dict(json.loads(given.read_text("utf-8")))
        except OSError as error:
            raise SettingError(f"topic {name}: its schema {given} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise SettingError(f"topic {name}: its schema {given} is no JSON: {error}") from None
    if isinstance(given, str) or "fields" in given or given.get("type") in NAMED:
        return given
    fields = [field(column, _type(f"topic {name}, column {column}", kind), name) for column, kind in given.items()]
    return {"type": "record", "namespace": NAMESPACE, "name": avro_name(name), "fields": fields}


def _type(where: str, given: Any) -> Any:
    if not isinstance(given, str | list | dict):
        raise SettingError(f"{where}: its type is {given!r}, but must be like 'STRING' or 'BIGINT', or one of Avro's")
    if not isinstance(given, str) or (given != given.upper() and "<" not in given):
        return given  # no name of Avro's has a bracket, but names of fields within them may be in small letters
    try:
        return functions.parse_type(given).avro
    except functions.SignatureError as error:
        raise SettingError(f"{where}: {error}") from None


def result_schema(where: str, name: str, columns: Scope) -> Schema:
    """The Avro schema of rows of these columns, each of which may be null; raises SettingError for a bad name."""
    for column in columns:
        if COLUMN_NAME.fullmatch(column) is None:
            raise SettingError(
                f"{where}: {column!r} is no name for a column, but must be letters, digits and _, with no digit first"
            )
    fields = [field(column, kind.avro, name) for column, kind in columns.items()]
    return {"type": "record", "namespace": NAMESPACE, "name": avro_name(name), "fields": fields}


def settled_schema(where: str, name: str, given: Schema | None, columns: Scope) -> Schema:
    """The schema of a topic of these columns: the one that is given, if its fields are these columns, or what follows.

    Raises SettingError where a given one has other names or types; whether it takes nulls is left to it.
    """
    if given is None:
        return result_schema(where, name, columns)
    settled = record_schema(name, given)
    fields = {field["name"]: column_type(field["type"]) for field in schema(settled)["fields"]}
    if fields.keys() != columns.keys():
        raise SettingError(f"{where}: the schema has columns {', '.join(fields)}, but the rows {', '.join(columns)}")
    for column in columns:
        if not same_type(fields[column].avro, columns[column].avro):
            raise SettingError(
                f"{where}: column {column} is of type {columns[column].name}, but {fields[column].name} in the schema"
            )
    return settled


def field(name: str, avro: Any, within: str) -> dict[str, Any]:
    """An Avro field that may be null; types with names get names of their own, since a schema has each only once."""
    made = renamed(avro, f"{avro_name(within)}_{name}")
    branches = made if isinstance(made, list) else [made]
    return {"name": name, "type": ["null", *(b for b in branches if b != "null")], "default": None}


def with_formats(where: str, topic: Topic, kind: ColumnType | None, formats: Formats) -> Topic:
    """The topic in these formats; a key that is not a text has the type of its column. Raises SettingError."""
    if "headers" in formats:
        raise SettingError(f"{where}: headers are columns of what is read, and cannot be written")
    made = replace(topic, **formats)
    if made.key_format != KeyFormat.TEXT and kind is not None:
        made = replace(made, key_type=kind.avro)
    check_formats(where, made)
    return made


def header_columns(where: str, topic: Topic, given: str | Mapping[str, str] | None) -> Mapping[str, str | None]:
    """The columns of a topic that are headers; raises SettingError where one has another's name, or no header's."""
    columns: dict[str, str | None] = {given: None} if isinstance(given, str) else dict(given or {})
    known = columns_of(where, topic)
    for column, name in columns.items():
        if column in known:
            raise SettingError(f"{where}: header column {column} is in the schema, too, but must be a name of its own")
        if COLUMN_NAME.fullmatch(column) is None:
            raise SettingError(f"{where}: header column is {column!r}, but must be letters, digits and _")
        if not isinstance(given, str) and not isinstance(name, str):
            raise SettingError(f"{where}: header column {column} is of {name!r}, but must be of the name of a header")
    if len(set(columns.values())) < len(columns):
        raise SettingError(f"{where}: two columns are of one header, but must be of one each")
    return columns


def renamed(avro: Any, name: str) -> Any:
    """A type whose named types are called by where they stand."""
    if isinstance(avro, list):
        return [renamed(branch, f"{name}_{place}" if place else name) for place, branch in enumerate(avro)]
    if not isinstance(avro, Mapping):
        return avro
    made = {key: value for key, value in avro.items() if not key.startswith("__")}
    if made["type"] in NAMED:
        made |= {"name": name}
        made.pop("namespace", None)
        made.pop("aliases", None)
    if "fields" in made:
        made["fields"] = [{**one, "type": renamed(one["type"], f"{name}_{one['name']}")} for one in made["fields"]]
    for inner in ("items", "values"):
        if inner in made:
            made[inner] = renamed(made[inner], f"{name}_{inner}")
    return made


def record_type(topic: Topic) -> ColumnType:
    """The type of a whole row of a topic."""
    if topic.headers:
        return record_type_of(avro_name(topic.name), columns_of(f"topic {topic.name}", topic))
    return column_type(schema(topic.schema or {}))


def record_type_of(name: str, columns: Scope) -> ColumnType:
    """The type of a record of these columns."""
    return column_type(
        {"type": "record", "name": name, "fields": [{"name": n, "type": ["null", k.avro]} for n, k in columns.items()]}
    )
